//! Who belongs to this gateway: devices, their kinds and keys; and from that, who may use the broker.
//!
//! The store holds the truth; this is its image in memory. A device added by another process (`giot node add`) is found
//! at its first login, because an unknown name reads the store anew. While a node's key turns from its first to its second
//! ([`Turn`]) both may log in, and what is sent to it goes by the one of its last login.

use super::turn::{self, Turn};
use crate::mqtt::{Access, Login, acl};
use giot_shared::ids::NodeId;
use giot_shared::wire::{KEY_LEN, NodeKey, broker_password};
use giot_store::{DeviceRow, Reader};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use subtle::ConstantTimeEq;

/// What a device speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// A Giọt node without a clock of its own.
    Node,
    /// A Giọt node with a battery-backed clock, which dates its records.
    Station,
    /// Any device that publishes flat JSON.
    Json,
}

impl DeviceKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[Self::Node, Self::Station, Self::Json];

    /// The word in the store and on the command line.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Station => "station",
            Self::Json => "json",
        }
    }

    /// The kind of a word.
    #[must_use]
    pub fn from_code(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.code() == text)
    }
}

/// One registered device.
#[derive(Clone, Debug)]
pub struct Device {
    /// What it speaks.
    pub kind: DeviceKind,
    /// What people call it.
    pub label: String,
    /// Its secret.
    pub key: NodeKey,
    /// When it was registered, µs since 1970.
    pub created_us: i64,
}

impl Device {
    /// The device of a stored row; `None` for a row that this version cannot use.
    #[must_use]
    pub fn from_row(row: &DeviceRow) -> Option<(NodeId, Self)> {
        let id = row.id.parse().ok()?;
        let kind = DeviceKind::from_code(&row.kind)?;
        let key: [u8; KEY_LEN] = row.key.as_deref()?.try_into().ok()?;
        Some((id, Self { kind, label: row.label.clone(), key: NodeKey(key), created_us: row.created_us }))
    }

    /// The stored row of a device.
    #[must_use]
    pub fn to_row(&self, id: &NodeId) -> DeviceRow {
        DeviceRow {
            id: id.as_str().into(),
            kind: self.kind.code().to_owned(),
            label: self.label.clone(),
            key: Some(self.key.0.to_vec()),
            created_us: self.created_us,
        }
    }
}

/// The devices in memory, shared by the hub and the broker's login check.
#[derive(Clone, Debug)]
pub struct Registry {
    known: Arc<RwLock<Known>>,
    reader: Reader,
}

#[derive(Debug, Default)]
struct Known {
    devices: BTreeMap<NodeId, Device>,
    turns: BTreeMap<NodeId, Turn>,
    /// Nodes whose last login was with the second key.
    ahead: BTreeSet<NodeId>,
}

impl Known {
    /// The key that follows a node's first one.
    fn second(&self, id: &NodeId) -> Option<NodeKey> {
        self.turns.get(id)?.next(&self.devices.get(id)?.key)
    }

    /// A device with the key that it uses.
    fn device(&self, id: &NodeId) -> Option<Device> {
        let mut device = self.devices.get(id)?.clone();
        if self.ahead.contains(id)
            && let Some(key) = self.second(id)
        {
            device.key = key;
        }
        Some(device)
    }

    /// Whether a password is that of a device; remembers by which key. `None`: there is no such device.
    fn check(&mut self, id: &NodeId, password: &[u8]) -> Option<bool> {
        let device = self.devices.get(id)?;
        let is_of = |key: &NodeKey| bool::from(broker_password(key).as_slice().ct_eq(password));
        if is_of(&device.key) {
            self.ahead.remove(id);
            return Some(true);
        }
        let is_ahead = self.second(id).is_some_and(|key| is_of(&key));
        if is_ahead {
            self.ahead.insert(id.clone());
        }
        Some(is_ahead)
    }
}

impl Registry {
    /// Reads the registry.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn load(reader: Reader) -> anyhow::Result<Self> {
        let registry = Self { known: Arc::default(), reader };
        registry.refresh()?;
        Ok(registry)
    }

    /// Reads the store anew.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn refresh(&self) -> anyhow::Result<()> {
        let rows = self.reader.devices()?;
        let turns = self.reader.memory()?;
        let mut known = self.write();
        for (id, device) in rows.iter().filter_map(Device::from_row) {
            // A second key may be on its way to the disk: the first must not come back.
            if known.turns.get(&id) != Some(&Turn::Done) {
                known.devices.insert(id, device);
            }
        }
        for (row, json) in &turns {
            if let Some((id, turn)) = turn::node_of(row).zip(Turn::from_json(json)) {
                known.turns.entry(id).or_insert(turn);
            }
        }
        drop(known);
        Ok(())
    }

    /// A device as last read.
    #[must_use]
    pub fn get(&self, id: &NodeId) -> Option<Device> {
        self.read().device(id)
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a node's key is on its way, and its first key where the node still uses that; `None`: it keeps what it has.
    #[must_use]
    pub fn turn(&self, id: &NodeId) -> Option<(Turn, Option<NodeKey>)> {
        let known = self.read();
        let first = known.devices.get(id).filter(|_| !known.ahead.contains(id));
        Some((known.turns.get(id)?.clone(), first.map(|device| device.key.clone())))
    }

    /// A salt is on its way to a node: from now on the key that follows from it may log in too.
    pub fn offer(&self, id: &NodeId, offered: Turn) {
        self.write().turns.insert(id.clone(), offered);
    }

    /// A node keeps its second key: the first one means nothing any more. What the store is to know.
    pub fn settle(&self, id: &NodeId) -> Option<DeviceRow> {
        let mut known = self.write();
        let key = known.second(id)?;
        known.turns.insert(id.clone(), Turn::Done);
        known.ahead.remove(id);
        let device = known.devices.get_mut(id)?;
        device.key = key;
        Some(device.to_row(id))
    }

    /// All devices as last read, by id.
    #[must_use]
    pub fn all(&self) -> Vec<(NodeId, Device)> {
        let known = self.read();
        known.devices.keys().filter_map(|id| Some((id.clone(), known.device(id)?))).collect()
    }

    /// Whether a password is that of a device, reading the store anew where it is unknown; `None`: nobody knows it. May wait
    /// for the disk.
    fn check(&self, id: &NodeId, password: &[u8]) -> Option<bool> {
        let checked = self.write().check(id, password);
        checked.or_else(|| {
            if let Err(error) = self.refresh() {
                tracing::warn!(error = format!("{error:#}"), "the registry could not be read");
            }
            self.write().check(id, password)
        })
    }
}

/// The rights on the embedded broker.
#[derive(Debug)]
pub struct BrokerAccess {
    registry: Registry,
    prefix: String,
    anonymous: bool,
}

impl BrokerAccess {
    /// Rights over `registry` below `prefix`; `anonymous` lets everybody use everything below it and is for a demo or
    /// a test on loopback only.
    #[must_use]
    pub const fn new(registry: Registry, prefix: String, anonymous: bool) -> Self {
        Self { registry, prefix, anonymous }
    }
}

impl Access for BrokerAccess {
    fn check_login(&self, _client_id: &str, user: Option<&str>, password: Option<&[u8]>) -> Login {
        let Some(user) = user else {
            return if self.anonymous { Login::Anonymous } else { Login::Denied };
        };
        let id = user.parse::<NodeId>().ok();
        match id.and_then(|id| self.registry.check(&id, password.unwrap_or_default())) {
            Some(true) => Login::User(user.to_owned()),
            Some(false) => Login::Denied,
            None if self.anonymous => Login::Anonymous,
            None => Login::Denied,
        }
    }

    fn may_publish(&self, user: Option<&str>, topic: &str) -> bool {
        match user {
            Some(node) => acl::allows_publish(&self.prefix, node, topic),
            None => self.anonymous && below(&self.prefix, topic),
        }
    }

    fn may_subscribe(&self, user: Option<&str>, filter: &str) -> bool {
        match user {
            Some(node) => acl::allows_subscribe(&self.prefix, node, filter),
            None => self.anonymous && below(&self.prefix, filter),
        }
    }
}

fn below(prefix: &str, topic: &str) -> bool {
    topic.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'))
}
