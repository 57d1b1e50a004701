//! Who is on the line: asks address by address in every register map, and shows the words as they came.
//!
//! It decides nothing: two families answer the same question with other meanings, so a person looks at the values.

use super::frame::{FrameError, Words};
use super::{Line, LineError, Patience, Preset};
use core::fmt;
use core::ops::RangeInclusive;
use embedded_io_async::{Read, Write};

/// Speeds in which soil probes are sold, most usual first, baud, 8 data bits, no parity, 1 stop bit.
pub const BAUDS: [u32; 4] = [4800, 9600, 2400, 19_200];

/// Addresses that are looked at: probes come with 1, and installers count up.
pub const SCAN_ADDRESSES: RangeInclusive<u8> = 1..=10;

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

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "address {}, map {}: ", self.address, self.preset.letter())?;
        let words = match &self.answer {
            Ok(words) => words,
            Err(code) => return write!(f, "has no such registers (code {code})"),
        };
        let first = self.preset.fields().iter().map(|field| field.register).min().unwrap_or(0);
        for (idx, field) in self.preset.fields().iter().enumerate() {
            let word = words.get(usize::from(field.register.saturating_sub(first))).copied().unwrap_or(0);
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

/// Asks every address in every map, at the line's present speed, and tells each answer. Silence takes 0.3 s per question.
///
/// # Errors
/// [`LineError::Port`] when the serial port failed.
pub async fn scan<S: Read + Write>(
    line: &mut Line<S>,
    addresses: RangeInclusive<u8>,
    mut tell: impl FnMut(Found),
) -> Result<(), LineError> {
    for address in addresses {
        for preset in Preset::ALL {
            let Some(question) = preset.question(address) else { continue };
            match line.ask(&question, Patience::SCAN).await {
                Ok(words) => tell(Found { address, preset, answer: Ok(words) }),
                Err(LineError::Frame(FrameError::Exception(code))) => {
                    tell(Found { address, preset, answer: Err(code) });
                }
                // Silence, or two devices that spoke at once.
                Err(LineError::Silent | LineError::Frame(_)) => {}
                Err(LineError::Port) => return Err(LineError::Port),
            }
        }
    }
    Ok(())
}
