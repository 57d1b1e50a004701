//! Days without a network on the chip, whose idle time passes at once, and two resets. What comes in at the end came once, at its
//! time or within what its time may be off; no run is missing.
//!
//! Each answer to a question for conductivity is the number of that question, and the time of each is written down here, in the
//! time that the chip lives in. The gateway is away meanwhile and comes back on a machine whose clock went on as far.

use super::{installation, until_open};
use crate::farm::{Farm, NODE};
use giot_firmware::settings::{Installation, Network, words};
use giot_gateway::clock::Clock;
use giot_gateway::quality::Quality;
use giot_gateway::store::{Reader, ValveEventRow};
use giot_tests::giot::wait_for;
use giot_tests::node::PATIENCE;
use giot_tests::qemu::{Chip, EC_MAX, HOST, image};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
/// What days at once may take on a loaded machine.
const HASTE: Duration = Duration::from_secs(240);
/// A call for the gateway that ends unheard, the longest wait, and the next.
const CALLS: Duration = Duration::from_secs(150);
/// Lease of every run here.
const LEASE: Duration = Duration::from_secs(600);
/// Between two tries of one question: the probe's answer came too late.
const AGAIN: Duration = Duration::from_secs(2);
/// How long the gateway's log is called.
const LOG: &str = "after-the-outage.log";
/// The probe whose answers are counted.
const COUNTED: &str = "soil_ec_2";

/// A farm, and a chip with some more settings that lost its network and its gateway.
struct Outage {
    farm: Farm,
    chip: Chip,
    /// Civil time at which the chip's board was made, µs.
    made_us: i64,
    /// Number of the first counted question of each boot.
    boots: Vec<usize>,
    /// Openings and closings, and the span of the board's age in which each was.
    moves: Vec<(bool, Duration, Duration)>,
}

impl Outage {
    fn new(interval_ms: u64, settings: &[(&str, &str)]) -> Self {
        let farm = Farm::new("lease_min = 10\nautomatic = false");
        let mut made: Installation = installation(&farm.kit());
        // Without DHCP, whose questions would go on all the time.
        made.network = Network::Static {
            address: "10.0.2.78".parse().unwrap(),
            prefix_len: 24,
            router: HOST.parse().unwrap(),
        };
        for probe in &mut made.config.probes {
            probe.valve = None;
            probe.interval_ms = interval_ms;
        }
        for (key, value) in settings {
            words::set(&mut made, key, value).unwrap();
        }
        let mut chip = Chip::new(image("node-faults"), 2500);
        let now_us = Clock::system(None).wall_us_unchecked();
        let made_us = now_us - us(chip.age());
        chip.install(&made);
        chip.power_on();
        chip.until_welcomed(PATIENCE);
        Self { farm, chip, made_us, boots: vec![0], moves: Vec::new() }
    }

    /// The cable is pulled and the gateway dies.
    fn begin(&mut self) {
        self.chip.plug_cable(false);
        self.farm.kill();
    }

    fn live(&self, span: Duration) {
        self.chip.live(span, HASTE);
    }

    /// The valve opens by what `open` does, and closes when its lease is over.
    fn run(&mut self, open: impl FnOnce(&Self)) {
        let from = self.chip.age();
        open(self);
        until_open(&self.chip, true, PATIENCE);
        self.moves.push((true, from, self.chip.age()));
    }

    fn until_lease_ends(&mut self) {
        self.live(LEASE + AGAIN);
        until_open(&self.chip, false, PATIENCE);
        let (_, from, to) = *self.moves.last().unwrap();
        self.moves.push((false, from + LEASE, to + LEASE + AGAIN));
    }

    fn run_at_button(&mut self) {
        self.run(|outage| {
            outage.chip.press(1);
            until_open(&outage.chip, true, PATIENCE);
            outage.chip.press(0);
        });
        self.until_lease_ends();
    }

    /// The gateway is there again, and the cable; waits until the last counted reading is in the history.
    fn end(&mut self) -> Reader {
        self.farm.restart_ahead(self.chip.ahead(), LOG);
        let n_welcomed = self.chip.log().matches("welcomed").count();
        self.chip.plug_cable(true);
        self.chip.until_says("welcomed", n_welcomed + 1, CALLS);
        let last = self.chip.soil.ec_asked().len() - 1;
        let reader = self.farm.reader();
        wait_for("the last reading", CALLS, || {
            counted(&reader).iter().any(|(number, ..)| *number == last % (EC_MAX + 1)).then_some(())
        });
        reader
    }

    /// Every valve event once, and within its stated uncertainty of when it was.
    fn check_moves(&self, reader: &Reader) -> Vec<ValveEventRow> {
        let wait = || (self.farm.valve_events().len() >= self.moves.len()).then_some(());
        wait_for("all valve events", PATIENCE, wait);
        let events = self.farm.valve_events();
        assert_eq!(events.len(), self.moves.len(), "{events:#?}");
        for (event, (open, from, to)) in events.iter().zip(&self.moves) {
            assert_eq!(event.open, *open, "{events:#?}");
            let within = i64::try_from(event.uncertainty_us).unwrap();
            let true_us = self.made_us + us(*from) - within..=self.made_us + us(*to) + within;
            assert!(true_us.contains(&event.at_us), "{event:?} is not within {true_us:?}");
            if !open {
                assert_eq!(event.closed_by.as_deref(), Some("lease_ended"), "{event:?}");
                let lease_ms = u64::try_from(LEASE.as_millis()).unwrap();
                assert!((lease_ms..lease_ms + 2500).contains(&event.run_ms), "{event:?}");
            }
        }
        assert!(reader.anchors(NODE).unwrap().len() == self.boots.len());
        events
    }
}

fn us(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap()
}

/// Rows of a series: value, time in µs, quality.
fn rows(reader: &Reader, metric: &str) -> Vec<(f64, i64, Quality)> {
    let mut rows = Vec::new();
    reader
        .samples(NODE, metric, i64::MIN..i64::MAX, &mut |sample| {
            rows.push((sample.value.unwrap_or(f64::NAN), sample.at_us, Quality::from_byte(sample.quality)));
            ControlFlow::Continue(())
        })
        .unwrap();
    rows
}

/// Counted readings: the number of the question, when it was dated, and how.
fn counted(reader: &Reader) -> Vec<(usize, i64, Quality)> {
    let number = |value: f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of a question")]
        let number = value as usize;
        number
    };
    rows(reader, COUNTED).into_iter().map(|(value, at_us, quality)| (number(value), at_us, quality)).collect()
}

#[test]
fn days_of_outage_and_two_resets_are_told_once_and_dated_within_their_uncertainty() {
    let mut outage = Outage::new(600_000, &[("probe.2", "soil_ec,modbus:1:A,600,600")]);
    outage.run(|outage| outage.farm.start_run(30.0));
    outage.begin();
    outage.until_lease_ends();
    outage.live(2 * DAY);
    outage.boots.push(outage.chip.soil.ec_asked().len());
    outage.chip.dip_supply();
    outage.chip.until_says("epoch 2:", 1, PATIENCE);
    outage.live(DAY / 2);
    outage.run_at_button();
    outage.live(DAY);
    // A flat battery, for six hours.
    outage.chip.cut_power();
    outage.boots.push(outage.chip.soil.ec_asked().len());
    outage.chip.lie(6 * HOUR);
    outage.chip.power_on();
    outage.chip.until_says("epoch 3:", 1, PATIENCE);
    outage.run_at_button();
    outage.live(2 * DAY);
    let reader = outage.end();

    let asked = outage.chip.soil.ec_asked();
    let anchors: BTreeMap<u32, i64> = reader
        .anchors(NODE)
        .unwrap()
        .iter()
        .map(|anchor| (anchor.epoch, i64::try_from(anchor.uncertainty_ms * 1000).unwrap()))
        .collect();
    assert_eq!(anchors.keys().copied().collect::<Vec<_>>(), [1, 2, 3]);
    let mut worst = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (number, at_us, quality) in counted(&reader) {
        assert!(seen.insert(number), "answer {number} is there twice");
        let epoch = u32::try_from(outage.boots.iter().filter(|first| **first <= number).count()).unwrap();
        let (off_us, may_us) = ((at_us - outage.made_us - us(asked[number])).abs(), anchors[&epoch]);
        assert!(off_us <= may_us, "answer {number} of epoch {epoch} is off by {off_us} of {may_us} us");
        let is_sure = epoch != 2;
        assert_eq!(quality, if is_sure { Quality::Good } else { Quality::UncertainTime }, "answer {number}");
        assert_eq!(may_us <= 1_000_000, is_sure, "epoch {epoch}: {may_us} us");
        let worst = worst.entry(epoch).or_insert((0, may_us));
        worst.0 = worst.0.max(off_us);
    }
    check_none_missing(&seen, &asked, &outage.boots);
    for metric in ["soil_moisture", "soil_temperature_1"] {
        let times: BTreeSet<i64> = rows(&reader, metric).iter().map(|(_, at_us, _)| *at_us).collect();
        let n_apart = times.len().abs_diff(seen.len());
        assert!(n_apart <= outage.boots.len(), "{} of {metric} for {}", times.len(), seen.len());
    }
    let events = outage.check_moves(&reader);
    assert_eq!(events.iter().map(|event| event.epoch).collect::<Vec<_>>(), [1, 1, 2, 2, 3, 3]);
    check_diary(&outage.farm, &events);
    println!(
        "{:.2} days, {} of {} readings of each probe, worst error and stated uncertainty of each epoch, us: {worst:?}",
        outage.chip.age().as_secs_f64() / DAY.as_secs_f64(),
        seen.len(),
        asked.len()
    );
}

/// The run that the gateway began is in the diary with its end, and every closing with its litres, once.
fn check_diary(farm: &Farm, events: &[ValveEventRow]) {
    farm.until_idle();
    let diary = farm.diary();
    let of = |event: &str| {
        diary.iter().map(|row| &row.entry).filter(|entry| entry.event == event).collect::<Vec<_>>()
    };
    let (started, stopped, reported) = (of("started"), of("stopped"), of("reported"));
    assert_eq!((started.len(), stopped.len()), (1, 1), "{diary:#?}");
    assert_eq!(started[0].command, stopped[0].command);
    let closings: Vec<_> = events.iter().filter(|event| !event.open).collect();
    assert_eq!(reported.len(), closings.len(), "{diary:#?}");
    for (entry, event) in reported.iter().zip(closings) {
        assert_eq!((entry.run_ms, entry.volume_ml), (Some(event.run_ms), event.volume_ml), "{entry:?}");
        assert_eq!(entry.command, event.command, "{entry:?}");
    }
}

/// Missing are only answers that came too late and were asked for again, and those of a reading that a reset cut off.
fn check_none_missing(seen: &BTreeSet<usize>, asked: &[Duration], boots: &[usize]) {
    for number in (0..asked.len()).filter(|number| !seen.contains(number)) {
        let is_cut = boots.contains(&(number + 1));
        let is_late = asked.get(number + 1).is_some_and(|next| *next - asked[number] < AGAIN);
        assert!(is_cut || is_late, "answer {number} of {} is missing, boots at {boots:?}", asked.len());
    }
}
