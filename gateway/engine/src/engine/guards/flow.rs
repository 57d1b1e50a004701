//! Water at work: what valves and meters say of flow, and what a finding of theirs leads to, a fault of a source included.

use std::collections::BTreeSet;

use giot_shared::time::MonoMs;
use giot_shared::units::{LitresPerHour, Millilitres};

use super::super::Engine;
use super::{Diagnosis, RECLOSES_MAX, Suspect, WaterKind, whole};
use crate::Now;
use crate::diary::{By, Event};
use crate::guard::{Expected, Finding, Watch, Water};
use crate::ids::{ProbeRef, SourceId};
use crate::input::RunSet;
use crate::plan::{GuardAction, MeterKind};
use crate::reason::Reason;
use crate::zone::{Phase, ValveWord, ad_hoc, millilitres};

impl Engine {
    /// What the valves say about a zone's water.
    fn water_of(&self, zone_idx: usize) -> Water {
        let Some(zone) = self.zones.get(zone_idx) else { return Water::Changes };
        match &zone.phase {
            Phase::Closed => {
                let told_late = self.guards.zones.get(zone_idx).and_then(|zone| zone.told_late);
                Water::Rests { since: told_late.unwrap_or(zone.since).max(zone.since) }
            }
            Phase::Open(_) => match self.pumps.water_since(zone_idx) {
                Ok(since) => {
                    let expected = self.guards.expected(zone_idx);
                    Water::Flows { since: since.unwrap_or(zone.since).max(zone.since), expected }
                }
                Err(()) => Water::Changes,
            },
            Phase::Opening(_) | Phase::Closing(_) | Phase::Local(_) => Water::Changes,
        }
    }

    /// What the valves say about a source's water: all rest, or some flow and none is between.
    fn water_of_source(&self, source_idx: usize) -> Water {
        let Some(source) = self.guards.sources.get(source_idx) else { return Water::Changes };
        let mut rests_since = self.guards.started_at;
        let mut flows: Option<(MonoMs, Option<Expected>)> = None;
        for zone_idx in &source.zones {
            match self.water_of(*zone_idx) {
                Water::Changes => return Water::Changes,
                Water::Rests { since } => rests_since = rests_since.max(since),
                Water::Flows { since, expected } => {
                    let (before, sum) = flows.unwrap_or((since, Some(Expected::stated(0))));
                    let sum = sum.zip(expected).map(|(sum, expected)| sum.plus(expected));
                    flows = Some((before.max(since), sum));
                }
            }
        }
        if flows.is_none() {
            // A main that a pump or a master valve fills, or has filled, is at rest once these are off.
            let outputs = self.pumps.above_any(&source.zones);
            for pump in outputs.into_iter().filter_map(|idx| self.pumps.all().get(idx)) {
                if !pump.is_off() {
                    return Water::Changes;
                }
                rests_since = rests_since.max(pump.off_since());
            }
        }
        match flows {
            // A valve that just closed beside others changes the flow too.
            Some((since, expected)) => Water::Flows { since: since.max(rests_since), expected },
            None => Water::Rests { since: rests_since },
        }
    }

    /// A valve moved while its node was out of reach, at somebody's button: that water is no leak, though the valve rests since
    /// long before as far as anybody knew.
    pub(in crate::engine) fn heard_late(&mut self, now: Now, zone_idx: usize) {
        if let Some(zone) = self.guards.zones.get_mut(zone_idx) {
            zone.told_late = Some(now.mono);
            zone.watch.forget_leak();
        }
        self.guards.dirty.insert(zone_idx);
    }

    /// Notices where water began to flow or to rest.
    pub(super) fn note_waters(&mut self) {
        if self.guards.dirty.is_empty() {
            return;
        }
        let dirty = std::mem::take(&mut self.guards.dirty);
        let mut sources = BTreeSet::new();
        for zone_idx in dirty {
            let water = self.water_of(zone_idx);
            let kind = kind_of(water);
            let phase = self.zones.get(zone_idx).map(|zone| &zone.phase);
            let is_opening = matches!(phase, Some(Phase::Opening(_) | Phase::Local(_)));
            let Some(zone) = self.guards.zones.get_mut(zone_idx) else { continue };
            sources.extend(zone.sources.iter().copied());
            let before = std::mem::replace(&mut zone.kind, kind);
            if before == kind {
                continue;
            }
            let learned = zone.watch.turn();
            match (before, kind) {
                (WaterKind::Flows, _) => {
                    if let Some(flow) = learned {
                        self.guards.is_memory_changed |=
                            zone.signature.learn(flow, zone.nominal, &zone.guards.flow);
                    }
                }
                (_, WaterKind::Flows) => {
                    if let (Water::Flows { since, .. }, Some(meter)) = (water, &zone.guards.meter) {
                        self.guards.silence.expect(&meter.gauge, since);
                    }
                    zone.n_recloses = 0;
                    zone.watch.begin_run();
                }
                (WaterKind::Rests, WaterKind::Changes) if is_opening => zone.watch.begin_run(),
                (WaterKind::Changes | WaterKind::Rests, WaterKind::Changes | WaterKind::Rests) => {}
            }
        }
        for source_idx in sources {
            let water = self.water_of_source(source_idx);
            let Some(source) = self.guards.sources.get_mut(source_idx) else { continue };
            // Each change of what flows together makes another sum to expect.
            let before = std::mem::replace(&mut source.water, water);
            if before != water {
                let flow = source.watch.turn();
                source.note_run(before, flow);
            }
            if let Water::Flows { since, .. } = water {
                let meter = source.guards.meter.as_ref().map(|meter| &meter.gauge);
                for gauge in meter.into_iter().chain(source.guards.pressure.as_ref().map(|own| &own.gauge)) {
                    self.guards.silence.expect(gauge, since);
                }
            }
        }
    }

    pub(super) fn zone_meter(&mut self, now: Now, zone_idx: usize, at: MonoMs, milli: i64) {
        self.note_waters();
        let water = self.water_of(zone_idx);
        let opened = self.zones.get(zone_idx).filter(|zone| matches!(zone.phase, Phase::Open(_)));
        let open_since = opened.map(|zone| zone.since);
        let Some(zone) = self.guards.zones.get_mut(zone_idx) else { return };
        let Some(meter) = &zone.guards.meter else { return };
        // A pump that pauses meanwhile begins no other run, and what flows before it is known to be on counts too.
        if open_since.is_some() && zone.run_since != open_since {
            (zone.run_ml, zone.run_since, zone.run_read_at) = (0, open_since, None);
        }
        let Some((from, flow)) = flow_of(&mut zone.watch, meter.kind, at, milli) else { return };
        if let Some(since) = open_since {
            zone.run_read_at = Some(at);
            // A flow of the moment holds since the one before.
            let before = zone.watch.last.map_or(since, |(before_at, _)| before_at);
            let from = if meter.kind == MeterKind::Flow { before.max(since).min(at) } else { from };
            let ml = LitresPerHour(flow).volume_in_ms(at.since_ms(from)).0;
            zone.run_ml = zone.run_ml.saturating_add(u64::from(ml));
        }
        let run_ml = zone.run_ml;
        let finding = zone.watch.flow(from, at, flow, water, &zone.guards.flow);
        if let Some(finding) = finding {
            self.found_at_zone(now, zone_idx, finding);
        }
        let mut is_changed = false;
        self.with(now, Some(zone_idx).filter(|_| open_since.is_some()), &mut Vec::new(), |zone, turn| {
            is_changed = zone.measured(turn, run_ml);
        });
        if is_changed {
            self.settle(zone_idx, now);
        }
    }

    /// What a node tells of its valve's closing, with the volume that the zone's own meter has shown: where that is another
    /// device's, one at the valve's node counts other water. Its readings end before the run does; their mean holds on to its
    /// end, and where they do not reach over half of it nobody knows.
    pub(in crate::engine) fn by_stated_meter(&mut self, zone_idx: usize, mut word: ValveWord) -> ValveWord {
        let is_own = self.zones.get(zone_idx).is_none_or(|zone| zone.plan.is_metered_by_its_node());
        let Some(watched) = self.guards.zones.get_mut(zone_idx) else { return word };
        if is_own || watched.guards.meter.is_none() {
            return word;
        }
        let shown = watched.run_since.take().zip(watched.run_read_at.take());
        let shown_ms = shown.map_or(0, |(since, read_at)| read_at.since_ms(since));
        let run_ms =
            word.measured.run_ms.filter(|run_ms| word.is_live && shown_ms > 0 && *run_ms <= 2 * shown_ms);
        word.measured.volume = run_ms.and_then(|run_ms| {
            let ml =
                u128::from(watched.run_ml) * u128::from(run_ms.max(shown_ms)) / u128::from(shown_ms.max(1));
            millilitres(u64::try_from(ml).unwrap_or(u64::MAX))
        });
        word
    }

    /// What the meter of the valve's own node measured of a whole run; and whether too little of it is no fault, because nothing switched its pump on.
    pub(in crate::engine) fn whole_run(
        &mut self,
        now: Now,
        zone_idx: usize,
        run_ms: u64,
        (volume, may_be_dry): (Option<Millilitres>, bool),
    ) {
        let expected = self.guards.expected(zone_idx);
        let Some(zone) = self.guards.zones.get_mut(zone_idx) else { return };
        let is_own = self.zones.get(zone_idx).is_some_and(|zone| zone.plan.is_metered_by_its_node());
        let (Some(volume), true) = (volume, is_own) else { return };
        let limits = zone.guards.flow;
        if let Some(ProbeRef { device, metric }) = zone.guards.meter.as_ref().map(|meter| meter.gauge.clone())
        {
            self.hear_gauge(now, &device, &metric, now.mono.into());
        }
        let Some(zone) = self.guards.zones.get_mut(zone_idx) else { return };
        let Some(finding) = zone.watch.whole_run(run_ms, u64::from(volume.0), expected, &limits) else {
            return;
        };
        if let Finding::Confirmed { flow } = finding {
            // A run without a reading in between still teaches its mean.
            if !zone.watch.has_samples() {
                self.guards.is_memory_changed |= zone.signature.learn(flow, zone.nominal, &limits);
            }
            return;
        }
        let is_dry = matches!(finding, Finding::None { .. } | Finding::Low { .. });
        if !(is_dry && may_be_dry || zone.watch.is_told(finding)) {
            self.found_at_zone(now, zone_idx, finding);
        }
    }

    fn found_at_zone(&mut self, now: Now, zone_idx: usize, finding: Finding) {
        let Some(watched) = self.guards.zones.get_mut(zone_idx) else { return };
        let limits = watched.guards.flow;
        let source = watched.sources.first().copied();
        let l_h = LitresPerHour;
        let (reason, action) = match finding {
            Finding::Confirmed { flow } => {
                let reason = Reason::FlowConfirmed { flow_l_per_h: l_h(flow) };
                return self.with(now, Some(zone_idx), &mut Vec::new(), |zone, turn| {
                    zone.confirm_flow(turn, reason);
                });
            }
            Finding::High { flow, expected } => {
                let reason = Reason::HighFlow { flow_l_per_h: l_h(flow), expected_l_per_h: l_h(expected) };
                (reason, limits.high)
            }
            Finding::Low { flow, expected } => {
                let reason = Reason::LowFlow { flow_l_per_h: l_h(flow), expected_l_per_h: l_h(expected) };
                (reason, limits.low)
            }
            Finding::None { flow, expected } => {
                let expected_l_per_h = l_h(expected.unwrap_or_default());
                (Reason::NoFlow { flow_l_per_h: l_h(flow), expected_l_per_h }, limits.none)
            }
            Finding::Leak { flow } if watched.n_recloses < RECLOSES_MAX => {
                watched.n_recloses += 1;
                watched.watch.forget_leak();
                let reason = Reason::LeakAfterClose { flow_l_per_h: l_h(flow), attempts: watched.n_recloses };
                self.with(now, Some(zone_idx), &mut Vec::new(), |zone, turn| zone.close_again(turn, reason));
                return self.settle(zone_idx, now);
            }
            Finding::Leak { flow } => (Reason::ValveStuckOpen { flow_l_per_h: l_h(flow) }, limits.leak),
        };
        let is_fatal = matches!(finding, Finding::High { .. } | Finding::Leak { .. });
        self.with(now, Some(zone_idx), &mut Vec::new(), |zone, turn| match action {
            GuardAction::Alert => zone.alert(turn, reason.clone()),
            GuardAction::StopZone | GuardAction::StopSource => zone.trouble(turn, reason.clone(), is_fatal),
        });
        if let (GuardAction::StopSource, Some(source_idx)) = (action, source) {
            self.shut_source(now, source_idx, reason);
        }
        self.settle(zone_idx, now);
    }

    pub(super) fn source_meter(&mut self, now: Now, source_idx: usize, at: MonoMs, milli: i64) {
        self.note_waters();
        let water = self.water_of_source(source_idx);
        let Some(watched) = self.guards.sources.get_mut(source_idx) else { return };
        let Some(meter) = &watched.guards.meter else { return };
        let Some((from, flow)) = flow_of(&mut watched.watch, meter.kind, at, milli) else { return };
        let limits = watched.guards.flow;
        if watched.is_at_rest(from, flow, water) {
            watched.n_recloses = 0;
            self.guards.is_gate_changed |= watched.check_until.take().is_some();
        }
        let Some(finding) = watched.watch.flow(from, at, flow, water, &limits) else { return };
        let source = watched.id.clone();
        let l_h = LitresPerHour;
        let (reason, action) = match finding {
            Finding::Confirmed { .. } => return,
            Finding::High { flow, expected } => {
                let (flow_l_per_h, expected_l_per_h) = (l_h(flow), l_h(expected));
                let reason = Reason::HighFlow { flow_l_per_h, expected_l_per_h };
                let too_much =
                    Reason::SourceHighFlow { source: source.clone(), flow_l_per_h, expected_l_per_h };
                if limits.high != GuardAction::Alert && self.blame(now, source_idx, reason, &too_much) {
                    return;
                }
                (Reason::SourceHighFlow { source, flow_l_per_h, expected_l_per_h }, limits.high)
            }
            Finding::Low { flow, expected } => {
                let (flow_l_per_h, expected_l_per_h) = (l_h(flow), l_h(expected));
                (Reason::SourceLowFlow { source, flow_l_per_h, expected_l_per_h }, limits.low)
            }
            Finding::None { flow, expected } => {
                let (flow_l_per_h, expected_l_per_h) = (l_h(flow), l_h(expected.unwrap_or_default()));
                (Reason::SourceNoFlow { source, flow_l_per_h, expected_l_per_h }, limits.none)
            }
            Finding::Leak { flow } if watched.closes_again() => {
                return self.close_source_again(now, source_idx, flow);
            }
            Finding::Leak { flow } => {
                (Reason::UnscheduledFlow { source, flow_l_per_h: l_h(flow) }, limits.leak)
            }
        };
        match action {
            GuardAction::Alert => self.tell(now, None, Event::Fault, By::Engine, reason),
            GuardAction::StopZone | GuardAction::StopSource => self.shut_source(now, source_idx, reason),
        }
    }

    /// A source gives water with every valve closed: perhaps one of them only said so. Nobody can tell which; all are closed once
    /// more, those behind lower sources too, and so are pumps and master valves that are off.
    fn close_source_again(&mut self, now: Now, source_idx: usize, flow: u32) {
        let Some(watched) = self.guards.sources.get_mut(source_idx) else { return };
        watched.n_recloses += 1;
        watched.watch.forget_leak();
        let (zones, source) = (watched.zones.clone(), watched.id.clone());
        let flow_l_per_h = LitresPerHour(flow);
        let reason = Reason::SourceClosedAgain { source, flow_l_per_h, attempts: watched.n_recloses };
        self.tell(now, None, Event::Fault, By::Engine, reason.clone());
        for pump_idx in self.pumps.above_any(&zones) {
            let reason = reason.clone();
            self.with_pump(now, pump_idx, |pump, turn| pump.repeat_close(turn, reason));
        }
        let mut touched = Vec::new();
        for zone_idx in zones {
            let reason = reason.clone();
            self.with(now, Some(zone_idx), &mut touched, |zone, turn| zone.repeat_close(turn, reason));
        }
        self.settle_all(&mut touched, now);
    }

    /// A source gives too much. One zone that draws alone is to blame for it; of several, each is tested alone. False: neither
    /// can be done.
    fn blame(&mut self, now: Now, source_idx: usize, reason: Reason, too_much: &Reason) -> bool {
        let Some(watched) = self.guards.sources.get(source_idx) else { return false };
        let is_flowing = |idx: &&usize| matches!(self.water_of(**idx), Water::Flows { .. });
        let flowing: Vec<usize> = watched.zones.iter().filter(is_flowing).copied().collect();
        let lately = MonoMs(now.mono.0.saturating_sub(u64::from(watched.guards.flow.high_delay_s) * 1000));
        if !flowing.is_empty() && flowing.iter().all(|idx| self.is_in_order(*idx, lately)) {
            return false;
        }
        if let [zone_idx] = flowing.as_slice() {
            return self.blame_zone(now, source_idx, *zone_idx, reason);
        }
        if watched.diagnosis.is_some() {
            return false;
        }
        let limits = watched.guards.flow;
        let fill_s = self.pumps.fill_s(flowing.first().copied());
        let run_s =
            limits.ignore_s.saturating_add(fill_s).saturating_add(limits.high_delay_s).saturating_add(60);
        let (source, n_zones) = (watched.id.clone(), u32::try_from(flowing.len()).unwrap_or(u32::MAX));
        let Some(watched) = self.guards.sources.get_mut(source_idx) else { return false };
        watched.diagnosis =
            Some(Diagnosis { zones: flowing.clone(), reason: too_much.clone(), has_found: false });
        self.guards.is_gate_changed = true;
        // What waits for a person's sake would else open in the place of what is stopped, beside the first test.
        let mut touched = self.set_gates(now);
        for zone_idx in &flowing {
            let reason = too_much.clone();
            self.with(now, Some(*zone_idx), &mut touched, |zone, turn| zone.stop_for(turn, reason));
        }
        let reason = Reason::DiagnosisStarted { source, n_zones };
        if !self.diagnose(now, reason, &flowing, run_s)
            && let Some(watched) = self.guards.sources.get_mut(source_idx)
        {
            watched.diagnosis = None;
            self.guards.is_gate_changed = true;
            return false;
        }
        self.settle_all(&mut touched, now);
        true
    }

    /// One zone draws alone while its source gives too much. Unless its own meter shows that, the main may have burst as well: then
    /// the flow does not end with the zone, or the next zone has it too. False: it is the source.
    fn blame_zone(&mut self, now: Now, source_idx: usize, zone_idx: usize, reason: Reason) -> bool {
        let is_certain = self.excess(zone_idx, MonoMs(0)) == Some(true);
        let Some(id) = self.guards.zones.get(zone_idx).map(|zone| zone.id.clone()) else { return false };
        let Some(source) = self.guards.sources.get_mut(source_idx) else { return false };
        if !is_certain && source.suspects_other(&id, now.mono) {
            return false;
        }
        if !is_certain {
            source.suspect = Some(Suspect { zone: id, at: now.mono });
        }
        match &mut source.diagnosis {
            // The tests that follow show it.
            Some(diagnosis) => diagnosis.has_found = true,
            None if is_certain => {}
            None => source.check_until = Some(now.mono.plus_ms(source.check_ms())),
        }
        self.guards.is_gate_changed = true;
        let mut touched = self.set_gates(now);
        self.with(now, Some(zone_idx), &mut touched, |zone, turn| zone.trouble(turn, reason, true));
        self.settle_all(&mut touched, now);
        true
    }

    /// Whether a zone's own meter shows more than it should take, in the run under way; `None`: it was not read since `lately`.
    fn excess(&self, zone_idx: usize, lately: MonoMs) -> Option<bool> {
        let Water::Flows { since, .. } = self.water_of(zone_idx) else { return None };
        let zone = self.guards.zones.get(zone_idx).filter(|zone| zone.guards.meter.is_some())?;
        let (_, flow) = zone.watch.last.filter(|(at, _)| *at >= since.max(lately))?;
        let expected = self.guards.expected(zone_idx)?;
        Some(u64::from(flow) > u64::from(expected.full) * u64::from(zone.guards.flow.high_percent) / 100)
    }

    /// Whether a zone's own meter shows that the zone takes no more than it should, while its source gives too much.
    fn is_in_order(&self, zone_idx: usize, lately: MonoMs) -> bool {
        self.excess(zone_idx, lately) == Some(false)
    }

    /// A pause of water ends what is tested, without a finding: what gives too much will do so again afterwards.
    pub(in crate::engine) fn end_tests(&mut self) {
        for source in &mut self.guards.sources {
            source.diagnosis = None;
        }
        for zone in &mut self.zones {
            zone.drop_errands(Some(&ad_hoc(RunSet::Test)));
        }
    }

    /// A diagnosis is over when every zone was tested; one that found no zone blames the pipes before them.
    pub(super) fn end_diagnoses(&mut self, now: Now) {
        for source_idx in 0..self.guards.sources.len() {
            let Some(source) = self.guards.sources.get_mut(source_idx) else { continue };
            let Some(diagnosis) = &source.diagnosis else { continue };
            let is_tested = |idx: &usize| self.zones.get(*idx).is_some_and(crate::zone::Zone::is_tested);
            if diagnosis.zones.iter().any(is_tested) {
                continue;
            }
            let Some(diagnosis) = source.diagnosis.take() else { continue };
            self.guards.is_gate_changed = true;
            if !diagnosis.has_found {
                self.shut_source(now, source_idx, diagnosis.reason);
            }
        }
    }

    pub(super) fn pressure(&mut self, now: Now, source_idx: usize, at: MonoMs, milli: i64) {
        let since = match self.water_of_source(source_idx) {
            Water::Flows { since, .. } => Some(since),
            Water::Changes | Water::Rests { .. } => None,
        };
        let Some(watched) = self.guards.sources.get_mut(source_idx) else { return };
        let Some(guard) = &watched.guards.pressure else { return };
        let (is_low, is_high) = watched.pressure.read(guard, since, at, milli);
        let source = watched.id.clone();
        let pressure_kpa = whole(milli);
        let reason = if is_low {
            Reason::PressureLow { source, pressure_kpa, min_kpa: whole(guard.min_milli.unwrap_or_default()) }
        } else if is_high {
            Reason::PressureHigh { source, pressure_kpa, max_kpa: whole(guard.max_milli.unwrap_or_default()) }
        } else {
            return;
        };
        self.shut_source(now, source_idx, reason);
    }

    /// Latches a fault of a source: what it feeds ends, its pump or master valve goes off, nothing starts before a person
    /// clears it.
    fn shut_source(&mut self, now: Now, source_idx: usize, reason: Reason) {
        let Some(watched) = self.guards.sources.get_mut(source_idx) else { return };
        if watched.fault.is_some() {
            return;
        }
        watched.fault = Some(reason.clone());
        self.guards.is_memory_changed = true;
        self.guards.is_gate_changed = true;
        self.tell(now, None, Event::Fault, By::Engine, reason);
        // At once: whatever is settled next must not open into it.
        let mut touched = self.set_gates(now);
        self.settle_all(&mut touched, now);
    }

    pub(in crate::engine) fn has_source(&self, source: &SourceId) -> bool {
        self.guards.by_source.contains_key(source)
    }

    /// A person clears what the guards of a source found; whether there was anything.
    pub(in crate::engine) fn clear_source_guards(&mut self, source: &SourceId) -> bool {
        let Some(idx) = self.guards.by_source.get(source) else { return false };
        let Some(watched) = self.guards.sources.get_mut(*idx) else { return false };
        let is_changed = watched.fault.take().is_some();
        (watched.n_recloses, watched.suspect) = (0, None);
        self.guards.is_gate_changed |= watched.check_until.take().is_some();
        watched.watch.turn();
        self.guards.is_memory_changed |= is_changed;
        self.guards.is_gate_changed |= is_changed;
        is_changed
    }
}

fn kind_of(water: Water) -> WaterKind {
    match water {
        Water::Changes => WaterKind::Changes,
        Water::Rests { .. } => WaterKind::Rests,
        Water::Flows { .. } => WaterKind::Flows,
    }
}

/// The flow that a reading tells, and from when on it held; a negative one is none.
fn flow_of(watch: &mut Watch, kind: MeterKind, at: MonoMs, milli: i64) -> Option<(MonoMs, u32)> {
    match kind {
        MeterKind::Flow => Some((at, u32::try_from(milli / 1000).ok()?)),
        MeterKind::Volume => watch.volume(at, milli / 1000),
    }
}
