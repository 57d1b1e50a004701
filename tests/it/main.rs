//! The promises of Giọt as tests against real parts: one module per promise.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking, in its helpers as well"
)]

mod agro;
mod balance;
mod clients;
mod commands;
mod contract;
mod demo;
mod diary;
mod export;
mod farm;
mod full_disk;
mod guards;
mod keys;
mod leases;
mod messages;
mod mqtt_port;
mod news;
mod outage;
mod programs;
mod provision;
mod qemu;
mod replay;
mod settings;
mod sinks;
mod store;
mod versions;
mod wire_cddl;
