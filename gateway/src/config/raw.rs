//! The configuration file as it is written: keys, types and nothing else. Values keep their place in the text, so that
//! a rule broken later can name the line.

use serde::Deserialize;
use toml::Spanned;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) cooperative: Option<String>,
    pub(super) utc_offset: Option<Spanned<String>>,
    pub(super) topic_prefix: Option<Spanned<String>>,
    pub(super) broker: Option<Broker>,
    #[serde(default)]
    pub(super) source: Vec<Source>,
    #[serde(default)]
    pub(super) zone: Vec<Zone>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Broker {
    pub(super) host: Spanned<String>,
    pub(super) port: Option<u16>,
    pub(super) user: Option<String>,
    pub(super) password_file: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Source {
    pub(super) id: Spanned<String>,
    pub(super) name: Option<String>,
    pub(super) fed_by: Option<Spanned<String>>,
    pub(super) capacity_l_per_h: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Zone {
    pub(super) id: Spanned<String>,
    pub(super) name: Option<String>,
    pub(super) household: Option<String>,
    pub(super) crop: Option<String>,
    pub(super) source: Spanned<String>,
    pub(super) flow_l_per_h: Option<u32>,
    pub(super) valve: Spanned<Valve>,
    pub(super) probes: Spanned<Vec<Spanned<Probe>>>,
    pub(super) start_below_percent: Spanned<f64>,
    pub(super) stop_above_percent: Spanned<f64>,
    pub(super) window: Option<Spanned<String>>,
    pub(super) lease_min: Option<Spanned<f64>>,
    pub(super) run_max_min: Option<Spanned<f64>>,
    pub(super) min_off_min: Option<Spanned<f64>>,
    pub(super) fresh_min: Option<Spanned<f64>>,
    pub(super) plausible_percent: Option<Spanned<(f64, f64)>>,
    pub(super) rate_max_percent: Option<Spanned<f64>>,
    pub(super) stuck_hours: Option<Spanned<f64>>,
    pub(super) automatic: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Valve {
    pub(super) node: Spanned<String>,
    #[serde(default)]
    pub(super) valve: u8,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Probe {
    pub(super) device: Spanned<String>,
    pub(super) metric: Spanned<String>,
    pub(super) depth_cm: Option<u16>,
}
