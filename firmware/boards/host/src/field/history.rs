//! The weeks before a demonstration: the same soil under a plain start-below/stop-above rule, and what nodes wrote.
//!
//! So that something happens soon after the start, the last run of each zone is made shorter or longer until the
//! zone is as dry at the start as the table `START_GAPS` wants it: in the records these are runs that a person stopped. The
//! days before and after the start are without rain. Nothing else is bent: the field that the demonstration goes on
//! with is the field that these records came from.

use giot_shared::time::UnixMs;
use giot_shared::units::{Millivolts, MoisturePermyriad};

use crate::field::farm::{Farm, ZoneSpec, control_theta, labels, permyriad};
use crate::field::rng::FieldSeed;
use crate::field::site::{Site, WaterSource};
use crate::field::weather::{Climate, Weather};
use crate::field::zone::FieldZone;
use crate::field::{DAY_MS, MINUTE_MS, demo};

/// Longest history, days.
pub const HISTORY_DAYS_MAX: u32 = 30;

/// Distance of two samples of a node in the history, ms: its sampling plan while nothing runs.
pub const SAMPLE_MS: i64 = 10 * MINUTE_MS;

/// How far above its start threshold each zone is at the start, m³/m³. By day a zone loses about 0.002 an hour; the
/// first zone's next readings fall below.
const START_GAPS: [f64; 6] = [-0.000_1, 0.004, 0.008, 0.012, 0.016, 0.020];

/// Days lived before the history begins, so that the layers have found their balance.
const SETTLE_DAYS: i64 = 3;

/// Days before the start in which the last runs are adjusted.
const TAIL_DAYS: i64 = 5;

/// No rain begins in this span before the start…
const DRY_BEFORE_MS: i64 = 6 * DAY_MS;

/// …and in this span after it.
const DRY_AFTER_MS: i64 = 2 * DAY_MS;

/// Longest run of the rule, ms.
const RUN_MS_MAX: i64 = 90 * MINUTE_MS;

/// Longest adjusted run, ms. No run begins later than this before the start, so that every valve is closed then.
const ADJUSTED_RUN_MS_MAX: i64 = 120 * MINUTE_MS;

/// Shortest adjusted run, ms.
const ADJUSTED_RUN_MS_MIN: i64 = MINUTE_MS;

/// Shortest rest of a valve, ms.
const REST_MS: i64 = 30 * MINUTE_MS;

/// Conversions of which a node takes the median.
const N_CONVERSIONS: u8 = 9;

/// What one node recorded at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastSample {
    /// When.
    pub at: UnixMs,
    /// The node, counted from 0 in [`Farm::nodes`].
    pub node_idx: usize,
    /// Depth of the probe, cm.
    pub depth_cm: u16,
    /// Moisture by the probe's calibration; `None` where the voltage is off the curve.
    pub moisture: Option<MoisturePermyriad>,
    /// Raw output of the probe.
    pub probe: Millivolts,
    /// Battery of the node.
    pub battery: Millivolts,
    /// Flow through the zone's meter, L/h; `None` for a node without valve.
    pub flow_l_h: Option<u32>,
}

/// Why a past run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEnd {
    /// The soil reached the stop threshold.
    SoilWet,
    /// The longest run time was over.
    RunTimeReached,
    /// A person stopped it.
    Person,
}

/// One past run of a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastRun {
    /// The zone, counted from 0 in [`Farm::zones`].
    pub zone_idx: usize,
    /// When the valve opened.
    pub opened_at: UnixMs,
    /// When the valve closed.
    pub closed_at: UnixMs,
    /// Water through the meter, mL.
    pub delivered_ml: u64,
    /// True mean moisture of the zone's probes when the valve opened.
    pub moisture_before: MoisturePermyriad,
    /// The same when it closed.
    pub moisture_after: MoisturePermyriad,
    /// Why it ended.
    pub end: RunEnd,
}

/// What the nodes of a farm recorded before a demonstration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    /// Samples in order of time, then of node; every node at every ten minutes.
    pub samples: Vec<PastSample>,
    /// Runs in order of their opening; all are over.
    pub runs: Vec<PastRun>,
}

/// The site some weeks before `start_ms`, with zones of different dryness.
pub(super) fn site_before(seed: FieldSeed, start_ms: i64, zones: &[ZoneSpec], source: WaterSource) -> Site {
    let weather = Weather::new(seed.stream(10), Climate::son_la())
        .with_dry_spell(start_ms.saturating_sub(DRY_BEFORE_MS), start_ms.saturating_add(DRY_AFTER_MS));
    let zone_seed = seed.stream(11);
    let field_zones = zones
        .iter()
        .zip(labels(zones.len()))
        .map(|(spec, label)| {
            let seed = zone_seed.stream(label);
            // Anywhere between the two thresholds.
            let depleted = 0.1 + (f64::from(spec.mad_percent) / 100.0 - 0.1) * seed.unit(0);
            FieldZone::new(seed, spec.layout, spec.layout.soil.at_depletion(depleted), demo::PULSE_ML)
        })
        .collect();
    let n_days = i64::from(HISTORY_DAYS_MAX) + SETTLE_DAYS;
    let begin_ms = start_ms.saturating_sub(n_days * DAY_MS);
    // The rule looks at whole ten minutes.
    let begin_ms = begin_ms.div_euclid(SAMPLE_MS).saturating_mul(SAMPLE_MS);
    Site::new(weather, source, field_zones, begin_ms)
}

/// Brings a farm from its beginning to `start_ms` and returns its records of the last `n_days`.
pub(super) fn live_through(farm: &mut Farm, start_ms: i64, n_days: u32) -> History {
    let from_ms = start_ms.saturating_sub(i64::from(n_days.min(HISTORY_DAYS_MAX)) * DAY_MS);
    let mut rule = Rule::new(farm.zones().to_vec(), start_ms);
    let mut recorder = Recorder { from_ms, history: History::default() };
    let tail_ms = start_ms.saturating_sub(TAIL_DAYS * DAY_MS).div_euclid(SAMPLE_MS).saturating_mul(SAMPLE_MS);
    while farm.site().now_ms() < tail_ms {
        recorder.sample(farm);
        rule.live_ten_minutes(farm.site_mut());
    }
    rule.adjust_last_runs(farm.site());
    while farm.site().now_ms() < start_ms {
        recorder.sample(farm);
        rule.live_ten_minutes(farm.site_mut());
    }
    recorder.history.runs = rule.runs.iter().filter(|run| run.opened_at.0 >= from_ms).copied().collect();
    recorder.history
}

/// Writes down what the nodes would have sent.
struct Recorder {
    from_ms: i64,
    history: History,
}

impl Recorder {
    fn sample(&mut self, farm: &Farm) {
        let now_ms = farm.site().now_ms();
        if now_ms < self.from_ms {
            return;
        }
        for (node_idx, node) in farm.nodes().iter().enumerate() {
            let (Ok(theta), Ok(probe)) = (farm.theta(node_idx), farm.probe(node_idx)) else {
                continue;
            };
            let voltage = Millivolts(probe.median_mv(theta, now_ms, N_CONVERSIONS));
            let flow_l_h = farm
                .zone(node.zone_idx)
                .ok()
                .filter(|_| node.has_valve)
                .map(|zone| u32::try_from(zone.flow_ml_h() / 1_000).unwrap_or(u32::MAX));
            self.history.samples.push(PastSample {
                at: UnixMs(now_ms),
                node_idx,
                depth_cm: node.depth_cm,
                moisture: probe.calibration().ok().and_then(|calibration| calibration.moisture(voltage)),
                probe: voltage,
                battery: Millivolts(farm.battery_mv(node_idx, UnixMs(now_ms)).unwrap_or(0)),
                flow_l_h,
            });
        }
    }
}

/// How the last run of a zone is to go.
#[derive(Debug, Clone, Copy)]
struct Adjusted {
    not_before_ms: i64,
    run_ms: i64,
}

/// A zone's place in the rule.
#[derive(Debug, Clone)]
struct ZoneRule {
    spec: ZoneSpec,
    closed_ms: i64,
    adjusted: Option<Adjusted>,
    finished: bool,
    last_start: Option<Site>,
}

/// A run that is on.
#[derive(Debug, Clone, Copy)]
struct OpenRun {
    zone_idx: usize,
    opened_ms: i64,
    delivered_before_ml: u64,
    before: f64,
    adjusted_run_ms: Option<i64>,
}

/// Start below, stop above, one zone at a time, the driest first.
#[derive(Debug, Clone)]
struct Rule {
    start_ms: i64,
    zones: Vec<ZoneRule>,
    open: Option<OpenRun>,
    runs: Vec<PastRun>,
    keeps_starts: bool,
}

impl Rule {
    fn new(specs: Vec<ZoneSpec>, start_ms: i64) -> Self {
        let zone =
            |spec| ZoneRule { spec, closed_ms: i64::MIN, adjusted: None, finished: false, last_start: None };
        Self {
            start_ms,
            zones: specs.into_iter().map(zone).collect(),
            open: None,
            runs: Vec::new(),
            keeps_starts: false,
        }
    }

    /// Lives ten minutes, or up to the start of the demonstration when that is nearer. The node samples slowly while
    /// its zone rests and each minute while it runs, so starts happen on the ten minutes and stops on the minute.
    fn live_ten_minutes(&mut self, site: &mut Site) {
        let until_ms = site.now_ms().saturating_add(SAMPLE_MS).min(self.start_ms);
        self.start_driest(site);
        while site.now_ms() < until_ms {
            let minute_ms = site.now_ms().saturating_add(MINUTE_MS).min(until_ms);
            self.stop_adjusted(site, minute_ms);
            site.advance_to(minute_ms);
            self.stop_if_wet(site);
        }
    }

    fn start_driest(&mut self, site: &mut Site) {
        let now_ms = site.now_ms();
        if self.open.is_some() || now_ms > self.start_ms.saturating_sub(ADJUSTED_RUN_MS_MAX) {
            return;
        }
        let driest = self
            .zones
            .iter()
            .zip(site.zones())
            .enumerate()
            .filter(|(_, (rule, _))| !rule.finished && now_ms.saturating_sub(rule.closed_ms) >= REST_MS)
            .map(|(zone_idx, (rule, zone))| (zone_idx, above_start(zone, &rule.spec)))
            .filter(|(_, gap)| *gap < 0.0)
            .min_by(|(_, a), (_, b)| a.total_cmp(b));
        let Some((zone_idx, _)) = driest else {
            return;
        };
        let (Some(rule), Some(zone)) = (self.zones.get_mut(zone_idx), site.zones().get(zone_idx)) else {
            return;
        };
        let adjusted = rule.adjusted.filter(|adjusted| now_ms >= adjusted.not_before_ms);
        rule.finished = adjusted.is_some();
        if self.keeps_starts {
            rule.last_start = Some(site.with_one_zone(zone_idx));
        }
        self.open = Some(OpenRun {
            zone_idx,
            opened_ms: now_ms,
            delivered_before_ml: zone.delivered_ml(),
            before: control_theta(zone, &rule.spec),
            adjusted_run_ms: adjusted.map(|adjusted| adjusted.run_ms),
        });
        site.set_valve(zone_idx, true, now_ms);
    }

    /// Ends an adjusted run at its millisecond when that lies before `until_ms`.
    fn stop_adjusted(&mut self, site: &mut Site, until_ms: i64) {
        let Some(open) = self.open else {
            return;
        };
        let Some(run_ms) = open.adjusted_run_ms else {
            return;
        };
        let end_ms = open.opened_ms.saturating_add(run_ms);
        if end_ms <= until_ms {
            site.advance_to(end_ms);
            self.close(site, open, RunEnd::Person);
        }
    }

    fn stop_if_wet(&mut self, site: &mut Site) {
        let Some(open) = self.open.filter(|open| open.adjusted_run_ms.is_none()) else {
            return;
        };
        let (Some(rule), Some(zone)) = (self.zones.get(open.zone_idx), site.zones().get(open.zone_idx))
        else {
            return;
        };
        let theta = control_theta(zone, &rule.spec);
        if theta > f64::from(rule.spec.stop_above().get()) / 10_000.0 {
            self.close(site, open, RunEnd::SoilWet);
        } else if site.now_ms().saturating_sub(open.opened_ms) >= RUN_MS_MAX {
            self.close(site, open, RunEnd::RunTimeReached);
        }
    }

    fn close(&mut self, site: &mut Site, open: OpenRun, end: RunEnd) {
        let now_ms = site.now_ms();
        site.set_valve(open.zone_idx, false, now_ms);
        self.open = None;
        let (Some(rule), Some(zone)) = (self.zones.get_mut(open.zone_idx), site.zones().get(open.zone_idx))
        else {
            return;
        };
        rule.closed_ms = now_ms;
        self.runs.push(PastRun {
            zone_idx: open.zone_idx,
            opened_at: UnixMs(open.opened_ms),
            closed_at: UnixMs(now_ms),
            delivered_ml: zone.delivered_ml().saturating_sub(open.delivered_before_ml),
            moisture_before: permyriad(open.before),
            moisture_after: permyriad(control_theta(zone, &rule.spec)),
            end,
        });
    }

    /// Finds for each zone how long its last run before the start must be, the earliest run first: what comes after
    /// it may shift, what came before it does not.
    fn adjust_last_runs(&mut self, site: &Site) {
        let (mut settled, mut settled_site) = (self.clone(), site.clone());
        for _ in 0..self.zones.len() {
            let (mut trial, mut trial_site) = (settled.clone(), settled_site.clone());
            trial.keeps_starts = true;
            while trial_site.now_ms() < self.start_ms {
                trial.live_ten_minutes(&mut trial_site);
            }
            let earliest = trial
                .zones
                .iter()
                .enumerate()
                .filter(|(_, rule)| rule.adjusted.is_none())
                .filter_map(|(zone_idx, rule)| Some((zone_idx, rule.last_start.as_ref()?)))
                .min_by_key(|(_, last_start)| last_start.now_ms());
            let Some((zone_idx, last_start)) = earliest else {
                return;
            };
            let gap = START_GAPS.get(zone_idx).copied().unwrap_or(0.0);
            let adjusted = trial.zones.get(zone_idx).map(|rule| Adjusted {
                not_before_ms: last_start.now_ms(),
                run_ms: dose_ms(last_start, &rule.spec, gap, self.start_ms),
            });
            for rule in [self.zones.get_mut(zone_idx), settled.zones.get_mut(zone_idx)].into_iter().flatten()
            {
                rule.adjusted = adjusted;
            }
            while settled_site.now_ms() < last_start.now_ms() {
                settled.live_ten_minutes(&mut settled_site);
            }
        }
    }
}

/// Run time (whole seconds, in ms) after which a zone that opens at the site's moment is `gap` above its start
/// threshold at `start_ms`; the nearest allowed one when none does that. More water is always wetter, so halving
/// finds it.
fn dose_ms(site: &Site, spec: &ZoneSpec, gap: f64, start_ms: i64) -> i64 {
    let wetter = |run_s: i64| {
        let mut site = site.clone();
        let opened_ms = site.now_ms();
        site.set_valve(0, true, opened_ms);
        site.set_valve(0, false, opened_ms.saturating_add(run_s * 1_000));
        site.advance_to(start_ms);
        site.zones().first().is_some_and(|zone| above_start(zone, spec) > gap)
    };
    let (mut low_s, mut high_s) = (ADJUSTED_RUN_MS_MIN / 1_000, ADJUSTED_RUN_MS_MAX / 1_000);
    while high_s - low_s > 1 {
        let middle_s = low_s + (high_s - low_s) / 2;
        if wetter(middle_s) {
            high_s = middle_s;
        } else {
            low_s = middle_s;
        }
    }
    low_s * 1_000
}

/// How far a zone is above its start threshold, m³/m³; negative when dry.
fn above_start(zone: &FieldZone, spec: &ZoneSpec) -> f64 {
    control_theta(zone, spec) - f64::from(spec.start_below().get()) / 10_000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::whole_i64;

    #[test]
    fn every_zone_of_the_demonstration_has_a_wanted_gap() {
        assert_eq!(START_GAPS.len(), demo::zones().len());
        for (spec, gap) in demo::zones().iter().zip(START_GAPS) {
            let hysteresis = spec.stop_above().get() - spec.start_below().get();
            assert!(hysteresis >= 200, "{}: {hysteresis}", spec.id);
            assert!(whole_i64(gap * 10_000.0) < i64::from(hysteresis), "{}", spec.id);
        }
    }
}
