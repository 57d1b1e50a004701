//! Exactly once and at its true time, whatever is resent, doubled, delayed or comes from an epoch nobody met.

mod lonely;

use super::*;
use giot_shared::wire::{EndedEpoch, Lost, ResetCause, ValveEvent};
use proptest::prelude::*;

const DAY_MS: u64 = 86_400_000;
const T0: UnixMs = UnixMs(1_800_000_000_000);

fn hello(epoch: u32, uptime: u64, released: (u32, u32)) -> Hello {
    Hello {
        nonce: 1,
        epoch,
        uptime: UptimeMs(uptime),
        released: Position { epoch: released.0, seq: released.1 },
        counter: 0,
        reset: ResetCause::PowerOn,
        firmware: heapless_text("0.1.0"),
        valves: Default::default(),
        clock: None,
        drift_ms: 0,
        ended: Default::default(),
        unmet: Default::default(),
    }
}

fn heapless_text<T: for<'a> TryFrom<&'a str>>(text: &str) -> T {
    T::try_from(text).ok().expect("short text")
}

fn reading(seq: u32, uptime: u64, value: i32) -> Record {
    let body =
        Reading { probe: 0, metric: Metric::SoilMoisture.wire(), value: Some(value), raw: None, flaw: None };
    Record { seq, uptime: UptimeMs(uptime), body: Body::Reading(body) }
}

/// The end of a run of valve 0.
fn closing(seq: u32, uptime: u64) -> Record {
    let body = Body::Valve(ValveEvent {
        valve: ValveId(0),
        open: false,
        command: None,
        closed_by: Some(CloseReason::LeaseEnded),
        run_ms: Some(60_000),
        volume: None,
    });
    Record { seq, uptime: UptimeMs(uptime), body }
}

fn run(epoch: u32, after: (u32, u32), records: &[Record]) -> Records {
    let mut run =
        Records { epoch, after: Position { epoch: after.0, seq: after.1 }, records: Default::default() };
    for record in records {
        run.records.push(record.clone()).expect("fits");
    }
    run
}

fn taken(verdict: Verdict) -> Taken {
    match verdict {
        Verdict::Take(taken) => taken,
        Verdict::Repeat | Verdict::Gap | Verdict::Undated | Verdict::Malformed => {
            panic!("expected new records, got {verdict:?}")
        }
    }
}

/// A moment on lines that agree, a day after the gateway's start at [`T0`].
fn heard(wall: Option<UnixMs>) -> Heard {
    Heard { wall, mono: MonoMs(wall.map_or(0, |wall| wall.since_ms(T0)) + DAY_MS) }
}

fn times(taken: &Taken) -> Vec<i64> {
    taken.samples.iter().map(|s| s.at_us / 1000 - T0.0).collect()
}

#[test]
fn a_run_is_taken_once() {
    let mut node = NodeState::default();
    node.handle_hello(&hello(1, 5000, (0, 0)), heard(Some(T0)));
    let first = run(1, (0, 0), &[reading(1, 1000, 2200), reading(2, 2000, 2210)]);
    assert_eq!(times(&taken(node.handle_records(&first, heard(Some(T0))))), [-4000, -3000]);
    assert_eq!(node.handle_records(&first, heard(Some(T0))), Verdict::Repeat);
    let overlapping = run(1, (1, 1), &[reading(2, 2000, 2210), reading(3, 3000, 2220)]);
    assert_eq!(times(&taken(node.handle_records(&overlapping, heard(Some(T0))))), [-2000]);
}

#[test]
fn a_gap_is_never_jumped_over() {
    let mut node = NodeState::default();
    node.handle_hello(&hello(1, 5000, (0, 0)), heard(Some(T0)));
    let late = run(1, (1, 1), &[reading(2, 2000, 2210)]);
    assert_eq!(node.handle_records(&late, heard(Some(T0))), Verdict::Gap);
    let next_epoch = run(2, (1, 1), &[reading(1, 10, 2210)]);
    assert_eq!(node.handle_records(&next_epoch, heard(Some(T0))), Verdict::Gap);
}

#[test]
fn what_the_store_gave_up_comes_again() {
    let mut node = NodeState::default();
    node.handle_hello(&hello(1, 5000, (0, 0)), heard(Some(T0)));
    let first = run(1, (0, 0), &[reading(1, 1000, 2200)]);
    taken(node.handle_records(&first, heard(Some(T0))));
    node.handle_not_stored();
    taken(node.handle_records(&first, heard(Some(T0))));
    assert!(node.handle_stored(Position { epoch: 1, seq: 1 }));
    assert!(!node.handle_stored(Position { epoch: 1, seq: 1 }));
}

#[test]
fn an_epoch_that_met_nobody_lies_between_its_neighbours() {
    let mut node = NodeState { registered_at: T0, ..NodeState::default() };
    node.handle_hello(&hello(1, 0, (0, 0)), heard(Some(T0)));
    taken(node.handle_records(&run(1, (0, 0), &[reading(1, 1000, 1)]), heard(Some(T0))));
    // Epoch 2 ran somewhere in ten days without the gateway, epoch 3 connects.
    let now = T0.plus_ms(10 * DAY_MS);
    node.handle_hello(&hello(3, 2000, (1, 1)), heard(Some(now)));
    let lonely = taken(node.handle_records(
        &run(2, (1, 1), &[reading(1, DAY_MS, 2), reading(2, 2 * DAY_MS, 3)]),
        heard(Some(now)),
    ));
    let dating = lonely.new_dating.expect("a guess");
    let (floor, end) = (T0.plus_ms(1000), now.minus_ms(2000));
    for (sample, uptime) in lonely.samples.iter().zip([DAY_MS, 2 * DAY_MS]) {
        assert_eq!(sample.quality, Quality::UncertainTime);
        let at = UnixMs(sample.at_us / 1000);
        let (earliest, latest) = (floor.plus_ms(uptime), end);
        assert!(
            at.plus_ms(dating.uncertainty_ms) >= earliest && at.minus_ms(dating.uncertainty_ms) <= latest
        );
        assert!(at <= end, "not after the next boot");
    }
    let current = taken(node.handle_records(&run(3, (2, 2), &[reading(1, 1000, 4)]), heard(Some(now))));
    assert_eq!(current.samples.first().map(|s| s.quality), Some(Quality::Good));
}

/// Two boots in a row without a gateway: the guess of the first one must not push the second one out of its bounds.
#[test]
fn lonely_epochs_in_a_row_keep_their_stated_uncertainty() {
    // Boots of the lonely epochs 2 and 3 and how long they ran, hours from the last record of epoch 1; epoch 4 connects
    // at the end.
    let check = |boots: [(u64, u64); 2], end_h: u64| {
        const HOUR_MS: u64 = 3_600_000;
        let mut node = NodeState { registered_at: T0, ..NodeState::default() };
        node.handle_hello(&hello(1, 0, (0, 0)), heard(Some(T0)));
        taken(node.handle_records(&run(1, (0, 0), &[reading(1, 0, 1)]), heard(Some(T0))));
        let now = T0.plus_ms(end_h * HOUR_MS);
        node.handle_hello(&hello(4, 0, (1, 1)), heard(Some(now)));
        let mut after = (1, 1);
        for (epoch, (boot_h, ran_h)) in (2..).zip(boots) {
            let hours: Vec<u64> = (0..=ran_h).collect();
            for hour in hours {
                let seq = u32::try_from(hour).expect("few") + 1;
                let got = run(epoch, after, &[reading(seq, hour * HOUR_MS, 2)]);
                let got = taken(node.handle_records(&got, heard(Some(now))));
                after = (epoch, seq);
                let uncertainty_ms = node.datings[&epoch].uncertainty_ms;
                let truth = T0.plus_ms((boot_h + hour) * HOUR_MS);
                let dated = UnixMs(got.samples[0].at_us / 1000);
                let off_ms = truth.since_ms(dated).max(dated.since_ms(truth));
                assert!(
                    off_ms <= uncertainty_ms,
                    "{boots:?} epoch {epoch}: off by {off_ms} of {uncertainty_ms} ms"
                );
            }
        }
    };
    check([(0, 24), (24, 47)], 72);
    check([(1, 1), (3, 1)], 72);
    check([(60, 1), (70, 1)], 72);
    check([(0, 70), (71, 0)], 72);
    check([(0, 0), (1, 70)], 72);
}

/// The store takes two samples of one series and one time for one: an epoch that fills the whole gap between its neighbours, or
/// any part of it, keeps its records apart, in their order and before the next boot.
#[test]
fn records_of_a_lonely_epoch_never_share_a_time() {
    const STEP_MS: u64 = 600_000;
    const HOUR_MS: u64 = 3_600_000;
    let check = |boot_ms: u64, n_records: u32, end_ms: u64| {
        let mut node = NodeState { registered_at: T0, ..NodeState::default() };
        node.handle_hello(&hello(1, 0, (0, 0)), heard(Some(T0)));
        taken(node.handle_records(&run(1, (0, 0), &[reading(1, 0, 1)]), heard(Some(T0))));
        let now = T0.plus_ms(end_ms);
        node.handle_hello(&hello(3, 0, (1, 1)), heard(Some(now)));
        let mut last = None;
        for seq in 1..=n_records {
            let uptime = u64::from(seq - 1) * STEP_MS + 400;
            let got = taken(node.handle_records(
                &run(2, (if seq == 1 { 1 } else { 2 }, seq.max(2) - 1), &[reading(seq, uptime, 2)]),
                heard(Some(now)),
            ));
            let dated = UnixMs(got.samples[0].at_us / 1000);
            let truth = T0.plus_ms(boot_ms + uptime);
            let off_ms = truth.since_ms(dated).max(dated.since_ms(truth));
            assert!(off_ms <= node.datings[&2].uncertainty_ms, "record {seq}: off by {off_ms} ms");
            assert!(
                last < Some(dated) && dated <= now,
                "record {seq} of {n_records} at {dated:?}, after {last:?}"
            );
            last = Some(dated);
        }
    };
    check(0, 144, 24 * HOUR_MS);
    check(0, 73, 24 * HOUR_MS);
    check(12 * HOUR_MS, 72, 24 * HOUR_MS);
    check(0, 10, 24 * HOUR_MS);
    check(0, 1000, 1000 * STEP_MS);
    check(0, 1, 500);
}

/// The clock was set back between two epochs that met the gateway, and leaves those between them no room, or less than they
/// lasted: their records lie before the next boot, apart, in their order, and no further off than they say.
#[test]
fn a_clock_that_was_set_back_puts_no_record_into_the_future() {
    const STEP_MS: u64 = 600_000;
    const HOUR_MS: u64 = 3_600_000;
    // How far the clock had been ahead; how long after the set-back the next boot was; how long each of two epochs lasted.
    let check = |ahead_ms: u64, end_ms: u64, lasted_ms: u64| {
        let mut node = NodeState { registered_at: T0.minus_ms(DAY_MS), ..NodeState::default() };
        let wrong = T0.plus_ms(ahead_ms);
        node.handle_hello(&hello(1, 0, (0, 0)), heard(Some(wrong)));
        taken(node.handle_records(&run(1, (0, 0), &[reading(1, 0, 1)]), heard(Some(wrong))));
        let end = T0.plus_ms(end_ms);
        node.handle_hello(&hello(4, 0, (1, 1)), heard(Some(end)));
        let mut dates = Vec::new();
        let mut after = (1, 1);
        for epoch in [2, 3] {
            let n_before = dates.len();
            for seq in 1..=u32::try_from(lasted_ms / STEP_MS).expect("few") + 1 {
                let record = reading(seq, u64::from(seq - 1) * STEP_MS + 400, 2);
                let got = taken(node.handle_records(&run(epoch, after, &[record]), heard(Some(end))));
                after = (epoch, seq);
                dates.push(UnixMs(got.samples[0].at_us / 1000));
                assert_eq!(got.samples[0].quality, Quality::UncertainTime);
            }
            assert!(dates[n_before..].is_sorted_by(|a, b| a < b), "out of order, or two at one time");
            // The node booted again and met the gateway as soon as the epoch was over.
            let uncertainty_ms = node.datings[&epoch].uncertainty_ms;
            for (dated, step) in dates[n_before..].iter().rev().zip(0..).filter(|_| epoch == 3) {
                let truth = end.minus_ms(step * STEP_MS);
                let off_ms = truth.since_ms(*dated).max(dated.since_ms(truth));
                assert!(off_ms <= uncertainty_ms, "off by {off_ms} of {uncertainty_ms} ms");
            }
        }
        assert!(dates.iter().all(|at| *at <= end), "after the next boot: {:?}", dates.iter().max());
        dates.sort_unstable();
        assert!(dates.is_sorted_by(|a, b| a < b), "records of two boots at one time");
    };
    check(30 * DAY_MS, 0, 0);
    check(30 * DAY_MS, HOUR_MS, HOUR_MS);
    check(30 * DAY_MS, 10 * DAY_MS, 5 * DAY_MS);
    check(90 * DAY_MS, 60 * DAY_MS, 60 * DAY_MS);
    // Some room, and far from enough.
    check(10 * HOUR_MS, 12 * HOUR_MS, 10 * HOUR_MS);
    check(10 * HOUR_MS, 16 * HOUR_MS, 40 * HOUR_MS);
}

/// A node whose crystal is 50 ppm off, a month without a network: the closing of its first day is dated within what it says.
#[test]
fn a_slow_crystal_stays_within_the_stated_uncertainty() {
    for ppm in [-50_i64, 50] {
        let true_ms =
            |uptime_ms: u64| uptime_ms.saturating_add_signed(-uptime_ms.cast_signed() * ppm / 1_000_000);
        let mut node = NodeState { registered_at: T0, ..NodeState::default() };
        let greeted = 30 * DAY_MS;
        let now = T0.plus_ms(true_ms(greeted));
        node.handle_hello(&hello(1, greeted, (0, 0)), heard(Some(now)));
        let mut before = (0, 0);
        for (seq, day) in (1..).zip([1, 15, 29]) {
            let events = [closing(seq, day * DAY_MS)];
            let got = taken(node.handle_records(&run(1, before, &events), heard(Some(now))));
            before = (1, seq);
            let event = got.valves.first().expect("an event");
            let truth = T0.plus_ms(true_ms(day * DAY_MS));
            let off_ms = truth.since_ms(event.at).max(event.at.since_ms(truth));
            assert!(
                off_ms <= event.uncertainty_ms,
                "day {day}: off by {off_ms} of {} ms",
                event.uncertainty_ms
            );
            assert!(event.uncertainty_ms <= 1000 + 30 * 4320, "50 ppm are 4.32 s a day");
        }
    }
}

#[test]
fn an_epoch_of_a_poor_clock_is_dated_within_what_the_node_says() {
    let mut node = NodeState { registered_at: T0, ..NodeState::default() };
    let now = T0.plus_ms(3 * DAY_MS);
    let asleep = Hello { drift_ms: 5_184_000, ..hello(1, 3 * DAY_MS, (0, 0)) };
    let Greeting::Welcome { dating: Some(dating), .. } = node.handle_hello(&asleep, heard(Some(now))) else {
        panic!("welcome");
    };
    assert_eq!(dating.uncertainty_ms, HELLO_UNCERTAINTY_MS + 5_184_000);
    let old = taken(node.handle_records(&run(1, (0, 0), &[reading(1, DAY_MS, 2)]), heard(Some(now))));
    assert_eq!(old.samples.first().map(|s| s.quality), Some(Quality::UncertainTime));
    assert_eq!(old.samples.first().map(|s| UnixMs(s.at_us / 1000)), Some(T0.plus_ms(DAY_MS)));
    // The next epoch begins with the next sleep and is as sure as any.
    let later = heard(Some(now.plus_ms(600_000)));
    node.handle_hello(&hello(2, 1000, (1, 1)), later);
    let fresh = taken(node.handle_records(&run(2, (1, 1), &[reading(1, 900, 3)]), later));
    assert_eq!(fresh.samples.first().map(|s| s.quality), Some(Quality::Good));
}

#[test]
fn without_a_clock_nothing_is_dated_or_taken() {
    let mut node = NodeState::default();
    node.handle_hello(&hello(1, 5000, (0, 0)), heard(None));
    let first = run(1, (0, 0), &[reading(1, 1000, 2200)]);
    assert_eq!(node.handle_records(&first, heard(None)), Verdict::Undated);
    node.handle_hello(&hello(1, 6000, (0, 0)), heard(Some(T0)));
    assert_eq!(times(&taken(node.handle_records(&first, heard(Some(T0))))), [-5000]);
}

#[test]
fn the_first_anchor_of_an_epoch_stays() {
    let mut node = NodeState::default();
    node.handle_hello(&hello(1, 1000, (0, 0)), heard(Some(T0)));
    let again = node.handle_hello(&hello(1, 2000, (0, 0)), heard(Some(T0.plus_ms(3_600_000))));
    assert!(matches!(again, Greeting::Welcome { dating: None, .. }));
}

#[test]
fn an_own_clock_is_believed_only_where_the_registry_says_so() {
    let mut with_clock = hello(1, 1000, (0, 0));
    with_clock.clock = Some(T0.minus_ms(365 * DAY_MS));
    for (own_clock, want) in [(true, -365 * 86_400_000), (false, 0)] {
        let mut node = NodeState { own_clock, ..NodeState::default() };
        node.handle_hello(&with_clock, heard(Some(T0)));
        let got = taken(node.handle_records(&run(1, (0, 0), &[reading(1, 1000, 1)]), heard(Some(T0))));
        assert_eq!(times(&got), [want]);
    }
}

#[test]
fn an_older_data_folder_and_a_replaced_flash_are_noticed() {
    let mut node = NodeState { stored: Some(Position { epoch: 5, seq: 7 }), ..NodeState::default() };
    let released_more = node.handle_hello(&hello(6, 0, (5, 9)), heard(Some(T0)));
    assert!(matches!(released_more, Greeting::Welcome { missing: true, .. }), "{released_more:?}");
    let replaced = node.handle_hello(&hello(1, 0, (0, 0)), heard(Some(T0)));
    assert_eq!(replaced, Greeting::CounterWentBack { stored: Position { epoch: 5, seq: 9 } });
}

#[test]
fn flaws_and_lost_runs_are_told() {
    let mut node = NodeState::default();
    node.handle_hello(&hello(1, 60_000, (0, 0)), heard(Some(T0)));
    let no_answer = Reading {
        probe: 2,
        metric: Metric::RelativeHumidity.wire(),
        value: None,
        raw: None,
        flaw: Some(giot_shared::wire::Flaw::NoAnswer),
    };
    let impossible = Reading { value: Some(101_486), flaw: None, ..no_answer };
    let newer = Reading { metric: 250, ..impossible };
    let got = taken(node.handle_records(
        &run(
            1,
            (0, 0),
            &[
                Record { seq: 1, uptime: UptimeMs(1), body: Body::Lost(Lost { to: 4 }) },
                Record { seq: 5, uptime: UptimeMs(2), body: Body::Reading(no_answer) },
                Record { seq: 6, uptime: UptimeMs(3), body: Body::Reading(impossible) },
                Record { seq: 7, uptime: UptimeMs(4), body: Body::Reading(newer) },
            ],
        ),
        heard(Some(T0)),
    ));
    let at = |seq| Position { epoch: 1, seq };
    let before = T0.minus_ms(59_999);
    assert_eq!(got.lost, [LostRun { first: at(1), last: at(4), after: UnixMs(0), before }]);
    let told: Vec<_> = got.samples.iter().map(|s| (&*s.metric, s.value, s.quality)).collect();
    assert_eq!(
        told,
        [
            ("relative_humidity_2", None, Quality::Missing),
            ("relative_humidity_2", Some(101.486), Quality::OutOfRange)
        ]
    );
    assert_eq!(got.n_unknown, 1);
}

#[test]
fn only_a_fresh_valve_event_of_this_epoch_is_live() {
    let mut node = NodeState::default();
    node.handle_hello(&hello(1, 600_000, (0, 0)), heard(Some(T0)));
    let events = [closing(1, 10_000), closing(2, 599_000)];
    let got = taken(node.handle_records(&run(1, (0, 0), &events), heard(Some(T0))));
    assert_eq!(got.valves.iter().map(|v| v.live).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn samples_and_valve_events_come_in_the_order_in_which_they_were_made() {
    let mut node = NodeState::default();
    node.handle_hello(&hello(1, 600_000, (0, 0)), heard(Some(T0)));
    let records = [
        reading(1, 10_000, 1),
        closing(2, 20_000),
        closing(3, 30_000),
        reading(4, 40_000, 2),
        reading(5, 50_000, 3),
        closing(6, 60_000),
    ];
    let got = taken(node.handle_records(&run(1, (0, 0), &records), heard(Some(T0))));
    let order: Vec<_> =
        got.in_order().map(|(samples, valve)| (samples.len(), valve.map(|v| v.position.seq))).collect();
    assert_eq!(order, [(1, Some(2)), (0, Some(3)), (2, Some(6)), (0, None)]);
}

/// How old readings are said to be: a backlog and what was read just now, while the gateway's clock shows `wall`.
fn ages(node: &mut NodeState, after: u32, uptimes: &[u64], heard: Heard) -> Vec<Age> {
    let records: Vec<_> =
        (after + 1..).zip(uptimes).map(|(seq, uptime)| reading(seq, *uptime, 2200)).collect();
    let got = taken(node.handle_records(&run(2, (if after == 0 { 1 } else { 2 }, after), &records), heard));
    got.samples.iter().map(|sample| sample.age).collect()
}

#[test]
fn ages_are_counted_whatever_the_clock_shows() {
    const HOUR_MS: u64 = 3_600_000;
    let uptimes = [HOUR_MS, 4 * HOUR_MS, 5 * HOUR_MS - 1000];
    let true_ages = [4 * HOUR_MS, HOUR_MS, 1000].map(Age::Counted);
    let mono = MonoMs(DAY_MS);
    // The clock was ahead when the epoch was dated, or is set back before the backlog comes in, or both.
    for (dated, shown) in [(0, 0), (0, -4), (4, 0), (4, -4), (-4, 4), (-30, 30)] {
        let wall = |hours: i64| Some(UnixMs(T0.0 + hours * 3_600_000));
        let mut node = NodeState { stored: Some(Position { epoch: 1, seq: 0 }), ..NodeState::default() };
        node.handle_hello(&hello(2, 5 * HOUR_MS, (1, 0)), Heard { wall: wall(dated), mono });
        let got = ages(&mut node, 0, &uptimes, Heard { wall: wall(shown), mono });
        assert_eq!(got, true_ages, "dated {dated} h, shown {shown} h ahead");
    }
}

#[test]
fn the_age_of_another_epoch_or_before_a_hello_is_not_known() {
    let stored = Some(Position { epoch: 1, seq: 0 });
    let mut node = NodeState { stored, received: stored, ..NodeState::default() };
    let dating =
        Dating { anchor: Anchor::new(UptimeMs(0), T0), uncertainty_ms: HELLO_UNCERTAINTY_MS, fit: None };
    node.restore_dating(2, dating);
    // Behind an external broker the node stays connected over the gateway's restart.
    assert_eq!(ages(&mut node, 0, &[1000], heard(Some(T0.plus_ms(1000)))), [Age::Unknown]);
    node.handle_uptime(UptimeMs(5000), heard(Some(T0.plus_ms(5000))).mono);
    assert_eq!(ages(&mut node, 1, &[4000], heard(Some(T0.plus_ms(5000)))), [Age::Counted(1000)]);
    // The node has booted again; what it still has of the epoch before may be of any age.
    node.handle_hello(&hello(3, 100, (2, 2)), heard(Some(T0.plus_ms(6000))));
    assert_eq!(ages(&mut node, 2, &[5500], heard(Some(T0.plus_ms(6000)))), [Age::Unknown]);
}

proptest! {
    /// Whatever is lost, doubled, resent or given up by the store: every record is taken exactly once.
    #[test]
    fn every_record_is_taken_exactly_once(steps in proptest::collection::vec((0u8..6, 1u32..6), 1..120)) {
        const N: u32 = 60;
        let mut node = NodeState::default();
        node.handle_hello(&hello(1, 0, (0, 0)), heard(Some(T0)));
        let mut stored: Vec<i64> = Vec::new();
        let mut pending: Vec<i64> = Vec::new();
        let send = |node: &mut NodeState, from: u32, n: u32, pending: &mut Vec<i64>| {
            let to = (from + n).min(N + 1);
            let records: Vec<_> = (from..to).map(|seq| reading(seq, u64::from(seq), 1)).collect();
            if records.is_empty() { return; }
            if let Verdict::Take(taken) = node.handle_records(&run(1, if from == 1 { (0, 0) } else { (1, from - 1) }, &records), heard(Some(T0))) {
                pending.extend(times(&taken));
            }
        };
        for (step, n) in steps {
            let acknowledged = node.stored.map_or(0, |p| p.seq);
            match step {
                0 => send(&mut node, acknowledged + 1, n, &mut pending),
                1 => send(&mut node, (acknowledged + n).min(N), n, &mut pending),
                2 => send(&mut node, n, 4, &mut pending),
                3 => { node.handle_hello(&hello(1, 0, (1, acknowledged)), heard(Some(T0))); }
                4 => { pending.clear(); node.handle_not_stored(); }
                _ => if let Some(received) = node.received { stored.append(&mut pending); node.handle_stored(received); },
            }
        }
        for from in 1..=N {
            send(&mut node, from, 1, &mut pending);
        }
        stored.append(&mut pending);
        let want: Vec<i64> = (1..=i64::from(N)).collect();
        prop_assert_eq!(stored, want);
    }
}
