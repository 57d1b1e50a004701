//! The fuzz bodies of the test harness, compiled with the gateway's pure ingest and its MQTT codec alone.
//!
//! Building the whole gateway with coverage counters would take minutes and fuzz nothing more, so this crate stands in
//! for it under its name. It must hold no target and no logic of its own.

extern crate self as giot_gateway;

#[path = "../../support/fuzz.rs"]
pub mod bodies;
#[path = "../../../gateway/src/mqtt/broker/codec/mod.rs"]
pub mod codec;
#[path = "../../../gateway/src/ingest/mod.rs"]
pub mod ingest;
#[path = "../../support/modbus.rs"]
pub mod modbus;
#[path = "../../../gateway/src/quality.rs"]
pub mod quality;

/// The codec under its own path.
pub mod mqtt {
    /// The embedded broker without its sockets.
    pub mod broker {
        pub use crate::codec;
    }
}
