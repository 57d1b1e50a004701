//! The load of `giot bench ingest`: devices that publish and wait for their acknowledgements, and beside them the floor, a server that
//! does nothing but append, bring to the disk and acknowledge.
//!
//! Packets are MQTT 3.1.1 by hand, so that the load costs less than what it measures. Must not know the store. Invariants: a message is
//! counted when its PUBACK is there; memory does not grow with the number of messages.

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::clock::monotonic;

/// Values of a message.
pub const VALUES: u64 = 6;

/// Largest packet that the floor takes.
const PACKET_MAX: usize = 64 * 1024;

/// Parts of a connection that wait for the floor's disk.
const WAITING_MAX: usize = 4_096;

/// How the load publishes.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Where to.
    pub addr: SocketAddr,
    /// Devices, each with a connection of its own.
    pub n_connections: u32,
    /// Messages of a connection that wait for their acknowledgement at once.
    pub n_in_flight: u16,
    /// How long new messages are sent.
    pub span: Duration,
    /// Messages a second of all devices together, one at a time each; `None`: as fast as they are acknowledged.
    pub rate_per_s: Option<u32>,
    /// Time of each device's first message, ms; the next are a millisecond later each.
    pub from_ms: i64,
}

/// What was measured.
#[derive(Clone, Debug, Default)]
pub struct Flood {
    /// Messages acknowledged.
    pub n_acked: u64,
    /// From the first message to the last acknowledgement.
    pub elapsed: Duration,
    /// From a message to its acknowledgement.
    pub waits: Waits,
}

/// How often what wait was met: exact to a sixteenth.
#[derive(Clone, Debug)]
pub struct Waits(Vec<u64>);

impl Default for Waits {
    fn default() -> Self {
        Self(vec![0; 1_024])
    }
}

impl Waits {
    fn add(&mut self, wait: Duration) {
        let us = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX).max(1);
        let exponent = us.ilog2().max(4);
        let slot = u64::from(exponent - 4) * 16 + (us >> (exponent - 4));
        if let Some(n) = usize::try_from(slot).ok().and_then(|slot| self.0.get_mut(slot)) {
            *n += 1;
        }
    }

    fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(n, more)| *n += more);
    }

    /// The wait that `percent` of all did not exceed.
    #[must_use]
    pub fn percentile(&self, percent: u64) -> Duration {
        let n_all: u64 = self.0.iter().sum();
        let mut n_left = (n_all * percent).div_ceil(100);
        for (slot, n) in (0_u64..).zip(&self.0) {
            n_left = n_left.saturating_sub(*n);
            if n_left == 0 {
                let shift = (slot / 16).saturating_sub(1);
                return Duration::from_micros((slot - shift * 16) << shift);
            }
        }
        Duration::MAX
    }
}

/// Publishes; `n_acked` counts along.
///
/// # Errors
/// A connection is refused or breaks.
pub async fn flood(load: Load, n_acked: &Arc<AtomicU64>) -> anyhow::Result<Flood> {
    let mut devices = Vec::new();
    for number in 0..load.n_connections {
        devices
            .push(Device::connect(load, number).await.with_context(|| format!("connect device {number}"))?);
    }
    let began = monotonic();
    let mut tasks = tokio::task::JoinSet::new();
    for device in devices {
        let n_acked = Arc::clone(n_acked);
        tasks.spawn(async move {
            match load.rate_per_s {
                None => device.flood(began, &n_acked).await,
                Some(rate) => device.pace(began, rate, &n_acked).await,
            }
        });
    }
    let mut all = Flood::default();
    while let Some(done) = tasks.join_next().await {
        let one = done.context("a device of the load")??;
        all.n_acked += one.n_acked;
        all.waits.merge(&one.waits);
    }
    all.elapsed = monotonic().duration_since(began);
    Ok(all)
}

struct Device {
    load: Load,
    number: u32,
    topic: String,
    link: TcpStream,
    n_sent: u32,
    out: Vec<u8>,
}

impl Device {
    async fn connect(load: Load, number: u32) -> anyhow::Result<Self> {
        let mut link = TcpStream::connect(load.addr).await?;
        link.set_nodelay(true)?;
        let id = format!("d{number:05}");
        let mut packet = vec![0x10, 0];
        packet.extend_from_slice(b"\x00\x04MQTT\x04\x02\x00\x00\x00\x06");
        packet.extend_from_slice(id.as_bytes());
        set_length(&mut packet)?;
        link.write_all(&packet).await?;
        let mut answer = [0; 4];
        link.read_exact(&mut answer).await?;
        ensure!(answer == [0x20, 2, 0, 0], "refused: {answer:?}");
        let topic = format!("giot/v1/{id}/json");
        Ok(Self { load, number, topic, link, n_sent: 0, out: Vec::new() })
    }

    /// Adds a message to what is written next.
    fn message(&mut self, id: u16) -> anyhow::Result<()> {
        let n = self.n_sent;
        self.n_sent += 1;
        let at_ms = self.load.from_ms + i64::from(n);
        let (soil, warm) = ((self.number + n / 64) % 300 + 100, (n / 256) % 100 + 200);
        let battery = 3_900 - n / 4_096 % 500;
        let payload = format!(
            "{{\"ts\":{at_ms},\"seq\":{n},\"soil_moisture\":{}.{},\"soil_temp\":{}.{},\"battery\":{battery},\"valve\":{},\"flow\":{}}}",
            soil / 10,
            soil % 10,
            warm / 10,
            warm % 10,
            u8::from(n % 512 < 64),
            n / 512 * 3
        );
        let n_bytes = 2 + self.topic.len() + 2 + payload.len();
        self.out.push(0x32);
        push_length(&mut self.out, n_bytes);
        self.out.extend_from_slice(&u16::try_from(self.topic.len())?.to_be_bytes());
        self.out.extend_from_slice(self.topic.as_bytes());
        self.out.extend_from_slice(&id.to_be_bytes());
        self.out.extend_from_slice(payload.as_bytes());
        Ok(())
    }

    async fn write(&mut self) -> anyhow::Result<()> {
        self.link.write_all(&self.out).await?;
        self.out.clear();
        Ok(())
    }

    /// As many messages in flight as may be, until the time is over and every acknowledgement is there.
    async fn flood(mut self, began: Instant, n_acked: &AtomicU64) -> anyhow::Result<Flood> {
        let mut told = Flood::default();
        let mut sent_at = vec![began; usize::from(self.load.n_in_flight) + 1];
        for id in 1..=self.load.n_in_flight {
            self.message(id)?;
        }
        let mut n_waiting = self.load.n_in_flight;
        self.write().await?;
        let mut buffer = [0; 4_096];
        let mut n_held = 0;
        while n_waiting > 0 {
            let n = self.link.read(buffer.get_mut(n_held..).unwrap_or_default()).await?;
            ensure!(n > 0, "the connection was closed");
            n_held += n;
            let now = monotonic();
            let goes_on = now.duration_since(began) < self.load.span;
            let (acks, _) = buffer.get(..n_held).unwrap_or_default().as_chunks::<4>();
            for ack in acks {
                let [0x40, 2, high, low] = *ack else { anyhow::bail!("no PUBACK: {ack:?}") };
                let id = u16::from_be_bytes([high, low]);
                let sent = sent_at.get_mut(usize::from(id)).context("an acknowledgement of nothing")?;
                told.waits.add(now.duration_since(*sent));
                *sent = now;
                if goes_on {
                    self.message(id)?;
                } else {
                    n_waiting -= 1;
                }
            }
            let n_done = n_held / 4 * 4;
            told.n_acked += u64::try_from(n_done / 4)?;
            n_acked.fetch_add(u64::try_from(n_done / 4)?, Ordering::Relaxed);
            buffer.copy_within(n_done..n_held, 0);
            n_held -= n_done;
            if !self.out.is_empty() {
                self.write().await?;
            }
        }
        Ok(told)
    }

    /// One message after another at a steady rate, the devices in turn.
    async fn pace(mut self, began: Instant, rate_per_s: u32, n_acked: &AtomicU64) -> anyhow::Result<Flood> {
        let mut told = Flood::default();
        let every = Duration::from_secs(1) * self.load.n_connections / rate_per_s.max(1);
        let mut due = began + every * self.number / self.load.n_connections;
        while due.duration_since(began) < self.load.span {
            tokio::time::sleep_until(due.into()).await;
            self.message(1)?;
            let sent = monotonic();
            self.write().await?;
            let mut ack = [0; 4];
            self.link.read_exact(&mut ack).await?;
            ensure!(ack == [0x40, 2, 0, 1], "no PUBACK: {ack:?}");
            told.waits.add(monotonic().duration_since(sent));
            told.n_acked += 1;
            n_acked.fetch_add(1, Ordering::Relaxed);
            due += every;
        }
        Ok(told)
    }
}

fn push_length(out: &mut Vec<u8>, mut n_bytes: usize) {
    loop {
        let low = u8::try_from(n_bytes & 0x7f).unwrap_or(0);
        n_bytes >>= 7;
        if n_bytes == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

/// Writes the length of a short packet into its second byte.
fn set_length(packet: &mut [u8]) -> anyhow::Result<()> {
    let n_bytes = u8::try_from(packet.len() - 2).ok().filter(|n| *n < 0x80).context("a long packet")?;
    *packet.get_mut(1).context("an empty packet")? = n_bytes;
    Ok(())
}

/// Whole packets of a connection, and what acknowledges them once they are on the disk.
struct Part {
    bytes: Vec<u8>,
    acks: Vec<u8>,
    answer: mpsc::Sender<Vec<u8>>,
}

/// Serves as the floor until the process ends: every message is on the disk in `log` before it is acknowledged, those that wait together
/// with one sync.
///
/// # Errors
/// The file cannot be made.
pub async fn floor(listener: TcpListener, log: &Path) -> anyhow::Result<()> {
    let mut file = File::create(log).with_context(|| format!("create {}", log.display()))?;
    let (parts, mut waiting) = mpsc::channel::<Part>(WAITING_MAX);
    let disk = std::thread::spawn(move || -> std::io::Result<()> {
        while let Some(first) = waiting.blocking_recv() {
            let mut group = vec![first];
            while let Ok(next) = waiting.try_recv() {
                group.push(next);
            }
            group.iter().try_for_each(|part| file.write_all(&part.bytes))?;
            file.sync_data()?;
            for Part { acks, answer, .. } in group {
                // A device that went away does not wait.
                answer.blocking_send(acks).ok();
            }
        }
        Ok(())
    });
    while !disk.is_finished() {
        let (link, _) = listener.accept().await.context("accept")?;
        link.set_nodelay(true)?;
        let parts = parts.clone();
        tokio::spawn(async move {
            if let Err(error) = serve(link, parts).await {
                tracing::debug!(%error, "a device of the load went away");
            }
        });
    }
    anyhow::bail!("the floor's disk refuses")
}

async fn serve(link: TcpStream, parts: mpsc::Sender<Part>) -> anyhow::Result<()> {
    let (mut from, mut to) = link.into_split();
    let (answer, mut answers) = mpsc::channel::<Vec<u8>>(WAITING_MAX);
    tokio::spawn(async move {
        while let Some(bytes) = answers.recv().await {
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
    let mut held = Vec::with_capacity(PACKET_MAX);
    while from.read_buf(&mut held).await? > 0 {
        let (mut n_done, mut acks) = (0, Vec::new());
        while let Some((n_bytes, ack)) = packet(held.get(n_done..).unwrap_or_default())? {
            match ack {
                Some([high, low]) => acks.extend_from_slice(&[0x40, 2, high, low]),
                None => answer.send(vec![0x20, 2, 0, 0]).await?,
            }
            n_done += n_bytes;
        }
        let bytes: Vec<u8> = held.drain(..n_done).collect();
        if !acks.is_empty() {
            parts.send(Part { bytes, acks, answer: answer.clone() }).await?;
        }
    }
    Ok(())
}

/// Length of the packet at the beginning, and the number of a message; `None` while it is not whole. What is no message is a CONNECT.
fn packet(bytes: &[u8]) -> anyhow::Result<Option<(usize, Option<[u8; 2]>)>> {
    let Some(kind) = bytes.first() else { return Ok(None) };
    let (mut n_body, mut n_head) = (0_usize, 1);
    loop {
        let Some(byte) = bytes.get(n_head) else { return Ok(None) };
        n_body |= usize::from(byte & 0x7f) << (7 * (n_head - 1));
        n_head += 1;
        if byte & 0x80 == 0 {
            break;
        }
        ensure!(n_head < 5, "a length of more than four bytes");
    }
    ensure!(n_body <= PACKET_MAX, "a packet of {n_body} bytes");
    let Some(body) = bytes.get(n_head..n_head + n_body) else { return Ok(None) };
    match kind {
        0x10 => Ok(Some((n_head + n_body, None))),
        0x32 => {
            let [high, low] = *body.first_chunk::<2>().context("a message without topic")?;
            let at = 2 + usize::from(u16::from_be_bytes([high, low]));
            let id = body
                .get(at..)
                .and_then(|rest| rest.first_chunk::<2>())
                .context("a message without number")?;
            Ok(Some((n_head + n_body, Some(*id))))
        }
        _ => anyhow::bail!("a packet of kind {kind:#x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_told_to_a_sixteenth() {
        let mut waits = Waits::default();
        for us in 1..=100_000_u64 {
            waits.add(Duration::from_micros(us));
        }
        for (percent, us) in [(50, 50_000.0), (99, 99_000.0), (1, 1_000.0)] {
            let found = waits.percentile(percent).as_micros() as f64;
            assert!((found / us - 1.0).abs() <= 1.0 / 16.0, "{percent} %: {found} µs");
        }
        assert_eq!(Waits::default().percentile(50), Duration::ZERO);
    }

    #[tokio::test]
    async fn the_floor_acknowledges_what_is_in_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let server = {
            let log = log.clone();
            tokio::spawn(async move { floor(listener, &log).await })
        };
        let span = Duration::from_millis(50);
        let load = Load { addr, n_connections: 3, n_in_flight: 4, span, rate_per_s: None, from_ms: 0 };
        let n_acked = Arc::new(AtomicU64::new(0));
        let fast = flood(load, &n_acked).await.unwrap();
        let slow = flood(Load { rate_per_s: Some(300), ..load }, &n_acked).await.unwrap();
        assert!(fast.n_acked >= 12 && (3..=18).contains(&slow.n_acked), "{fast:?} {slow:?}");
        assert_eq!(n_acked.load(Ordering::Relaxed), fast.n_acked + slow.n_acked);
        let text = String::from_utf8_lossy(&std::fs::read(&log).unwrap()).into_owned();
        assert_eq!(u64::try_from(text.matches("\"seq\":").count()).unwrap(), fast.n_acked + slow.n_acked);
        server.abort();
    }
}
