//! Questions that people ask about the past: calendar spans, several series side by side, thinning for charts, files to take away.
//!
//! | file | what |
//! |---|---|
//! | [`series`] | how a series is named, and the unit of its values |
//! | [`timezone`] | the farm's clock, also where it jumps |
//! | [`spans`] | days, weeks, months or any length of time as edges |
//! | [`thin`] | few points that draw many, every extreme among them |
//! | [`table`] | several series in the same spans, row by row |
//! | [`limits`] | how much one question may cost |
//! | [`export`] | the same as CSV, XLSX or Parquet |
//!
//! Must not know HTTP, the command line or SQLite: it asks a [`giot_store::Reader`] and writes to what it is given. Invariants: a time
//! without a value stays one (nothing is interpolated), values keep the unit of their metric, memory does not grow with the range.

pub mod export;
pub mod limits;
pub mod series;
pub mod spans;
pub mod table;
pub mod thin;
pub mod timezone;
