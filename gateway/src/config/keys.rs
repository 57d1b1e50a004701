//! Every key of a configuration with the kind of its value, table by table, as `raw` takes them. Rules beyond the kind of a value are
//! `compile`'s. A test reads a file that has each of them, so that none is here that `raw` does not know.

/// What kind of value a key has.
#[derive(Debug)]
pub(super) enum Kind {
    Text,
    Flag,
    Number,
    /// A whole number between two, both included.
    Whole(i64, i64),
    /// So many of a kind.
    Row(&'static Self, usize),
    /// Any number of a kind.
    List(&'static Self),
    Table(&'static [Key]),
    /// A table whose keys are names of the farm's own.
    Named(&'static Self),
    /// One kind or the other; they differ at the first sight.
    Either(&'static Self, &'static Self),
}

/// A key of a table.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// There is no default.
    pub(super) is_needed: bool,
}

impl Kind {
    /// What people call it.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Text => "a text in quotation marks".to_owned(),
            Self::Flag => "true or false".to_owned(),
            Self::Number => "a number".to_owned(),
            Self::Whole(least, most) => format!("a whole number from {least} to {most}"),
            Self::Row(kind, n) => format!("a list of {n} values, each {}", kind.words()),
            Self::List(_) => "a list".to_owned(),
            Self::Table(_) | Self::Named(_) => "a table".to_owned(),
            Self::Either(one, other) => format!("{}, or {}", one.words(), other.words()),
        }
    }
}

const fn may(name: &'static str, kind: Kind) -> Key {
    Key { name, kind, is_needed: false }
}

const fn must(name: &'static str, kind: Kind) -> Key {
    Key { name, kind, is_needed: true }
}

const U8: Kind = Kind::Whole(0, 0xff);
const U16: Kind = Kind::Whole(0, 0xffff);
/// Of a season: the engine's `PERCENT_MAX`.
const PERCENT: Kind = Kind::Whole(0, 250);
const U32: Kind = Kind::Whole(0, 0xffff_ffff);
const I32: Kind = Kind::Whole(-0x8000_0000, 0x7fff_ffff);
const TEXT: Kind = Kind::Text;
const FLAG: Kind = Kind::Flag;
const NUMBER: Kind = Kind::Number;
const TEXTS: Kind = Kind::List(&TEXT);
const PAIR: Kind = Kind::Row(&NUMBER, 2);
const FOUR: Kind = Kind::Row(&NUMBER, 4);
const METER: Kind = Kind::Table(&GAUGE);

/// The whole file.
pub(super) static FILE: [Key; 18] = [
    may("cooperative", TEXT),
    may("utc_offset", TEXT),
    may("time_zone", TEXT),
    may("topic_prefix", TEXT),
    may("latitude_deg", NUMBER),
    may("longitude_deg", NUMBER),
    may("broker", Kind::Table(&BROKER)),
    may("store", Kind::Table(&STORE)),
    may("station", Kind::Table(&STATION)),
    may("guards", Kind::Table(&GUARDS)),
    may("source", Kind::List(&Kind::Table(&SOURCE))),
    may("zone", Kind::List(&Kind::Table(&ZONE))),
    may("program", Kind::List(&Kind::Table(&PROGRAM))),
    may("series", Kind::Named(&TEXT)),
    may("weather", Kind::Named(&TEXT)),
    may("rule", Kind::List(&Kind::Table(&RULE))),
    may("sink", Kind::List(&Kind::Table(&SINK))),
    may("message", Kind::List(&Kind::Table(&MESSAGE))),
];

static BROKER: [Key; 4] =
    [must("host", TEXT), may("port", U16), may("user", TEXT), may("password_file", TEXT)];

static STORE: [Key; 6] = [
    may("raw_days", U32),
    may("hourly_days", U32),
    may("daily_days", U32),
    may("valve_events_days", U32),
    may("disk_mib_max", U32),
    may("keep", Kind::List(&Kind::Table(&KEEP))),
];

static KEEP: [Key; 3] = [must("metric", TEXT), may("raw_days", U32), may("hourly_days", U32)];

static STATION: [Key; 3] = [must("device", TEXT), must("elevation_m", NUMBER), may("wind_height_m", NUMBER)];

static GUARDS: [Key; 4] = [
    may("rain", Kind::Table(&RAIN)),
    may("rain_contact", Kind::Table(&CONTACT)),
    may("soil_contact", Kind::Table(&CONTACT)),
    may("frost", Kind::Table(&FROST)),
];

static GAUGE: [Key; 2] = [must("device", TEXT), must("metric", TEXT)];

static RAIN: [Key; 3] = [must("gauge", METER), must("limit_mm", NUMBER), may("hours", U32)];

static CONTACT: [Key; 3] = [must("gauge", METER), may("on_delay_min", NUMBER), may("off_delay_min", NUMBER)];

static FROST: [Key; 4] =
    [must("gauge", METER), may("below_c", NUMBER), may("clear_c", NUMBER), may("fresh_min", NUMBER)];

static SOURCE: [Key; 11] = [
    must("id", TEXT),
    may("name", TEXT),
    may("fed_by", TEXT),
    may("capacity_l_per_h", U32),
    may("stagger_s", U32),
    may("no_water", HOURS),
    may("pump", Kind::Table(&PUMP)),
    may("meter", METER),
    may("flow", Kind::Table(&FLOW)),
    may("tank", Kind::Table(&TANK)),
    may("pressure", Kind::Table(&PRESSURE)),
];

static PUMP: [Key; 11] = [
    must("node", TEXT),
    may("valve", U8),
    may("kind", TEXT),
    may("on_adjust_s", I32),
    may("off_adjust_s", I32),
    may("fill_s", U32),
    may("run_min_s", U32),
    may("off_min_s", U32),
    may("starts_per_hour_max", U32),
    may("run_max_min", U32),
    may("lease_s", U32),
];

static FLOW: [Key; 14] = [
    may("ignore_s", U32),
    may("high_percent", U16),
    may("high_delay_s", U32),
    may("high", TEXT),
    may("low_percent", U16),
    may("low_delay_s", U32),
    may("low", TEXT),
    may("none_percent", U16),
    may("none_delay_s", U32),
    may("none", TEXT),
    may("leak_l_per_h", U32),
    may("leak_ignore_s", U32),
    may("leak_delay_s", U32),
    may("leak", TEXT),
];

static TANK: [Key; 4] =
    [must("gauge", METER), must("min", NUMBER), may("resume", NUMBER), may("fresh_min", NUMBER)];

static PRESSURE: [Key; 4] =
    [must("gauge", METER), may("min_kpa", NUMBER), may("max_kpa", NUMBER), may("delay_s", U32)];

static ZONE: [Key; 48] = [
    must("id", TEXT),
    may("name", TEXT),
    may("household", TEXT),
    may("crop", TEXT),
    may("variety", TEXT),
    may("plot", TEXT),
    may("planting_area_code", TEXT),
    must("source", TEXT),
    may("flow_l_per_h", U32),
    may("area_m2", NUMBER),
    may("plants", U32),
    may("cycle_min", NUMBER),
    may("soak_min", NUMBER),
    may("group", Kind::Either(&U8, &TEXT)),
    must("valve", Kind::Table(&VALVE)),
    may("probes", Kind::List(&Kind::Table(&PROBE))),
    may("start_below_percent", NUMBER),
    may("stop_above_percent", NUMBER),
    may("soil", TEXT),
    may("field_capacity_percent", NUMBER),
    may("wilting_point_percent", NUMBER),
    may("start_depleted_percent", NUMBER),
    may("stop_depleted_percent", NUMBER),
    may("start_above_kpa", NUMBER),
    may("stop_below_kpa", NUMBER),
    may("window", TEXT),
    may("no_water", HOURS),
    may("lease_min", NUMBER),
    may("run_max_min", NUMBER),
    may("skip_below_min", NUMBER),
    may("run_least_min", NUMBER),
    may("min_off_min", NUMBER),
    may("fresh_min", NUMBER),
    may("plausible_percent", PAIR),
    may("rate_max_percent", NUMBER),
    may("plausible_kpa", PAIR),
    may("rate_max_kpa", NUMBER),
    may("apart_max_percent", NUMBER),
    may("apart_max_kpa", NUMBER),
    may("response_percent", NUMBER),
    may("response_kpa", NUMBER),
    may("stuck_hours", NUMBER),
    may("automatic", FLAG),
    may("meter", METER),
    may("flow", Kind::Table(&FLOW)),
    may("ignores", TEXTS),
    may("volume_max_l", NUMBER),
    may("balance", Kind::Table(&BALANCE)),
];

static VALVE: [Key; 2] = [must("node", TEXT), may("valve", U8)];

static PROBE: [Key; 4] =
    [must("device", TEXT), must("metric", TEXT), may("depth_cm", U16), may("weight", U16)];

static BALANCE: [Key; 12] = [
    must("since", TEXT),
    may("stage_days", FOUR),
    may("stage_degree_days", FOUR),
    may("base_c", NUMBER),
    may("upper_c", NUMBER),
    may("root_cm", NUMBER),
    may("canopy_percent", NUMBER),
    may("efficiency_percent", NUMBER),
    may("wetted_percent", NUMBER),
    may("root_share_percent", NUMBER),
    may("depleted_percent", NUMBER),
    may("reset_at", TEXT),
];

static PROGRAM: [Key; 15] = [
    must("id", TEXT),
    may("name", TEXT),
    may("days", Kind::Table(&DAYS)),
    must("starts", Kind::List(&Kind::Either(&TEXT, &Kind::Table(&START)))),
    must("steps", Kind::List(&Kind::Table(&STEP))),
    may("order", TEXT),
    may("direction", TEXT),
    may("rounds", U8),
    may("delay_s", I32),
    may("total_min", NUMBER),
    may("season_percent", Kind::Either(&PERCENT, &Kind::Row(&PERCENT, 12))),
    may("allowed", HOURS),
    may("no_water", HOURS),
    may("crossing", TEXT),
    may("catch_up_min", U16),
];

static DAYS: [Key; 8] = [
    may("weekdays", TEXTS),
    may("month_days", Kind::List(&Kind::Either(&U8, &TEXT))),
    may("months", Kind::List(&U8)),
    may("parity", TEXT),
    may("every_days", U16),
    may("counted_from", TEXT),
    may("season", TEXT),
    may("once", TEXT),
];

/// Hours of every day, or of some days of the week.
const HOURS: Kind = Kind::List(&Kind::Either(&TEXT, &Kind::Table(&ON_DAYS)));

static ON_DAYS: [Key; 2] = [must("hours", TEXT), may("weekdays", TEXTS)];

static START: [Key; 4] = [may("at", TEXT), may("finish_by", TEXT), may("every_min", U16), may("times", U16)];

static STEP: [Key; 11] = [
    must("zone", TEXT),
    may("minutes", NUMBER),
    may("litres", NUMBER),
    may("m3", NUMBER),
    may("litres_per_plant", NUMBER),
    may("mm", NUMBER),
    may("refill", FLAG),
    may("depleted_at_percent", NUMBER),
    may("repeats", U8),
    may("delay_s", I32),
    may("enabled", FLAG),
];

static RULE: [Key; 11] = [
    must("id", TEXT),
    may("name", TEXT),
    must("when", TEXT),
    may("until", TEXT),
    may("for_min", NUMBER),
    may("cooldown_min", NUMBER),
    may("repeat_min", NUMBER),
    may("fresh_min", NUMBER),
    may("times_max", U32),
    must("then", Kind::List(&Kind::Table(&EFFECT))),
    may("enabled", FLAG),
];

static EFFECT: [Key; 7] = [
    may("notify", TEXT),
    may("start", TEXT),
    may("stop", TEXT),
    may("lock", TEXT),
    may("adjust", TEXT),
    may("minutes", NUMBER),
    may("percent", U16),
];

static SINK: [Key; 13] = [
    must("name", TEXT),
    must("url", TEXT),
    may("org", TEXT),
    must("bucket", TEXT),
    may("token", TEXT),
    may("token_file", TEXT),
    may("ca_file", TEXT),
    may("gateway", TEXT),
    may("metrics", TEXTS),
    may("since", TEXT),
    may("lag_min", NUMBER),
    may("interval_s", NUMBER),
    may("gzip", FLAG),
];

static MESSAGE: [Key; 10] = [
    must("name", TEXT),
    may("url", TEXT),
    may("url_file", TEXT),
    may("token", TEXT),
    may("token_file", TEXT),
    may("events", TEXTS),
    may("zones", TEXTS),
    may("language", TEXT),
    may("format", TEXT),
    may("fields", Kind::Named(&TEXT)),
];
