//! When two reasons say the same to a reader.

use giot_shared::ids::NodeId;

use super::Reason;
use crate::ids::MetricName;

impl Reason {
    /// Whether both say the same to a reader, apart from numbers that merely moved on.
    ///
    /// The diary tells a cause once, not each time a second of a waiting time has passed.
    #[must_use]
    pub fn is_same_cause(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::SourceBusy { zone: a }, Self::SourceBusy { zone: b })
            | (Self::CapacityKept { zone: a }, Self::CapacityKept { zone: b })
            | (Self::ProgramTurn { zone: a }, Self::ProgramTurn { zone: b }) => a == b,
            (Self::CapacityFull { source: a, .. }, Self::CapacityFull { source: b, .. })
            | (Self::Staggered { source: a, .. }, Self::Staggered { source: b, .. })
            | (Self::TankLow { source: a, .. }, Self::TankLow { source: b, .. })
            | (Self::TankUnknown { source: a }, Self::TankUnknown { source: b })
            | (Self::PumpStopping { source: a }, Self::PumpStopping { source: b })
            | (Self::PumpResting { source: a, .. }, Self::PumpResting { source: b, .. }) => a == b,
            (Self::SourceFault { source: a, fault: x }, Self::SourceFault { source: b, fault: y }) => {
                a == b && x == y
            }
            (Self::Locked { by: a, .. }, Self::Locked { by: b, .. }) => a == b,
            (Self::UnresolvedFault { fault: a }, Self::UnresolvedFault { fault: b }) => a == b,
            (Self::Quarantined { failures: a, .. }, Self::Quarantined { failures: b, .. }) => a == b,
            (a, b) => a.code() == b.code() && a.probe() == b.probe(),
        }
    }

    fn probe(&self) -> Option<(&NodeId, &MetricName)> {
        if let Self::StaleReading { device, metric, .. }
        | Self::NoReading { device, metric }
        | Self::FaultyReading { device, metric }
        | Self::ReadingAhead { device, metric, .. }
        | Self::AgeUnknown { device, metric }
        | Self::ImplausibleReading { device, metric, .. }
        | Self::ImplausibleTension { device, metric, .. }
        | Self::TensionJump { device, metric, .. }
        | Self::ProbeJump { device, metric, .. }
        | Self::ProbeStuck { device, metric, .. } = self
        {
            Some((device, metric))
        } else {
            None
        }
    }
}
