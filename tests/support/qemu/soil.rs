//! The soil around an emulated chip's probe, and the probe: one device on a Unix socket that speaks Modbus RTU, preset A.

use super::neighbour::Neighbour;
use super::pins::{OUTPUTS, PROBES, PULSES, Pins};
use crate::modbus::framed;
use crate::noise::Noise;
use giot_gateway::clock::monotonic;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Water per pulse of the meter, µL.
pub const PULSE_UL: u32 = 10_000;
/// Highest conductivity that the probe answers, µS/cm.
pub const EC_MAX: usize = 20_000;
/// Modbus address of the probe.
pub const PROBE_ADDRESS: u8 = 1;

/// The soil around the probe, and the probe on its line.
#[derive(Debug)]
pub struct Soil {
    state: Arc<SoilState>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct SoilState {
    /// Hundredths of a percent.
    moisture: AtomicI32,
    /// The least of it so far.
    driest: AtomicI32,
    /// Change in hundredths of a percent each second, while dry and while watered.
    rates: Mutex<(i32, i32)>,
    n_questions: AtomicU32,
    /// When conductivity was asked for, in the age of the pins.
    ec_asked: Mutex<Vec<Duration>>,
    /// How many of the next answers are noise.
    n_noise: AtomicU32,
    /// Where their bytes come from.
    noise: Mutex<Noise>,
    /// Whether the meter has a counter, or a contact only.
    has_counter: AtomicBool,
    /// How long the devices on the line need their supply before they answer, where it is the board's.
    rail_warm: Mutex<Option<Duration>>,
    /// Since when it is on, as the line saw it: in the age of the pins.
    rail_since: Mutex<Option<Duration>>,
    /// How often a device was asked before it was warm, or without supply.
    n_cold: AtomicU32,
    /// Who else is on the line.
    neighbours: Mutex<Vec<Neighbour>>,
    ended: AtomicBool,
}

/// How often the soil is computed anew.
const STEP: Duration = Duration::from_millis(100);
/// Most registers of an answer to another question.
const WORDS_MAX: usize = 20;

impl Soil {
    /// Usual: nearly nothing while dry, 1 % a second while watered.
    pub(super) fn start(socket: &Path, pins: Pins, moisture: i32) -> Self {
        let state = Arc::new(SoilState {
            moisture: AtomicI32::new(moisture),
            driest: AtomicI32::new(moisture),
            rates: Mutex::new((-2, 100)),
            n_questions: AtomicU32::new(0),
            ec_asked: Mutex::new(Vec::new()),
            n_noise: AtomicU32::new(0),
            noise: Mutex::new(Noise::new(0)),
            has_counter: AtomicBool::new(true),
            rail_warm: Mutex::new(None),
            rail_since: Mutex::new(None),
            n_cold: AtomicU32::new(0),
            neighbours: Mutex::new(Vec::new()),
            ended: AtomicBool::new(false),
        });
        let listener = UnixListener::bind(socket).expect("a line");
        listener.set_nonblocking(true).expect("a socket");
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || shared.live(&listener, &pins));
        Self { state, thread: Some(thread) }
    }

    /// Moisture in hundredths of a percent.
    #[must_use]
    pub fn moisture(&self) -> i32 {
        self.state.moisture.load(Ordering::Relaxed)
    }

    /// The least moisture there was so far, in hundredths of a percent.
    #[must_use]
    pub fn driest(&self) -> i32 {
        self.state.driest.load(Ordering::Relaxed)
    }

    /// Changes how fast it gets dry and wet, hundredths of a percent each second.
    pub fn set_rates(&self, dry: i32, wet: i32) {
        *self.state.rates.lock().unwrap_or_else(PoisonError::into_inner) = (dry, wet);
    }

    /// Takes the meter's counter away: what flows is counted by its contact alone, which the test moves.
    pub fn take_counter(&self) {
        self.state.has_counter.store(false, Ordering::Relaxed);
    }

    /// Gives all devices on the line the supply that the board switches: without it they keep silent, and before they are warm they say
    /// something else.
    pub fn feed_from_board(&self, warm: Duration) {
        *self.state.rail_warm.lock().unwrap_or_else(PoisonError::into_inner) = Some(warm);
    }

    /// How often one of them was asked all the same.
    #[must_use]
    pub fn n_cold(&self) -> u32 {
        self.state.n_cold.load(Ordering::Relaxed)
    }

    /// Puts another device on the line.
    pub fn connect(&self, neighbour: Neighbour) {
        self.state.neighbours.lock().unwrap_or_else(PoisonError::into_inner).push(neighbour);
    }

    /// Makes the probe answer the next `n` questions with noise.
    pub fn be_noisy(&self, n: u32, noise: Noise) {
        *self.state.noise.lock().unwrap_or_else(PoisonError::into_inner) = noise;
        self.state.n_noise.store(n, Ordering::Relaxed);
    }

    /// How many noisy answers are still to come.
    #[must_use]
    pub fn n_noise(&self) -> u32 {
        self.state.n_noise.load(Ordering::Relaxed)
    }

    /// At which age of the board conductivity was asked for. The answers count the questions from 0, so that each reading says
    /// which one it is; above [`EC_MAX`] they begin anew.
    #[must_use]
    pub fn ec_asked(&self) -> Vec<Duration> {
        self.state.ec_asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How often the probe was asked.
    #[must_use]
    pub fn n_questions(&self) -> u32 {
        self.state.n_questions.load(Ordering::Relaxed)
    }
}

impl Drop for Soil {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

impl SoilState {
    fn live(&self, listener: &UnixListener, pins: &Pins) {
        let mut line: Option<UnixStream> = None;
        let mut heard = Vec::new();
        let (mut last, mut fraction) = (monotonic(), 0.0);
        while !self.ended.load(Ordering::Relaxed) {
            if let Ok((socket, _)) = listener.accept() {
                socket.set_nonblocking(false).expect("a socket");
                socket.set_read_timeout(Some(STEP)).expect("a socket");
                heard.clear();
                line = Some(socket);
            }
            self.look_at_rail(pins);
            match &mut line {
                Some(socket) => {
                    if !self.hear(socket, &mut heard, pins) {
                        line = None;
                    }
                }
                None => std::thread::sleep(STEP),
            }
            let elapsed = last.elapsed();
            if elapsed >= STEP {
                last = monotonic();
                self.pass(elapsed, &mut fraction, pins);
            }
        }
    }

    /// Time passes: water flows and sinks in, or the sun dries.
    fn pass(&self, elapsed: Duration, fraction: &mut f64, pins: &Pins) {
        let is_open = pins.read(OUTPUTS) & 1 == 1;
        let rates = *self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = if is_open { rates.1 } else { rates.0 };
        *fraction += f64::from(rate) * elapsed.as_secs_f64();
        let whole = fraction.trunc();
        *fraction -= whole;
        #[expect(clippy::cast_possible_truncation, reason = "some hundredths of a percent")]
        let moisture = (self.moisture.load(Ordering::Relaxed) + whole as i32).clamp(500, 4500);
        self.moisture.store(moisture, Ordering::Relaxed);
        self.driest.fetch_min(moisture, Ordering::Relaxed);
        if is_open && self.has_counter.load(Ordering::Relaxed) {
            // One millilitre a millisecond.
            let n_new = u32::try_from(elapsed.as_millis()).unwrap_or(u32::MAX) * 1000 / PULSE_UL;
            pins.write(PULSES, pins.read(PULSES).wrapping_add(n_new));
        }
    }

    /// Listens for a moment and answers a whole question. Gives whether the line still stands.
    fn hear(&self, socket: &mut UnixStream, heard: &mut Vec<u8>, pins: &Pins) -> bool {
        let mut bytes = [0; 64];
        match socket.read(&mut bytes) {
            Ok(0) => return false,
            Ok(n_read) => heard.extend(&bytes[..n_read]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                // Silence ends a frame.
                heard.clear();
            }
            Err(_) => return false,
        }
        if heard.len() < 8 {
            return true;
        }
        let question: Vec<u8> = std::mem::take(heard);
        self.look_at_rail(pins);
        if let Some(answer) = self.cold_answer(&question, pins.age()) {
            return socket.write_all(&answer).is_ok();
        }
        self.n_questions.fetch_add(1, Ordering::Relaxed);
        let n_noise = self.n_noise.load(Ordering::Relaxed);
        if n_noise > 0 {
            let answer = self.answer(&question, pins).unwrap_or_default();
            let mut noise = self.noise.lock().unwrap_or_else(PoisonError::into_inner);
            let written = socket.write_all(&spoilt(&answer, &mut noise)).is_ok();
            self.n_noise.store(n_noise - 1, Ordering::Relaxed);
            return written;
        }
        let neighbours = self.neighbours.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = neighbours.iter().find_map(|neighbour| neighbour.answer(&question));
        let answer = answer.or_else(|| self.answer(&question, pins));
        answer.is_none_or(|answer| socket.write_all(&answer).is_ok())
    }

    /// Notes when the supply goes on and off.
    fn look_at_rail(&self, pins: &Pins) {
        let mut since = self.rail_since.lock().unwrap_or_else(PoisonError::into_inner);
        let is_on = pins.read(OUTPUTS) & PROBES != 0;
        *since = since.or_else(|| Some(pins.age())).filter(|_| is_on);
    }

    /// What devices say that are not warm: nothing without supply, nonsense with a good checksum before its time. `None`: they are warm.
    fn cold_answer(&self, question: &[u8], age: Duration) -> Option<Vec<u8>> {
        let warm = (*self.rail_warm.lock().unwrap_or_else(PoisonError::into_inner))?;
        let since = *self.rail_since.lock().unwrap_or_else(PoisonError::into_inner);
        // The line looks every now and then, and so sees the supply late.
        if since.is_some_and(|since| age.saturating_sub(since) + 2 * STEP >= warm) {
            return None;
        }
        self.n_cold.fetch_add(1, Ordering::Relaxed);
        let nonsense = |&[address, function, _, _, _, count, _, _]: &[u8; 8]| {
            let mut answer = vec![address, function, 2 * count];
            answer.resize(answer.len() + 2 * usize::from(count), 0);
            framed(&answer)
        };
        Some(since.and(question.first_chunk()).map(nonsense).unwrap_or_default())
    }

    /// What the probe says; nothing to a question that is spoilt or meant for another.
    fn answer(&self, question: &[u8], pins: &Pins) -> Option<Vec<u8>> {
        let &[address, function, high, low, _, count, _, _] = question else { return None };
        if address != PROBE_ADDRESS || framed(&question[..6]) != question {
            return None;
        }
        let moisture = u16::try_from(self.moisture.load(Ordering::Relaxed) / 10).ok()?;
        let first = usize::from(u16::from_be_bytes([high, low]));
        let n_ec = self.count_ec(first, usize::from(count), pins.age());
        let registers = [moisture, 245, u16::try_from(n_ec % (EC_MAX + 1)).ok()?];
        let asked = registers.get(first..first + usize::from(count));
        let answer = match asked {
            Some(words) if function == 3 => {
                let mut answer = vec![address, function, 2 * count];
                answer.extend(words.iter().flat_map(|word| word.to_be_bytes()));
                answer
            }
            Some(_) => vec![address, function | 0x80, 1],
            None => vec![address, function | 0x80, 2],
        };
        Some(framed(&answer))
    }

    /// How often conductivity was asked for before; notes this question, when it asks for it.
    fn count_ec(&self, first: usize, count: usize, age: Duration) -> usize {
        const EC: usize = 2;
        let mut asked = self.ec_asked.lock().unwrap_or_else(PoisonError::into_inner);
        let n_before = asked.len();
        if (first..first + count).contains(&EC) {
            asked.push(age);
        }
        n_before
    }
}

/// An answer that is none: spoilt on its way, from another device, to another question, or nonsense with a good checksum.
fn spoilt(answer: &[u8], noise: &mut Noise) -> Vec<u8> {
    let body = &answer[..answer.len().saturating_sub(2)];
    match noise.below(8) {
        0..3 => noise.spoil(answer),
        3 | 4 => framed(&noise.spoil(body)),
        5 => framed(&[PROBE_ADDRESS, 0x80 | noise.byte(), noise.byte()]),
        6 => {
            let mut other = vec![noise.byte(), noise.byte(), noise.byte()];
            other.extend(noise.bytes(2));
            framed(&other)
        }
        _ => {
            let n_words = noise.below(WORDS_MAX);
            let mut longer = vec![PROBE_ADDRESS, 3, noise.byte()];
            longer.extend(noise.bytes(2 * n_words));
            framed(&longer)
        }
    }
}
