//! Rules at work, told by seconds.

use super::super::expr::{Scope, Unread, compile};
use super::*;
use giot_engine::ProbeRef;
use giot_shared::units::MoisturePermyriad;

/// 2026-03-02T00:00:00Z, a Monday.
const WALL_MS: i64 = 1_772_409_600_000;

fn now(at_s: u64) -> Now {
    Now { mono: MonoMs(at_s * 1000), wall: Some(UnixMs(WALL_MS).plus_ms(at_s * 1000)) }
}

fn scope() -> Scope {
    let air = ProbeRef { device: "tram".parse().unwrap(), metric: "air_temperature".parse().unwrap() };
    let tank = ProbeRef { device: "n09".parse().unwrap(), metric: "tank_level".parse().unwrap() };
    Scope {
        series: [("tank".to_owned(), tank)].into(),
        weather: [("air_c".to_owned(), air)].into(),
        unread: Unread::default(),
        zones: ["man-1"].map(|zone| zone.parse().unwrap()).into(),
    }
}

fn rule(id: &str, when: &str) -> Rule {
    Rule {
        id: id.parse().unwrap(),
        name: id.to_owned(),
        when_text: when.to_owned(),
        when: compile(when, &scope()).unwrap(),
        until: None,
        for_ms: 0,
        cooldown_ms: 60_000,
        repeat_ms: None,
        fresh_ms: 600_000,
        times_max: 10,
        then: vec![Effect::Stop { zone: "man-1".parse().unwrap() }],
        is_enabled: true,
    }
}

struct Play {
    book: RuleBook,
    at_s: u64,
    memory: BTreeMap<RuleId, RuleMemory>,
    fired: Vec<(u64, String)>,
    tired: Vec<u64>,
}

impl Play {
    fn of(rules: &[Rule]) -> Self {
        let book = RuleBook::new(rules, &BTreeMap::new(), 420, now(0));
        Self { book, at_s: 0, memory: BTreeMap::new(), fired: vec![], tired: vec![] }
    }

    fn wait(&mut self, until_s: u64) {
        let mut n_timeouts = 0;
        while let Some(due) = self.book.poll_timeout().filter(|due| due.0 <= until_s * 1000) {
            n_timeouts += 1;
            assert!(n_timeouts < 10_000, "a timer that stands still");
            let late_ms = due.0.max(self.at_s * 1000);
            let at = Now { mono: MonoMs(late_ms), wall: Some(UnixMs(WALL_MS).plus_ms(late_ms)) };
            self.book.handle_timeout(at);
            self.drain(late_ms / 1000);
        }
        self.at_s = until_s;
    }

    fn drain(&mut self, at_s: u64) {
        while let Some(output) = self.book.poll_output() {
            match output {
                Output::Fired(firing) => {
                    self.fired.push((at_s, format!("{}: {}", firing.rule, firing.values)))
                }
                Output::Tired { .. } => self.tired.push(at_s),
                Output::Remember { rule, memory } => {
                    self.memory.insert(rule, memory);
                }
            }
        }
    }

    fn read(&mut self, at_s: u64, device: &str, metric: &str, value: f64) {
        self.wait(at_s);
        self.book.handle_reading(
            now(at_s),
            (device, metric),
            (now(at_s).wall.unwrap(), Age::Dated),
            Some(value),
        );
        self.drain(at_s);
    }

    fn air(&mut self, at_s: u64, value: f64) {
        self.read(at_s, "tram", "air_temperature", value);
    }

    fn zone(&mut self, at_s: u64, signs: ZoneSigns) {
        self.wait(at_s);
        self.book.handle_zone(now(at_s), &"man-1".parse().unwrap(), signs);
        self.drain(at_s);
    }

    fn times(&self) -> Vec<u64> {
        self.fired.iter().map(|(at_s, _)| *at_s).collect()
    }
}

#[test]
fn a_rule_fires_once_and_again_only_when_it_was_over() {
    let mut play = Play::of(&[rule("hot", "weather.air_c > 35")]);
    play.air(10, 34.0);
    play.air(20, 36.5);
    play.air(30, 37.0);
    assert_eq!(play.fired, [(20, "hot: tram/air_temperature = 36.5 °C".to_owned())]);
    play.air(100, 30.0);
    play.air(110, 36.0);
    assert_eq!(play.times(), [20, 110]);
}

#[test]
fn it_must_hold_for_its_time_without_a_break() {
    let held = Rule { for_ms: 120_000, ..rule("hot", "weather.air_c > 35") };
    let mut play = Play::of(&[held]);
    play.air(10, 36.0);
    play.air(100, 34.0);
    play.air(110, 36.0);
    play.wait(229);
    assert_eq!(play.times(), [0_u64; 0]);
    play.wait(231);
    assert_eq!(play.times(), [230]);
}

#[test]
fn a_reading_that_grows_old_breaks_the_waiting() {
    let held = Rule { for_ms: 1_200_000, ..rule("hot", "weather.air_c > 35") };
    let mut play = Play::of(&[held]);
    play.air(10, 36.0);
    // Fresh for ten minutes only: the twenty begin anew.
    play.air(700, 36.0);
    play.air(1300, 36.0);
    play.air(1890, 36.0);
    play.wait(1899);
    assert_eq!(play.times(), [0_u64; 0]);
    play.wait(1910);
    assert_eq!(play.times(), [1900]);
}

#[test]
fn hysteresis_cooldown_and_repeats() {
    let until = compile("weather.air_c < 30", &scope()).ok();
    let mut play = Play::of(&[Rule { until, ..rule("hot", "weather.air_c > 35") }]);
    play.air(10, 36.0);
    play.air(100, 33.0);
    play.air(200, 36.0);
    assert_eq!(play.times(), [10], "33 °C is not over yet");
    play.air(300, 29.0);
    play.air(400, 36.0);
    assert_eq!(play.times(), [10, 400]);

    let mut play = Play::of(&[Rule { cooldown_ms: 600_000, ..rule("hot", "weather.air_c > 35") }]);
    for at_s in [10, 100, 200, 300] {
        play.air(at_s, if at_s % 200 == 0 { 30.0 } else { 36.0 });
    }
    play.wait(609);
    assert_eq!(play.times(), [10]);
    play.wait(1000);
    assert_eq!(play.times(), [10, 610], "it fires when the cooldown is over and it still holds");

    let mut play = Play::of(&[Rule { repeat_ms: Some(300_000), ..rule("hot", "weather.air_c > 35") }]);
    for at_s in [10, 400, 800, 1100] {
        play.air(at_s, 36.0);
    }
    assert_eq!(play.times(), [10, 310, 610, 910]);
    play.air(1150, 20.0);
    play.wait(3000);
    assert_eq!(play.times().len(), 4);
}

#[test]
fn what_is_missing_old_bad_or_from_the_future_fires_nothing() {
    let both = rule("both", "weather.air_c > 35 || series.tank < 20");
    let mut play = Play::of(&[both]);
    play.air(10, 36.0);
    assert!(play.fired.is_empty(), "the tank is not known");
    let state = play.book.states(now(11)).next().unwrap();
    assert_eq!((state.holds, state.missing.as_deref()), (None, Some("n09/tank_level")));
    play.read(20, "n09", "tank_level", 50.0);
    assert_eq!(play.times(), [20]);
    let mut play = Play::of(&[rule("hot", "weather.air_c > 35")]);
    let series = ("tram", "air_temperature");
    play.book.handle_reading(now(5), series, (now(5).wall.unwrap(), Age::Dated), None);
    play.book.handle_reading(now(6), series, (now(6).wall.unwrap(), Age::Dated), Some(f64::NAN));
    play.book.handle_reading(now(7), series, (now(900).wall.unwrap(), Age::Dated), Some(40.0));
    play.book.handle_reading(now(7), series, (now(7).wall.unwrap(), Age::Unknown), Some(40.0));
    play.drain(7);
    assert!(play.fired.is_empty());
    play.air(8, 36.0);
    assert_eq!(play.times(), [8], "a wrong date does not silence the series");
    play.book.handle_reading(now(9), series, (now(7).wall.unwrap(), Age::Dated), Some(20.0));
    play.drain(9);
    assert!(play.book.states(now(9)).next().unwrap().is_active, "late news changes nothing");
}

#[test]
fn a_reading_that_cannot_be_dated_speaks_against_what_was_read_before_it() {
    let series = ("tram", "air_temperature");
    let undated = |play: &mut Play, at_s: u64| {
        // As a device's failed reading comes in while the clock is unset: dated long ago.
        let at = (UnixMs(-600_000_000_000), Age::Unknown);
        play.book.handle_reading(Now { wall: None, ..now(at_s) }, series, at, None);
        play.drain(at_s);
    };
    let held = || Play::of(&[Rule { for_ms: 60_000, ..rule("hot", "weather.air_c > 35") }]);
    let mut play = held();
    play.air(10, 36.0);
    play.wait(200);
    assert_eq!(play.times(), [70]);
    let mut play = held();
    play.air(10, 36.0);
    undated(&mut play, 30);
    play.wait(200);
    assert!(play.fired.is_empty(), "what was read before may be old news");
    // One that was on its way meanwhile says nothing either; one that was read since does.
    play.book.handle_reading(now(210), series, (now(29).wall.unwrap(), Age::Dated), Some(36.0));
    play.wait(300);
    assert!(play.fired.is_empty());
    play.air(310, 36.0);
    play.wait(400);
    assert_eq!(play.times(), [370]);
}

#[test]
fn a_doubt_outlives_another_version_of_the_farm() {
    let rules = [Rule { for_ms: 60_000, ..rule("hot", "weather.air_c > 35") }];
    let series = ("tram", "air_temperature");
    let mut play = Play::of(&rules);
    play.air(10, 36.0);
    let at = (UnixMs(-600_000_000_000), Age::Unknown);
    play.book.handle_reading(Now { wall: None, ..now(30) }, series, at, None);
    play.drain(30);
    play.book = play.book.renewed(&rules, BTreeMap::new(), 420, now(40));
    // It was on its way when the one came that could not be dated.
    play.book.handle_reading(now(50), series, (now(29).wall.unwrap(), Age::Dated), Some(36.0));
    play.drain(50);
    play.wait(200);
    assert_eq!(play.times(), [0; 0], "what was read before the doubt says nothing");
    play.air(210, 36.0);
    play.wait(300);
    assert_eq!(play.times(), [270]);
}

#[test]
fn time_is_the_farms() {
    // 00:00 UTC is 07:00 on the farm.
    let mut play = Play::of(&[rule("early", "time.hour == 7 && time.minute >= 430 && time.weekday == 1")]);
    play.wait(599);
    assert_eq!(play.times(), [0_u64; 0]);
    play.wait(4000);
    assert_eq!(play.times(), [600]);
    let mut play = Play::of(&[rule("day", "time.day == 2 && time.month == 3")]);
    play.drain(0);
    assert_eq!(play.times(), [0]);
    let unset = Now { wall: None, ..now(10) };
    let mut book = RuleBook::new(&[rule("day", "time.day == 2")], &BTreeMap::new(), 420, unset);
    assert_eq!(book.poll_output(), None, "without a clock there is no time");
}

#[test]
fn zones_are_seen_a_second_later_so_that_rules_cannot_loop() {
    let pair = [rule("a", "!zone[\"man-1\"].watering"), rule("b", "zone[\"man-1\"].watering")];
    let mut play = Play::of(&pair);
    let watering = |is_watering| ZoneSigns { is_watering, ..ZoneSigns::default() };
    play.zone(10, watering(false));
    assert!(play.fired.is_empty(), "not within the moment");
    play.wait(11);
    assert_eq!(play.times(), [11]);
    // Whatever each does to the zone at once: a firing a minute and rule at most, and ten a day.
    let mut is_watering = true;
    for second in 12..20_000 {
        let n_before = play.fired.len();
        play.wait(second);
        if play.fired.len() > n_before {
            is_watering = !is_watering;
        }
        play.zone(second, watering(is_watering));
    }
    let gaps = |id: &str| {
        let times: Vec<u64> =
            play.fired.iter().filter(|(_, text)| text.starts_with(id)).map(|(at_s, _)| *at_s).collect();
        assert!(times.len() <= 10, "{id}: {times:?}");
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 60), "{id}: {times:?}");
        times.len()
    };
    assert!(gaps("a") > 1 && gaps("b") > 1);
}

#[test]
fn a_rule_that_comes_true_too_often_rests_until_the_next_day() {
    let often = Rule { cooldown_ms: 60_000, times_max: 3, ..rule("hot", "weather.air_c > 35") };
    let mut play = Play::of(&[often]);
    for n in 0..20 {
        play.air(n * 200 + 10, 36.0);
        play.air(n * 200 + 110, 20.0);
    }
    assert_eq!(play.times(), [10, 210, 410]);
    assert_eq!(play.tired, [610], "told once");
    play.air(86_500, 36.0);
    assert_eq!(play.times(), [10, 210, 410, 86_500]);
}

#[test]
fn moisture_is_what_the_engine_sees() {
    let mut play = Play::of(&[rule("dry", "zone[\"man-1\"].moisture < 20")]);
    let moist = |permyriad| ZoneSigns { moisture: MoisturePermyriad::new(permyriad), ..ZoneSigns::default() };
    play.zone(10, moist(2500));
    play.zone(20, moist(1950));
    play.wait(30);
    assert_eq!(play.fired, [(21, "dry: man-1.moisture = 19.5 %".to_owned())]);
    play.zone(40, ZoneSigns::default());
    play.wait(50);
    assert_eq!(play.book.states(now(50)).next().unwrap().holds, None, "probes that cannot be relied on");
}

#[test]
fn what_was_kept_holds_over_a_restart() {
    let rules = [Rule { cooldown_ms: 600_000, ..rule("hot", "weather.air_c > 35") }];
    let mut play = Play::of(&rules);
    play.air(10, 36.0);
    let restart = |at_s, memory: &BTreeMap<RuleId, RuleMemory>| Play {
        book: RuleBook::new(&rules, memory, 420, now(at_s)),
        at_s,
        memory: memory.clone(),
        fired: vec![],
        tired: vec![],
    };
    let mut again = restart(100, &play.memory);
    again.air(101, 36.0);
    assert!(again.fired.is_empty(), "it is still active");
    again.air(110, 20.0);
    again.air(120, 36.0);
    again.air(605, 36.0);
    again.wait(609);
    assert!(again.fired.is_empty(), "and still cooling");
    again.wait(620);
    assert_eq!(again.times(), [610]);
    assert_eq!(again.memory.values().next().map(|memory| memory.n_fired), Some(2));
    // A firing that lies ahead of the clock: the whole cooldown counts.
    let ahead = RuleMemory { fired_at: now(5000).wall, n_fired: 1, ..RuleMemory::default() };
    let mut again = restart(100, &[("hot".parse().unwrap(), ahead)].into());
    again.air(110, 36.0);
    again.air(600, 36.0);
    again.wait(699);
    assert!(again.fired.is_empty());
    again.wait(700);
    assert_eq!(again.times(), [700]);
}

#[test]
fn only_what_reads_a_series_is_looked_at() {
    let mut rules: Vec<Rule> = (0..200).map(|n| rule(&format!("t{n:03}"), "series.tank < 5")).collect();
    rules.push(rule("hot", "weather.air_c > 35"));
    let mut play = Play::of(&rules);
    let before = play.book.n_looks();
    for at_s in 1..100 {
        play.air(at_s, 20.0);
        play.read(at_s, "stranger", "air_temperature", 1.0);
    }
    assert_eq!(play.book.n_looks() - before, 99);
}

#[test]
fn every_function_and_operator_is_evaluated() {
    let check = |text: &str, want: Option<bool>| {
        let mut play = Play::of(&[rule("r", text)]);
        play.air(10, 7.5);
        assert_eq!(play.book.states(now(10)).next().unwrap().holds, want, "{text}");
    };
    for text in [
        "weather.air_c == 7.5 && weather.air_c != 7",
        "abs(weather.air_c - 10) == 2.5",
        "min(weather.air_c, 3) == 3 && max(weather.air_c, 3) == 7.5",
        "weather.air_c > 5 ? true : weather.air_c < 1",
        "-weather.air_c <= -7 && !(weather.air_c >= 8)",
        "weather.air_c * 2 + 1 - 4 / 8 == 15.5",
        "(weather.air_c > 5) == true && \"a\" == \"a\"",
        "weather.air_c > 7 || 1 / (weather.air_c - 7.5) > 1",
    ] {
        check(text, Some(true));
    }
    check("weather.air_c - weather.air_c > 0 || weather.air_c < 0", Some(false));
    // What is no finite number is neither greater nor smaller nor other than anything.
    for text in [
        "0 / (weather.air_c - 7.5) > 1",
        "weather.air_c / (weather.air_c - 7.5) > 1",
        "weather.air_c / (weather.air_c - 7.5) != 1",
        "min(weather.air_c / (weather.air_c - 7.5), 3) == 3",
        "weather.air_c * 1e308 * 10 > 1",
        "weather.air_c * 1e308 + weather.air_c * 1e308 > 1",
        "1 / (1 / (weather.air_c - 7.5)) == 0",
    ] {
        check(text, None);
    }
}

/// OpenSprinkler: a contact of rain or soil counts only after an on-delay, and is over only after an off-delay.
#[test]
fn opensprinkler_contact_with_on_and_off_delay() {
    let wet = Rule {
        for_ms: 300_000,
        fresh_ms: 86_400_000,
        then: vec![Effect::Lock { zone: "man-1".parse().unwrap() }],
        ..rule("wet", "series.tank == 1")
    };
    // The off-delay is a rule of its own: dry for ten minutes.
    let dry = Rule { for_ms: 600_000, fresh_ms: 86_400_000, ..rule("dry", "series.tank == 0") };
    let mut play = Play::of(&[dry, wet]);
    for (at_s, contact) in [(0, 0.0), (100, 1.0), (150, 0.0), (200, 1.0), (800, 0.0), (900, 1.0), (1000, 0.0)]
    {
        play.read(at_s, "n09", "tank_level", contact);
    }
    play.wait(3000);
    let told: Vec<(u64, &str)> =
        play.fired.iter().map(|(at_s, text)| (*at_s, text.split(':').next().unwrap())).collect();
    assert_eq!(told, [(500, "wet"), (1600, "dry")]);
}

/// Irrigation-V5: a gate of the water source: below its level nothing is watered until it has filled up.
#[test]
fn irrigation_v5_water_source_gate() {
    let until = compile("series.tank > 40", &scope()).ok();
    let gate = Rule { until, repeat_ms: Some(60_000), ..rule("gate", "series.tank < 20") };
    let mut play = Play::of(&[gate]);
    for (at_s, level) in [(0, 50.0), (100, 19.0), (150, 25.0), (200, 18.0), (300, 45.0), (400, 30.0)] {
        play.read(at_s, "n09", "tank_level", level);
    }
    // At 100 it closes; at 160 the level is not below, so it is stopped again only when it is, at 200.
    assert_eq!(play.times(), [100, 200, 260]);
}

/// Home Assistant: a numeric state that holds for a time, once.
#[test]
fn home_assistant_numeric_state_for() {
    let held = Rule { for_ms: 300_000, ..rule("hot", "weather.air_c > 30 && weather.air_c < 45") };
    let mut play = Play::of(&[held]);
    for (at_s, air_c) in [(0, 31.0), (200, 50.0), (210, 31.0), (400, 32.0), (600, 33.0)] {
        play.air(at_s, air_c);
    }
    assert_eq!(play.times(), [510]);
}
