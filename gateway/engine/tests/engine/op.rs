//! What may happen in the simulated world: the words of the properties.

use giot_engine::ProgramWish;
use giot_shared::valve::RefusalReason;

use crate::plans::PlanChange;

/// What the network does to messages.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Network {
    pub(crate) loss_percent: u64,
    pub(crate) double_percent: u64,
    pub(crate) late_ms_max: u64,
}

/// What is known of a reading's age, and who dated it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// Counted on uptime; dated `off_s` off, as an epoch is that was dated by a wrong clock.
    Counted { off_s: i64 },
    /// Dated by the clock that the gateway shows.
    Dated,
    /// Dated by a clock of the device's own, which is right.
    DatedRightly,
    /// Nothing; the date says that it is this old.
    Unknown { dated_s: u64 },
}

/// What a test does to the world.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Wait {
        ms: u64,
    },
    Read {
        zone: usize,
        value: Option<u16>,
        age_s: u64,
        told: Told,
    },
    Connect {
        zone: usize,
    },
    Disconnect {
        zone: usize,
    },
    Reboot {
        zone: usize,
    },
    Button {
        zone: usize,
        run_s: u32,
    },
    RefuseNext {
        zone: usize,
        refusal: RefusalReason,
    },
    Start {
        zone: usize,
        run_s: u32,
    },
    Stop {
        zone: usize,
    },
    Lock {
        zone: usize,
    },
    Unlock {
        zone: usize,
    },
    Clear {
        zone: usize,
    },
    StopAll,
    /// A person pauses the water for so long, or goes on with it.
    Pause {
        span_s: Option<u64>,
    },
    /// What a person wants of the program `night`.
    Program(ProgramWish),
    Clock {
        offset_s: Option<i64>,
    },
    Network(Network),
    /// Another plan.
    Plan(PlanChange),
    Restart {
        forgets_open: bool,
        reconnects: bool,
    },
}
