//! A device's MQTT connection by hand, packet by packet, so that a test sees each acknowledgement, can withhold its own,
//! and can send what no library would. Speaks 3.1.1 and 5; knows only the packets a device needs.

#![expect(clippy::indexing_slicing, reason = "a packet too short for its kind is a failed test")]

use anyhow::{Context, bail};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest wait for any packet; far above what a loaded machine needs.
const PATIENCE: Duration = Duration::from_secs(20);

/// MQTT version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// MQTT 3.1.1.
    V311,
    /// MQTT 5.
    V5,
}

/// How a device logs in.
#[derive(Clone, Copy, Debug)]
pub struct Connect<'a> {
    /// Protocol version.
    pub version: Version,
    /// Client id.
    pub client_id: &'a str,
    /// User name and password.
    pub login: Option<(&'a str, &'a str)>,
    /// Whether the broker forgets the session.
    pub clean: bool,
    /// Topic and payload of a retained QoS 1 will.
    pub will: Option<(&'a str, &'a [u8])>,
}

/// A packet from the broker.
#[derive(Debug, PartialEq, Eq)]
pub enum Packet {
    /// Packet id and reason code (0 in 3.1.1).
    PubAck(u16, u8),
    /// Packet id of a QoS 2 publish's first answer.
    PubRec(u16),
    /// Packet id of a QoS 2 publish's last answer.
    PubComp(u16),
    /// A message.
    Publish {
        /// Its topic.
        topic: String,
        /// Its payload.
        payload: Vec<u8>,
        /// Packet id, 0 for QoS 0.
        id: u16,
        /// Whether it was kept from earlier.
        retained: bool,
    },
    /// First code of a SUBACK.
    SubAck(u8),
    /// Answer to a ping.
    Pong,
    /// The broker says goodbye.
    Disconnect,
}

/// A connected device.
#[derive(Debug)]
pub struct Device {
    socket: TcpStream,
    version: Version,
    read: Vec<u8>,
    /// Whether the broker still had the session.
    pub session_present: bool,
}

impl Device {
    /// Connects and logs in. The inner error is the CONNACK code of a refusal.
    ///
    /// # Errors
    /// When there is no connection at all.
    pub async fn connect(port: u16, options: Connect<'_>) -> anyhow::Result<Result<Self, u8>> {
        let socket = TcpStream::connect(("127.0.0.1", port)).await.context("connect to the broker")?;
        socket.set_nodelay(true)?;
        let mut device = Self { socket, version: options.version, read: Vec::new(), session_present: false };
        device.write(0x10, &connect_body(options)).await?;
        let (kind, body) = device.frame().await?.context("no CONNACK")?;
        anyhow::ensure!(kind == 0x20 && body.len() >= 2, "expected CONNACK, got {kind:#x} {body:?}");
        device.session_present = body[0] == 1;
        Ok(if body[1] == 0 { Ok(device) } else { Err(body[1]) })
    }

    /// Publishes; `id` must be 0 for QoS 0.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn publish(&mut self, topic: &str, payload: &[u8], qos: u8, id: u16) -> anyhow::Result<()> {
        self.publish_with(topic, payload, qos << 1, id).await
    }

    /// Publishes a message that the broker keeps, at QoS 1.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn publish_retained(&mut self, topic: &str, payload: &[u8], id: u16) -> anyhow::Result<()> {
        self.publish_with(topic, payload, 0b0011, id).await
    }

    async fn publish_with(&mut self, topic: &str, payload: &[u8], flags: u8, id: u16) -> anyhow::Result<()> {
        let mut body = Vec::new();
        text(&mut body, topic.as_bytes());
        if flags & 0b0110 != 0 {
            body.extend(id.to_be_bytes());
        }
        self.no_properties(&mut body);
        body.extend(payload);
        self.write(0x30 | flags, &body).await
    }

    /// Second step of a QoS 2 publish.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn release(&mut self, id: u16) -> anyhow::Result<()> {
        self.write(0x62, &id.to_be_bytes()).await
    }

    /// Subscribes at QoS 1 and returns the SUBACK's code; messages that come before it fail the call.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn subscribe(&mut self, filter: &str) -> anyhow::Result<u8> {
        self.send_subscribe(filter).await?;
        match self.packet().await? {
            Some(Packet::SubAck(code)) => Ok(code),
            other => bail!("expected SUBACK, got {other:?}"),
        }
    }

    /// Subscribes at QoS 1 and leaves the SUBACK to the reader.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send_subscribe(&mut self, filter: &str) -> anyhow::Result<()> {
        let mut body = 77_u16.to_be_bytes().to_vec();
        self.no_properties(&mut body);
        text(&mut body, filter.as_bytes());
        body.push(1);
        self.write(0x82, &body).await
    }

    /// Acknowledges a message.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn ack(&mut self, id: u16) -> anyhow::Result<()> {
        self.write(0x40, &id.to_be_bytes()).await
    }

    /// Sends a ping and waits until it is answered; returns what came before the answer. What the broker had to send
    /// before it saw the ping is among it.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn until_pong(&mut self) -> anyhow::Result<Vec<Packet>> {
        self.write(0xC0, &[]).await?;
        let mut before = Vec::new();
        loop {
            let packet = self.packet().await?.context("the connection ended")?;
            if packet == Packet::Pong {
                return Ok(before);
            }
            before.push(packet);
        }
    }

    /// The next packet; `None` when the broker closed the connection.
    ///
    /// # Errors
    /// When nothing comes in time, or something unknown.
    pub async fn packet(&mut self) -> anyhow::Result<Option<Packet>> {
        let Some((kind, body)) = self.frame().await? else { return Ok(None) };
        let id = |body: &[u8]| u16::from_be_bytes([body[0], body[1]]);
        Ok(Some(match kind & 0xF0 {
            0x40 => Packet::PubAck(id(&body), body.get(2).copied().unwrap_or(0)),
            0x50 => Packet::PubRec(id(&body)),
            0x70 => Packet::PubComp(id(&body)),
            0x90 => Packet::SubAck(*body.last().context("empty SUBACK")?),
            0xD0 => Packet::Pong,
            0xE0 => Packet::Disconnect,
            0x30 => {
                let topic_end = usize::from(id(&body)) + 2;
                let topic = String::from_utf8(body[2..topic_end].to_vec())?;
                let mut rest = &body[topic_end..];
                let mut packet_id = 0;
                if kind & 0b0110 != 0 {
                    packet_id = id(rest);
                    rest = &rest[2..];
                }
                if self.version == Version::V5 {
                    // Properties of our messages are shorter than 128 bytes, so their length is one byte.
                    anyhow::ensure!(rest[0] < 128, "long properties");
                    rest = &rest[1 + usize::from(rest[0])..];
                }
                Packet::Publish { topic, payload: rest.to_vec(), id: packet_id, retained: kind & 1 == 1 }
            }
            _ => bail!("unexpected packet {kind:#x} {body:?}"),
        }))
    }

    fn no_properties(&self, body: &mut Vec<u8>) {
        if self.version == Version::V5 {
            body.push(0);
        }
    }

    async fn write(&mut self, kind: u8, body: &[u8]) -> anyhow::Result<()> {
        let mut packet = vec![kind];
        let mut left = body.len();
        loop {
            let more = left >= 128;
            packet.push(u8::try_from(left % 128)? | if more { 0x80 } else { 0 });
            left /= 128;
            if !more {
                break;
            }
        }
        packet.extend(body);
        self.socket.write_all(&packet).await.context("write to the broker")
    }

    async fn frame(&mut self) -> anyhow::Result<Option<(u8, Vec<u8>)>> {
        loop {
            if let Some(frame) = take_frame(&mut self.read) {
                return Ok(Some(frame));
            }
            let read = timeout(PATIENCE, self.socket.read_buf(&mut self.read))
                .await
                .context("the broker is silent")?;
            match read {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(error).context("read from the broker"),
            }
        }
    }
}

fn take_frame(read: &mut Vec<u8>) -> Option<(u8, Vec<u8>)> {
    let (mut len, mut shift, mut at) = (0_usize, 0, 1);
    loop {
        let byte = *read.get(at)?;
        at += 1;
        len |= usize::from(byte & 0x7F) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    if read.len() < at + len {
        return None;
    }
    let kind = read[0];
    let body = read[at..at + len].to_vec();
    read.drain(..at + len);
    Some((kind, body))
}

fn connect_body(options: Connect<'_>) -> Vec<u8> {
    let v5 = options.version == Version::V5;
    let mut body = Vec::new();
    text(&mut body, b"MQTT");
    body.push(if v5 { 5 } else { 4 });
    let mut flags = if options.clean { 0b10 } else { 0 };
    if options.will.is_some() {
        // Will, QoS 1, retained.
        flags |= 0b0010_1100;
    }
    if options.login.is_some() {
        flags |= 0b1100_0000;
    }
    body.push(flags);
    body.extend(60_u16.to_be_bytes());
    if v5 {
        if options.clean {
            body.push(0);
        } else {
            // Session expiry interval: one hour.
            body.extend([5, 0x11, 0, 0, 0x0E, 0x10]);
        }
    }
    text(&mut body, options.client_id.as_bytes());
    if let Some((topic, payload)) = options.will {
        if v5 {
            body.push(0);
        }
        text(&mut body, topic.as_bytes());
        text(&mut body, payload);
    }
    if let Some((user, password)) = options.login {
        text(&mut body, user.as_bytes());
        text(&mut body, password.as_bytes());
    }
    body
}

fn text(body: &mut Vec<u8>, bytes: &[u8]) {
    let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    body.extend(len.to_be_bytes());
    body.extend(bytes);
}
