//! What a Giọt node and its gateway must agree on: units, ids, time, wire messages, calibration and valve words.
//!
//! The lowest layer: it depends on nothing of Giọt, uses neither `std` nor a heap, reads no clock and does no I/O, so
//! that the same code runs in a node of 400 KB RAM and in the gateway. What belongs to one end only stays out of it.
//!
//! | module | holds |
//! |---|---|
//! | [`units`] | quantities as checked integers ([`units::MoisturePermyriad`], [`units::Millivolts`], …) |
//! | [`time`] | [`time::UnixMs`], [`time::UptimeMs`], [`time::MonoMs`]: three time lines that must not be mixed |
//! | [`ids`] | [`ids::NodeId`], [`ids::ValveId`], [`ids::ProbeId`], [`ids::CommandId`] |
//! | [`metric`] | what a probe can measure: code on the wire, name, unit, decimals, possible range |
//! | [`calibration`] | millivolts → moisture |
//! | [`valve`] | why a valve closed, why a command was refused |
//! | [`wire`] | messages, their CBOR form, COSE_Mac0, topics; described by `giot.cddl` |
#![no_std]

#[cfg(test)]
extern crate std;

pub mod calibration;
pub mod ids;
pub mod metric;
pub mod time;
pub mod units;
pub mod valve;
pub mod wire;
