//! From bytes on a topic to dated, checked samples. Pure: no storage, no clock, no network; one file a device family.
//!
//! | file | family |
//! |---|---|
//! | [`json`] | any device: one flat JSON object of numbers |
//! | [`node`] | Giọt nodes: what was received, what is due, what time it was |

pub mod json;
pub mod node;

use crate::quality::Quality;
use giot_engine::Age;
use giot_shared::metric::Metric;
use std::sync::Arc;

/// Longest name of a metric, bytes.
pub const METRIC_LEN_MAX: usize = 48;

/// One dated value of one series of a device.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Name of the series within the device.
    pub metric: Arc<str>,
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub at_us: i64,
    /// How old it was when it came in.
    pub age: Age,
    /// `None`: the probe gave none.
    pub value: Option<f64>,
    /// What is known against it.
    pub quality: Quality,
}

/// Whether a text can name a metric: letters, digits, `_`, `-`, `.`.
#[must_use]
pub fn is_metric_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= METRIC_LEN_MAX
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

/// Name of a node's series: the metric, and the probe's number where it is not the first.
#[must_use]
pub fn series_name(metric: Metric, probe: u8) -> String {
    if probe == 0 { metric.name().to_owned() } else { format!("{}_{probe}", metric.name()) }
}

/// What a soil probe says in the unit that the engine decides by: moisture in percent of volume, tension in kPa.
#[must_use]
pub fn as_moisture_percent(metric: &str, value: f64) -> f64 {
    // A share of volume (m³/m³) and a percentage differ by their name alone.
    if metric.starts_with(Metric::SoilVwc.name()) { value * 100.0 } else { value }
}
