//! A simulated Giọt board on a PC: the real node over a simulated field, a flash file and TCP, for the demo, for tests and
//! for playing a station's history.
//!
//! Nothing here decides anything for the node: it runs the firmware's own loop. A thousand nodes may run in one process,
//! each as one task.
//!
//! | module | holds |
//! |---|---|
//! | [`board`] | [`BoardSetup`], [`run_node`]: a node with probes, valves and meter in a simulated field |
//! | [`rail`] | the switched supply of its probes |
//! | [`station`] | [`run_station`]: a node that plays a table of values |
//! | [`clock`] | simulated time |
//! | [`flash`] | NOR flash in memory or in a file |
//! | [`net`] | TCP to the broker |
//! | [`field`] | soil, weather and water of a simulated cooperative |

pub mod board;
pub mod clock;
pub mod field;
pub mod flash;
pub mod net;
pub mod rail;
pub mod station;
mod time_driver;

pub use board::{
    BoardSetup, HostBoard, HostProbes, SimMeter, SimProbe, SimValve, run_installed_node, run_node,
};
pub use clock::SimClock;
pub use flash::FlashStore;
pub use giot_firmware::board::NodeStatus;
pub use giot_firmware::probe::{ProbeFault, Sample};
pub use rail::SimRail;
pub use station::{StationProgress, StationRow, StationSpeed, run_station};

use giot_firmware::run::RunError;
use giot_firmware::settings::NoNode;
use giot_shared::time::UnixMs;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};

/// Why a simulated node ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeError {
    /// Flash or configuration do not carry a node.
    Run(RunError),
    /// Nobody set it up, or not as what this board can be.
    NoNode(NoNode),
    /// A row of a history is older than the one before it.
    RowOutOfOrder(UnixMs),
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(error) => error.fmt(f),
            Self::NoNode(why) => why.fmt(f),
            Self::RowOutOfOrder(at) => {
                write!(f, "the row of {} ms since 1970 is older than the one before it", at.0)
            }
        }
    }
}

impl std::error::Error for NodeError {}

impl From<RunError> for NodeError {
    fn from(error: RunError) -> Self {
        Self::Run(error)
    }
}

/// Numbers that differ between boards and boots, from the seed that the standard library draws for its hash maps.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    seed: RandomState,
    count: u64,
}

impl Random {
    fn new() -> Self {
        Self { seed: RandomState::new(), count: 0 }
    }

    fn next(&mut self) -> u64 {
        self.count = self.count.wrapping_add(1);
        let mut hasher = self.seed.build_hasher();
        hasher.write_u64(self.count);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests;
