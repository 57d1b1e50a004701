//! What the hub keeps of each device it has heard: its records' state, its connection, its last words.

use crate::ingest::node::{Dating, NodeState};
use crate::store::Reader;
use giot_shared::ids::{CommandId, NodeId, Position};
use giot_shared::time::{Anchor, MonoMs, UnixMs};
use std::sync::Arc;

use super::registry::{Device, DeviceKind};

/// One device.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// Its id as the store and batches share it.
    pub(super) name: Arc<str>,
    /// Its records.
    pub(super) records: NodeState,
    /// Whether its status says online.
    pub(super) is_online: bool,
    /// When it was last heard.
    pub(super) heard_at: Option<UnixMs>,
    /// Supply, mV.
    pub(super) battery_mv: Option<f64>,
    /// The last order that was sent to it and is not answered, and when.
    pub(super) asked: Option<(CommandId, MonoMs)>,
}

impl Session {
    /// A device without a past.
    pub(super) fn new(id: &NodeId) -> Self {
        Self {
            name: id.as_str().into(),
            records: NodeState::default(),
            is_online: false,
            heard_at: None,
            battery_mv: None,
            asked: None,
        }
    }

    /// A registered device with what the store knows of it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) fn restore(id: &NodeId, device: &Device, reader: &Reader) -> anyhow::Result<Self> {
        let mut session = Self::new(id);
        let records = &mut session.records;
        records.own_clock = device.kind == DeviceKind::Station;
        records.registered_at = UnixMs(device.created_us.div_euclid(1000));
        if let Some(mark) = reader.mark(id.as_str())? {
            let seq = u32::try_from(mark.seq)?;
            let stored = Position { epoch: mark.epoch, seq };
            (records.stored, records.received) = (Some(stored), Some(stored));
        }
        for anchor in reader.anchors(id.as_str())? {
            records.restore_dating(
                anchor.epoch,
                Dating {
                    anchor: Anchor { unix_at_boot: UnixMs(anchor.unix_ms_at_uptime_zero) },
                    uncertainty_ms: anchor.uncertainty_ms,
                    fit: None,
                },
            );
        }
        let newest = reader.last_values(Some(id.as_str()))?.iter().map(|value| value.sample.at_us).max();
        records.newest = newest.map(|at_us| UnixMs(at_us.div_euclid(1000)));
        session.heard_at = records.newest;
        // The newest value is of the last stored epoch, which may have been dated by its neighbours.
        let epoch = records.stored.map_or(0, |stored| stored.epoch);
        let anchors = reader.anchors(id.as_str())?;
        let off_ms =
            anchors.iter().find(|anchor| anchor.epoch == epoch).map_or(0, |anchor| anchor.uncertainty_ms);
        records.floor = records.newest.map(|newest| newest.minus_ms(off_ms));
        Ok(session)
    }
}
