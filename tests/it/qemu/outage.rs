//! Days and weeks without a network on the chip, whose idle time passes at once: two resets, and more readings than its flash holds. What
//! comes in at the end came once, at its time or within what its time may be off; what is lost is said; no run is missing.
//!
//! Each answer to a question for conductivity is the number of that question, and the time of each is written down here, in the
//! time that the chip lives in. The gateway is away meanwhile and comes back on a machine whose clock went on as far.

use super::{installation, until_open};
use crate::farm::{Farm, NODE};
use giot_firmware::settings::{Installation, Network, Settings as Counters, words};
use giot_gateway::clock::Clock;
use giot_gateway::quality::Quality;
use giot_store::{Reader, ValveEventRow};
use giot_tests::giot::wait_for;
use giot_tests::node::PATIENCE;
use giot_tests::qemu::{Chip, EC_MAX, HOST, Partition, at_once, image};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
/// What days or a week at once may take on a loaded machine.
const HASTE: Duration = Duration::from_secs(240);
/// A call for the gateway that ends unheard, the longest wait, and the next.
pub(super) const CALLS: Duration = Duration::from_secs(150);
/// Lease of every run here.
pub(super) const LEASE: Duration = Duration::from_secs(600);
/// Between two tries of one question: the probe's answer came too late.
const AGAIN: Duration = Duration::from_secs(2);
/// How long the gateway's log is called.
const LOG: &str = "after-the-outage.log";
/// The probe whose answers are counted.
const COUNTED: &str = "soil_ec_2";

/// A farm, and a chip with some more settings that lost its network and its gateway.
pub(super) struct Outage {
    pub(super) farm: Farm,
    pub(super) chip: Chip,
    /// Civil time at which the chip's board was made, µs.
    made_us: i64,
    /// Number of the first counted question of each boot.
    boots: Vec<usize>,
    /// Openings and closings, and the span of the board's age in which each was.
    moves: Vec<(bool, Duration, Duration)>,
}

impl Outage {
    /// Moisture and temperature once an hour, and what `settings` say.
    pub(super) fn new(settings: &[(&str, &str)]) -> Self {
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
            probe.interval_ms = us(HOUR).unsigned_abs() / 1000;
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
    pub(super) fn begin(&mut self) {
        self.chip.plug_cable(false);
        self.farm.kill();
    }

    /// Waits until the node has made so many records and the gateway's word on all of them: what is stored and not known to be would
    /// count as lost with the node alone.
    fn until_acknowledged(&self, n_records: usize) {
        wait_for("the gateway's word on all records", PATIENCE, || {
            let made = self.chip.made();
            let mut counters = self.chip.read_flash(Partition::Settings);
            let released = at_once(Counters::open(&mut counters).ok()?.released());
            (released == made && usize::try_from(made.seq).ok()? >= n_records).then_some(())
        });
    }

    fn live(&self, span: Duration) {
        self.chip.live(span, HASTE);
    }

    /// The valve opens by what `open` does, and closes when its lease is over.
    pub(super) fn run(&mut self, open: impl FnOnce(&Self)) {
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

    /// Every counted reading once, and within the uncertainty of its epoch of when it was asked for: a second for those that met the
    /// gateway, and said with the reading for the others. Gives which are there, and the worst error and the uncertainty of each
    /// epoch, µs.
    fn check_dates(&self, reader: &Reader, sure: &[u32]) -> (BTreeSet<usize>, BTreeMap<u32, (i64, i64)>) {
        let anchors = reader.anchors(NODE).unwrap();
        let uncertainties: BTreeMap<u32, i64> = anchors
            .iter()
            .map(|anchor| (anchor.epoch, i64::try_from(anchor.uncertainty_ms * 1000).unwrap()))
            .collect();
        let asked = self.chip.soil.ec_asked();
        let (mut seen, mut worst) = (BTreeSet::new(), BTreeMap::new());
        for (number, at_us, quality) in counted(reader) {
            assert!(seen.insert(number), "answer {number} is there twice");
            let epoch = u32::try_from(self.boots.iter().filter(|first| **first <= number).count()).unwrap();
            let (off_us, may_us) = ((at_us - self.made_us - us(asked[number])).abs(), uncertainties[&epoch]);
            assert!(off_us <= may_us, "answer {number} of epoch {epoch} is off by {off_us} of {may_us} us");
            let is_sure = sure.contains(&epoch);
            let wanted = if is_sure { Quality::Good } else { Quality::UncertainTime };
            assert_eq!(quality, wanted, "answer {number}");
            assert_eq!(may_us <= 1_000_000, is_sure, "epoch {epoch}: {may_us} us");
            let worst = worst.entry(epoch).or_insert((0, may_us));
            worst.0 = worst.0.max(off_us);
        }
        (seen, worst)
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
pub(super) fn rows(reader: &Reader, metric: &str) -> Vec<(f64, i64, Quality)> {
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
fn weeks_of_outage_and_two_resets_are_told_once_and_dated_within_their_uncertainty() {
    let mut outage = Outage::new(&[("probe.2", "soil_ec,modbus:1:A,3600,3600"), ("health_s", "21600")]);
    outage.run(|outage| outage.farm.start_run(30.0));
    outage.begin();
    outage.until_lease_ends();
    outage.live(8 * DAY);
    outage.boots.push(outage.chip.soil.ec_asked().len());
    outage.chip.dip_supply();
    outage.chip.until_says("epoch 2:", 1, PATIENCE);
    outage.live(2 * DAY);
    outage.run_at_button();
    outage.live(3 * DAY);
    // A flat battery, for six hours.
    outage.chip.cut_power();
    outage.boots.push(outage.chip.soil.ec_asked().len());
    outage.chip.lie(6 * HOUR);
    outage.chip.power_on();
    outage.chip.until_says("epoch 3:", 1, PATIENCE);
    outage.run_at_button();
    outage.live(8 * DAY);
    let reader = outage.end();

    let asked = outage.chip.soil.ec_asked();
    let (seen, worst) = outage.check_dates(&reader, &[1, 3]);
    assert_eq!(worst.keys().copied().collect::<Vec<_>>(), [1, 2, 3]);
    // It told how long its second boot lasted: unknown is where that lay within the six hours that it was off, and an hour without a reading.
    assert!(worst[&2].1 < us(4 * HOUR), "{worst:?}");
    check_none_missing(&seen, &asked, &outage.boots);
    for metric in ["soil_moisture", "soil_temperature_1"] {
        let times: BTreeSet<i64> = rows(&reader, metric).iter().map(|(_, at_us, _)| *at_us).collect();
        let n_hours = hours_of_boots(&asked, &outage.boots);
        let n_apart = times.len().abs_diff(n_hours);
        assert!(n_apart <= outage.boots.len(), "{} of {metric} in {n_hours} hours", times.len());
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

/// Hours that have begun between the first question of each boot and its last.
fn hours_of_boots(asked: &[Duration], boots: &[usize]) -> usize {
    let ends = boots.iter().skip(1).copied().chain([asked.len()]);
    let spans = boots.iter().zip(ends).map(|(first, end)| asked[end - 1] - asked[*first]);
    spans.map(|span| usize::try_from(span.as_secs() / HOUR.as_secs()).unwrap() + 1).sum()
}

/// Missing are only answers that came too late and were asked for again, and those of a reading that a reset cut off.
fn check_none_missing(seen: &BTreeSet<usize>, asked: &[Duration], boots: &[usize]) {
    for number in (0..asked.len()).filter(|number| !seen.contains(number)) {
        let is_cut = boots.contains(&(number + 1));
        let is_late = asked.get(number + 1).is_some_and(|next| *next - asked[number] < AGAIN);
        assert!(is_cut || is_late, "answer {number} of {} is missing, boots at {boots:?}", asked.len());
    }
}

#[test]
fn a_full_flash_gives_up_its_oldest_readings_and_says_how_many() {
    let switches: Vec<(String, String)> = (3..=15)
        .map(|n| (format!("probe.{n}"), format!("tank_float,contact:{}:200,600,600", n - 3)))
        .collect();
    let mut settings = vec![("probe.2", "soil_ec,modbus:1:A,600,600")];
    settings.extend(switches.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    let mut outage = Outage::new(&settings);
    // A reading of each probe, moisture and temperature among them.
    outage.until_acknowledged(settings.len() + 2);
    outage.begin();
    for hours in [1, 20, 14] {
        outage.live(hours * HOUR);
        outage.run_at_button();
    }
    let reader = outage.end();
    let n_rows = |metric: &str| rows(&reader, metric).len();
    let events = outage.check_moves(&reader);

    // Everything that was made is there, or told as lost: readings, the node's own records, valve events.
    // Each record is a sample of one of these; a register's word as it was read stands beside it.
    let names = || -> Vec<String> {
        let series = reader.series().unwrap();
        series.iter().map(|info| info.metric.to_string()).filter(|name| !name.ends_with("_raw")).collect()
    };
    let last = || usize::try_from(reader.mark(NODE).unwrap().unwrap().seq).unwrap();
    let lost = || spans_lost(&outage.farm);
    let n_lost = || lost().iter().map(|(from, to)| to - from + 1).sum::<usize>();
    let n_there = || names().iter().map(|name| n_rows(name)).sum::<usize>() + events.len();
    wait_for("all records", CALLS, || (n_there() + n_lost() == last()).then_some(()));
    let (spans, n_lost) = (lost(), n_lost());
    let told = format!("welcomed, {} waiting, {n_lost} lost", n_waiting(&outage.chip));
    assert!(outage.chip.log().contains(&told), "no {told:?}\n{}", outage.chip.log());

    // What is lost is one piece, from the first record without a network on, but for the valve events in it.
    let lost: BTreeSet<usize> = spans.iter().flat_map(|(from, to)| *from..=*to).collect();
    let (first, end) = (*lost.first().unwrap(), *lost.last().unwrap());
    let kept: Vec<usize> = (first..=end).filter(|seq| !lost.contains(seq)).collect();
    let event_seqs: Vec<usize> = events.iter().map(|event| usize::try_from(event.seq).unwrap()).collect();
    assert_eq!(
        kept,
        event_seqs.iter().copied().filter(|seq| (first..=end).contains(seq)).collect::<Vec<_>>()
    );
    assert!(kept.len() >= 2 && kept.len() < events.len(), "events among the lost and after them: {kept:?}");

    // So the counted readings lack one piece, which is the oldest of the outage; what the others lack is as old.
    let asked = outage.chip.soil.ec_asked();
    let (seen, worst) = outage.check_dates(&reader, &[1]);
    let missing: Vec<usize> = (0..asked.len()).filter(|number| !seen.contains(number)).collect();
    let (oldest, newest) = (missing[0], *missing.last().unwrap());
    assert!(oldest <= 2 && newest - oldest + 1 == missing.len(), "{missing:?} of {}", asked.len());
    let kept_from_us = outage.made_us + us(asked[newest]);
    let pulled_us = outage.made_us + us(asked[oldest]);
    for name in names().iter().filter(|name| name.starts_with("tank_float") || *name == COUNTED) {
        let times = rows(&reader, name).into_iter().map(|(_, at_us, _)| at_us);
        let times: Vec<i64> = times.filter(|at_us| *at_us > pulled_us + us(AGAIN)).collect();
        assert!(times[0] > kept_from_us - us(AGAIN), "{name} has an older reading than those that are lost");
        let n_apart = times.len().abs_diff(asked.len() - 1 - newest);
        assert!(n_apart <= 2, "{} readings of {name}, {} asked", times.len(), asked.len() - 1 - newest);
    }
    println!(
        "{:.2} days, {} records made, {n_lost} lost in {} spans, {} readings of each probe kept; worst error and stated uncertainty, us: \
         {worst:?}",
        outage.chip.age().as_secs_f64() / DAY.as_secs_f64(),
        last(),
        spans.len(),
        seen.len()
    );
}

/// What the gateway said that its node lost: first and last record.
fn spans_lost(farm: &Farm) -> Vec<(usize, usize)> {
    let log = std::fs::read_to_string(farm.dir.path().join(LOG)).unwrap();
    let field = |line: &str, name: &str| -> usize {
        let (_, rest) = line.split_once(name).unwrap_or_else(|| panic!("no {name} in {line}"));
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap()
    };
    let lines = log.lines().filter(|line| line.contains("its oldest readings are lost"));
    lines.map(|line| (field(line, " from="), field(line, " to="))).collect()
}

/// How many records the chip had when it was last greeted.
fn n_waiting(chip: &Chip) -> usize {
    let log = chip.log();
    let line = log.lines().rfind(|line| line.contains("welcomed, ")).unwrap();
    line.split_once("welcomed, ").unwrap().1.split_once(' ').unwrap().0.parse().unwrap()
}
