//! By which number a zone is dry or wet: `start_below_percent`, `start_depleted_percent` with a soil, or `start_above_kpa`, and
//! what its probes can plausibly say. One unit a zone: probes of the other kind are told, not converted.

use super::compile::Compiler;
use super::raw;
use giot_engine::agro::{Soil, crop, crops, soil, soils};
use giot_engine::{Depletion, HeldWater, Level, SoilRule};
use giot_shared::metric::Metric;
use giot_shared::units::MoisturePermyriad;
use toml::Spanned;

/// Refill to where a tenth of the available water is missing: rain still finds room, and nothing drains away; domain.md
/// section 2.5.
const STOP_DEPLETED_PERCENT_DEFAULT: f64 = 10.0;
/// Stands in where nothing is measured that it could be compared with.
const BLIND_DEPLETED_PERCENT: f64 = 50.0;
/// Mineral soils hold no less and no more; a probe that says otherwise hangs in the air or lies in a puddle.
const PLAUSIBLE_PERCENT_DEFAULT: (f64, f64) = (1.0, 60.0);
/// Per five minutes without irrigation or rain; domain.md section 2.5.
const RATE_MAX_PERCENT_DEFAULT: f64 = 10.0;
/// The range of a gypsum sensor; an open circuit reads 239 or more. Below zero there is no tension, so zero is plausible.
const PLAUSIBLE_KPA_DEFAULT: (f64, f64) = (0.0, 200.0);
/// Per five minutes without irrigation: a drying soil takes hours for as much.
const RATE_MAX_KPA_DEFAULT: f64 = 50.0;
/// Makers state ±3 % for a capacitance probe, and two places of a drip-irrigated plot differ by about 5 %: the difference of two
/// twins then has a standard deviation of about 8 %, and one pair in eighty is further apart by chance.
const APART_MAX_PERCENT_DEFAULT: f64 = 20.0;
/// Half the range of a gypsum sensor: tension differs manifold between two places of a drying soil.
const APART_MAX_KPA_DEFAULT: f64 = 100.0;
/// Ten times the step of a probe that reads 0.1 %, and above its noise; an irrigation of half an hour lifts dry soil by several.
const RESPONSE_PERCENT_DEFAULT: f64 = 1.0;
/// Twice the step of a gypsum sensor.
const RESPONSE_KPA_DEFAULT: f64 = 2.0;

/// A limit that zones state in the unit of their probes.
struct Limit<'z> {
    /// In % of the soil's volume, and in kPa.
    stated: [Option<&'z Spanned<f64>>; 2],
    usual: [f64; 2],
    /// The key without its unit.
    key: &'static str,
    /// What it is for, as in "this zone's probes are …".
    purpose: &'static str,
}

/// Keys of which one says when a zone is dry.
const THRESHOLDS: [&str; 8] = [
    "start_below_percent",
    "stop_above_percent",
    "soil",
    "field_capacity_percent",
    "start_depleted_percent",
    "stop_depleted_percent",
    "start_above_kpa",
    "stop_below_kpa",
];

impl raw::Zone {
    /// Whether anything is written that says when it is dry.
    pub(super) fn has_thresholds(&self) -> bool {
        let numbers = [
            &self.start_below_percent,
            &self.stop_above_percent,
            &self.field_capacity_percent,
            &self.wilting_point_percent,
            &self.start_depleted_percent,
            &self.stop_depleted_percent,
            &self.start_above_kpa,
            &self.stop_below_kpa,
        ];
        self.soil.is_some() || numbers.into_iter().any(Option::is_some)
    }
}

impl Compiler<'_> {
    /// Stands in where thresholds are wrong, or where nothing is measured that they could be compared with.
    pub(super) fn usual_soil() -> Option<SoilRule> {
        let start_below = MoisturePermyriad::from_percent(22.0)?;
        Some(SoilRule::Moisture { start_below, stop_above: MoisturePermyriad::from_percent(30.0)? })
    }

    /// When a zone is dry and wet.
    pub(super) fn soil_rule(&mut self, zone: &raw::Zone, field: &str) -> Option<SoilRule> {
        let held = self.held_water(zone, field);
        let by_moisture = zone.start_below_percent.as_ref().or(zone.stop_above_percent.as_ref());
        let by_depletion = zone.start_depleted_percent.as_ref().or(zone.stop_depleted_percent.as_ref());
        let by_tension = zone.start_above_kpa.as_ref().or(zone.stop_below_kpa.as_ref());
        let given: Vec<&Spanned<f64>> =
            [by_moisture, by_depletion, by_tension].into_iter().flatten().collect();
        if let [_, second, ..] = given.as_slice() {
            let what = "one pair only: start_below_percent with stop_above_percent, start_depleted_percent with \
                        stop_depleted_percent, or start_above_kpa with stop_below_kpa";
            // The later kind is told: in the order of the reference.
            let keys: [(&Option<Spanned<f64>>, &str); 6] = [
                (&zone.start_below_percent, "start_below_percent"),
                (&zone.stop_above_percent, "stop_above_percent"),
                (&zone.start_depleted_percent, "start_depleted_percent"),
                (&zone.stop_depleted_percent, "stop_depleted_percent"),
                (&zone.start_above_kpa, "start_above_kpa"),
                (&zone.stop_below_kpa, "stop_below_kpa"),
            ];
            let is_it = |value: &Option<Spanned<f64>>| {
                value.as_ref().is_some_and(|value| std::ptr::eq(value, *second))
            };
            let key = keys.iter().find(|(value, _)| is_it(value)).map_or("start_above_kpa", |(_, key)| key);
            self.problem(second.span(), &format!("{field}.{key}"), what);
            return None;
        }
        let rule = if by_moisture.is_some() {
            let [start, stop] = [&zone.start_below_percent, &zone.stop_above_percent];
            let [start, stop] =
                self.both([start, stop], field, ["start_below_percent", "stop_above_percent"]);
            let start_below =
                start.and_then(|start| self.moisture(start, &format!("{field}.start_below_percent")));
            let stop_above =
                stop.and_then(|stop| self.moisture(stop, &format!("{field}.stop_above_percent")));
            SoilRule::Moisture { start_below: start_below?, stop_above: stop_above? }
        } else if by_tension.is_some() {
            let [start, stop] = [&zone.start_above_kpa, &zone.stop_below_kpa];
            let [start, stop] = self.both([start, stop], field, ["start_above_kpa", "stop_below_kpa"]);
            let start_above =
                start.and_then(|start| self.tension(start, &format!("{field}.start_above_kpa")));
            let stop_below = stop.and_then(|stop| self.tension(stop, &format!("{field}.stop_below_kpa")));
            SoilRule::Tension { start_above: start_above?, stop_below: stop_below? }
        } else if by_depletion.is_some() || zone.soil.is_some() || zone.field_capacity_percent.is_some() {
            let start_above = self.start_depleted(zone, field);
            let stop_below = zone.stop_depleted_percent.as_ref().map_or_else(
                || Depletion::from_percent(STOP_DEPLETED_PERCENT_DEFAULT),
                |stop| self.depletion(stop, &format!("{field}.stop_depleted_percent")),
            );
            let Some(soil) = held? else {
                let span = by_depletion.map_or_else(|| zone.id.span(), Spanned::span);
                let what = "what is used up is counted between field capacity and wilting point: give soil = \"loam\" (see \
                            `giot agro soils`), or field_capacity_percent and wilting_point_percent";
                self.problem(span, &format!("{field}.soil"), what);
                return None;
            };
            SoilRule::Depletion { soil, start_above: start_above?, stop_below: stop_below? }
        } else {
            if !self.is_any_spoilt(field, &THRESHOLDS) {
                let what = "needed: start_below_percent with stop_above_percent, or soil with start_depleted_percent, or \
                            start_above_kpa with stop_below_kpa; or automatic = false and no probes";
                self.problem(zone.id.span(), &format!("{field}.start_below_percent"), what);
            }
            return None;
        };
        self.probes_fit(zone, &rule, field);
        Some(rule)
    }

    /// What the zone's soil holds; `Some(None)`: nothing is said of it.
    pub(super) fn held_water(&mut self, zone: &raw::Zone, field: &str) -> Option<Option<HeldWater>> {
        let row = match &zone.soil {
            None => None,
            Some(id) => {
                let row = soil(id.get_ref());
                if row.is_none() {
                    let known: Vec<&str> = soils().iter().map(|soil| soil.id).collect();
                    self.problem(id.span(), &format!("{field}.soil"), format!("one of {}", known.join(", ")));
                }
                row
            }
        };
        let of_row = |range: fn(&Soil) -> (f64, f64)| {
            row.and_then(|row| MoisturePermyriad::from_percent(Soil::middle(range(row)) * 100.0))
        };
        let field_capacity = match &zone.field_capacity_percent {
            Some(percent) => self.moisture(percent, &format!("{field}.field_capacity_percent")),
            None => of_row(|row| row.field_capacity),
        };
        let wilting_point = match &zone.wilting_point_percent {
            Some(percent) => self.moisture(percent, &format!("{field}.wilting_point_percent")),
            None => of_row(|row| row.wilting_point),
        };
        match (field_capacity, wilting_point) {
            (Some(field_capacity), Some(wilting_point)) => {
                Some(Some(HeldWater { field_capacity, wilting_point }))
            }
            (None, None) => {
                let keys = ["soil", "field_capacity_percent", "wilting_point_percent"];
                (!self.is_any_spoilt(field, &keys)).then_some(None)
            }
            (Some(_), None) | (None, Some(_))
                if self
                    .is_any_spoilt(field, &["soil", "field_capacity_percent", "wilting_point_percent"]) =>
            {
                None
            }
            (Some(_), None) | (None, Some(_)) => {
                let given = zone.field_capacity_percent.as_ref().or(zone.wilting_point_percent.as_ref());
                let span = given.map_or_else(|| zone.id.span(), Spanned::span);
                let what = "field_capacity_percent and wilting_point_percent go together, or a soil is given";
                self.problem(span, &format!("{field}.field_capacity_percent"), what);
                None
            }
        }
    }

    /// How much may be used up: as written, or what the crop's roots take without stress.
    fn start_depleted(&mut self, zone: &raw::Zone, field: &str) -> Option<Depletion> {
        let key = format!("{field}.start_depleted_percent");
        if let Some(start) = &zone.start_depleted_percent {
            return self.depletion(start, &key);
        }
        let of_crop = zone.crop.as_ref().and_then(|id| crop(id.get_ref()));
        if let Some(crop) = of_crop {
            return Depletion::from_percent(crop.p * 100.0);
        }
        if self.is_any_spoilt(field, &["crop", "start_depleted_percent"]) {
            return None;
        }
        if zone.is_blind() {
            // Its soil is written for the water balance alone.
            return Depletion::from_percent(BLIND_DEPLETED_PERCENT);
        }
        let span = zone.crop.as_ref().map_or_else(|| zone.id.span(), Spanned::span);
        let known: Vec<&str> = crops().iter().map(|crop| crop.id).collect();
        let what = format!(
            "needed, or a crop whose share of available water without stress is known (`giot agro crops`): {}",
            known.join(", ")
        );
        self.problem(span, &key, what);
        None
    }

    /// What the probes can say at all, and how fast it changes; `rule`: `None` where it is wrong.
    pub(super) fn probe_limits(
        &mut self,
        zone: &raw::Zone,
        rule: Option<&SoilRule>,
        field: &str,
    ) -> Option<((Level, Level), Level)> {
        let is_by_kpa = || zone.start_above_kpa.is_some() || zone.stop_below_kpa.is_some();
        let is_tension = rule.map_or_else(is_by_kpa, SoilRule::is_tension);
        let of_moisture = (zone.plausible_percent.as_ref(), zone.rate_max_percent.as_ref(), "percent");
        let of_tension = (zone.plausible_kpa.as_ref(), zone.rate_max_kpa.as_ref(), "kpa");
        let ((range, rate, unit), (other_range, other_rate, other_unit)) =
            if is_tension { (of_tension, of_moisture) } else { (of_moisture, of_tension) };
        let (range_default, rate_default) = if is_tension {
            (PLAUSIBLE_KPA_DEFAULT, RATE_MAX_KPA_DEFAULT)
        } else {
            (PLAUSIBLE_PERCENT_DEFAULT, RATE_MAX_PERCENT_DEFAULT)
        };
        let others =
            [(other_range.map(Spanned::span), "plausible"), (other_rate.map(Spanned::span), "rate_max")];
        for (span, key) in others.into_iter().filter(|_| rule.is_some()) {
            let Some(span) = span else { continue };
            let what = format!("this zone's probes are judged by plausible_{unit} and rate_max_{unit}");
            self.problem(span, &format!("{field}.{key}_{other_unit}"), what);
        }
        let highest = if is_tension { 10_000.0 } else { 100.0 };
        let level = |value: f64| Level::from_unit(value).filter(|_| value <= highest);
        let (low, high) = range.map_or(range_default, |range| *range.get_ref());
        let usual = level(range_default.0).zip(level(range_default.1));
        let plausible = match (level(low), level(high)) {
            (Some(low), Some(high)) if low < high => Some((low, high)),
            _ => {
                let what = format!("[lowest, highest] between 0 and {highest}");
                self.problem(range.map_or(0..0, Spanned::span), &format!("{field}.plausible_{unit}"), what);
                usual
            }
        };
        let rate_max = level(rate.map_or(rate_default, |rate| *rate.get_ref()));
        if rate_max.is_none() {
            let what = format!("between 0 (off) and {highest}");
            self.problem(rate.map_or(0..0, Spanned::span), &format!("{field}.rate_max_{unit}"), what);
        }
        plausible.zip(rate_max.or_else(|| level(rate_default)))
    }

    /// How far apart probes at one depth may be.
    pub(super) fn apart_max(&mut self, zone: &raw::Zone, rule: Option<&SoilRule>, field: &str) -> Level {
        let limit = Limit {
            stated: [zone.apart_max_percent.as_ref(), zone.apart_max_kpa.as_ref()],
            usual: [APART_MAX_PERCENT_DEFAULT, APART_MAX_KPA_DEFAULT],
            key: "apart_max",
            purpose: "compared",
        };
        self.limit(&limit, rule, field)
    }

    /// How much wetter a dry probe is to get when its zone is watered.
    pub(super) fn rise_min(&mut self, zone: &raw::Zone, rule: Option<&SoilRule>, field: &str) -> Level {
        let limit = Limit {
            stated: [zone.response_percent.as_ref(), zone.response_kpa.as_ref()],
            usual: [RESPONSE_PERCENT_DEFAULT, RESPONSE_KPA_DEFAULT],
            key: "response",
            purpose: "tried",
        };
        self.limit(&limit, rule, field)
    }

    fn limit(&mut self, limit: &Limit<'_>, rule: Option<&SoilRule>, field: &str) -> Level {
        let [of_moisture, of_tension] = limit.stated;
        let [usual_percent, usual_kpa] = limit.usual;
        let (stated, other, [unit, other_unit], usual, highest) = if rule.is_some_and(SoilRule::is_tension) {
            (of_tension, of_moisture, ["kpa", "percent"], usual_kpa, 10_000.0)
        } else {
            (of_moisture, of_tension, ["percent", "kpa"], usual_percent, 100.0)
        };
        let Limit { key, purpose, .. } = limit;
        if let Some(other) = other.filter(|_| rule.is_some()) {
            let what = format!("this zone's probes are {purpose} by {key}_{unit}");
            self.problem(other.span(), &format!("{field}.{key}_{other_unit}"), what);
        }
        let level = |value: f64| Level::from_unit(value).filter(|_| value <= highest);
        let usual = level(usual).unwrap_or_default();
        let Some(stated) = stated else { return usual };
        level(*stated.get_ref()).unwrap_or_else(|| {
            let what = format!("between 0 (off) and {highest}");
            self.problem(stated.span(), &format!("{field}.{key}_{unit}"), what);
            usual
        })
    }

    /// A probe that is known to measure in another unit.
    fn probes_fit(&mut self, zone: &raw::Zone, rule: &SoilRule, field: &str) {
        for (idx, probe) in zone.probes().enumerate() {
            let metric = probe.get_ref().metric.get_ref();
            let of_tension = metric.starts_with(Metric::SoilTension.name());
            let of_moisture =
                metric.starts_with(Metric::SoilMoisture.name()) || metric.starts_with(Metric::SoilVwc.name());
            let what = if rule.is_tension() && of_moisture {
                "it reads % of the soil's volume, and the zone's thresholds are in kPa"
            } else if !rule.is_tension() && of_tension {
                "it reads kPa, and the zone's thresholds are in %: give start_above_kpa and stop_below_kpa"
            } else {
                continue;
            };
            self.problem(probe.span(), &format!("{field}.probes[{idx}].metric"), what);
        }
    }

    /// Both halves of a pair; a missing one is told beside the other.
    fn both<'z>(
        &mut self,
        pair: [&'z Option<Spanned<f64>>; 2],
        field: &str,
        keys: [&str; 2],
    ) -> [Option<&'z Spanned<f64>>; 2] {
        let pair = pair.map(Option::as_ref);
        if let [Some(given), None] | [None, Some(given)] = pair {
            let [start, stop] = keys;
            let missing = if pair.first() == Some(&None) { start } else { stop };
            self.problem(given.span(), &format!("{field}.{missing}"), "needed beside the other threshold");
        }
        pair
    }

    fn moisture(&mut self, percent: &Spanned<f64>, field: &str) -> Option<MoisturePermyriad> {
        let moisture = MoisturePermyriad::from_percent(*percent.get_ref());
        if moisture.is_none() {
            self.problem(percent.span(), field, "between 0 and 100 % of the soil's volume");
        }
        moisture
    }

    fn depletion(&mut self, percent: &Spanned<f64>, field: &str) -> Option<Depletion> {
        let depletion = Depletion::from_percent(*percent.get_ref());
        if depletion.is_none() {
            self.problem(percent.span(), field, "between 0 and 100 % of the available water");
        }
        depletion
    }

    fn tension(&mut self, kpa: &Spanned<f64>, field: &str) -> Option<Level> {
        let tension = Level::from_unit(*kpa.get_ref());
        if tension.is_none() {
            self.problem(
                kpa.span(),
                field,
                "between 0 and 10,000 kPa; tension is positive, dry soil has more",
            );
        }
        tension
    }
}

#[cfg(test)]
mod tests {
    use super::super::compile;
    use super::*;
    use giot_engine::WaterResponse;

    fn farm(keys: &str, metric: &str) -> String {
        format!(
            "[[source]]\nid = \"s\"\n[[zone]]\nid = \"a\"\nsource = \"s\"\nvalve = {{ node = \"v1\" }}\n\
             probes = [{{ device = \"n1\", metric = \"{metric}\" }}]\n{keys}\n"
        )
    }

    fn rule(keys: &str, metric: &str) -> SoilRule {
        let settings = compile("giot.toml", &farm(keys, metric)).expect("valid");
        settings.plan.zones.values().next().expect("a zone").soil
    }

    #[track_caller]
    fn check_problem(keys: &str, metric: &str, field: &str, part: &str) {
        let error = compile("giot.toml", &farm(keys, metric)).expect_err("a broken configuration");
        let is_told =
            error.problems.iter().any(|p| p.field == field && p.line.is_some() && p.what.contains(part));
        assert!(is_told, "{error}");
    }

    #[test]
    fn a_soil_of_the_table_and_a_crop_make_the_thresholds() {
        let made = rule("soil = \"loam\"\ncrop = \"plum_bare\"", "soil_moisture");
        let moisture = |permyriad| MoisturePermyriad::new(permyriad).expect("in range");
        let [start_above, stop_below] = [5000, 1000].map(|share| Depletion::new(share).expect("in range"));
        let soil = HeldWater { field_capacity: moisture(2500), wilting_point: moisture(1200) };
        assert_eq!(made, SoilRule::Depletion { soil, start_above, stop_below });
        let own = "field_capacity_percent = 31\nwilting_point_percent = 14\nstart_depleted_percent = 35\n\
                   stop_depleted_percent = 0";
        let SoilRule::Depletion { soil, start_above, stop_below } = rule(own, "soil_moisture") else {
            panic!("by depletion");
        };
        assert_eq!((soil.field_capacity.get(), soil.wilting_point.get()), (3100, 1400));
        assert_eq!((start_above.get(), stop_below.get()), (3500, 0));
    }

    #[test]
    fn tension_has_limits_of_its_own() {
        let text = farm("start_above_kpa = 40\nstop_below_kpa = 15.5", "soil_tension");
        let zone =
            compile("giot.toml", &text).expect("valid").plan.zones.into_values().next().expect("a zone");
        let [start_above, stop_below] = [4000, 1550].map(|kpa| Level::new(kpa).expect("in range"));
        assert_eq!(zone.soil, SoilRule::Tension { start_above, stop_below });
        assert_eq!((zone.plausible.0.get(), zone.plausible.1.get(), zone.rate_max.get()), (0, 20_000, 5000));
    }

    #[test]
    fn a_zone_without_probes_that_nobody_asks_is_valid_without_thresholds() {
        let blind = |keys: &str| farm(keys, "soil_moisture").replace("probes =", "# probes =");
        let valid = |keys: &str| {
            let plan = compile("giot.toml", &blind(keys)).unwrap_or_else(|error| panic!("{error}")).plan;
            let zone = plan.zones.into_values().next().expect("a zone");
            assert!(zone.probes.is_empty() && !zone.automatic, "{keys}");
        };
        valid("automatic = false");
        valid("automatic = false\nprobes = []");
        valid("automatic = false\nsoil = \"loam\"");
        valid("automatic = false\nstart_below_percent = 22\nstop_above_percent = 30");
        // What is written is judged, and who waters by the soil has to say by what.
        let problems = |text: &str| -> Vec<String> {
            let error = compile("giot.toml", text).expect_err("a broken configuration");
            error.problems.into_iter().map(|problem| problem.field).collect()
        };
        let crossed = "automatic = false\nstart_below_percent = 30\nstop_above_percent = 22";
        assert_eq!(problems(&blind(crossed)), ["zone[0].stop_above_percent"]);
        assert_eq!(problems(&blind("automatic = false\nsoil = \"mud\"")), ["zone[0].soil"]);
        assert_eq!(problems(&blind("")), ["zone[0].probes", "zone[0].start_below_percent"]);
        assert_eq!(problems(&blind("start_below_percent = 22\nstop_above_percent = 30")), ["zone[0].probes"]);
        assert_eq!(problems(&farm("automatic = false", "soil_moisture")), ["zone[0].start_below_percent"]);
    }

    #[test]
    fn what_does_not_go_together_is_told_with_its_line() {
        check_problem("", "soil_moisture", "zone[0].start_below_percent", "needed");
        check_problem("start_below_percent = 22", "soil_moisture", "zone[0].stop_above_percent", "needed");
        let both =
            "start_below_percent = 22\nstop_above_percent = 30\nstart_above_kpa = 40\nstop_below_kpa = 15";
        check_problem(both, "soil_moisture", "zone[0].start_above_kpa", "one pair only");
        check_problem("soil = \"mud\"", "soil_moisture", "zone[0].soil", "loam");
        check_problem("soil = \"loam\"", "soil_moisture", "zone[0].start_depleted_percent", "plum_bare");
        check_problem("start_depleted_percent = 50", "soil_moisture", "zone[0].soil", "giot agro soils");
        let tension = "start_above_kpa = 40\nstop_below_kpa = 15";
        check_problem(tension, "soil_moisture", "zone[0].probes[0].metric", "kPa");
        check_problem(
            "soil = \"loam\"\nstart_depleted_percent = 50",
            "soil_tension",
            "zone[0].probes[0].metric",
            "kPa",
        );
        let limits = format!("{tension}\nplausible_percent = [1.0, 60.0]");
        check_problem(&limits, "soil_tension", "zone[0].plausible_percent", "plausible_kpa");
        let crossed = "start_above_kpa = 15\nstop_below_kpa = 40";
        check_problem(crossed, "soil_tension", "zone[0].stop_below_kpa", "drier");
    }

    #[test]
    fn probes_at_one_depth_are_twins() {
        let thresholds = "start_below_percent = 22\nstop_above_percent = 30";
        let twins = |keys: &str, probes: &[&str]| {
            let listed = probes
                .iter()
                .enumerate()
                .map(|(n, more)| format!("{{ device = \"p{n}\", metric = \"soil_moisture\"{more} }}"));
            let listed: Vec<String> = listed.collect();
            let text = farm(&format!("{thresholds}\n{keys}"), "soil_moisture");
            let (head, tail) = text.split_once("probes = [").expect("probes");
            let (_, tail) = tail.split_once(']').expect("their end");
            let text = format!("{head}probes = [{}]{tail}", listed.join(", "));
            let zones = compile("giot.toml", &text).expect("valid").plan.zones;
            let guards = zones.into_values().next().expect("a zone").guards;
            (guards.twins.groups, guards.twins.apart_max.get(), guards.response)
        };
        let response = |keys: &str, probes: &[&str]| twins(keys, probes).2;
        let twins = |keys: &str, probes: &[&str]| {
            let (groups, apart_max, _) = twins(keys, probes);
            (groups, apart_max)
        };
        assert_eq!(twins("", &["", ""]), (vec![vec![0, 1]], 2000), "nothing is said of depths");
        assert_eq!(twins("", &[", weight = 2", ""]), (vec![], 2000), "they are not alike");
        let at = |depth: u16| format!(", depth_cm = {depth}");
        let (shallow, deep) = (at(20), at(50));
        let four = [shallow.as_str(), &deep, &shallow, &deep];
        assert_eq!(twins("apart_max_percent = 12.5", &four), (vec![vec![0, 2], vec![1, 3]], 1250));
        assert_eq!(twins("apart_max_percent = 0", &four[..2]), (vec![], 0));
        let upper = |places: &[usize], hundredths: u32| WaterResponse {
            probes: places.to_vec(),
            rise_min: Level::new(hundredths).expect("a level"),
        };
        assert_eq!(response("", &["", ""]), upper(&[0, 1], 100), "nothing is said of depths");
        assert_eq!(response("", &[&deep, &shallow, "", &shallow]), upper(&[1, 3], 100), "the upper ones");
        assert_eq!(response("response_percent = 0", &four[..1]), upper(&[0], 0));
        let check = |keys: &str, field: &str, part: &str| {
            check_problem(
                &format!("{thresholds}\n{keys}"),
                "soil_moisture",
                &format!("zone[0].{field}"),
                part,
            );
        };
        check("apart_max_percent = 101", "apart_max_percent", "between 0 (off) and 100");
        check("apart_max_kpa = 50", "apart_max_kpa", "apart_max_percent");
        check("response_percent = -1", "response_percent", "between 0 (off) and 100");
        check("response_kpa = 5", "response_kpa", "response_percent");
    }
}
