//! The master against a line that answers, keeps silent, stutters and lies.
//!
//! Frames are those printed for DFRobot SEN0601, SEN0604, SEN0605 and ES-SM-TH-01S; every checksum was computed anew.

use super::*;
use crate::hand_clock::{block_on, now_ms};
use core::convert::Infallible;
use embedded_io_async::ErrorType;
use giot_shared::wire::Flaw;
use proptest::prelude::*;
use serde_json::Value;
use std::collections::VecDeque;
use std::format;
use std::string::String;
use std::vec;
use std::vec::Vec;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit.to_le_bytes()[0]).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Adds the checksum, so that a test can make any frame.
fn framed(head: &[u8]) -> Vec<u8> {
    let mut crc = 0xffff_u16;
    for byte in head {
        crc ^= u16::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xa001 } else { crc >> 1 };
        }
    }
    let mut frame = head.to_vec();
    frame.extend(crc.to_le_bytes());
    frame
}

fn question(address: u8, register: u16, count: u8) -> Question {
    Question::new(address, Function::Holding, register, count).expect("a possible question")
}

/// The printed frames as they were collected, with what they mean.
#[test]
fn printed_frames_are_spoken_and_understood() {
    let printed: Value =
        serde_json::from_str(include_str!("../../../tests/data/modbus_frames.json")).expect("JSON");
    let (mut n_answers, mut n_values) = (0, 0);
    for frame in printed["frames"].as_array().expect("frames") {
        let text = |key: &str| frame[key].as_str().map(bytes);
        let asked = text("req").expect("a question");
        let [address, 3, high, low, 0, count, _, _] = asked[..] else { panic!("{frame}") };
        let register = u16::from_be_bytes([high, low]);
        let question =
            Question::new(address, Function::Holding, register, count).expect("a possible question");
        assert_eq!(question.encode().expect("bytes").as_slice(), asked, "{frame}");
        let Some(answer) = text("resp") else { continue };
        n_answers += 1;
        let words = question.decode(&answer).unwrap_or_else(|error| panic!("{frame}: {error:?}"));
        let preset = if register == 0x12 { Preset::B } else { Preset::A };
        for (name, meant) in frame["decoded"].as_object().expect("what it means") {
            let metric = match name.as_str() {
                "moisture_pct" => Metric::SoilMoisture,
                "temp_c" => Metric::SoilTemperature,
                "ec_us_cm" => Metric::SoilEc,
                "ph" => Metric::SoilPh,
                // Of no probe's map: how the device itself is set.
                "address" | "baud_code" => {
                    assert_eq!(words.first().map(|word| Value::from(*word)).as_ref(), Some(meant), "{frame}");
                    continue;
                }
                other => panic!("{other}"),
            };
            let field = preset.field(metric).expect("it has that");
            let word = words[usize::from(field.register - register)];
            let value = metric.to_f64(field.value(word));
            assert_eq!(Some(value), meant.as_f64(), "{name} of {frame}");
            n_values += 1;
        }
    }
    assert_eq!((n_answers, n_values), (5, 8));
}

#[test]
fn function_four_is_asked_for_input_registers() {
    let question = Question::new(1, Function::Input, 0, 1).expect("a question");
    assert_eq!(question.encode().expect("bytes").as_slice(), framed(&[1, 4, 0, 0, 0, 1]));
    assert_eq!(question.decode(&framed(&[1, 4, 2, 0, 9])).as_deref(), Ok(&[9][..]));
}

#[test]
fn impossible_questions_are_none() {
    for (address, count) in [(0, 1), (248, 1), (1, 0), (1, 17)] {
        assert_eq!(Question::new(address, Function::Holding, 0, count), None);
    }
}

#[test]
fn spoilt_answers_are_no_readings() {
    let question = question(1, 0, 3);
    let good = bytes("010306 0292 FF9B 03E8 D80F");
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut spoilt = good.clone();
            spoilt[at] ^= 1 << bit;
            assert!(question.decode(&spoilt).is_err(), "byte {at} bit {bit}");
        }
        assert!(question.decode(&good[..at]).is_err(), "cut at {at}");
    }
    let mut long = good;
    long.push(0);
    assert_eq!(question.decode(&long), Err(FrameError::Shape));
}

#[test]
fn answers_to_other_questions_are_told_apart() {
    let question = question(1, 0, 1);
    let check = |head: &[u8], want| assert_eq!(question.decode(&framed(head)), Err(want), "{head:?}");
    check(&[2, 3, 2, 0, 9], FrameError::Foreign);
    check(&[2, 0x83, 2], FrameError::Foreign);
    check(&[1, 4, 2, 0, 9], FrameError::Shape);
    check(&[1, 3, 4, 0, 9], FrameError::Shape);
    check(&[1, 0x83, 2], FrameError::Exception(2));
    check(&[1, 0x84, 2], FrameError::Shape);
    let mut spoilt = framed(&[1, 0x83, 2]);
    spoilt[2] = 1;
    assert_eq!(question.decode(&spoilt), Err(FrameError::Crc));
}

/// The codec computes `0 - 1` for it.
#[test]
fn an_answer_without_registers_does_not_stop_the_node() {
    assert_eq!(question(1, 0, 1).decode(&framed(&[1, 3, 0])), Err(FrameError::Shape));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn no_bytes_are_taken_for_words_without_being_an_answer(
        head in proptest::collection::vec(any::<u8>(), 0..40),
        with_crc in any::<bool>(),
        count in 1..=16_u8,
    ) {
        let question = question(1, 0, count);
        let answer = if with_crc { framed(&head) } else { head };
        if let Ok(words) = question.decode(&answer) {
            prop_assert_eq!(words.len(), usize::from(count));
            prop_assert_eq!(&answer[..3], &[1, 3, 2 * count][..]);
        }
    }
}

#[test]
fn registers_become_values_in_the_steps_of_their_metric() {
    let check = |preset: Preset, metric, word: u16, value| {
        let field = preset.field(metric).expect("it measures that");
        let want = Sample::Value { value, raw: Some(i32::from(word)) };
        assert_eq!(field.sample(word), want, "{preset:?} {metric:?}");
    };
    for preset in [Preset::A, Preset::B, Preset::D] {
        check(preset, Metric::SoilMoisture, 658, 6580);
        check(preset, Metric::SoilTemperature, 0xff9b, -1010);
    }
    for preset in [Preset::A, Preset::D] {
        check(preset, Metric::SoilPh, 56, 560);
    }
    check(Preset::B, Metric::SoilPh, 653, 653);
    for preset in [Preset::A, Preset::B, Preset::D] {
        for metric in [Metric::SoilNitrogen, Metric::SoilPhosphorus, Metric::SoilPotassium] {
            check(preset, metric, 137, 137);
        }
    }
    check(Preset::C, Metric::SoilSalinity, 521, 521);
    check(Preset::C, Metric::SoilTds, 473, 473);
    check(Preset::C, Metric::SoilPermittivity, 1234, 1234);
    assert_eq!(Preset::C.field(Metric::SoilPh), None);
    // What a probe says that has no such electrode.
    assert!(!Metric::SoilPh.is_possible(Preset::A.field(Metric::SoilPh).expect("a field").value(0xffff)));
    check(Preset::C, Metric::SoilMoisture, 2345, 2345);
    check(Preset::C, Metric::SoilTemperature, 0xfff0, -16);
    for preset in [Preset::A, Preset::B, Preset::C] {
        check(preset, Metric::SoilEc, 1000, 1000);
    }
    for (word, value) in [(20_000, 2000), (14, 1), (15, 2)] {
        check(Preset::D, Metric::SoilEc, word, value);
    }
    assert_eq!(Preset::A.field(Metric::Rain), None);
    // Where each stands (domain sources at the presets).
    let places = |preset: Preset| preset.fields().iter().map(|field| field.register).collect::<Vec<_>>();
    assert_eq!(places(Preset::A), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(places(Preset::B), [0x12, 0x13, 0x15, 0x06, 0x1e, 0x1f, 0x20]);
    assert_eq!(places(Preset::C), [0, 1, 2, 3, 4, 5]);
    assert_eq!(places(Preset::D), places(Preset::A));
    let registers = |preset: Preset| preset.question(1).and_then(|question| question.encode());
    assert_eq!(registers(Preset::A).expect("a question").as_slice(), bytes("010300000003 05CB"));
    assert_eq!(registers(Preset::B).expect("a question").as_slice(), framed(&[1, 3, 0, 0x12, 0, 4]));
}

/// Each was a good reading: of a probe without that electrode, or with one that has failed.
#[test]
fn words_that_a_probe_cannot_mean_are_no_good_readings() {
    let flaw = |preset: Preset, metric, word: u16| {
        let field = preset.field(metric).expect("it measures that");
        let plan = crate::settings::ProbePlan::new(giot_shared::ids::ProbeId(0), metric);
        let reading = crate::probe::reading(&plan, Ok(field.sample(word)));
        assert_eq!((reading.value, reading.raw), (Some(field.value(word)), Some(i32::from(word))));
        reading.flaw
    };
    for preset in Preset::ALL {
        for field in preset.fields() {
            assert_eq!(
                flaw(preset, field.metric, 0xffff),
                Some(Flaw::OutOfRange),
                "{preset:?} {:?}",
                field.metric
            );
        }
        for (metric, word) in [
            (Metric::SoilMoisture, 0x7fff),
            (Metric::SoilTemperature, 0x7fff),
            (Metric::SoilTemperature, 0x8000),
        ] {
            assert_eq!(flaw(preset, metric, word), Some(Flaw::OutOfRange), "{preset:?} {metric:?}");
        }
        assert_eq!(flaw(preset, Metric::SoilTemperature, 0xfffe), None, "a frost");
    }
    for (preset, metric, last) in [
        (Preset::A, Metric::SoilMoisture, 1000),
        (Preset::A, Metric::SoilTemperature, 800),
        (Preset::B, Metric::SoilEc, 20_000),
        (Preset::C, Metric::SoilMoisture, 10_000),
        (Preset::C, Metric::SoilPermittivity, 8200),
        (Preset::D, Metric::SoilEc, 20_000),
        (Preset::D, Metric::SoilPh, 100),
        (Preset::D, Metric::SoilPotassium, 2000),
    ] {
        assert_eq!(flaw(preset, metric, last), None, "{preset:?} {metric:?}");
        assert_eq!(flaw(preset, metric, last + 1), Some(Flaw::OutOfRange), "{preset:?} {metric:?}");
    }
    let cold = |tenths: i16| flaw(Preset::D, Metric::SoilTemperature, tenths.cast_unsigned());
    assert_eq!((cold(-200), cold(-201)), (None, Some(Flaw::OutOfRange)));
}

#[test]
fn codes_of_presets_come_back() {
    for preset in Preset::ALL {
        assert_eq!(Preset::from_code(preset.code()), Some(preset));
    }
    assert_eq!(Preset::from_code(0), None);
    assert_eq!(Preset::from_code(5), None);
}

/// A line on which a device answers each question as a script says: bytes after milliseconds.
struct Scripted<F> {
    device: F,
    asked: Vec<u8>,
    coming: VecDeque<(u64, u8)>,
    n_asked: usize,
    /// Speed of the port, and the one that the device hears; `None`: any.
    baud: u32,
    parity: Parity,
    hears: Option<(u32, Parity)>,
}

impl<F: FnMut(usize, &[u8]) -> Vec<(u64, Vec<u8>)>> Scripted<F> {
    fn line(device: F) -> Line<Self> {
        Line::new(Self {
            device,
            asked: Vec::new(),
            coming: VecDeque::new(),
            n_asked: 0,
            baud: 4800,
            parity: Parity::None,
            hears: None,
        })
    }
}

impl<F> ErrorType for Scripted<F> {
    type Error = Infallible;
}

impl<F> Read for Scripted<F> {
    async fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        match self.coming.front() {
            Some(&(at_ms, _)) if at_ms > now_ms() => {
                Timer::at(embassy_time::Instant::from_millis(at_ms)).await;
            }
            Some(_) => {}
            None => core::future::pending().await,
        }
        bytes[0] = self.coming.pop_front().expect("looked").1;
        Ok(1)
    }
}

impl<F: FnMut(usize, &[u8]) -> Vec<(u64, Vec<u8>)>> Write for Scripted<F> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        self.asked.extend(bytes);
        Ok(bytes.len())
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        let asked = core::mem::take(&mut self.asked);
        self.n_asked += 1;
        if self.hears.is_some_and(|format| format != (self.baud, self.parity)) {
            return Ok(());
        }
        for (after_ms, answer) in (self.device)(self.n_asked - 1, &asked) {
            self.coming.extend(answer.into_iter().map(|byte| (now_ms() + after_ms, byte)));
        }
        self.coming.make_contiguous().sort_by_key(|(at_ms, _)| *at_ms);
        Ok(())
    }
}

/// As a chip whose divisor ends at 38 400 baud.
impl<F> Format for Scripted<F> {
    fn set_format(&mut self, baud: u32, parity: Parity) -> bool {
        let has_it = baud <= 38_400;
        if has_it {
            (self.baud, self.parity) = (baud, parity);
        }
        has_it
    }
}

fn ask(device: impl FnMut(usize, &[u8]) -> Vec<(u64, Vec<u8>)>) -> (Result<Words, LineError>, usize, u64) {
    let mut line = Scripted::line(device);
    let began_ms = now_ms();
    let answer = block_on(line.ask(&question(1, 0, 1), Patience::READING));
    (answer, line.port().n_asked, now_ms() - began_ms)
}

fn moisture(word: u16) -> Vec<u8> {
    let [high, low] = word.to_be_bytes();
    framed(&[1, 3, 2, high, low])
}

#[test]
fn a_silent_device_is_asked_three_times_and_no_longer() {
    let (answer, n_asked, took_ms) = ask(|_, _| Vec::new());
    assert_eq!((answer, n_asked), (Err(LineError::Silent), 3));
    assert_eq!(took_ms, 3 * (GAP_MS + Patience::READING.answer_ms));
}

#[test]
fn an_answer_in_pieces_is_one_answer() {
    let (answer, n_asked, _) = ask(|_, _| {
        let whole = moisture(300);
        vec![(200, whole[..3].to_vec()), (650, whole[3..].to_vec())]
    });
    assert_eq!((answer.as_deref(), n_asked), (Ok(&[300][..]), 1));
}

#[test]
fn a_spoilt_or_foreign_answer_is_asked_for_again() {
    for bad in [vec![1, 3, 2, 1, 2, 0, 0], framed(&[2, 3, 2, 0, 9]), vec![0xff], framed(&[1, 3, 4, 0, 9])] {
        let (answer, n_asked, _) = ask(|n, _| vec![(20, if n == 0 { bad.clone() } else { moisture(7) })]);
        assert_eq!((answer.as_deref(), n_asked), (Ok(&[7][..]), 2), "{bad:?}");
    }
    let (answer, n_asked, _) = ask(|_, _| vec![(20, vec![1, 3, 2, 1, 2, 0, 0])]);
    assert_eq!((answer, n_asked), (Err(LineError::Frame(FrameError::Crc)), 3));
}

#[test]
fn a_device_that_cannot_is_not_asked_again() {
    let (answer, n_asked, _) = ask(|_, _| vec![(20, framed(&[1, 0x83, 2]))]);
    assert_eq!((answer, n_asked), (Err(LineError::Frame(FrameError::Exception(2))), 1));
}

/// Otherwise the value of one register would be taken for that of another for ever after.
#[test]
fn a_late_answer_is_not_the_next_one() {
    let late_ms = Patience::READING.answer_ms + 10;
    let (answer, n_asked, _) =
        ask(|n, _| if n == 0 { vec![(late_ms, moisture(111))] } else { vec![(100, moisture(222))] });
    assert_eq!((answer.as_deref(), n_asked), (Ok(&[222][..]), 2));
}

/// A device that answers a little later than is waited for: what it says to the second try comes after the first answer was taken.
#[test]
fn what_is_late_again_is_not_another_registers_value() {
    for late_ms in [50, 300, 650] {
        let mut line = Scripted::line(|_, asked: &[u8]| {
            vec![(Patience::READING.answer_ms + late_ms, moisture(100 + u16::from(asked[3])))]
        });
        for register in [0, 1, 2] {
            let answer = block_on(line.ask(&question(1, register, 1), Patience::READING));
            let right = answer.as_deref() == Ok(&[100 + register][..]);
            assert!(right || answer == Err(LineError::Silent), "{register}, {late_ms} ms late: {answer:?}");
        }
    }
}

/// Three registers of a device that answers after `answer_ms` and gives 100 and the register's number, with `noise` some ms after
/// some of the questions.
fn with_noise(answer_ms: u64, noise: impl Fn(usize) -> Option<(u64, Vec<u8>)>) -> (Vec<Option<u16>>, u64) {
    let mut line = Scripted::line(|n, asked: &[u8]| {
        let answer = (answer_ms, moisture(100 + u16::from(asked[3])));
        let mut said: Vec<_> = noise(n).into_iter().chain([answer]).collect();
        said.sort_by_key(|(after_ms, _)| *after_ms);
        said
    });
    let began_ms = now_ms();
    let mut words = Vec::new();
    for register in [0, 1, 2] {
        let answer = block_on(line.ask(&question(1, register, 1), Patience::READING));
        words.push(answer.ok().map(|words| words[0]));
    }
    (words, now_ms() - began_ms)
}

/// Each was an answer of its own, after which the question was asked again while its answer came: for the next register.
#[test]
fn noise_before_an_answer_moves_no_value_to_another_register() {
    let bursts = [
        bytes("0103FF007E1122"),
        bytes("00"),
        bytes("010302"),
        vec![0x55; 30],
        framed(&[1, 3, 4, 0, 9, 0, 9]),
    ];
    for answer_ms in [60, 400, 690] {
        for burst in &bursts {
            for noisy in 0..3 {
                let (words, took_ms) =
                    with_noise(answer_ms, |n| (n == noisy).then(|| (answer_ms / 4, burst.clone())));
                assert_eq!(words, [Some(100), Some(101), Some(102)], "{answer_ms} ms, {burst:02x?}");
                assert!(took_ms <= 3 * (answer_ms + GAP_MS), "nothing was asked twice: {took_ms} ms");
            }
        }
    }
}

/// The answer is late besides, and noise is all that was heard while it was waited for.
#[test]
fn noise_instead_of_late_answers_moves_no_value_to_another_register() {
    for answer_ms in [730, 900, 1300, 2000] {
        for n_noisy in 0..6 {
            let (words, _) = with_noise(answer_ms, |n| (n < n_noisy).then(|| (100, vec![0x55; 20])));
            for (register, word) in (100..).zip(words) {
                assert!(word.is_none_or(|word| word == register), "{answer_ms} ms, {n_noisy}: {word:?}");
            }
        }
    }
}

/// As a transceiver makes one when it turns round.
#[test]
fn a_byte_before_each_answer_does_not_silence_a_probe() {
    for glitch in [0x00, 0xff, 0x01, 0x83] {
        let (words, took_ms) = with_noise(100, |_| Some((5, vec![glitch])));
        assert_eq!(words, [Some(100), Some(101), Some(102)], "{glitch:02x}");
        assert_eq!(took_ms, 3 * (100 + GAP_MS));
    }
    // Nor one before a refusal, or behind an answer.
    let (answer, n_asked, _) = ask(|_, _| vec![(5, vec![0]), (20, framed(&[1, 0x83, 2]))]);
    assert_eq!((answer, n_asked), (Err(LineError::Frame(FrameError::Exception(2))), 1));
    let (answer, n_asked, _) = ask(|_, _| vec![(20, [moisture(7), vec![0]].concat())]);
    assert_eq!((answer.as_deref(), n_asked), (Ok(&[7][..]), 1));
}

/// What was the answer need not be waited for; of anything else nobody knows whether it was.
#[test]
fn an_answer_that_is_spoilt_is_asked_for_again_at_once() {
    let spoilt = |at: usize| {
        let mut answer = moisture(300);
        answer[at] ^= 0x10;
        ask(move |n, _| vec![(20, if n == 0 { answer.clone() } else { moisture(7) })])
    };
    let window_ms = Patience::READING.answer_ms;
    for (at, first_ms) in [(0, window_ms), (1, window_ms), (2, window_ms), (3, 20 + GAP_MS), (6, 20 + GAP_MS)]
    {
        let (answer, n_asked, took_ms) = spoilt(at);
        assert_eq!((answer.as_deref(), n_asked), (Ok(&[7][..]), 2), "byte {at}");
        assert_eq!(took_ms, GAP_MS + first_ms + GAP_MS + 20, "byte {at}");
    }
}

/// A port that fails some times before it gives an answer.
struct Failing {
    n_failures: u32,
    answer: VecDeque<u8>,
    n_asked: u32,
}

impl ErrorType for Failing {
    type Error = embedded_io_async::ErrorKind;
}

impl Read for Failing {
    async fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Self::Error> {
        // Nothing is stale before the first question.
        if self.n_asked == 0 || self.answer.is_empty() {
            return core::future::pending().await;
        }
        if self.n_failures > 0 {
            self.n_failures -= 1;
            return Err(embedded_io_async::ErrorKind::Other);
        }
        bytes[0] = self.answer.pop_front().expect("looked");
        Ok(1)
    }
}

impl Write for Failing {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        Ok(bytes.len())
    }

    async fn flush(&mut self) -> Result<(), Self::Error> {
        self.n_asked += 1;
        Ok(())
    }
}

/// As a chip tells of noise that is no character.
#[test]
fn a_port_that_fails_for_a_moment_is_heard_to_the_end() {
    let ask = |n_failures| {
        let mut line = Line::new(Failing { n_failures, answer: moisture(7).into(), n_asked: 0 });
        let answer = block_on(line.ask(&question(1, 0, 1), Patience { n_tries: 1, ..Patience::READING }));
        (answer.map(|words| words[0]), line.port().n_asked)
    };
    assert_eq!(ask(20), (Ok(7), 1));
    let before_ms = now_ms();
    assert_eq!(ask(u32::MAX), (Err(LineError::Port), 1));
    assert!(now_ms() - before_ms <= 2 * GAP_MS + Patience::READING.answer_ms);
}

/// Another device is asked meanwhile, and what passes by is not its answer.
#[test]
fn an_answer_that_may_still_come_keeps_no_other_device_waiting() {
    let mut line = Scripted::line(|_, asked: &[u8]| match asked[0] {
        1 => vec![(Patience::READING.answer_ms * 3 + 60, moisture(9))],
        _ => vec![(100, framed(&[2, 3, 2, 0, 7]))],
    });
    let ask = |line: &mut Line<_>, address, register| {
        let began_ms = now_ms();
        let answer = block_on(line.ask(&question(address, register, 1), Patience::READING));
        (answer.ok().map(|words| words[0]), now_ms() - began_ms)
    };
    let silent_ms = 3 * (GAP_MS + Patience::READING.answer_ms);
    assert_eq!(ask(&mut line, 1, 0), (None, silent_ms));
    let (answer, took_ms) = ask(&mut line, 2, 0);
    assert_eq!(answer, Some(7));
    assert!(took_ms < 300, "{took_ms} ms");
    let (answer, took_ms) = ask(&mut line, 1, 1);
    assert_eq!(answer, None);
    assert!(took_ms > silent_ms + Patience::READING.late_ms - 300, "{took_ms} ms");
}

#[test]
fn a_babbling_line_does_not_hold_the_node() {
    let (answer, _, took_ms) = ask(|_, _| vec![(0, vec![0x55; 2000])]);
    assert_eq!(answer, Err(LineError::Frame(FrameError::Shape)));
    assert!(took_ms < 3000, "{took_ms} ms");
}

#[test]
fn a_planned_probe_gives_a_sample_or_says_that_it_does_not_answer() {
    let mut line = Scripted::line(|_, asked| {
        assert_eq!(asked, bytes("010300120001 240F"));
        vec![(30, bytes("010302 002D 7859"))]
    });
    let sample = block_on(line.sample(1, Preset::B, Metric::SoilMoisture));
    assert_eq!(sample, Ok(Sample::Value { value: 450, raw: Some(45) }));
    assert_eq!(block_on(line.sample(1, Preset::B, Metric::Rain)), Err(ProbeFault::NoAnswer));
    assert_eq!(block_on(line.sample(0, Preset::B, Metric::SoilEc)), Err(ProbeFault::NoAnswer));
}

#[test]
fn a_scan_finds_who_is_there_and_in_which_maps() {
    let mut line = Scripted::line(|_, asked| match asked[0] {
        // Map A or its kin: knows the first registers only.
        1 if asked[3] == 0 => vec![(10, framed(&[1, 3, 6, 0x02, 0x92, 0xff, 0x9b, 0x03, 0xe8]))],
        1 => vec![(10, framed(&[1, 0x83, 2]))],
        // Keeps silent when asked for what it has not.
        3 if asked[3] == 0x12 => vec![(10, framed(&[3, 3, 8, 0, 45, 0, 200, 0, 0, 3, 0xe8]))],
        _ => Vec::new(),
    });
    let mut told = Vec::new();
    let wanted = Scan { baud: Some(9600), ..Scan::default() };
    let outcome = block_on(scan(&mut line, &wanted, |one| match one {
        Sighting::Found(9600, one) => {
            let answer = one.answer.as_ref().map(|words| words[0]);
            told.push(format!("{} {:?} {answer:?} {}", one.address, one.preset, one.is_plausible()));
        }
        Sighting::At(9600, Parity::None) | Sighting::Registers { .. } => {}
        Sighting::At(..) | Sighting::From(_) | Sighting::NoSuchFormat(..) | Sighting::Found(..) => {
            panic!("{one}")
        }
    }));
    assert_eq!(outcome, Ok(()));
    // 65.8 as hundredths of a degree and -10.1 degrees as moisture: map C is ruled out by its values.
    assert_eq!(
        told,
        ["1 A Ok(658) true", "1 B Err(2) false", "1 C Ok(658) false", "1 D Ok(658) true", "3 B Ok(45) true"]
    );
}

/// What a device with registers says: words that it has, exception 2 or silence for others.
fn device(
    address: u8,
    function: u8,
    first: u16,
    words: &[u16],
    refuses: bool,
    asked: &[u8],
) -> Vec<(u64, Vec<u8>)> {
    let [to, by, high, low, 0, count, _, _] = *asked else { return Vec::new() };
    if to != address {
        return Vec::new();
    }
    let at = u16::from_be_bytes([high, low]).checked_sub(first).map(usize::from);
    let given = at.and_then(|at| words.get(at..at + usize::from(count))).filter(|_| by == function);
    match given {
        Some(words) => {
            let mut answer = vec![to, by, 2 * count];
            answer.extend(words.iter().flat_map(|word| word.to_be_bytes()));
            vec![(10, framed(&answer))]
        }
        None if refuses => vec![(10, framed(&[to, by | 0x80, 2]))],
        None => Vec::new(),
    }
}

/// Every line that a scan of all speeds tells, and how long it took, s.
fn scanned(hears: u32, device: impl FnMut(usize, &[u8]) -> Vec<(u64, Vec<u8>)>) -> (Vec<String>, u64) {
    let mut line = Scripted::line(device);
    line.port().hears = Some((hears, Parity::None));
    told_by(&mut line, &Scan::default())
}

fn told_by(
    line: &mut Line<Scripted<impl FnMut(usize, &[u8]) -> Vec<(u64, Vec<u8>)>>>,
    wanted: &Scan,
) -> (Vec<String>, u64) {
    let (mut told, began_ms) = (Vec::new(), now_ms());
    let outcome = block_on(scan(line, wanted, |one| told.push(format!("{one}"))));
    assert_eq!(outcome, Ok(()));
    (told, (now_ms() - began_ms) / 1000)
}

#[test]
fn a_device_of_high_address_and_with_parity_is_found_by_whoever_asks_so() {
    let words = [0x0292, 0xff9b, 0x03e8];
    let mut line = Scripted::line(|_, asked| device(247, 3, 0, &words, true, asked));
    line.port().hears = Some((9600, Parity::Even));
    let wanted = |parity, addresses| Scan { baud: Some(9600), parity, addresses };
    let (told, _) = told_by(&mut line, &wanted(Parity::None, ADDRESSES));
    assert_eq!((told.len(), told[0].as_str()), (25, "scanning at 9600 baud"), "{told:?}");
    let (told, _) = told_by(&mut line, &wanted(Parity::Odd, 240..=247));
    assert_eq!(told, ["scanning at 9600 baud, odd parity"]);
    let (told, took_s) = told_by(&mut line, &wanted(Parity::Even, ADDRESSES));
    assert_eq!(told[0], "scanning at 9600 baud, even parity");
    // It says how far it is, so that nobody takes it for dead.
    assert_eq!(told[1..3], ["scanning addresses from 11 on", "scanning addresses from 21 on"]);
    assert_eq!(told[24], "scanning addresses from 241 on");
    assert!(told[25].starts_with("9600 baud, address 247, map A: soil_moisture 65.80 %"), "{told:?}");
    assert!((350..360).contains(&took_s), "{took_s} s");
    // Nobody else's parity makes a port of one that has not the speed.
    let (told, _) = told_by(&mut line, &Scan { baud: Some(115_200), ..wanted(Parity::Odd, 1..=1) });
    assert_eq!(told, ["not scanning at 115200 baud: the port cannot have it with odd parity"]);
}

#[test]
fn a_scan_goes_through_all_speeds_and_has_an_end() {
    let (told, took_s) = scanned(0, |_, _| Vec::new());
    assert_eq!(
        told,
        [
            "scanning at 4800 baud",
            "scanning at 9600 baud",
            "scanning at 2400 baud",
            "scanning at 19200 baud",
            "scanning at 38400 baud",
            "not scanning at 115200 baud: the port cannot have this speed"
        ]
    );
    assert_eq!(took_s, 71, "five speeds, ten addresses, two questions");
}

#[test]
fn a_probe_of_unusual_speed_is_found_with_its_registers() {
    // As the printed frame of SEN0604: four registers and no more.
    let words = [0x0292, 0xff9b, 0x03e8, 0x0038];
    let (told, took_s) = scanned(38_400, |_, asked| device(7, 3, 0, &words, true, asked));
    assert_eq!(
        told[5..],
        [
            "38400 baud, address 7, map A: soil_moisture 65.80 %, soil_temperature -10.10 °C, soil_ec 1000 uS/cm",
            "38400 baud, address 7, map B: has no such registers (code 2)",
            "38400 baud, address 7, map C: soil_temperature 6.58 °C, soil_moisture 654.35 %, soil_ec 1000 uS/cm \
             (impossible: another map)",
            "38400 baud, address 7, map D: soil_moisture 65.80 %, soil_temperature -10.10 °C, soil_ec 100 uS/cm",
            "address 7, function 3, from register 0x0000: 0292 FF9B 03E8 0038 ---- ---- ---- ----",
            "not scanning at 115200 baud: the port cannot have this speed"
        ]
    );
    assert!(took_s < 80, "{took_s} s");
}

/// It was read, and not found.
#[test]
fn a_scan_finds_what_a_reading_finds() {
    let words = [0x0292, 0xff9b, 0x03e8];
    let told = |after_ms: u64, noise: Option<Vec<u8>>| {
        let mut line = Scripted::line(|_, asked: &[u8]| {
            let mut said = device(2, 3, 0, &words, true, asked);
            said.iter_mut().for_each(|(ms, _)| *ms = after_ms);
            let is_heard = !said.is_empty();
            noise.iter().filter(|_| is_heard).map(|noise| (after_ms / 2, noise.clone())).chain(said).collect()
        });
        let wanted = Scan { baud: Some(9600), parity: Parity::None, addresses: 1..=3 };
        let (told, took_s) = told_by(&mut line, &wanted);
        let mut found: Vec<_> = told.into_iter().filter(|line| line.contains("address 2")).collect();
        found.dedup();
        (found, took_s)
    };
    let (quick, took_s) = told(20, None);
    assert!(quick[0].starts_with("9600 baud, address 2, map A: soil_moisture 65.80 %"), "{quick:?}");
    assert!(took_s < 10, "{took_s} s");
    let late = Patience::READING.answer_ms + 100;
    for (after_ms, noise) in
        [(500, None), (690, None), (20, Some(vec![0; 9])), (late, None), (late, Some(vec![0x55; 9]))]
    {
        let (found, took_s) = told(after_ms, noise);
        assert_eq!(found, quick, "{after_ms} ms");
        assert!(took_s < 300, "{took_s} s");
    }
}

/// No map known here: its words are told, by whichever function it gives them, and its silence has an end.
#[test]
fn an_unknown_probe_shows_its_registers() {
    let words = [0xabcd, 7];
    let (told, took_s) = scanned(9600, |_, asked| device(2, 4, 0x22, &words, true, asked));
    let found: Vec<_> = told.iter().filter(|line| line.contains("address")).collect();
    assert_eq!(found.len(), 5, "{told:?}");
    assert!(found[..4].iter().all(|line| line.contains("has no such registers")), "{found:?}");
    assert_eq!(
        found[4],
        "address 2, function 4, from register 0x0020: ---- ---- ABCD 0007 ---- ---- ---- ----"
    );
    assert!(took_s < 80, "{took_s} s");
    let (told, took_s) = scanned(9600, |_, asked| device(3, 3, 0x12, &[45, 200, 0, 1000], false, asked));
    let shown: Vec<_> = told.iter().filter(|line| line.contains("address")).collect();
    assert_eq!(
        shown,
        [
            "9600 baud, address 3, map B: soil_moisture 4.50 %, soil_temperature 20.00 °C, soil_ec 1000 uS/cm",
            "address 3, function 3, from register 0x0010: ---- ---- 002D 00C8 0000 03E8 ---- ----"
        ]
    );
    assert!(took_s < 71 + 16, "{took_s} s");
}

#[test]
fn ten_thousand_answers_of_anything_are_no_reading() {
    let question = question(1, 0, 3);
    let good = bytes("010306 0292 FF9B 03E8 D80F");
    let mut state = 0x5eed_u64;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    for number in 0..10_000_u32 {
        let mut frame = good.clone();
        let at = usize::from(noise()) % frame.len();
        match number % 4 {
            0 => frame = (0..noise()).map(|_| noise()).collect(),
            1 => frame[at] ^= noise().max(1),
            2 => frame.truncate(at),
            _ => frame.insert(at, noise()),
        }
        if frame != good {
            assert!(question.decode(&frame).is_err(), "{frame:02x?}");
        }
    }
    assert!(question.decode(&good).is_ok());
}
