//! Files of the agronomy: a station's weather and a season, read and checked for the engine, which does the arithmetic.
//!
//! | module | from | to |
//! |---|---|---|
//! | [`sheet`] | any CSV with headings in any order | rows, or every problem with line and column |
//! | [`weather`] | a station's days or hours | the engine's weather |
//! | [`season`] | one readable TOML | the engine's plan and days |
//!
//! Nothing here computes water, and nothing touches a disk: callers read the files.

pub mod season;
pub mod sheet;
pub mod weather;
