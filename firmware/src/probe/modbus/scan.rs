//! Who is on the line: asks address by address at every usual speed and in every register map, and shows the words as they came.
//!
//! It decides nothing: two families answer the same question with other meanings, so a person looks at the values. Of a device that
//! says anything, the first registers are shown as they are, so that one whose map is not known here can be found out.
//!
//! A device is waited for as long as by a reading, and where noise or an answer that comes late was heard instead, asked as often: so that
//! whatever would be read is found.
//!
//! All of it has an end: silence costs 0.72 s a question and two questions an address, which is 14 s a speed for the usual addresses and
//! 6 minutes for all that there are. A device that answers costs less than a second more, one that keeps silent about what it has not 16 s
//! at most, or 36 s where it takes long to answer; noise at an address costs 7 s.

use super::frame::{FrameError, Function, Question, Words};
use super::{Format, Line, LineError, Parity, Patience, Preset};
use core::fmt;
use core::ops::RangeInclusive;
use embassy_time::Timer;
use embedded_io_async::{Read, Write};

/// Speeds in which soil probes are sold, most usual first, baud, 8 data bits, 1 stop bit.
pub const BAUDS: [u32; 6] = [4800, 9600, 2400, 19_200, 38_400, 115_200];

/// Addresses that are looked at where nobody says others: probes come with 1, and installers count up.
pub const SCAN_ADDRESSES: RangeInclusive<u8> = 1..=10;
/// All that a device can have (Modbus over Serial Line V1.02 §2.2).
pub const ADDRESSES: RangeInclusive<u8> = 1..=247;
/// Addresses between two words about how far it is.
const STEP: usize = 10;

/// Registers that are shown of a device, from 0: what the maps of soil probes known here hold, and some of what is between.
const SHOWN: usize = 48;
/// Registers of one line.
const SHOWN_A_LINE: u8 = 8;
/// Silences in a row after which no more of a line's registers are asked for one by one: a family that begins at 0x12 has two before it.
const SILENCES_MAX: u8 = 3;

/// Registers of one line; `None`: the device gives no such register.
pub type ShownWords = heapless::Vec<Option<u16>, { SHOWN_A_LINE as usize }>;

/// What is to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// One speed, baud; `None`: every usual one.
    pub baud: Option<u32>,
    /// The parity.
    pub parity: Parity,
    /// The addresses.
    pub addresses: RangeInclusive<u8>,
}

impl Default for Scan {
    fn default() -> Self {
        Self { baud: None, parity: Parity::None, addresses: SCAN_ADDRESSES }
    }
}

/// What a scan has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// It goes on at this speed, baud, with this parity.
    At(u32, Parity),
    /// It goes on from this address.
    From(u8),
    /// The port cannot have this speed, baud, with this parity.
    NoSuchFormat(u32, Parity),
    /// A device answered in a map, at this speed, baud.
    Found(u32, Found),
    /// Registers of a device in no map.
    Registers {
        /// The device.
        address: u8,
        /// By which function they were read.
        function: Function,
        /// The first one's number.
        first: u16,
        /// What they hold.
        words: ShownWords,
    },
}

/// A device that spoke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its address.
    pub address: u8,
    /// The map in which it was asked.
    pub preset: Preset,
    /// What it gave, or the code with which it said that it has no such registers.
    pub answer: Result<Words, u8>,
}

impl Found {
    /// Whether every value read in this map is one that nature can give.
    #[must_use]
    pub fn is_plausible(&self) -> bool {
        self.answer.as_ref().is_ok_and(|words| self.preset.is_plausible(words))
    }
}

impl fmt::Display for Sighting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(baud, Parity::None) => write!(f, "scanning at {baud} baud"),
            Self::At(baud, parity) => write!(f, "scanning at {baud} baud, {} parity", parity.name()),
            Self::From(address) => write!(f, "scanning addresses from {address} on"),
            Self::NoSuchFormat(baud, Parity::None) => {
                write!(f, "not scanning at {baud} baud: the port cannot have this speed")
            }
            Self::NoSuchFormat(baud, parity) => {
                write!(
                    f,
                    "not scanning at {baud} baud: the port cannot have it with {} parity",
                    parity.name()
                )
            }
            Self::Found(baud, found) => write!(f, "{baud} baud, {found}"),
            Self::Registers { address, function, first, words } => {
                write!(f, "address {address}, function {}, from register 0x{first:04X}:", function.code())?;
                words.iter().try_for_each(|word| match word {
                    Some(word) => write!(f, " {word:04X}"),
                    None => f.write_str(" ----"),
                })
            }
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "address {}, map {}: ", self.address, self.preset.letter())?;
        let words = match &self.answer {
            Ok(words) => words,
            Err(code) => return write!(f, "has no such registers (code {code})"),
        };
        for (idx, (field, word)) in self.preset.read(words).enumerate() {
            let (value, metric) = (field.value(word), field.metric);
            let separator = if idx == 0 { "" } else { ", " };
            write!(
                f,
                "{separator}{} {} {}",
                metric.name(),
                Decimal(value, metric.decimals()),
                metric.unit()
            )?;
        }
        if self.is_plausible() { Ok(()) } else { f.write_str(" (impossible: another map)") }
    }
}

/// A number in steps of 10^-decimals.
struct Decimal(i32, u8);

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = 10_u32.pow(u32::from(self.1));
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, rest) = (self.0.unsigned_abs() / scale, self.0.unsigned_abs() % scale);
        match self.1 {
            0 => write!(f, "{sign}{whole}"),
            decimals => write!(f, "{sign}{whole}.{rest:0width$}", width = usize::from(decimals)),
        }
    }
}

/// Asks every address in every map, and tells each answer as it comes.
///
/// # Errors
/// [`LineError::Port`] when the serial port failed.
pub async fn scan<S: Read + Write + Format>(
    line: &mut Line<S>,
    wanted: &Scan,
    mut tell: impl FnMut(Sighting),
) -> Result<(), LineError> {
    let usual = if wanted.baud.is_none() { &BAUDS[..] } else { &[] };
    for baud in wanted.baud.into_iter().chain(usual.iter().copied()) {
        if !line.port().set_format(baud, wanted.parity) {
            tell(Sighting::NoSuchFormat(baud, wanted.parity));
            continue;
        }
        tell(Sighting::At(baud, wanted.parity));
        for (number, address) in wanted.addresses.clone().enumerate() {
            if number > 0 && number % STEP == 0 {
                tell(Sighting::From(address));
            }
            if let Some(patience) = find(line, address, |found| tell(Sighting::Found(baud, found))).await? {
                show(line, address, patience, &mut tell).await?;
            }
        }
    }
    Ok(())
}

/// For a device that has answered in half of that.
const QUICK: Patience = Patience { answer_ms: 300, ..Patience::SCAN };

/// What came back.
#[derive(Clone, Debug)]
enum Said {
    /// Registers, or the code with which the device says that it has none of them.
    Words(Result<Words, u8>),
    /// Nothing that can be understood: noise, another speed, two devices at once, or an answer that is late.
    Noise,
    Nothing,
}

async fn ask<S: Read + Write>(
    line: &mut Line<S>,
    question: &Question,
    patience: Patience,
) -> Result<Said, LineError> {
    match line.ask(question, patience).await {
        Ok(words) => Ok(Said::Words(Ok(words))),
        Err(LineError::Frame(FrameError::Exception(code))) => Ok(Said::Words(Err(code))),
        Err(LineError::Frame(_)) => Ok(Said::Noise),
        Err(LineError::Silent) => Ok(Said::Nothing),
        Err(LineError::Port) => Err(LineError::Port),
    }
}

/// Looks for a device at an address, and gives how patiently to ask one that is there.
async fn find<S: Read + Write>(
    line: &mut Line<S>,
    address: u8,
    mut tell: impl FnMut(Found),
) -> Result<Option<Patience>, LineError> {
    let seen = ask_in_maps(line, address, Patience::SCAN, &mut tell).await?;
    if let Some(question) = seen.answered {
        // A device that keeps silent about what it has not is looked at sooner where it is quick.
        let late_ms = Patience::READING.late_ms;
        let half = Patience { answer_ms: QUICK.answer_ms / 2, late_ms, ..QUICK };
        let is_quick = matches!(ask(line, &question, half).await?, Said::Words(_));
        return Ok(Some(if is_quick { QUICK } else { Patience::SCAN }));
    }
    if !seen.has_noise {
        return Ok(None);
    }
    // What comes late is not to answer the next question.
    Timer::after_millis(Patience::READING.late_ms).await;
    let seen = ask_in_maps(line, address, Patience::READING, &mut tell).await?;
    Ok(seen.answered.map(|_| Patience::READING))
}

/// What there is at an address.
struct Seen {
    /// A question that was answered.
    answered: Option<Question>,
    has_noise: bool,
}

/// Asks one address in every map. Maps with the same registers share a question.
async fn ask_in_maps<S: Read + Write>(
    line: &mut Line<S>,
    address: u8,
    patience: Patience,
    tell: &mut impl FnMut(Found),
) -> Result<Seen, LineError> {
    let mut asked: heapless::Vec<(Question, Said), { Preset::ALL.len() }> = heapless::Vec::new();
    let mut seen = Seen { answered: None, has_noise: false };
    for preset in Preset::ALL {
        let Some(question) = preset.question(address) else { continue };
        let known = asked.iter().find(|(known, _)| *known == question).map(|(_, said)| said.clone());
        let said = match known {
            Some(said) => said,
            None => {
                let said = ask(line, &question, patience).await?;
                if matches!(said, Said::Words(_)) {
                    seen.answered = Some(question);
                }
                // One for each map at most.
                let _full = asked.push((question, said.clone()));
                said
            }
        };
        match said {
            Said::Words(answer) => tell(Found { address, preset, answer }),
            Said::Noise => seen.has_noise = true,
            Said::Nothing => {}
        }
    }
    Ok(seen)
}

/// Shows the first registers of a device that is there; those of function 4 where it has none of function 3.
async fn show<S: Read + Write>(
    line: &mut Line<S>,
    address: u8,
    patience: Patience,
    tell: &mut impl FnMut(Sighting),
) -> Result<(), LineError> {
    for function in [Function::Holding, Function::Input] {
        let mut has_any = false;
        for first in (0_u16..).step_by(usize::from(SHOWN_A_LINE)).take(SHOWN / usize::from(SHOWN_A_LINE)) {
            let words = registers(line, address, function, first, patience).await?;
            if words.iter().any(Option::is_some) {
                has_any = true;
                tell(Sighting::Registers { address, function, first, words });
            }
        }
        if has_any {
            break;
        }
    }
    Ok(())
}

/// A line of registers: in one question, or where the device does not take that, one by one.
async fn registers<S: Read + Write>(
    line: &mut Line<S>,
    address: u8,
    function: Function,
    first: u16,
    patience: Patience,
) -> Result<ShownWords, LineError> {
    let whole = match Question::new(address, function, first, SHOWN_A_LINE) {
        Some(question) => ask(line, &question, patience).await?,
        None => Said::Nothing,
    };
    if let Said::Words(Ok(words)) = whole {
        return Ok(words.into_iter().map(Some).collect());
    }
    let mut words = ShownWords::new();
    let mut n_silences = 0;
    for register in (first..).take(usize::from(SHOWN_A_LINE)) {
        let question = Question::new(address, function, register, 1).filter(|_| n_silences < SILENCES_MAX);
        let said = match question {
            Some(question) => ask(line, &question, patience).await?,
            None => Said::Nothing,
        };
        let word = match said {
            Said::Words(answer) => {
                n_silences = 0;
                answer.ok().and_then(|words| words.first().copied())
            }
            Said::Noise | Said::Nothing => {
                n_silences = n_silences.saturating_add(1);
                None
            }
        };
        // There are as many as there is room.
        let _full = words.push(word);
    }
    Ok(words)
}
