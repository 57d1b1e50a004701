//! The engine from outside: scenarios as data, and properties against simulated nodes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at what it did not expect"
)]

mod farm;
mod node;
mod op;
mod plans;
mod probes;
mod properties;
mod scenarios;
mod script;
mod world;
