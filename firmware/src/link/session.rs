//! How the MQTT session is set up: identity, topics, buffers. Built anew for each connection, so that each starts clean.

use crate::settings::NodeConfig;
use giot_shared::wire::{
    BROKER_PASSWORD_LEN, PAYLOAD_LEN_MAX, TOPIC_LEN_MAX, Topic, TopicError, broker_password, topic,
};
use minimq::{Buffers, ConfigBuilder, ConfigError, QoS, Session, Will};

/// Keep-alive, s: a node that lost power is `offline` for everybody after 45 s.
pub const KEEP_ALIVE_S: u16 = 30;
/// Bytes of one received packet: payload, topic and the broker's properties.
pub const RX_LEN: usize = PAYLOAD_LEN_MAX + TOPIC_LEN_MAX + 64;
/// Bytes to send from: the window's messages, two answers or Hellos beside them, and a CONNECT packet with its will.
pub const TX_LEN: usize =
    super::window::WINDOW * (PAYLOAD_LEN_MAX + TOPIC_LEN_MAX + 16) + 2 * (256 + TOPIC_LEN_MAX + 16) + 512;

/// What the status topic says while a session stands.
pub const ONLINE: &[u8] = b"online";
/// What the broker says for a node that is gone.
pub const OFFLINE: &[u8] = b"offline";

type TopicText = heapless::String<TOPIC_LEN_MAX>;

/// A node's texts of an MQTT session.
#[derive(Debug)]
pub struct Identity {
    id: heapless::String<{ giot_shared::ids::NODE_ID_LEN_MAX }>,
    password: [u8; BROKER_PASSWORD_LEN],
    /// Where records and answers go.
    pub up: TopicText,
    /// Where commands come from.
    pub down: TopicText,
    /// Where the node's presence stands.
    pub status: TopicText,
}

impl Identity {
    /// The texts of a configured node.
    ///
    /// # Errors
    /// [`TopicError`] when the prefix is too long.
    pub fn new(config: &NodeConfig) -> Result<Self, TopicError> {
        Ok(Self {
            id: heapless::String::try_from(config.id.as_str()).map_err(|_| TopicError)?,
            password: broker_password(&config.key),
            up: topic(&config.prefix, &config.id, Topic::Up)?,
            down: topic(&config.prefix, &config.id, Topic::Down)?,
            status: topic(&config.prefix, &config.id, Topic::Status)?,
        })
    }

    /// A clean session over the given buffers.
    ///
    /// # Errors
    /// [`ConfigError`] when the client takes none of this; the limits of [`NodeConfig`] rule that out.
    pub fn session<'b>(
        &'b self,
        rx: &'b mut [u8; RX_LEN],
        tx: &'b mut [u8; TX_LEN],
    ) -> Result<Session<'b>, ConfigError> {
        let will = Will::new(&self.status, OFFLINE, &[])?.qos(QoS::AtLeastOnce).retained();
        let config = ConfigBuilder::new(Buffers::new(rx, tx))
            .client_id(&self.id)?
            .auth(&self.id, &self.password)?
            .keepalive_interval(KEEP_ALIVE_S)
            .will(will)?;
        Ok(Session::new(config))
    }
}
