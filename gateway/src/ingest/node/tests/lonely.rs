//! Boots that met no gateway, made up at random with their truth: every date is within what it says, and says no more than it must.

use super::*;

const MINUTE_MS: u64 = 60_000;

/// One boot of a made-up node, as it truly was.
#[derive(Clone, Debug)]
struct Boot {
    /// Off before it, ms.
    off_ms: u64,
    /// When each record was made after the boot, ms, in order.
    made_ms: Vec<u64>,
    /// How much faster its crystal runs than it should, millionths.
    fast_ppm: i64,
}

impl Boot {
    /// What its crystal has counted after a time.
    fn uptime(&self, true_ms: u64) -> u64 {
        true_ms.saturating_add_signed(true_ms.cast_signed() * self.fast_ppm / 1_000_000)
    }

    fn lasted_ms(&self) -> u64 {
        self.made_ms.last().copied().unwrap_or(0)
    }
}

/// Spans of minutes to weeks, each order of magnitude as often as any other.
fn span_ms() -> impl Strategy<Value = u64> {
    (0_u32..5, 1_u64..10).prop_map(|(power, n)| n * MINUTE_MS * 6_u64.pow(power))
}

fn boot() -> impl Strategy<Value = Boot> {
    let steps = proptest::collection::vec(prop_oneof![1_000..600_000_u64, span_ms()], 1..12);
    let off_ms = prop_oneof![4 => span_ms(), 1 => 0..2_000_u64];
    (off_ms, steps, -50_i64..=50).prop_map(|(off_ms, steps, fast_ppm)| {
        let mut at_ms = 0;
        let made_ms = steps.into_iter().map(|step_ms| {
            at_ms += step_ms;
            at_ms
        });
        Boot { off_ms, made_ms: made_ms.collect(), fast_ppm }
    })
}

/// What a restart of the gateway leaves of what it knew.
fn restarted(node: &NodeState) -> NodeState {
    let mut restored = NodeState {
        registered_at: node.registered_at,
        stored: node.received,
        received: node.received,
        ..NodeState::default()
    };
    let last = node.received.map_or(0, |received| received.epoch);
    for (epoch, dating) in &node.datings {
        // Of older epochs only the anchor is kept.
        let fit = dating.fit.filter(|_| *epoch == last);
        restored.restore_dating(*epoch, Dating { fit, ..*dating });
    }
    if let Some(newest) = node.newest {
        restored.restore_newest(newest);
    }
    restored
}

/// A life of boots: the first and the last met the gateway, so long after their beginning and with a Hello so long on its way.
#[derive(Clone, Debug)]
struct Life {
    boots: Vec<Boot>,
    late_ms: (u64, u64),
    /// Records of a message, and after how many messages the gateway starts anew.
    n_records: usize,
    restart_after: usize,
    /// Whether the node tells how long its boots lasted.
    tells: bool,
}

fn life() -> impl Strategy<Value = Life> {
    let boots = proptest::collection::vec(boot(), 3..6);
    (boots, (0..900_u64, 0..900_u64), 1..=8_usize, 0..40_usize, any::<bool>()).prop_map(
        |(boots, late_ms, n_records, restart_after, tells)| Life {
            boots,
            late_ms,
            n_records,
            restart_after,
            tells,
        },
    )
}

fn epoch_of(idx: usize) -> u32 {
    u32::try_from(idx).expect("few") + 1
}

fn lasted_ms(boots: &[Boot]) -> u64 {
    boots.iter().map(Boot::lasted_ms).sum()
}

/// What a node tells of the boots before this one that met nobody.
fn ended(boots: &[Boot], idx: usize) -> impl Iterator<Item = EndedEpoch> {
    (1..idx).map(|idx| EndedEpoch {
        epoch: epoch_of(idx),
        last: UptimeMs(boots[idx].uptime(boots[idx].lasted_ms())),
    })
}

/// Two records, by date and uptime, are as far apart as they were, but for what the clocks contradict each other by.
fn check_distance(first: (UnixMs, u64), this: (UnixMs, u64), may_lack_ms: u64) -> Result<(), TestCaseError> {
    let (dated_ms, true_ms) = (this.0.since_ms(first.0), this.1 - first.1);
    let is_true = (true_ms.saturating_sub(may_lack_ms)..=true_ms).contains(&dated_ms);
    prop_assert!(is_true, "{dated_ms} of {true_ms} ms apart");
    Ok(())
}

fn check(life: &Life) -> Result<(), TestCaseError> {
    let Life { boots, late_ms, n_records, restart_after, tells } = life;
    let mut node = NodeState { registered_at: T0, ..NodeState::default() };
    let mut began = Vec::new();
    let mut at = T0;
    for boot in boots {
        at = at.plus_ms(boot.off_ms);
        began.push(at);
        at = at.plus_ms(boot.lasted_ms());
    }
    let greet = |node: &mut NodeState, idx: usize, late_ms: u64, released| {
        // As soon as its first record was made; the gateway reads its clock when the message is there.
        let up_ms = boots[idx].made_ms[0];
        let epoch = epoch_of(idx);
        let now = heard(Some(began[idx].plus_ms(up_ms + late_ms)));
        let mut greeting = hello(epoch, boots[idx].uptime(up_ms), released);
        greeting.ended = ended(boots, idx).filter(|_| *tells).collect();
        node.handle_hello(&greeting, now);
    };
    greet(&mut node, 0, late_ms.0, (0, 0));
    let (end_idx, end) = (boots.len() - 1, began[boots.len() - 1]);
    let (mut after, mut n_messages) = ((0, 0), 0);
    // No record of the next epoch was made before this.
    let (mut floor, mut before, mut is_crowded) = (T0, None, false);
    for (idx, boot) in boots.iter().enumerate().take(end_idx) {
        if idx == 1 {
            greet(&mut node, end_idx, late_ms.1, after);
        }
        let epoch = epoch_of(idx);
        let numbered: Vec<(u32, u64)> = (1..).zip(boot.made_ms.iter().copied()).collect();
        // Boots of known length do not meet either.
        before = before.filter(|_| *tells);
        let (mut first, later_ms) = (None, lasted_ms(&boots[idx + 1..end_idx]));
        for chunk in numbered.chunks(*n_records) {
            if n_messages == *restart_after {
                node = restarted(&node);
                if *tells && idx > 0 {
                    greet(&mut node, end_idx, late_ms.1, after);
                }
            }
            n_messages += 1;
            let records: Vec<Record> =
                chunk.iter().map(|(seq, made_ms)| closing(*seq, boot.uptime(*made_ms))).collect();
            // After the Hello of the last boot, which is the one that delivers them.
            let now = end.plus_ms(boots[end_idx].made_ms[0] + late_ms.1);
            let got = taken(node.handle_records(&run(epoch, after, &records), heard(Some(now))));
            after = (epoch, chunk[chunk.len() - 1].0);
            for (event, (seq, made_ms)) in got.valves.iter().zip(chunk) {
                let truth = began[idx].plus_ms(*made_ms);
                let off_ms = truth.since_ms(event.at).max(event.at.since_ms(truth));
                let says_ms = event.uncertainty_ms;
                prop_assert!(
                    off_ms <= says_ms,
                    "record {seq} of boot {epoch}: off by {off_ms} of {says_ms} ms"
                );
                // Boots of known length have their room before the next one as that is dated, which is where its own records begin.
                let next_boot = node.datings.get(&epoch_of(end_idx)).map(|dating| dating.anchor.unix_at_boot);
                let latest = next_boot.filter(|_| *tells).unwrap_or(end.plus_ms(2_000));
                // A clock that ran ahead for weeks leaves no room between itself and the next boot.
                is_crowded |= before.is_some_and(|before| before >= latest);
                let is_after = is_crowded || before < Some(event.at);
                prop_assert!(is_after, "record {seq} of boot {epoch} is not after the one before");
                prop_assert!(idx == 0 || event.at <= latest, "after the next boot");
                before = Some(event.at);
                if idx > 0 {
                    // What the neighbours tell, both clocks' errors, and the room of the tail.
                    let known_ms = if *tells { boot.lasted_ms() + later_ms } else { *made_ms };
                    let play_ms = end.since_ms(floor).saturating_sub(known_ms);
                    let span_ms = end.since_ms(T0);
                    let error_ms = 5_000 + (span_ms + boots[end_idx].made_ms[0]) / 5_000;
                    let tail_ms = 300_000.min(play_ms_of(end, floor, boot) / 16);
                    let most_ms = play_ms / 2 + error_ms + tail_ms;
                    prop_assert!(
                        says_ms <= most_ms,
                        "record {seq} of boot {epoch}: {says_ms} of {most_ms} ms"
                    );
                    if *tells && !is_crowded {
                        let this = (event.at, boot.uptime(*made_ms));
                        let may_lack_ms = if play_ms > 2 * error_ms { 0 } else { error_ms };
                        check_distance(*first.get_or_insert(this), this, may_lack_ms)?;
                    }
                }
            }
        }
        floor = if idx == 0 { began[0].plus_ms(boot.lasted_ms()) } else { floor.plus_ms(boot.lasted_ms()) };
    }
    Ok(())
}

/// The room of a boot between its neighbours.
fn play_ms_of(end: UnixMs, floor: UnixMs, boot: &Boot) -> u64 {
    end.since_ms(floor).saturating_sub(boot.made_ms[0])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, ..ProptestConfig::default() })]

    #[test]
    fn boots_that_met_nobody_are_dated_within_what_they_say_and_it_is_little(life in life()) {
        check(&life)?;
    }
}

/// Ten days without a gateway, the node reset after five: its second boot fills all but an hour of the rest, and its end is known
/// to the hour, where its beginning was not.
#[test]
fn an_epoch_that_fills_its_room_is_known_better_the_longer_it_gets() {
    const HOUR_MS: u64 = 3_600_000;
    let mut node = NodeState { registered_at: T0, ..NodeState::default() };
    node.handle_hello(&hello(1, 0, (0, 0)), heard(Some(T0)));
    taken(node.handle_records(&run(1, (0, 0), &[reading(1, 0, 1)]), heard(Some(T0))));
    let now = T0.plus_ms(120 * HOUR_MS);
    node.handle_hello(&hello(3, 0, (1, 1)), heard(Some(now)));
    let mut says_h = Vec::new();
    for hour in 1..=119 {
        let after = if hour == 1 { (1, 1) } else { (2, u32::try_from(hour).expect("few") - 1) };
        let seq = u32::try_from(hour).expect("few");
        let got = run(2, after, &[closing(seq, hour * HOUR_MS)]);
        let got = taken(node.handle_records(&got, heard(Some(now))));
        says_h.push(got.valves[0].uncertainty_ms.div_ceil(HOUR_MS));
    }
    assert_eq!((says_h[0], says_h[59], says_h[118]), (60, 31, 1));
}
