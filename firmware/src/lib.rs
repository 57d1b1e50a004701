//! The Giọt node: samples probes, opens drip valves for bounded times, keeps records in flash until the gateway has them.
//!
//! A library without `std`, heap or chip names. Decisions live in cores without I/O ([`node`], [`drip`], [`link::window`]):
//! they take events and the time as arguments and say what to do. [`run`] is the only loop; it moves bytes and time
//! between the cores and the hardware behind [`board`], and holds no rule. A board is wiring.
//!
//! | module | responsible for |
//! |---|---|
//! | [`settings`] | what a person set up; what survives a reset, key by key |
//! | [`board`] | the hardware contract |
//! | [`probe`] | voltage, register or ready value → reading with its flaw |
//! | [`console`] | how a person at the serial port tells it what it is |
//! | [`coil`] | how a relay and a latching valve are fed |
//! | [`drip`] | which valve is open until when: the dead-man close (promise P3) |
//! | [`node`] | everything the node decides |
//! | [`outbox`] | records in flash: order, overflow, release (promises P1, P2 at the node's end) |
//! | [`sleep`] | deep sleep between samples: when, and what goes on afterwards |
//! | [`link`] | the MQTT session and its resend window |
//! | [`run`] | the loop |
//! | [`apart`] | a stack frame of its own for what only a boot's beginning needs |
#![no_std]

#[cfg(test)]
extern crate std;

#[cfg(test)]
mod hand_clock;
#[cfg(test)]
mod nor;

pub mod apart;
pub mod board;
pub mod button;
pub mod coil;
pub mod console;
pub mod drip;
pub mod link;
pub mod node;
pub mod outbox;
pub mod probe;
pub mod run;
pub mod settings;
pub mod sleep;
