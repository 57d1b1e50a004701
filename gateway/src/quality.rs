//! What the history says about a sample beside its value. One byte in the store, a word everywhere else.

use giot_shared::wire::Flaw;

/// Quality of one sample; the number is what the store keeps and is never given a second meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Quality {
    /// Nothing known against it.
    #[default]
    Good = 0,
    /// The probe gave no value.
    Missing = 1,
    /// Outside what the probe or nature can give; the value is kept as it came.
    OutOfRange = 2,
    /// The samples behind the reading differed too much.
    Unstable = 3,
    /// The probe had no valid calibration.
    Uncalibrated = 4,
    /// The time is a bounded estimate: the node never met the gateway in that epoch, or the device's clock is wrong.
    UncertainTime = 5,
}

impl Quality {
    /// Every quality, in order of its number.
    pub const ALL: &'static [Self] = &[
        Self::Good,
        Self::Missing,
        Self::OutOfRange,
        Self::Unstable,
        Self::Uncalibrated,
        Self::UncertainTime,
    ];

    /// The byte in the store.
    #[must_use]
    pub const fn byte(self) -> u8 {
        self as u8
    }

    /// The quality of a byte; what a newer version wrote reads as [`Self::UncertainTime`], never as good.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Self {
        match byte {
            0 => Self::Good,
            1 => Self::Missing,
            2 => Self::OutOfRange,
            3 => Self::Unstable,
            4 => Self::Uncalibrated,
            _ => Self::UncertainTime,
        }
    }

    /// The word in exports and interfaces.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Missing => "missing",
            Self::OutOfRange => "out_of_range",
            Self::Unstable => "unstable",
            Self::Uncalibrated => "uncalibrated",
            Self::UncertainTime => "uncertain_time",
        }
    }
}

impl From<Flaw> for Quality {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw::NoAnswer => Self::Missing,
            Flaw::OutOfRange => Self::OutOfRange,
            // A flaw of later firmware: the value is kept, and nothing is decided by it.
            Flaw::Unstable | Flaw::Unknown => Self::Unstable,
            Flaw::Uncalibrated => Self::Uncalibrated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_round_trip() {
        for &quality in Quality::ALL {
            assert_eq!(Quality::from_byte(quality.byte()), quality);
        }
        assert_ne!(Quality::from_byte(200), Quality::Good);
    }
}
