//! The other end in one task: as much of an MQTT 5 broker as one node uses, with a gateway behind it that keeps records
//! in memory. It can be told to misbehave: forget acknowledgements, cut connections, keep silent.

#![expect(clippy::unwrap_in_result, reason = "an error is a cut connection; what is checked here panics")]

use giot_shared::ids::{NodeId, Position};
use giot_shared::time::UnixMs;
use giot_shared::wire::{self, Ack, Answer, Body, Downlink, Hello, NodeKey, Record, Uplink, Welcome};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

/// What the gateway saw and how it behaves.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) hellos: Vec<Hello>,
    pub(crate) answers: Vec<Answer>,
    /// Every record taken, once, in the order of arrival.
    pub(crate) records: Vec<(u32, Record)>,
    pub(crate) stored: Position,
    /// Records that came although they were known.
    pub(crate) n_again: usize,
    /// Messages that were not directly after what is stored.
    pub(crate) n_refused: usize,
    pub(crate) statuses: Vec<String>,
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) n_connections: usize,
    /// Of every so many messages with records one is not acknowledged, and its connection is cut.
    pub(crate) cut_every: Option<usize>,
    /// No Welcome at all.
    pub(crate) silent: bool,
    pub(crate) unix: Option<UnixMs>,
    n_messages: usize,
    clean_start: Vec<bool>,
}

impl Seen {
    pub(crate) fn all_clean(&self) -> bool {
        self.clean_start.iter().all(|clean| *clean)
    }
}

/// A running peer.
pub(crate) struct Peer {
    pub(crate) address: String,
    seen: Arc<Mutex<Seen>>,
    changed: watch::Receiver<u64>,
    down: mpsc::UnboundedSender<Vec<u8>>,
}

impl Peer {
    pub(crate) async fn start(id: &NodeId, key: &NodeKey) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (change, changed) = watch::channel(0);
        let (down, orders) = mpsc::unbounded_channel();
        let (id, key) = (id.clone(), key.clone());
        let mut gateway = Gateway { id, key, seen: Arc::clone(&seen), change, orders, next_packet: 1 };
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                stream.set_nodelay(true).expect("no delay");
                // One node, one connection at a time; an error is a cut connection.
                let _cut = gateway.serve(stream).await;
            }
        });
        Self { address, seen, changed, down }
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no panic inside")
    }

    /// Sends raw bytes down.
    pub(crate) fn send(&self, bytes: &[u8]) {
        self.down.send(bytes.to_vec()).expect("the peer runs");
    }

    /// Sends what is no message every 20 ms for as long as the peer runs.
    pub(crate) fn make_noise(&self) {
        let down = self.down.clone();
        tokio::spawn(async move {
            while down.send(b"no message of the gateway's".to_vec()).is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }

    /// Waits until `holds`, 20 s at most.
    pub(crate) async fn until(&mut self, what: &str, holds: impl Fn(&Seen) -> bool) {
        let waited = tokio::time::timeout(Duration::from_secs(20), async {
            while !holds(&self.seen()) {
                self.changed.changed().await.expect("the peer runs");
            }
        });
        waited.await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
    }
}

struct Gateway {
    id: NodeId,
    key: NodeKey,
    seen: Arc<Mutex<Seen>>,
    change: watch::Sender<u64>,
    orders: mpsc::UnboundedReceiver<Vec<u8>>,
    next_packet: u16,
}

impl Gateway {
    async fn serve(&mut self, mut stream: TcpStream) -> io::Result<()> {
        let (kind, body) = read_packet(&mut stream).await?;
        assert_eq!(kind >> 4, 1, "CONNECT comes first");
        self.connect(&body);
        stream.write_all(&[0x20, 3, 0, 0, 0]).await?;
        let (mut read, mut write) = stream.into_split();
        let (packets, mut received) = mpsc::channel(16);
        tokio::spawn(async move {
            while let Ok(packet) = read_packet(&mut read).await {
                if packets.send(packet).await.is_err() {
                    return;
                }
            }
        });
        loop {
            tokio::select! {
                packet = received.recv() => {
                    let Some((kind, body)) = packet else { return Ok(()) };
                    let replies = self.handle(kind, &body)?;
                    write.write_all(&replies).await?;
                }
                Some(order) = self.orders.recv() => {
                    let packet = self.publish(&order);
                    write.write_all(&packet).await?;
                }
            }
            self.change.send_modify(|count| *count += 1);
        }
    }

    fn connect(&self, body: &[u8]) {
        let mut seen = self.seen.lock().expect("no panic inside");
        seen.n_connections += 1;
        assert_eq!(&body[..7], b"\x00\x04MQTT\x05");
        seen.clean_start.push(body[7] & 2 != 0);
        let mut fields = Fields(&body[10..]);
        fields.skip_properties();
        assert_eq!(fields.text(), self.id.as_str());
        fields.skip_properties();
        let will = (fields.text(), fields.text());
        assert_eq!(will, (format!("giot/v1/{}/status", self.id), "offline".to_owned()));
        seen.user = fields.text();
        seen.password = fields.text();
    }

    fn handle(&mut self, kind: u8, body: &[u8]) -> io::Result<Vec<u8>> {
        match kind >> 4 {
            3 => self.handle_publish(kind, body),
            8 => Ok(vec![0x90, 4, body[0], body[1], 0, 1]),
            12 => Ok(vec![0xd0, 0]),
            4 => Ok(Vec::new()),
            _ => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }

    fn handle_publish(&mut self, kind: u8, body: &[u8]) -> io::Result<Vec<u8>> {
        let mut fields = Fields(body);
        let topic = fields.text();
        assert_eq!(kind & 6, 2, "QoS 1");
        let mut replies = vec![0x40, 2, fields.0[0], fields.0[1]];
        fields.0 = &fields.0[2..];
        fields.skip_properties();
        if topic.ends_with("/status") {
            let status = String::from_utf8(fields.0.to_vec()).expect("text");
            self.seen.lock().expect("no panic inside").statuses.push(status);
            return Ok(replies);
        }
        let message = Uplink::decode(fields.0).expect("a message of this protocol");
        if let Some(answer) = self.take(message)? {
            let mut plain = [0; 128];
            let mut sealed = [0; 256];
            let payload = answer.encode(&mut plain).expect("fits");
            let bytes = wire::seal(&self.key, &self.id, payload, &mut sealed).expect("fits").to_vec();
            replies.extend(self.publish(&bytes));
        }
        Ok(replies)
    }

    fn take(&self, message: Uplink) -> io::Result<Option<Downlink>> {
        let mut seen = self.seen.lock().expect("no panic inside");
        match message {
            Uplink::Hello(hello) => {
                let nonce = hello.nonce;
                seen.hellos.push(hello);
                let welcome = Welcome { nonce, unix: seen.unix, stored: seen.stored };
                Ok((!seen.silent).then_some(Downlink::Welcome(welcome)))
            }
            Uplink::Answer(answer) => {
                seen.answers.push(answer);
                Ok(None)
            }
            Uplink::Records(records) => {
                assert!(records.is_contiguous(), "{records:?}");
                seen.n_messages += 1;
                if seen.cut_every.is_some_and(|n| seen.n_messages.is_multiple_of(n)) {
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
                if records.after > seen.stored {
                    seen.n_refused += 1;
                } else {
                    for record in &records.records {
                        let position = Position { epoch: records.epoch, seq: record.last_seq() };
                        if position > seen.stored {
                            seen.stored = position;
                            seen.records.push((records.epoch, record.clone()));
                        } else {
                            seen.n_again += 1;
                        }
                    }
                }
                Ok(Some(Downlink::Ack(Ack { stored: seen.stored })))
            }
        }
    }

    fn publish(&mut self, payload: &[u8]) -> Vec<u8> {
        let topic = format!("giot/v1/{}/down", self.id);
        let mut body = Vec::new();
        body.extend_from_slice(&u16::try_from(topic.len()).expect("short").to_be_bytes());
        body.extend_from_slice(topic.as_bytes());
        body.extend_from_slice(&self.next_packet.to_be_bytes());
        self.next_packet = self.next_packet % 1000 + 1;
        body.push(0);
        body.extend_from_slice(payload);
        let mut packet = vec![0x32];
        let mut rest = body.len();
        loop {
            let low = u8::try_from(rest % 128).expect("below 128");
            rest /= 128;
            packet.push(if rest > 0 { low | 128 } else { low });
            if rest == 0 {
                break;
            }
        }
        packet.extend(body);
        packet
    }
}

/// Readings as (metric code, value) in the order of arrival.
pub(crate) fn readings(seen: &Seen) -> Vec<(u8, Option<i32>)> {
    let reading = |(_, record): &(u32, Record)| match &record.body {
        Body::Reading(reading) => Some((reading.metric, reading.value)),
        Body::Valve(_) | Body::Health(_) | Body::Lost(_) | Body::Settings(_) | Body::Unknown => None,
    };
    seen.records.iter().filter_map(reading).collect()
}

struct Fields<'b>(&'b [u8]);

impl Fields<'_> {
    fn text(&mut self) -> String {
        let len = usize::from(u16::from_be_bytes([self.0[0], self.0[1]]));
        let text = String::from_utf8(self.0[2..2 + len].to_vec()).expect("text");
        self.0 = &self.0[2 + len..];
        text
    }

    fn skip_properties(&mut self) {
        assert!(self.0[0] < 128, "properties of one length byte");
        let len = usize::from(self.0[0]);
        self.0 = &self.0[1 + len..];
    }
}

async fn read_packet(stream: &mut (impl AsyncReadExt + Unpin)) -> io::Result<(u8, Vec<u8>)> {
    let kind = stream.read_u8().await?;
    let mut len = 0_usize;
    for shift in [0, 7, 14, 21] {
        let byte = stream.read_u8().await?;
        len |= usize::from(byte & 127) << shift;
        if byte < 128 {
            break;
        }
    }
    let mut body = vec![0; len];
    stream.read_exact(&mut body).await?;
    Ok((kind, body))
}
