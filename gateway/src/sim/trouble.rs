//! What breaks on a farm, and what people do, by the hour and by chance. Everything that breaks is mended again.

use giot_board_host::field::HydraulicFault;
use giot_engine::program::Percent;
use giot_engine::{Input, Pause, ProgramWish};
use giot_shared::valve::CloseReason;
use giot_shared::wire::Flaw;

use super::pump::PumpTrouble;
use super::season::{Happening, Link, MINUTE_MS, START, World};

const HOUR_MS: u64 = 60 * MINUTE_MS;

/// What is wrong with a probe.
#[derive(Clone, Copy, Debug)]
pub(super) enum ProbeTrouble {
    /// Believable and false.
    Lies { by_permyriad: i32 },
    /// Always the same.
    Stuck { permyriad: i32 },
    /// No word.
    Dead,
    /// Readings without a value.
    NoNumber,
    /// Any number.
    Wild,
}

/// Something that breaks, and is mended later.
#[derive(Clone, Copy, Debug)]
pub(super) enum Trouble {
    Probe {
        node_idx: usize,
        probe: u8,
        trouble: ProbeTrouble,
    },
    Pipe {
        zone_idx: usize,
        fault: HydraulicFault,
    },
    Pump {
        node_idx: usize,
        trouble: PumpTrouble,
    },
    StationDown {
        station_idx: usize,
    },
    StationProbe {
        station_idx: usize,
        trouble: ProbeTrouble,
    },
    LinkDown {
        node_idx: usize,
    },
    LinkBad {
        node_idx: usize,
    },
    NodePower {
        node_idx: usize,
    },
    FarmPower,
    GatewayKill,
    GatewayStop,
    /// A long power cut at the gateway, which then goes on with the time of its last moment; nodes measure meanwhile.
    GatewayOutage,
    Clock {
        offset_ms: Option<i64>,
    },
    Lock {
        zone_idx: usize,
    },
}

impl Trouble {
    fn kind(self) -> &'static str {
        match self {
            Self::Probe { trouble: ProbeTrouble::Lies { .. }, .. } => "probe_lies",
            Self::Probe { trouble: ProbeTrouble::Stuck { .. }, .. } => "probe_stuck",
            Self::Probe { trouble: ProbeTrouble::Dead, .. } => "probe_dead",
            Self::Probe { trouble: ProbeTrouble::NoNumber, .. } => "probe_no_number",
            Self::Probe { trouble: ProbeTrouble::Wild, .. } => "probe_wild",
            Self::Pipe { fault: HydraulicFault::StuckOpen, .. } => "valve_stuck_open",
            Self::Pipe { fault: HydraulicFault::StuckClosed, .. } => "valve_stuck_closed",
            Self::Pipe { fault: HydraulicFault::Passes { percent: ..100 }, .. } => "line_clogged",
            Self::Pipe { .. } => "line_burst",
            Self::Pump { trouble, .. } => trouble.kind(),
            Self::LinkDown { .. } => "link_down",
            Self::StationDown { .. } => "station_down",
            Self::StationProbe { .. } => "station_probe",
            Self::LinkBad { .. } => "link_bad",
            Self::NodePower { .. } => "node_power_cut",
            Self::FarmPower => "farm_power_cut",
            Self::GatewayKill => "gateway_kill",
            Self::GatewayStop => "gateway_stop",
            Self::GatewayOutage => "gateway_outage",
            Self::Clock { offset_ms: None } => "clock_unset",
            Self::Clock { .. } => "clock_jump",
            Self::Lock { .. } => "lock",
        }
    }
}

impl World {
    /// Each hour something may break, and people may want something.
    pub(super) fn take_chances(&mut self) {
        self.plan(HOUR_MS, Happening::Chance);
        let n_nodes = u64::try_from(self.nodes.len()).unwrap_or(0);
        // In a thousand hours, each node has a dozen troubles of its own, and the farm a few.
        for _ in 0..n_nodes {
            if self.chance.permille(6) {
                let trouble = self.any_node_trouble();
                self.break_for_a_while(trouble);
            }
        }
        if self.chance.permille(12) {
            let trouble = self.any_farm_trouble();
            self.break_for_a_while(trouble);
        }
        for station_idx in 0..self.stations.len() {
            if self.chance.permille(12) {
                let trouble = self.any_station_trouble(station_idx);
                self.break_for_a_while(trouble);
            }
        }
        for node_idx in self.farm.pump_nodes() {
            if self.chance.permille(12) {
                let trouble = self.any_pump_trouble(node_idx);
                self.break_for_a_while(trouble);
            }
        }
        for _ in 0..n_nodes {
            if self.chance.permille(8) {
                self.any_wish();
            }
        }
    }

    fn break_for_a_while(&mut self, trouble: Trouble) {
        let in_ms = self.chance.below(HOUR_MS);
        let span_ms = match trouble {
            Trouble::Probe { .. } | Trouble::StationProbe { .. } | Trouble::Pipe { .. } => {
                self.chance.between(HOUR_MS, 96 * HOUR_MS)
            }
            Trouble::LinkDown { .. } | Trouble::StationDown { .. } | Trouble::Lock { .. } => {
                self.chance.between(MINUTE_MS, 72 * HOUR_MS)
            }
            Trouble::Pump { .. } => self.chance.between(MINUTE_MS, 12 * HOUR_MS),
            Trouble::LinkBad { .. } => self.chance.between(HOUR_MS, 24 * HOUR_MS),
            Trouble::NodePower { .. } | Trouble::FarmPower => self.chance.between(1000, 6 * HOUR_MS),
            Trouble::GatewayKill | Trouble::GatewayStop => self.chance.between(500, 20 * MINUTE_MS),
            Trouble::Clock { .. } | Trouble::GatewayOutage => self.chance.between(MINUTE_MS, 8 * HOUR_MS),
        };
        self.plan(in_ms, Happening::Begin(trouble));
        self.plan(in_ms + span_ms, Happening::End(trouble));
    }

    fn any_node_trouble(&mut self) -> Trouble {
        let zone_idx = self.chance.idx(self.farm.grounds.len());
        let (node_idx, first, n) = self
            .farm
            .grounds
            .get(zone_idx)
            .map_or((0, 0, 1), |ground| (ground.node_idx, ground.first_probe, ground.n_probes));
        let probe = first + u8::try_from(self.chance.below(n.into())).unwrap_or(0);
        let size = i32::try_from(self.chance.between(100, 900)).unwrap_or(100);
        let sign = if self.chance.permille(500) { 1 } else { -1 };
        let percent = u16::try_from(self.chance.between(20, 70)).unwrap_or(50);
        let of_probe = |trouble| Trouble::Probe { node_idx, probe, trouble };
        let of_pipe = |fault| Trouble::Pipe { zone_idx, fault };
        match self.chance.below(16) {
            0 => of_probe(ProbeTrouble::Lies { by_permyriad: size * sign }),
            1 => of_probe(ProbeTrouble::Stuck { permyriad: 1500 + size }),
            2 => of_probe(ProbeTrouble::Dead),
            3 => of_probe(ProbeTrouble::NoNumber),
            4 => of_probe(ProbeTrouble::Wild),
            5 => of_pipe(HydraulicFault::StuckOpen),
            6 => of_pipe(HydraulicFault::StuckClosed),
            7 => of_pipe(HydraulicFault::Passes { percent }),
            8 => of_pipe(HydraulicFault::Passes { percent: 100 + percent * 3 }),
            9 => Trouble::Lock { zone_idx },
            10 | 11 => Trouble::LinkBad { node_idx },
            12 | 13 => Trouble::NodePower { node_idx },
            _ => Trouble::LinkDown { node_idx },
        }
    }

    fn any_pump_trouble(&mut self, node_idx: usize) -> Trouble {
        match self.chance.below(9) {
            0 => Trouble::LinkDown { node_idx },
            1 | 2 => Trouble::LinkBad { node_idx },
            3 | 4 => Trouble::NodePower { node_idx },
            _ => {
                let all = PumpTrouble::ALL;
                let trouble = all.get(self.chance.idx(all.len())).copied().unwrap_or(PumpTrouble::Dry);
                Trouble::Pump { node_idx, trouble }
            }
        }
    }

    fn any_station_trouble(&mut self, station_idx: usize) -> Trouble {
        let trouble = match self.chance.below(6) {
            0 => ProbeTrouble::Stuck { permyriad: 1700 },
            1 => ProbeTrouble::NoNumber,
            2 => ProbeTrouble::Wild,
            _ => return Trouble::StationDown { station_idx },
        };
        Trouble::StationProbe { station_idx, trouble }
    }

    fn any_farm_trouble(&mut self) -> Trouble {
        let seconds = i64::try_from(self.chance.between(3, 3 * 86_400)).unwrap_or(3);
        let sign = if self.chance.permille(500) { 1 } else { -1 };
        match self.chance.below(10) {
            8 | 9 => Trouble::GatewayOutage,
            0 => Trouble::FarmPower,
            1..4 => Trouble::GatewayKill,
            4 => Trouble::GatewayStop,
            5 => Trouble::Clock { offset_ms: None },
            6 => Trouble::Clock { offset_ms: Some(sign * seconds * 1000) },
            _ => Trouble::Clock { offset_ms: Some(sign * (seconds % 120) * 1000) },
        }
    }

    pub(super) fn begin_trouble(&mut self, trouble: Trouble) {
        *self.report.faults.entry(trouble.kind()).or_default() += 1;
        self.checks.note(self.now_ms, || format!("begins: {trouble:?}"));
        match trouble {
            Trouble::Probe { node_idx, probe, trouble } => {
                self.probes.insert((node_idx, probe), trouble);
            }
            Trouble::Pipe { zone_idx, fault } => self.set_pipe(zone_idx, fault),
            Trouble::Pump { node_idx, trouble } => {
                self.pumps.troubles.insert(node_idx, trouble);
                self.turn_water(node_idx);
            }
            Trouble::StationDown { station_idx } => self.link_station(station_idx, false),
            Trouble::StationProbe { station_idx, trouble } => {
                self.station_troubles.insert(station_idx, trouble);
            }
            Trouble::LinkDown { node_idx } => {
                if let Some(node) = self.nodes.get_mut(node_idx) {
                    node.is_linked = false;
                }
                self.disconnect(node_idx);
            }
            Trouble::LinkBad { node_idx } => self.set_link(node_idx, Link::BAD),
            Trouble::NodePower { node_idx } => self.cut_power(node_idx),
            Trouble::FarmPower => {
                self.end_gateway(true);
                (0..self.nodes.len()).for_each(|node_idx| self.cut_power(node_idx));
            }
            Trouble::GatewayKill | Trouble::GatewayOutage => self.end_gateway(true),
            Trouble::GatewayStop => self.end_gateway(false),
            Trouble::Clock { offset_ms } => self.set_clock(offset_ms),
            Trouble::Lock { zone_idx } => self.lock(zone_idx, true),
        }
    }

    pub(super) fn end_trouble(&mut self, trouble: Trouble) {
        self.checks.note(self.now_ms, || format!("ends: {trouble:?}"));
        match trouble {
            Trouble::Probe { node_idx, probe, .. } => {
                self.probes.remove(&(node_idx, probe));
            }
            Trouble::Pipe { zone_idx, .. } => self.set_pipe(zone_idx, HydraulicFault::None),
            Trouble::Pump { node_idx, .. } => {
                self.pumps.troubles.remove(&node_idx);
                self.turn_water(node_idx);
            }
            Trouble::StationDown { station_idx } => self.link_station(station_idx, true),
            Trouble::StationProbe { station_idx, .. } => {
                self.station_troubles.remove(&station_idx);
            }
            Trouble::LinkDown { node_idx } => {
                if let Some(node) = self.nodes.get_mut(node_idx) {
                    node.is_linked = true;
                }
                self.connect_soon(node_idx);
            }
            Trouble::LinkBad { node_idx } => self.set_link(node_idx, Link::GOOD),
            Trouble::NodePower { node_idx } => self.restore_power(node_idx),
            Trouble::FarmPower => {
                (0..self.nodes.len()).for_each(|node_idx| self.restore_power(node_idx));
                self.start_gateway();
            }
            Trouble::GatewayKill | Trouble::GatewayStop => self.start_gateway(),
            Trouble::GatewayOutage => self.start_gateway_behind(),
            Trouble::Clock { .. } => self.set_clock(Some(0)),
            Trouble::Lock { zone_idx } => self.lock(zone_idx, false),
        }
    }

    fn set_link(&mut self, node_idx: usize, to: Link) {
        if let Some(link) = self.links.get_mut(node_idx) {
            *link = to;
        }
    }

    fn link_station(&mut self, station_idx: usize, is_linked: bool) {
        if let Some(station) = self.stations.get_mut(station_idx) {
            station.is_linked = is_linked;
        }
    }

    /// Without a clock chip the clock goes on where it stood, until somebody tells the time.
    fn start_gateway_behind(&mut self) {
        let down_ms = self.now_ms.saturating_sub(self.gateway.down_since_ms);
        if !self.is_gateway_up() && self.gateway.offset_ms == Some(0) {
            self.gateway.offset_ms = i64::try_from(down_ms).ok().map(|down_ms| -down_ms);
            let in_ms = self.chance.between(MINUTE_MS, HOUR_MS);
            self.plan(in_ms, Happening::End(Trouble::Clock { offset_ms: Some(0) }));
        }
        self.start_gateway();
    }

    fn set_clock(&mut self, offset_ms: Option<i64>) {
        self.gateway.offset_ms = offset_ms;
        self.gateway.look_at_clock();
        self.feed(Input::Timeout);
    }

    fn cut_power(&mut self, node_idx: usize) {
        let is_open = self.nodes.get(node_idx).is_some_and(|node| node.runs.iter().any(Option::is_some));
        if is_open {
            self.foresaw_not(node_idx, None);
        }
        self.disconnect(node_idx);
        let now_ms = self.now_ms;
        let Some(node) = self.nodes.get_mut(node_idx).filter(|node| node.is_powered) else { return };
        node.power_off();
        self.turn_water(node_idx);
        for zone_idx in self.farm.zones_of(node_idx) {
            self.field.set_valve(zone_idx, false, now_ms);
        }
    }

    fn restore_power(&mut self, node_idx: usize) {
        let now_ms = self.now_ms;
        if let Some(node) = self.nodes.get_mut(node_idx).filter(|node| !node.is_powered) {
            node.boot(now_ms);
            for zone_idx in self.farm.zones_of(node_idx) {
                self.field.advance(zone_idx, now_ms);
                self.meters.zero(zone_idx, self.field.metered_ml(zone_idx));
            }
            self.connect_soon(node_idx);
        }
    }

    fn lock(&mut self, zone_idx: usize, is_locked: bool) {
        let Some(zone) = self.farm.zone_ids.get(zone_idx).cloned() else { return };
        if !self.is_gateway_up() {
            return;
        }
        if let Some(known) = self.gateway.known.get_mut(zone_idx) {
            known.is_locked = is_locked;
        }
        let by = "Lan";
        let wish = if is_locked {
            Input::Lock { zone: &zone, by, note: "sửa ống" }
        } else {
            Input::Unlock { zone: &zone, by }
        };
        self.feed(wish);
    }

    /// Somebody wants something.
    fn any_wish(&mut self) {
        let zone_idx = self.chance.idx(self.farm.zone_ids.len());
        let Some(zone) = self.farm.zone_ids.get(zone_idx).cloned() else { return };
        let run_s = u32::try_from(self.chance.between(60, 7200)).unwrap_or(60);
        let by = "Minh";
        self.checks.note(self.now_ms, || format!("somebody comes to {zone}"));
        match self.chance.below(12) {
            0..2 => self.feed(Input::ManualStart { zone: &zone, run_s, by }),
            2 => self.feed(Input::ManualStop { zone: &zone, by }),
            3..6 => {
                if self.forget_fault(zone_idx) {
                    self.feed(Input::ClearFault { zone: &zone, by });
                }
            }
            6 => self.push_button(zone_idx, run_s.min(1800)),
            7 if self.chance.permille(100) => self.feed(Input::StopAll { by }),
            8 if self.chance.permille(200) => self.pause(by),
            9 => self.look_after_a_pump(by),
            _ => self.program_wish(by),
        }
    }

    fn look_after_a_pump(&mut self, by: &str) {
        let pumps = self.farm.pump_nodes();
        let nth = self.chance.idx(pumps.len());
        if let Some(source) = self.farm.pump_source(pumps.start + nth).cloned() {
            self.clear_source(&source, by);
        }
    }

    fn push_button(&mut self, zone_idx: usize, run_s: u32) {
        let Some((node_idx, line_idx)) = self.farm.grounds.get(zone_idx).map(|g| (g.node_idx, g.line_idx))
        else {
            return;
        };
        let Some(node) = self.nodes.get(node_idx).filter(|node| node.is_powered) else { return };
        let is_open = node.runs.get(line_idx).is_some_and(Option::is_some);
        self.field.advance(zone_idx, self.now_ms);
        let meter_ml = self.field.metered_ml(zone_idx);
        if is_open {
            self.close(node_idx, line_idx, CloseReason::LocalButton);
            self.foresaw_not_last(node_idx);
        } else {
            self.open(node_idx, line_idx, None, (run_s, None), meter_ml);
        }
        self.send_records(node_idx);
    }

    fn pause(&mut self, by: &str) {
        // Of the farm, or of one zone.
        let kind = [Pause::Rain, Pause::Farm, Pause::Water].get(self.chance.idx(4)).copied();
        let span_ms_max = if kind == Some(Pause::Water) { 3 } else { 48 } * HOUR_MS;
        let until = Some(START.plus_ms(self.now_ms + self.chance.between(HOUR_MS, span_ms_max)));
        let zone = self.farm.zone_ids.get(self.chance.idx(self.farm.zone_ids.len())).cloned();
        match (kind, zone) {
            (Some(kind), _) => self.feed(Input::Pause { kind, until, by }),
            (None, Some(zone)) => self.feed(Input::SuspendZone { zone: &zone, until, by }),
            (None, None) => {}
        }
    }

    fn program_wish(&mut self, by: &str) {
        let ids: Vec<_> = self.farm.plan.programs.keys().cloned().collect();
        let Some(program) = ids.get(self.chance.idx(ids.len())) else { return };
        let percent = u16::try_from(self.chance.between(20, 150)).unwrap_or(100);
        let wish = match self.chance.below(8) {
            0..3 => ProgramWish::Start,
            3 => ProgramWish::Stop,
            4 => ProgramWish::SkipNext(1),
            5 => ProgramWish::Enable(self.chance.permille(800)),
            _ => ProgramWish::Adjust(Percent::new(percent).unwrap_or(Percent::FULL)),
        };
        if wish == ProgramWish::Start {
            self.gateway.by_hand_ms.insert(program.clone(), self.now_ms);
        }
        self.feed(Input::Program { program, wish, by });
    }

    /// The end of all troubles.
    pub(super) fn mend_everything(&mut self) {
        self.gateway.offset_ms = Some(0);
        self.start_gateway();
        (0..self.stations.len()).for_each(|station_idx| self.link_station(station_idx, true));
        for node_idx in 0..self.nodes.len() {
            self.set_link(node_idx, Link::GOOD);
            if let Some(node) = self.nodes.get_mut(node_idx) {
                node.is_linked = true;
            }
            self.restore_power(node_idx);
            self.connect_soon(node_idx);
        }
        self.pumps.troubles.clear();
        self.forget_troubles();
    }
}

/// What a probe says of a water content; `None`: nothing at all.
pub(super) fn seen(
    theta: f64,
    trouble: Option<ProbeTrouble>,
    chance: u64,
) -> Option<(Option<i32>, Option<Flaw>)> {
    let permyriad = |theta: f64| {
        let percent = (theta * 100.0).clamp(0.0, 100.0);
        giot_shared::units::MoisturePermyriad::from_percent(percent).map(|moisture| i32::from(moisture.get()))
    };
    match trouble {
        None => Some((permyriad(theta), None)),
        Some(ProbeTrouble::Lies { by_permyriad }) => {
            Some((permyriad(theta + f64::from(by_permyriad) / 10_000.0), None))
        }
        Some(ProbeTrouble::Stuck { permyriad }) => Some((Some(permyriad), None)),
        Some(ProbeTrouble::Dead) => None,
        Some(ProbeTrouble::NoNumber) => Some((None, Some(Flaw::NoAnswer))),
        Some(ProbeTrouble::Wild) => Some((i32::try_from(chance * 2).ok(), None)),
    }
}
