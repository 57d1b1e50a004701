//! How people name a series, `device/metric`, and the unit that its values have.

use giot_shared::ids::{IdError, NodeId};
use giot_shared::metric::Metric;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::ingest::{METRIC_LEN_MAX, is_metric_name};
use giot_store::Bucket;

/// A series of the history.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeriesName {
    /// Id of the device.
    pub device: Arc<str>,
    /// Name of the metric.
    pub metric: Arc<str>,
}

/// Why a text names no series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeriesNameError {
    /// No `/` in it.
    #[error("written as device/metric, for example n01/soil_moisture")]
    Form,
    /// The part before `/`.
    #[error("device: {0}")]
    Device(IdError),
    /// The part after `/`.
    #[error("metric: 1 to {METRIC_LEN_MAX} letters, digits, '_', '.' and '-'")]
    Metric,
}

impl FromStr for SeriesName {
    type Err = SeriesNameError;

    fn from_str(text: &str) -> Result<Self, SeriesNameError> {
        let (device, metric) = text.split_once('/').ok_or(SeriesNameError::Form)?;
        device.parse::<NodeId>().map_err(SeriesNameError::Device)?;
        if !is_metric_name(metric) {
            return Err(SeriesNameError::Metric);
        }
        Ok(Self { device: device.into(), metric: metric.into() })
    }
}

impl fmt::Display for SeriesName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.device, self.metric)
    }
}

impl SeriesName {
    /// The unit of its values; empty where the metric is a device's own and nobody knows.
    #[must_use]
    pub fn unit(&self) -> &'static str {
        unit(&self.metric)
    }
}

/// The unit of a metric; a node's further probes are numbered, as in `soil_moisture_2`.
#[must_use]
pub fn unit(metric: &str) -> &'static str {
    known(metric).map_or("", Metric::unit)
}

/// What was counted in each span. A counter's readings say how far it is, which the store has taken apart (`rise`); those of a rain
/// gauge say what was added since the one before, and so they are summed up.
pub fn count(metric: &str, buckets: &mut [Bucket]) {
    if known(metric) == Some(Metric::Rain) {
        for bucket in buckets {
            #[expect(clippy::cast_precision_loss, reason = "a span has far fewer readings than 2^53")]
            let n_values = bucket.n_values as f64;
            bucket.rise = Some(bucket.mean * n_values);
        }
    }
}

fn known(metric: &str) -> Option<Metric> {
    Metric::from_name(metric).or_else(|| {
        let (name, probe) = metric.rsplit_once('_')?;
        let is_number = !probe.is_empty() && probe.bytes().all(|b| b.is_ascii_digit());
        Metric::from_name(name).filter(|_| is_number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        let name: SeriesName = "n01/soil_moisture_2".parse().unwrap();
        assert_eq!((&*name.device, &*name.metric, name.unit()), ("n01", "soil_moisture_2", "%"));
        assert_eq!(name.to_string(), "n01/soil_moisture_2");
        for (text, want) in [
            ("n01", SeriesNameError::Form),
            ("N01/x", SeriesNameError::Device(IdError::Character)),
            ("/x", SeriesNameError::Device(IdError::Length)),
            ("n01/", SeriesNameError::Metric),
            ("n01/a b", SeriesNameError::Metric),
            ("n01/a/b", SeriesNameError::Metric),
        ] {
            assert_eq!(text.parse::<SeriesName>(), Err(want), "{text}");
        }
    }

    #[test]
    fn units_are_those_of_the_metric() {
        let units = ["soil_temperature", "battery_0", "rain_", "depth_7", "x", "soil_moisture_a"].map(unit);
        assert_eq!(units, ["°C", "mV", "", "", "", ""]);
    }
}
