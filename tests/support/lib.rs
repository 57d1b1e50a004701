//! What the promises' tests share: the gateway as a process, simulated nodes, nodes on an emulated chip, raw MQTT devices, a
//! throw-away Mosquitto, the bodies of the fuzz targets. No test of a promise lives here.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a harness fails its test by panicking, as a test does"
)]

pub mod device;
pub mod fuzz;
pub mod giot;
pub mod modbus;
pub mod mosquitto;
pub mod mqtt;
pub mod node;
pub mod noise;
pub mod qemu;
pub mod tsdb;
