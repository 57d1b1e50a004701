//! Who belongs to this gateway: devices, their kinds and keys; and from that, who may use the broker.
//!
//! The store holds the truth; this is its image in memory. A device added by another process (`giot node add`) is found
//! at its first login, because an unknown name reads the store anew.

use crate::mqtt::{Access, Login, acl};
use crate::store::{DeviceRow, Reader};
use giot_shared::ids::NodeId;
use giot_shared::wire::{KEY_LEN, NodeKey, broker_password};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
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
    devices: Arc<RwLock<BTreeMap<NodeId, Device>>>,
    reader: Reader,
}

impl Registry {
    /// Reads the registry.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn load(reader: Reader) -> anyhow::Result<Self> {
        let registry = Self { devices: Arc::default(), reader };
        registry.refresh()?;
        Ok(registry)
    }

    /// Reads the store anew.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn refresh(&self) -> anyhow::Result<()> {
        let rows = self.reader.devices()?;
        let devices = rows.iter().filter_map(Device::from_row).collect();
        *self.devices.write().unwrap_or_else(PoisonError::into_inner) = devices;
        Ok(())
    }

    /// A device as last read.
    #[must_use]
    pub fn get(&self, id: &NodeId) -> Option<Device> {
        self.devices.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// All devices as last read, by id.
    #[must_use]
    pub fn all(&self) -> Vec<(NodeId, Device)> {
        let devices = self.devices.read().unwrap_or_else(PoisonError::into_inner);
        devices.iter().map(|(id, device)| (id.clone(), device.clone())).collect()
    }

    /// A device, reading the store anew where it is unknown. May wait for the disk.
    fn find(&self, id: &NodeId) -> Option<Device> {
        self.get(id).or_else(|| {
            if let Err(error) = self.refresh() {
                tracing::warn!(error = format!("{error:#}"), "the registry could not be read");
            }
            self.get(id)
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
        let device = user.parse::<NodeId>().ok().and_then(|id| self.registry.find(&id));
        match device {
            Some(device) => {
                let right = broker_password(&device.key);
                let given = password.unwrap_or_default();
                if bool::from(right.as_slice().ct_eq(given)) {
                    Login::User(user.to_owned())
                } else {
                    Login::Denied
                }
            }
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
