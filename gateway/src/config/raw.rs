//! The configuration file as it is written: keys, types and nothing else. Values keep their place in the text, so that
//! a rule broken later can name the line.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) cooperative: Option<String>,
    pub(super) utc_offset: Option<Spanned<String>>,
    pub(super) time_zone: Option<Spanned<String>>,
    pub(super) topic_prefix: Option<Spanned<String>>,
    pub(super) latitude_deg: Option<Spanned<f64>>,
    pub(super) longitude_deg: Option<Spanned<f64>>,
    pub(super) broker: Option<Broker>,
    pub(super) store: Option<Store>,
    pub(super) station: Option<Spanned<Station>>,
    pub(super) guards: Option<Spanned<Guards>>,
    #[serde(default)]
    pub(super) source: Vec<Source>,
    #[serde(default)]
    pub(super) zone: Vec<Zone>,
    #[serde(default)]
    pub(super) program: Vec<Program>,
    #[serde(default)]
    pub(super) series: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    pub(super) weather: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    pub(super) rule: Vec<Rule>,
    #[serde(default)]
    pub(super) sink: Vec<Sink>,
    #[serde(default)]
    pub(super) message: Vec<Message>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    pub(super) id: Spanned<String>,
    pub(super) name: Option<String>,
    pub(super) when: Spanned<String>,
    pub(super) until: Option<Spanned<String>>,
    pub(super) for_min: Option<Spanned<f64>>,
    pub(super) cooldown_min: Option<Spanned<f64>>,
    pub(super) repeat_min: Option<Spanned<f64>>,
    pub(super) fresh_min: Option<Spanned<f64>>,
    pub(super) times_max: Option<Spanned<u32>>,
    pub(super) then: Spanned<Vec<Spanned<Effect>>>,
    pub(super) enabled: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Effect {
    pub(super) notify: Option<String>,
    pub(super) start: Option<String>,
    pub(super) stop: Option<String>,
    pub(super) lock: Option<String>,
    pub(super) adjust: Option<String>,
    pub(super) minutes: Option<f64>,
    pub(super) percent: Option<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sink {
    pub(super) name: Spanned<String>,
    pub(super) url: Spanned<String>,
    pub(super) org: Option<String>,
    pub(super) bucket: Spanned<String>,
    pub(super) token: Option<Spanned<String>>,
    pub(super) token_file: Option<String>,
    pub(super) ca_file: Option<String>,
    pub(super) gateway: Option<Spanned<String>>,
    pub(super) metrics: Option<Spanned<Vec<String>>>,
    pub(super) since: Option<Spanned<String>>,
    pub(super) lag_min: Option<Spanned<f64>>,
    pub(super) interval_s: Option<Spanned<f64>>,
    pub(super) gzip: Option<bool>,
}

/// Shown without the token.
impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sink").field("name", &self.name).field("url", &self.url).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Message {
    pub(super) name: Spanned<String>,
    pub(super) url: Option<Spanned<String>>,
    pub(super) url_file: Option<String>,
    pub(super) token: Option<Spanned<String>>,
    pub(super) token_file: Option<String>,
    pub(super) events: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) zones: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) language: Option<Spanned<String>>,
    pub(super) format: Option<Spanned<String>>,
    pub(super) fields: Option<Spanned<BTreeMap<String, String>>>,
}

/// Shown without the address and the token.
impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message").field("name", &self.name).finish_non_exhaustive()
    }
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
pub(super) struct Store {
    pub(super) raw_days: Option<Spanned<u32>>,
    pub(super) hourly_days: Option<Spanned<u32>>,
    pub(super) daily_days: Option<Spanned<u32>>,
    pub(super) valve_events_days: Option<Spanned<u32>>,
    pub(super) disk_mib_max: Option<Spanned<u32>>,
    #[serde(default)]
    pub(super) keep: Vec<Spanned<Keep>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Keep {
    pub(super) metric: String,
    pub(super) raw_days: Option<u32>,
    pub(super) hourly_days: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Source {
    pub(super) id: Spanned<String>,
    pub(super) name: Option<String>,
    pub(super) fed_by: Option<Spanned<String>>,
    pub(super) capacity_l_per_h: Option<u32>,
    pub(super) stagger_s: Option<u32>,
    #[serde(default)]
    pub(super) no_water: Vec<Spanned<Hours>>,
    pub(super) pump: Option<Pump>,
    pub(super) meter: Option<Gauge>,
    pub(super) flow: Option<Flow>,
    pub(super) tank: Option<Tank>,
    pub(super) pressure: Option<Pressure>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Guards {
    pub(super) rain: Option<Rain>,
    pub(super) rain_contact: Option<Contact>,
    pub(super) soil_contact: Option<Contact>,
    pub(super) frost: Option<Frost>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Gauge {
    pub(super) device: Spanned<String>,
    pub(super) metric: Spanned<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rain {
    pub(super) gauge: Gauge,
    pub(super) limit_mm: Spanned<f64>,
    pub(super) hours: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Contact {
    pub(super) gauge: Gauge,
    pub(super) on_delay_min: Option<Spanned<f64>>,
    pub(super) off_delay_min: Option<Spanned<f64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Frost {
    pub(super) gauge: Gauge,
    pub(super) below_c: Option<Spanned<f64>>,
    pub(super) clear_c: Option<Spanned<f64>>,
    pub(super) fresh_min: Option<Spanned<f64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tank {
    pub(super) gauge: Gauge,
    pub(super) min: Spanned<f64>,
    pub(super) resume: Option<Spanned<f64>>,
    pub(super) fresh_min: Option<Spanned<f64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pressure {
    pub(super) gauge: Gauge,
    pub(super) min_kpa: Option<Spanned<f64>>,
    pub(super) max_kpa: Option<Spanned<f64>>,
    pub(super) delay_s: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Flow {
    pub(super) ignore_s: Option<u32>,
    pub(super) high_percent: Option<u16>,
    pub(super) high_delay_s: Option<u32>,
    pub(super) high: Option<Spanned<String>>,
    pub(super) low_percent: Option<u16>,
    pub(super) low_delay_s: Option<u32>,
    pub(super) low: Option<Spanned<String>>,
    pub(super) none_percent: Option<u16>,
    pub(super) none_delay_s: Option<u32>,
    pub(super) none: Option<Spanned<String>>,
    pub(super) leak_l_per_h: Option<u32>,
    pub(super) leak_ignore_s: Option<u32>,
    pub(super) leak_delay_s: Option<u32>,
    pub(super) leak: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pump {
    pub(super) node: Spanned<String>,
    pub(super) valve: Option<Spanned<u8>>,
    pub(super) kind: Option<Spanned<String>>,
    pub(super) on_adjust_s: Option<i32>,
    pub(super) off_adjust_s: Option<i32>,
    pub(super) fill_s: Option<u32>,
    pub(super) run_min_s: Option<u32>,
    pub(super) off_min_s: Option<u32>,
    pub(super) starts_per_hour_max: Option<u32>,
    pub(super) run_max_min: Option<u32>,
    pub(super) lease_s: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Zone {
    pub(super) id: Spanned<String>,
    pub(super) name: Option<String>,
    pub(super) household: Option<String>,
    pub(super) crop: Option<Spanned<String>>,
    pub(super) variety: Option<Spanned<String>>,
    pub(super) plot: Option<Spanned<String>>,
    pub(super) planting_area_code: Option<Spanned<String>>,
    pub(super) source: Spanned<String>,
    pub(super) flow_l_per_h: Option<u32>,
    pub(super) area_m2: Option<Spanned<f64>>,
    pub(super) plants: Option<u32>,
    pub(super) cycle_min: Option<Spanned<f64>>,
    pub(super) soak_min: Option<Spanned<f64>>,
    pub(super) group: Option<Spanned<Group>>,
    pub(super) valve: Spanned<Valve>,
    pub(super) probes: Option<Spanned<Vec<Spanned<Probe>>>>,
    pub(super) start_below_percent: Option<Spanned<f64>>,
    pub(super) stop_above_percent: Option<Spanned<f64>>,
    pub(super) soil: Option<Spanned<String>>,
    pub(super) field_capacity_percent: Option<Spanned<f64>>,
    pub(super) wilting_point_percent: Option<Spanned<f64>>,
    pub(super) start_depleted_percent: Option<Spanned<f64>>,
    pub(super) stop_depleted_percent: Option<Spanned<f64>>,
    pub(super) start_above_kpa: Option<Spanned<f64>>,
    pub(super) stop_below_kpa: Option<Spanned<f64>>,
    pub(super) window: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) no_water: Vec<Spanned<Hours>>,
    pub(super) lease_min: Option<Spanned<f64>>,
    pub(super) run_max_min: Option<Spanned<f64>>,
    pub(super) skip_below_min: Option<Spanned<f64>>,
    pub(super) run_least_min: Option<Spanned<f64>>,
    pub(super) min_off_min: Option<Spanned<f64>>,
    pub(super) fresh_min: Option<Spanned<f64>>,
    pub(super) plausible_percent: Option<Spanned<(f64, f64)>>,
    pub(super) rate_max_percent: Option<Spanned<f64>>,
    pub(super) plausible_kpa: Option<Spanned<(f64, f64)>>,
    pub(super) rate_max_kpa: Option<Spanned<f64>>,
    pub(super) apart_max_percent: Option<Spanned<f64>>,
    pub(super) apart_max_kpa: Option<Spanned<f64>>,
    pub(super) response_percent: Option<Spanned<f64>>,
    pub(super) response_kpa: Option<Spanned<f64>>,
    pub(super) stuck_hours: Option<Spanned<f64>>,
    pub(super) automatic: Option<bool>,
    pub(super) meter: Option<Gauge>,
    pub(super) flow: Option<Flow>,
    pub(super) ignores: Option<Spanned<Vec<String>>>,
    pub(super) volume_max_l: Option<Spanned<f64>>,
    pub(super) balance: Option<Spanned<Balance>>,
}

impl Zone {
    /// Its probes; none where none are written.
    pub(super) fn probes(&self) -> impl Iterator<Item = &Spanned<Probe>> {
        self.probes.iter().flat_map(Spanned::get_ref)
    }

    /// Only programs and people start it, and nothing is measured: nobody asks when its soil is dry.
    pub(super) fn is_blind(&self) -> bool {
        self.automatic == Some(false) && self.probes().next().is_none()
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Station {
    pub(super) device: Spanned<String>,
    pub(super) elevation_m: Spanned<f64>,
    pub(super) wind_height_m: Option<Spanned<f64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Balance {
    pub(super) since: Spanned<String>,
    pub(super) stage_days: Option<Spanned<[f64; 4]>>,
    pub(super) stage_degree_days: Option<Spanned<[f64; 4]>>,
    pub(super) base_c: Option<Spanned<f64>>,
    pub(super) upper_c: Option<Spanned<f64>>,
    pub(super) root_cm: Option<Spanned<f64>>,
    pub(super) canopy_percent: Option<Spanned<f64>>,
    pub(super) efficiency_percent: Option<Spanned<f64>>,
    pub(super) wetted_percent: Option<Spanned<f64>>,
    pub(super) root_share_percent: Option<Spanned<f64>>,
    pub(super) depleted_percent: Option<Spanned<f64>>,
    pub(super) reset_at: Option<Spanned<String>>,
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
    pub(super) weight: Option<u16>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Program {
    pub(super) id: Spanned<String>,
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) days: Days,
    pub(super) starts: Vec<Spanned<Start>>,
    pub(super) steps: Vec<Spanned<Step>>,
    pub(super) order: Option<Spanned<String>>,
    pub(super) direction: Option<Spanned<String>>,
    pub(super) rounds: Option<u8>,
    pub(super) delay_s: Option<i32>,
    pub(super) total_min: Option<Spanned<f64>>,
    pub(super) season_percent: Option<Spanned<Season>>,
    #[serde(default)]
    pub(super) allowed: Vec<Spanned<Hours>>,
    #[serde(default)]
    pub(super) no_water: Vec<Spanned<Hours>>,
    pub(super) crossing: Option<Spanned<String>>,
    pub(super) catch_up_min: Option<u16>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Days {
    pub(super) weekdays: Option<Spanned<Vec<String>>>,
    pub(super) month_days: Option<Spanned<Vec<MonthDay>>>,
    pub(super) months: Option<Spanned<Vec<u8>>>,
    pub(super) parity: Option<Spanned<String>>,
    pub(super) every_days: Option<Spanned<u16>>,
    pub(super) counted_from: Option<Spanned<String>>,
    pub(super) season: Option<Spanned<String>>,
    pub(super) once: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a whole number from 0 to 255, or \"parallel\"")]
pub(super) enum Group {
    Number(u8),
    Word(String),
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "hours such as \"20:00-06:00\", or a table with `hours` and `weekdays`")]
pub(super) enum Hours {
    Daily(String),
    On(HoursTable),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HoursTable {
    pub(super) hours: String,
    pub(super) weekdays: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum MonthDay {
    Number(u8),
    Word(String),
}

#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "a time such as \"05:30\" or \"sunrise-00:30\", or a table with `at` or `finish_by`"
)]
pub(super) enum Start {
    At(String),
    Table(StartTable),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StartTable {
    pub(super) at: Option<String>,
    pub(super) finish_by: Option<String>,
    pub(super) every_min: Option<u16>,
    pub(super) times: Option<u16>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a percentage, or twelve of them, January first")]
pub(super) enum Season {
    Whole(u16),
    ByMonth([u16; 12]),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    pub(super) zone: String,
    pub(super) minutes: Option<f64>,
    pub(super) litres: Option<f64>,
    pub(super) m3: Option<f64>,
    pub(super) litres_per_plant: Option<f64>,
    pub(super) mm: Option<f64>,
    pub(super) refill: Option<bool>,
    pub(super) depleted_at_percent: Option<f64>,
    pub(super) repeats: Option<u8>,
    pub(super) delay_s: Option<i32>,
    pub(super) enabled: Option<bool>,
}
