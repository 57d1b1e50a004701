//! The agronomy against published answers: FAO-56's worked examples, reference implementations, whole seasons; and properties.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at what it did not expect"
)]

mod choices;
mod data;
mod examples;
mod properties;
mod reference;
mod seasons;
