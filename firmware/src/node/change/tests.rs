//! Settings are taken, tried, kept or given up, and never while water flows.

use super::*;
use crate::board::Vitals;
use crate::node::{Boot, Node};
use crate::outbox::Level;
use crate::probe::{ProbeFault, Sample};
use crate::settings::{Kept, NodeConfig, ValvePlan};
use giot_shared::ids::{NodeId, Position, ValveId};
use giot_shared::time::UnixMs;
use giot_shared::wire::{
    Downlink, NodeKey, Open, Order, PAYLOAD_LEN_MAX, ResetCause, SettingsText, Welcome, seal,
};
use std::vec::Vec;

const UNIX: UnixMs = UnixMs(1_800_000_000_000);
const OURS: CommandId = CommandId(1 << 63);

fn id() -> NodeId {
    "v01".parse().expect("an id")
}

/// A node whose flash answers what it is told to.
struct Rig {
    node: Node,
    now: UptimeMs,
    counter: u64,
    flash: Option<RefusalReason>,
    settles: bool,
    done: Vec<Action>,
}

impl Rig {
    fn new(standing: Standing) -> Self {
        let mut config = NodeConfig::new(id(), NodeKey([7; 32]));
        config.valves.push(ValvePlan::new(ValveId(0))).expect("room");
        let boot = Boot {
            epoch: 4,
            reset: ResetCause::Software,
            kept: Kept::default(),
            released: Position::default(),
            nonce_seed: 1,
            standing,
            ended: Default::default(),
            unmet: Default::default(),
        };
        let mut node = Node::new(config, boot, UptimeMs(0));
        let last = Position { epoch: 4, seq: 0 };
        node.handle_outbox(Level { waiting: 0, events_room: 100, last, lost: 0 });
        let mut rig =
            Self { node, now: UptimeMs(0), counter: 0, flash: None, settles: true, done: Vec::new() };
        rig.drain();
        rig
    }

    fn able() -> Self {
        Self::new(Standing { can_change: true, ..Standing::default() })
    }

    /// Connects and is greeted, so that uptime 0 is [`UNIX`].
    fn greeted(mut self) -> Self {
        self.node.handle_connected(self.now);
        self.drain();
        let hello = self
            .done
            .iter()
            .rev()
            .find_map(|action| if let Action::Hello(hello) = action { Some(hello.nonce) } else { None });
        let unix = Some(UNIX.plus_ms(self.now.0));
        let welcome = Welcome { nonce: hello.expect("a Hello"), unix, stored: Position::default() };
        self.down(&Downlink::Welcome(welcome));
        self
    }

    fn drain(&mut self) {
        while let Some(action) = self.node.poll_action(self.now) {
            match &action {
                Action::Keep(..) => self.node.handle_kept(self.now, true),
                Action::Persist(_) => self.node.handle_persisted(self.now, true),
                Action::Change(settings) => self.node.handle_changed(self.now, settings.command, self.flash),
                Action::Settle(event) => self.node.handle_settled(self.now, *event, self.settles),
                Action::ReadVitals => self.node.handle_vitals(self.now, Vitals::default()),
                Action::ReadProbe(probe) => {
                    let none: Result<Sample, ProbeFault> = Err(ProbeFault::NoAnswer);
                    self.node.handle_sample(self.now, *probe, none);
                }
                Action::Drive(..)
                | Action::Answer(_)
                | Action::Hello(_)
                | Action::Welcome(_)
                | Action::Release(_)
                | Action::PowerProbes(_)
                | Action::Restart(_) => {}
            }
            self.done.push(action);
        }
    }

    fn go(&mut self, to: UptimeMs) {
        while let Some(next) = self.node.poll_timeout().filter(|next| *next <= to) {
            self.now = self.now.max(next);
            self.node.handle_timeout(self.now);
            self.drain();
        }
        self.now = to;
    }

    fn down(&mut self, message: &Downlink) {
        let (mut plain, mut sealed) = ([0; PAYLOAD_LEN_MAX], [0; PAYLOAD_LEN_MAX]);
        let plain = message.encode(&mut plain).expect("fits");
        let bytes = seal(&NodeKey([7; 32]), &id(), plain, &mut sealed).expect("fits");
        self.node.handle_downlink(self.now, bytes);
        self.drain();
    }

    fn order(&mut self, order: Order) {
        self.counter += 1;
        self.down(&Downlink::Order(self.counter, order));
    }

    fn set(&mut self, command: CommandId) {
        let text = SettingsText::new("health_s=60").expect("short");
        let issued_at = UNIX.plus_ms(self.now.0);
        self.order(Order::Settings(Settings { command, text, issued_at, ttl_s: 60, within_s: 30 }));
    }

    fn open(&mut self) {
        let open = Open {
            command: CommandId(77),
            valve: ValveId(0),
            run_s: 60,
            volume: None,
            issued_at: UNIX.plus_ms(self.now.0),
            ttl_s: 60,
            is_outlet: true,
        };
        self.order(Order::Open(open));
    }

    fn answers(&self) -> Vec<(u64, Option<RefusalReason>)> {
        let answer = |action: &Action| {
            if let Action::Answer(answer) = action { Some((answer.command?.0, answer.refused)) } else { None }
        };
        self.done.iter().filter_map(answer).collect()
    }

    fn has(&self, wanted: impl Fn(&Action) -> bool) -> bool {
        self.done.iter().any(wanted)
    }

    fn restarts(&self) -> bool {
        self.has(|action| matches!(action, Action::Restart(4)))
    }
}

#[test]
fn settings_are_answered_and_the_node_restarts() {
    let mut rig = Rig::able().greeted();
    rig.set(OURS);
    assert_eq!(rig.answers(), [(OURS.0, None)]);
    assert!(rig.has(|action| matches!(action, Action::Change(_))) && !rig.restarts());
    rig.open();
    assert_eq!(rig.answers()[1], (77, Some(RefusalReason::Busy)), "no run begins that the restart would cut");
    rig.set(OURS);
    assert_eq!(rig.answers()[2], (OURS.0, None), "the answer is said again");
    rig.set(CommandId(OURS.0 + 1));
    assert_eq!(rig.answers()[3], (OURS.0 + 1, Some(RefusalReason::Busy)));
    rig.go(UptimeMs(RESTART_MS));
    assert!(rig.restarts());
}

#[test]
fn what_cannot_be_taken_is_refused_and_nothing_restarts() {
    let refused = |mut rig: Rig, why| {
        rig.set(OURS);
        assert_eq!(rig.answers().last(), Some(&(OURS.0, Some(why))));
        rig.go(UptimeMs(60_000));
        assert!(!rig.restarts(), "{why:?}");
    };
    refused(Rig::new(Standing::default()).greeted(), RefusalReason::Unsupported);
    refused(Rig::able(), RefusalReason::NotAnchored);
    let mut unknown = Rig::able().greeted();
    unknown.flash = Some(RefusalReason::BadSetting);
    refused(unknown, RefusalReason::BadSetting);
    let mut watering = Rig::able().greeted();
    watering.open();
    refused(watering, RefusalReason::Busy);
    let mut late = Rig::able().greeted();
    let text = SettingsText::new("health_s=60").expect("short");
    let old = Settings { command: OURS, text, issued_at: UNIX.minus_ms(61_000), ttl_s: 60, within_s: 30 };
    late.order(Order::Settings(old));
    assert_eq!(late.answers(), [(OURS.0, Some(RefusalReason::Expired))]);
}

const TRYING: Standing = Standing { can_change: true, last: Some(OURS), trying_s: Some(30), news: None };

#[test]
fn a_welcome_confirms_the_trial() {
    let mut rig = Rig::new(TRYING);
    rig.go(UptimeMs(29_999));
    let mut rig = rig.greeted();
    let confirmed = SettingsEvent { command: OURS, outcome: SettingsOutcome::Confirmed };
    assert!(rig.has(|action| *action == Action::Settle(confirmed)));
    assert!(
        rig.has(|action| matches!(action, Action::Keep(_, Body::Settings(event)) if *event == confirmed))
    );
    rig.go(UptimeMs(120_000));
    assert!(!rig.restarts());
}

#[test]
fn without_a_welcome_the_trial_is_given_up() {
    let mut rig = Rig::new(TRYING);
    rig.go(UptimeMs(30_000));
    let event = SettingsEvent { command: OURS, outcome: SettingsOutcome::Unreachable };
    assert!(rig.has(|action| *action == Action::Settle(event)) && rig.restarts());
    assert!(
        !rig.has(|action| matches!(action, Action::Keep(_, Body::Settings(_)))),
        "the next boot tells it"
    );
    // The next boot.
    let rig = Rig::new(Standing { trying_s: None, news: Some(event), ..TRYING });
    assert!(rig.has(|action| matches!(action, Action::Keep(_, Body::Settings(told)) if *told == event)));
}

#[test]
fn a_flash_that_does_not_take_the_outcome_restarts_the_node() {
    let mut rig = Rig::new(TRYING);
    rig.settles = false;
    let rig = rig.greeted();
    assert!(rig.restarts(), "the next boot finds the trial as it was, and goes back");
}

#[test]
fn the_time_of_a_trial_has_bounds() {
    for (within_s, ends_s) in [(0, 20), (u32::MAX, 3600)] {
        let mut rig = Rig::new(Standing { trying_s: Some(within_s), ..TRYING });
        rig.go(UptimeMs(ends_s * 1000 - 1));
        assert!(!rig.restarts());
        rig.go(UptimeMs(ends_s * 1000));
        assert!(rig.restarts());
    }
}
