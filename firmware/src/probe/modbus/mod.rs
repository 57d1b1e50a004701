//! Soil probes on an RS485 line: the node is the one master and asks one device at a time (Modbus RTU).
//!
//! Every wait has an end, and an answer counts only when address, function, length and checksum fit. An answer does not say which
//! registers it is of: whatever did not come while it was waited for must have passed before the same device is asked for others. Which
//! device is asked when is decided by [`crate::node`]; how the line is driven by the board, behind the byte-stream traits.
//!
//! | file | holds |
//! |---|---|
//! | `frame` | questions and answers as bytes |
//! | `heard` | the answer in what came |
//! | `map` | register maps of probe families, as data |
//! | `scan` | which devices are there |

mod frame;
mod heard;
mod map;
mod scan;

pub use frame::{ANSWER_LEN_MAX, FrameError, Function, QUESTION_LEN, Question, REGISTERS_MAX, Words};
pub use map::{Field, Preset};
pub use scan::{ADDRESSES, BAUDS, Found, SCAN_ADDRESSES, Scan, ShownWords, Sighting, scan};

use crate::probe::{ProbeFault, Sample};
use core::fmt;
use core::task::Poll;
use embassy_futures::{poll_once, yield_now};
use embassy_time::{Duration, Timer, with_timeout};
use embedded_io_async::{Read, Write};
use giot_shared::metric::Metric;
use heard::Heard;

/// Silence before a question, ms: 3.5 characters of 11 bits at 2400 baud, the slowest that probes are sold with (Modbus
/// over Serial Line V1.02 §2.5.1.1).
const GAP_MS: u64 = 17;
/// Longest stale input that is thrown away before a question, bytes: a line that never falls silent has no master.
const STALE_LEN_MAX: usize = 256;

/// How patient a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Longest wait for a whole answer, ms.
    pub answer_ms: u64,
    /// How often a question is asked, at least once.
    pub n_tries: u8,
    /// How long after the last try an answer to one of them may still come, ms.
    pub late_ms: u64,
}

impl Patience {
    /// For a planned probe: some take half a second, and noise on a long line spoils a frame now and then. An answer that the three
    /// tries just missed is over with the last of them 1.5 s later.
    pub const READING: Self = Self { answer_ms: 700, n_tries: 3, late_ms: 1500 };
    /// For a device that may not be there: as long as for a reading, so that whatever would be read is found, but once, because most
    /// addresses keep silent. What is seen decides nothing.
    pub const SCAN: Self = Self { answer_ms: Self::READING.answer_ms, n_tries: 1, late_ms: 0 };
}

/// The ninth bit of a character on the line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Parity {
    /// There is none, as in most probes.
    #[default]
    None = 0,
    /// Makes the number of ones even: what Modbus over Serial Line V1.02 §2.5.1 wants of every device.
    Even = 1,
    /// Makes it odd.
    Odd = 2,
}

impl Parity {
    /// Every parity.
    pub const ALL: [Self; 3] = [Self::None, Self::Even, Self::Odd];

    /// The parity of a stored code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|parity| parity.code() == code)
    }

    /// The code that is stored for it.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Even => "even",
            Self::Odd => "odd",
        }
    }

    /// The parity that a word stands for.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|parity| parity.name() == name)
    }
}

/// A serial port whose format can be changed, with 8 data bits and 1 stop bit.
pub trait Format {
    /// Changes speed and parity; gives whether the port can have them, and where not, it keeps those before.
    fn set_format(&mut self, baud: u32, parity: Parity) -> bool;
}

/// Why a question got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineError {
    /// Silence, or too few bytes.
    Silent,
    /// The bytes were no answer: [`FrameError::Crc`] where that must have been it.
    Frame(FrameError),
    /// The serial port failed.
    Port,
}

/// The master of one RS485 line.
#[derive(Debug)]
pub struct Line<S> {
    port: S,
    owed: Option<Owed>,
}

/// A question whose answer may still come.
struct Owed {
    question: Question,
    /// Rings when it is too late for it.
    passed: Timer,
}

impl fmt::Debug for Owed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.question.fmt(f)
    }
}

impl<S: Read + Write> Line<S> {
    /// Takes a serial port that no other code reads or writes.
    pub const fn new(port: S) -> Self {
        Self { port, owed: None }
    }

    /// The port, to change its speed.
    pub const fn port(&mut self) -> &mut S {
        &mut self.port
    }

    /// One register of a planned probe as a sample. Not cancel-safe in the sense that an answer under way is lost; the
    /// next question throws it away.
    ///
    /// # Errors
    /// [`ProbeFault::Silent`] where the last of the tries heard nothing, otherwise [`ProbeFault::NoAnswer`], also where such a probe does
    /// not measure the metric.
    pub async fn sample(
        &mut self,
        address: u8,
        preset: Preset,
        metric: Metric,
    ) -> Result<Sample, ProbeFault> {
        let field = preset.field(metric).ok_or(ProbeFault::NoAnswer)?;
        let question = field.question(address).ok_or(ProbeFault::NoAnswer)?;
        let words = self.ask(&question, Patience::READING).await.map_err(|error| match error {
            LineError::Silent => ProbeFault::Silent,
            LineError::Frame(_) | LineError::Port => ProbeFault::NoAnswer,
        })?;
        words.first().map(|&word| field.sample(word)).ok_or(ProbeFault::NoAnswer)
    }

    /// Asks until an answer fits or patience ends. A device that says that it cannot is not asked again.
    ///
    /// # Errors
    /// [`LineError`] of the last try.
    pub async fn ask(&mut self, question: &Question, patience: Patience) -> Result<Words, LineError> {
        self.settle(|owed| owed.address() == question.address() && owed != question).await;
        let (mut said, mut is_owed) = (Err(LineError::Silent), false);
        for _ in 0..patience.n_tries.max(1) {
            said = self.ask_once(question, patience.answer_ms).await;
            match said {
                Ok(_) | Err(LineError::Frame(FrameError::Exception(_))) => break,
                // Spoilt as it is, it has come.
                Err(LineError::Frame(FrameError::Crc)) => {}
                Err(_) => is_owed = true,
            }
        }
        if is_owed {
            // One can be kept.
            self.settle(|owed| owed.address() != question.address()).await;
            self.owed = Some(Owed { question: *question, passed: Timer::after_millis(patience.late_ms) });
        }
        said
    }

    /// Lets the answer pass that may still come, where it is to a question that `would_mislead`.
    async fn settle(&mut self, would_mislead: impl Fn(&Question) -> bool) {
        if let Some(owed) = self.owed.take_if(|owed| would_mislead(&owed.question)) {
            owed.passed.await;
        }
    }

    async fn ask_once(&mut self, question: &Question, answer_ms: u64) -> Result<Words, LineError> {
        Timer::after_millis(GAP_MS).await;
        self.drop_stale();
        let bytes = question.encode().ok_or(LineError::Port)?;
        self.port.write_all(&bytes).await.map_err(|_| LineError::Port)?;
        self.port.flush().await.map_err(|_| LineError::Port)?;
        let mut heard = Heard::new(question);
        let window = Duration::from_millis(answer_ms);
        let mut said = with_timeout(window, self.hear(&mut heard)).await.ok();
        if said == Some(Err(FrameError::Crc)) {
            let rest = with_timeout(Duration::from_millis(GAP_MS), self.hear(&mut heard)).await.ok();
            said = rest.filter(|rest| *rest != Err(FrameError::Crc));
        }
        said.map_or_else(|| Err(heard.nothing()), |said| said.map_err(LineError::Frame))
    }

    /// Listens until the device has said something.
    async fn hear(&mut self, heard: &mut Heard<'_>) -> Result<Words, FrameError> {
        loop {
            let Ok(byte) = self.byte(heard.is_babble()).await else {
                // Noise that is no character, or a port that has gone: the answer may still come.
                heard.fail();
                Timer::after_millis(GAP_MS).await;
                continue;
            };
            if let Some(said) = heard.take(byte) {
                return said;
            }
        }
    }

    /// The next byte. A line that babbles lets others have their turn first.
    async fn byte(&mut self, is_babble: bool) -> Result<u8, LineError> {
        if is_babble {
            yield_now().await;
        }
        let mut byte = [0];
        match self.port.read(&mut byte).await {
            Ok(n_read) if n_read > 0 => Ok(u8::from_le_bytes(byte)),
            Ok(_) | Err(_) => Err(LineError::Port),
        }
    }

    /// Throws away what came unasked: the rest of a late answer, or noise.
    fn drop_stale(&mut self) {
        let mut n_dropped = 0;
        let mut bytes = [0; 16];
        while n_dropped < STALE_LEN_MAX {
            match poll_once(self.port.read(&mut bytes)) {
                Poll::Ready(Ok(n_read)) if n_read > 0 => n_dropped += n_read,
                // A port that has gone shows it when an answer is waited for.
                Poll::Pending | Poll::Ready(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests;
