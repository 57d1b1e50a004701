//! A gateway in a script for a chip: as much of an MQTT 5 broker as one node uses, which answers Hellos and keeps records in memory,
//! and sends what a test wants. It must not decide anything else.
//!
//! Nothing runs beside the test: whoever asks for the next event serves the connection meanwhile. A chip that starts again connects
//! anew; what is left of its last connection is forgotten then.

use crate::mqtt;
use giot_gateway::clock::{Clock, monotonic};
use giot_shared::ids::{NodeId, Position};
use giot_shared::time::UnixMs;
use giot_shared::wire::{
    self, Ack, Answer, Downlink, Hello, NodeKey, PREFIX_DEFAULT, Record, Records, Uplink, Welcome,
};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

/// How long one look at the connection lasts: new ones are taken between two.
const LOOK: Duration = Duration::from_millis(2);
/// Packet numbers of messages down are below this.
const PACKETS_MAX: u16 = 60_000;

/// What the node did.
#[derive(Clone, Debug)]
pub enum Event {
    /// It said Hello, and was welcomed.
    Hello(Box<Hello>),
    /// It sent records, which were acknowledged.
    Records,
    /// It answered a command.
    Answer(Answer),
    /// It took a message.
    Taken,
}

/// The gateway.
#[derive(Debug)]
pub struct Peer {
    id: NodeId,
    key: NodeKey,
    listener: TcpListener,
    line: Option<Line>,
    next_packet: u16,
    /// What the next packet of a kind is answered with.
    spoilt: Option<(u8, Vec<u8>)>,
    /// Messages of this connection that the node has not taken yet.
    pub n_open: usize,
    /// Up to here it has everything.
    pub stored: Position,
    /// Every record since [`Self::forget`].
    pub records: BTreeMap<Position, Record>,
}

#[derive(Debug)]
struct Line {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Peer {
    /// Of one node.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn start(id: NodeId, key: NodeKey) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        Self {
            id,
            key,
            listener,
            line: None,
            next_packet: 0,
            spoilt: None,
            n_open: 0,
            stored: Position::default(),
            records: BTreeMap::new(),
        }
    }

    /// Where it listens.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.listener.local_addr().expect("an address").port()
    }

    /// Civil time.
    #[must_use]
    pub fn unix() -> UnixMs {
        UnixMs(Clock::system(None).wall_us_unchecked() / 1000)
    }

    /// Begins anew with a node whose records up to `stored` are there.
    pub fn forget(&mut self, stored: Position) {
        self.line = None;
        // Who still waited belongs to what is forgotten.
        while self.listener.accept().is_ok() {}
        self.stored = stored;
        self.records.clear();
    }

    /// The next thing that the node does within `limit`.
    ///
    /// # Panics
    /// When the node breaks the protocol.
    pub fn next(&mut self, limit: Duration) -> Option<Event> {
        let began = monotonic();
        loop {
            if let Ok((stream, _)) = self.listener.accept() {
                stream.set_nonblocking(false).expect("a socket");
                stream.set_nodelay(true).expect("a socket");
                stream.set_read_timeout(Some(LOOK)).expect("a socket");
                self.line = Some(Line { stream, read: Vec::new() });
                self.n_open = 0;
            }
            match self.packet() {
                Some((kind, body)) => {
                    if let Some(event) = self.handle(kind, &body) {
                        return Some(event);
                    }
                }
                None if began.elapsed() > limit => return None,
                None => {}
            }
        }
    }

    /// A message as it goes down.
    ///
    /// # Panics
    /// When it does not fit.
    #[must_use]
    pub fn seal(&self, message: &Downlink) -> Vec<u8> {
        let mut plain = [0; Downlink::LEN_MAX];
        let payload = message.encode(&mut plain).expect("a message fits");
        self.seal_bytes(payload)
    }

    /// Any bytes under the node's key.
    ///
    /// # Panics
    /// When they do not fit.
    #[must_use]
    pub fn seal_bytes(&self, payload: &[u8]) -> Vec<u8> {
        let mut sealed = [0; 2 * wire::PAYLOAD_LEN_MAX];
        wire::seal(&self.key, &self.id, payload, &mut sealed).expect("an envelope fits").to_vec()
    }

    /// Publishes a payload at QoS 1; gives whether there is a connection.
    pub fn send(&mut self, payload: &[u8]) -> bool {
        let packet = self.publication(payload);
        self.n_open += 1;
        self.write(&packet)
    }

    /// The packet that publishes a payload at QoS 1.
    pub fn publication(&mut self, payload: &[u8]) -> Vec<u8> {
        self.next_packet = self.next_packet % PACKETS_MAX + 1;
        mqtt::publication(0b010, self.topic().as_bytes(), self.next_packet, &[], payload)
    }

    /// Where messages to the node are published.
    #[must_use]
    pub fn topic(&self) -> String {
        format!("{PREFIX_DEFAULT}/{}/down", self.id)
    }

    /// Writes bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) -> bool {
        let written = self.line.as_mut().is_some_and(|line| line.stream.write_all(bytes).is_ok());
        if !written {
            self.line = None;
        }
        written
    }

    /// Says nothing more on this connection. What was said arrives, and then its end.
    pub fn say_no_more(&mut self) {
        let ended = self.line.as_ref().is_some_and(|line| line.stream.shutdown(Shutdown::Write).is_ok());
        if !ended {
            self.line = None;
        }
    }

    /// Answers the next packet of a kind, such as 1 for the one that a connection begins with, with these bytes and nothing more.
    pub fn answer_next(&mut self, kind: u8, bytes: Vec<u8>) {
        self.spoilt = Some((kind, bytes));
    }

    /// The next packet that is there, after one look.
    fn packet(&mut self) -> Option<(u8, Vec<u8>)> {
        let Some(line) = &mut self.line else {
            std::thread::sleep(LOOK);
            return None;
        };
        if let Some(packet) = split(&mut line.read) {
            return Some(packet);
        }
        let mut bytes = [0; 4096];
        match line.stream.read(&mut bytes) {
            Ok(0) => self.line = None,
            Ok(n_read) => {
                line.read.extend(&bytes[..n_read]);
                return split(&mut line.read);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => self.line = None,
        }
        None
    }

    fn handle(&mut self, kind: u8, body: &[u8]) -> Option<Event> {
        if let Some((_, bytes)) = self.spoilt.take_if(|(spoilt, _)| *spoilt == kind >> 4) {
            self.write(&bytes);
            self.say_no_more();
            return None;
        }
        let reply = match kind >> 4 {
            1 => vec![0x20, 3, 0, 0, 0],
            8 => vec![0x90, 4, body[0], body[1], 0, 1],
            12 => vec![0xd0, 0],
            4 => {
                self.n_open = self.n_open.saturating_sub(1);
                return Some(Event::Taken);
            }
            3 => return self.handle_publish(kind, body),
            // Of messages at QoS 2.
            5 | 7 => return None,
            _ => {
                self.line = None;
                return None;
            }
        };
        self.write(&reply);
        None
    }

    #[expect(
        clippy::unwrap_in_result,
        reason = "a packet that is none fails the test; nothing to say is not that"
    )]
    fn handle_publish(&mut self, kind: u8, body: &[u8]) -> Option<Event> {
        assert_eq!(kind & 6, 2, "QoS 1");
        let (topic_len, rest) = body.split_first_chunk::<2>().expect("a topic");
        let (topic, rest) = rest.split_at(usize::from(u16::from_be_bytes(*topic_len)));
        let (number, rest) = rest.split_first_chunk::<2>().expect("a packet number");
        let (properties_len, rest) = rest.split_first().expect("properties");
        let payload = &rest[usize::from(*properties_len)..];
        self.write(&[0x40, 2, number[0], number[1]]);
        if !topic.ends_with(b"/up") {
            return None;
        }
        match Uplink::decode(payload).expect("a message of this protocol") {
            Uplink::Hello(hello) => {
                let (nonce, unix) = (hello.nonce, Some(Self::unix()));
                self.tell(&Downlink::Welcome(Welcome { nonce, unix, stored: self.stored }));
                Some(Event::Hello(Box::new(hello)))
            }
            Uplink::Records(records) => {
                self.take(&records);
                self.tell(&Downlink::Ack(Ack { stored: self.stored }));
                Some(Event::Records)
            }
            Uplink::Answer(answer) => Some(Event::Answer(answer)),
        }
    }

    fn tell(&mut self, message: &Downlink) {
        let sealed = self.seal(message);
        self.send(&sealed);
    }

    /// Takes records that follow what is there. What comes again must be what it was.
    fn take(&mut self, records: &Records) {
        assert!(records.is_contiguous(), "{records:?}");
        assert!(records.after <= self.stored, "records after {:?}: {records:?}", self.stored);
        for record in &records.records {
            let position = Position { epoch: records.epoch, seq: record.last_seq() };
            match self.records.get(&position) {
                Some(known) => assert_eq!(known, record, "another record at {position:?}"),
                None if position > self.stored => {
                    self.stored = position;
                    self.records.insert(position, record.clone());
                }
                // From before the script began.
                None => {}
            }
        }
    }
}

/// Takes the first packet from what was read, when it is whole.
fn split(read: &mut Vec<u8>) -> Option<(u8, Vec<u8>)> {
    let kind = *read.first()?;
    let (mut len, mut head_len) = (0, 1);
    loop {
        let byte = *read.get(head_len)?;
        len |= usize::from(byte & 127) << (7 * (head_len - 1));
        head_len += 1;
        if byte < 128 {
            break;
        }
    }
    let body = read.get(head_len..head_len + len)?.to_vec();
    read.drain(..head_len + len);
    Some((kind, body))
}
