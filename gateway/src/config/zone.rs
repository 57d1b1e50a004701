//! The rules of a `[[zone]]`: valve, probes, times and limits → the engine's zone, and how people call it.

use super::compile::{Compiler, name_or, plain, stand_in, to_whole};
use super::{ZoneLabel, raw};
use giot_engine::program::{Cycle, Group};
use giot_engine::{
    MetricName, ProbeRef, SourceId, Twins, ValveRef, WaterResponse, ZoneGuards, ZoneId, ZonePlan,
};
use giot_shared::ids::{NodeId, ValveId};
use giot_shared::units::LitresPerHour;
use giot_shared::wire::VALVES_MAX;
use std::collections::BTreeMap;
use toml::Spanned;

/// One Open command; domain.md section 3: 10–30 minutes.
const LEASE_MIN_DEFAULT: f64 = 20.0;
/// One run: a plum zone's 4 mm at 0.64 mm/h are six hours; two hours ask for a person's decision first.
const RUN_MAX_MIN_DEFAULT: f64 = 120.0;
/// Soak time; domain.md section 3: 10–30 minutes between cycles.
const MIN_OFF_MIN_DEFAULT: f64 = 30.0;
/// Three missed readings of the usual ten minutes; domain.md section 2.5 "dead".
const FRESH_MIN_DEFAULT: f64 = 30.0;
/// Identical for a day is stuck; domain.md section 2.5.
const STUCK_HOURS_DEFAULT: f64 = 24.0;
/// A lease longer than this is refused by every node.
const LEASE_MIN_MAX: f64 = 120.0;
/// Nobody waters one zone for longer in one run.
const RUN_MAX_MIN_MAX: f64 = 1440.0;
const WEEK_MIN: f64 = 10_080.0;
/// Longest word of a zone for the farm's records, characters: a column of a printed book.
const RECORD_CHARS_MAX: usize = 64;

/// The probes of a zone.
#[derive(Default)]
struct Probes {
    probes: Vec<ProbeRef>,
    weights: Vec<Option<u16>>,
    depth_cm: BTreeMap<ProbeRef, u16>,
    /// By depth: their places.
    by_depth: BTreeMap<Option<u16>, Vec<usize>>,
}

impl Probes {
    /// Those that should say the same: at one stated depth. Where nothing is said of depths all of them, unless weights tell that
    /// they are not alike.
    fn twins(&self) -> Vec<Vec<usize>> {
        let is_weighed = self.weights.iter().any(Option::is_some);
        let is_known = |depth: &Option<u16>| depth.is_some() || !is_weighed;
        let of_depths = self.by_depth.iter().filter(|(depth, probes)| is_known(depth) && probes.len() > 1);
        of_depths.map(|(_, probes)| probes.clone()).collect()
    }

    /// Those that water reaches first: at the least stated depth. Where nothing is said of depths all of them.
    fn upper(&self) -> Vec<usize> {
        let mut stated = self.by_depth.iter().filter(|(depth, _)| depth.is_some());
        stated
            .next()
            .or_else(|| self.by_depth.iter().next())
            .map(|(_, probes)| probes.clone())
            .unwrap_or_default()
    }
}

impl Compiler<'_> {
    pub(super) fn zone(
        &mut self,
        zone: raw::Zone,
        id: &ZoneId,
        field: &str,
    ) -> Option<(ZonePlan, ZoneLabel)> {
        let idx: usize = field.trim_start_matches("zone[").trim_end_matches(']').parse().ok()?;
        let source = self.id_or_stand_in::<SourceId>(&zone.source, &format!("{field}.source"), 2 * idx)?;
        let valve = self.valve(&zone.valve, &format!("{field}.valve"), 2 * idx)?;
        let probes = self.probes(&zone, field);
        if zone.probes.is_none()
            && zone.automatic != Some(false)
            && !self.is_spoilt(&format!("{field}.automatic"))
        {
            let what = "needed: what says how dry it is; or automatic = false, where only programs and people start it";
            self.problem_at(&format!("{field}.probes"), what);
        }
        let is_unjudged = zone.is_blind() && !zone.has_thresholds();
        let soil = if is_unjudged { Self::usual_soil() } else { self.soil_rule(&zone, field) };
        let (plausible, rate_max) = self.probe_limits(&zone, soil.as_ref(), field)?;
        let apart_max = self.apart_max(&zone, soil.as_ref(), field);
        let rise_min = self.rise_min(&zone, soil.as_ref(), field);
        if soil.is_none() {
            self.spoil(&format!("{field}.start_below_percent"));
        }
        let soil = soil.or_else(Self::usual_soil)?;
        let window = self.window(zone.window.as_ref(), &format!("{field}.window"));
        let no_water = self.windows(&zone.no_water, &format!("{field}.no_water"));
        let mut minutes = |value: &Option<Spanned<f64>>, key: &str, default: f64, max: f64| {
            self.seconds(value.as_ref(), &format!("{field}.{key}"), default, max)
        };
        let lease_s = minutes(&zone.lease_min, "lease_min", LEASE_MIN_DEFAULT, LEASE_MIN_MAX);
        let run_max_s = minutes(&zone.run_max_min, "run_max_min", RUN_MAX_MIN_DEFAULT, RUN_MAX_MIN_MAX);
        let skip_below_s = minutes(&zone.skip_below_min, "skip_below_min", 0.0, RUN_MAX_MIN_MAX);
        let run_least_s = minutes(&zone.run_least_min, "run_least_min", 0.0, RUN_MAX_MIN_MAX);
        let min_off_s = minutes(&zone.min_off_min, "min_off_min", MIN_OFF_MIN_DEFAULT, WEEK_MIN);
        let fresh_s = minutes(&zone.fresh_min, "fresh_min", FRESH_MIN_DEFAULT, WEEK_MIN);
        let stuck_hours = zone.stuck_hours.as_ref().map_or(STUCK_HOURS_DEFAULT, |hours| *hours.get_ref());
        if let Some(hours) = zone.stuck_hours.as_ref().filter(|_| !(0.0..=168.0).contains(&stuck_hours)) {
            self.problem(hours.span(), &format!("{field}.stuck_hours"), "between 0 (off) and 168 hours");
        }
        let area_dm2 = self.area_dm2(zone.area_m2.as_ref(), &format!("{field}.area_m2"));
        let cycle = self.cycle(zone.cycle_min.as_ref(), zone.soak_min.as_ref(), field);
        let group = self.group(zone.group.as_ref(), &format!("{field}.group"));
        let twins = Twins { groups: probes.twins(), apart_max };
        let response = WaterResponse { probes: probes.upper(), rise_min };
        let guards = ZoneGuards { twins, response, ..self.zone_guards(&zone, field) };
        let label = ZoneLabel {
            name: name_or(zone.name, &id),
            household: plain(&zone.household.unwrap_or_default()),
            crop: zone.crop.map(Spanned::into_inner),
            variety: self.record(zone.variety, &format!("{field}.variety")),
            plot: self.record(zone.plot, &format!("{field}.plot")),
            planting_area_code: self.record(zone.planting_area_code, &format!("{field}.planting_area_code")),
            depth_cm: probes.depth_cm,
        };
        let is_weighed = probes.weights.iter().any(Option::is_some);
        let weights = probes.weights.into_iter().filter(|_| is_weighed);
        let plan = ZonePlan {
            source,
            flow: zone.flow_l_per_h.map(LitresPerHour),
            area_dm2,
            n_plants: zone.plants,
            cycle,
            group,
            valve,
            probes: probes.probes,
            weights: weights.map(|weight| weight.unwrap_or(1)).collect(),
            soil,
            window,
            no_water,
            lease_s,
            run_max_s,
            skip_below_s,
            run_least_s,
            min_off_s,
            fresh_s,
            plausible,
            rate_max,
            stuck_s: to_whole(stuck_hours.clamp(0.0, 168.0) * 3600.0),
            automatic: zone.automatic.unwrap_or(true),
            guards,
        };
        Some((plan, label))
    }

    /// A word for the farm's records.
    fn record(&mut self, text: Option<Spanned<String>>, field: &str) -> Option<String> {
        let text = text?;
        let n_chars = text.get_ref().chars().count();
        if !(1..=RECORD_CHARS_MAX).contains(&n_chars) || text.get_ref().chars().any(char::is_control) {
            let what =
                format!("1 to {RECORD_CHARS_MAX} characters in one line; leave it out where there is none");
            self.problem(text.span(), field, what);
            return None;
        }
        Some(text.into_inner())
    }

    /// A zone's valve; one that cannot be told gets a stand-in, so that no other seems to be the same.
    fn valve(&mut self, raw: &Spanned<raw::Valve>, field: &str, idx: usize) -> Option<ValveRef> {
        let valve = raw.get_ref();
        let node: Option<NodeId> = self.id(&valve.node, &format!("{field}.node"));
        if usize::from(valve.valve) >= VALVES_MAX {
            let what = format!("valves count from 0 to {}: a node has no more", VALVES_MAX - 1);
            self.problem_at(&format!("{field}.valve"), what);
        }
        let node = node.filter(|_| !self.is_spoilt(field)).or_else(|| stand_in(idx))?;
        Some(ValveRef { node, valve: ValveId(valve.valve) })
    }

    /// The probes that can be told.
    fn probes(&mut self, zone: &raw::Zone, field: &str) -> Probes {
        let mut found = Probes::default();
        for (idx, probe) in zone.probes().enumerate() {
            let probe = probe.get_ref();
            let device = self.id::<NodeId>(&probe.device, &format!("{field}.probes[{idx}].device"));
            let metric = self.id::<MetricName>(&probe.metric, &format!("{field}.probes[{idx}].metric"));
            let (Some(device), Some(metric)) = (device, metric) else { continue };
            let probe_ref = ProbeRef { device, metric };
            if let Some(depth) = probe.depth_cm {
                found.depth_cm.insert(probe_ref.clone(), depth);
            }
            found.by_depth.entry(probe.depth_cm).or_default().push(found.probes.len());
            found.weights.push(probe.weight);
            found.probes.push(probe_ref);
        }
        found
    }

    /// Beside which zones it runs.
    fn group(&mut self, raw: Option<&Spanned<raw::Group>>, field: &str) -> Group {
        match raw.map(|raw| (raw.span(), raw.get_ref())) {
            None => Group::default(),
            Some((_, raw::Group::Number(number))) => Group::Sequential(*number),
            Some((_, raw::Group::Word(word))) if word == "parallel" => Group::Parallel,
            Some((span, raw::Group::Word(_))) => {
                self.problem(span, field, "a whole number from 0 to 255, or \"parallel\"");
                Group::default()
            }
        }
    }

    /// Square metres; `None` when none are given.
    fn area_dm2(&mut self, area_m2: Option<&Spanned<f64>>, field: &str) -> Option<u32> {
        let area_m2 = area_m2?;
        let value = *area_m2.get_ref();
        if (1.0..=1e7).contains(&value) {
            return Some(to_whole(value * 100.0));
        }
        self.problem(area_m2.span(), field, "between 1 and 10,000,000 square metres");
        None
    }

    /// Portions and soak; `None` when none are given.
    fn cycle(
        &mut self,
        on_min: Option<&Spanned<f64>>,
        soak_min: Option<&Spanned<f64>>,
        field: &str,
    ) -> Option<Cycle> {
        let ms = |minutes: &Spanned<f64>| {
            u64::from(to_whole(minutes.get_ref().clamp(0.0, WEEK_MIN) * 60.0)) * 1000
        };
        let [on_field, soak_field] = ["cycle_min", "soak_min"].map(|key| format!("{field}.{key}"));
        if let Some(on_min) = on_min.filter(|on_min| Cycle::new(ms(on_min), 0).is_none()) {
            self.problem(on_min.span(), &on_field, "portions of at least 1 minute");
        }
        if let Some(soak_min) = soak_min
            && (!(0.0..=1440.0).contains(soak_min.get_ref()))
        {
            self.problem(soak_min.span(), &soak_field, "soaks between 0 and 1440 minutes");
        }
        match (on_min, soak_min) {
            (Some(on_min), Some(soak_min)) => Cycle::new(ms(on_min), ms(soak_min)),
            (None, None) => None,
            (Some(alone), None) | (None, Some(alone)) => {
                if !self.is_spoilt(&on_field) && !self.is_spoilt(&soak_field) {
                    let missing = if on_min.is_none() { &on_field } else { &soak_field };
                    self.problem(alone.span(), missing, "cycle_min and soak_min go together");
                }
                None
            }
        }
    }
}
