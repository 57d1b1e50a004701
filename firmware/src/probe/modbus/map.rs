//! Which register holds what, as data: soil probes that look alike differ in place, sign and scale of their registers.
//!
//! Moisture, temperature and conductivity stand first in each map: every probe of the family has them. What follows only some have. Of
//! that the N, P and K registers are computed from conductivity and are no measurement, and the pH of most probes is a hint at best:
//! they are carried as what the probe says, and the page calls them so.
//!
//! What a maker says that a register holds at most is a limit of the map, where it is narrower than what nature can give: beyond it stands
//! no measurement. No maker says what stands there instead; all ones are the usual word, which a temperature below zero would pass for.

use super::frame::{Function, Question, Words};
use crate::probe::Sample;
use giot_shared::metric::Metric;

/// A family of probes with one register map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Preset {
    /// Registers from 0: DFRobot SEN0600 to SEN0605, ComWinTop 7-in-1 (wiki.dfrobot.com, SEN0601 and SEN0604).
    A = 1,
    /// Moisture at 0x0012: JXCT and Renke, ES-SM-TH-01S (its README).
    B = 2,
    /// Temperature before moisture, both in hundredths: Seeed S-Soil MT-02 (manual of 101990667, page 8), WoMaster ES103.
    C = 3,
    /// As A, conductivity in tenths: WoMaster ES107 (its datasheet).
    D = 4,
}

impl Preset {
    /// Every preset.
    pub const ALL: [Self; 4] = [Self::A, Self::B, Self::C, Self::D];

    /// The preset of a stored code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.code() == code)
    }

    /// The code that is stored for it.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The letter by which people call it.
    #[must_use]
    pub const fn letter(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
            Self::D => "D",
        }
    }

    /// What its registers hold.
    #[must_use]
    pub const fn fields(self) -> &'static [Field] {
        match self {
            Self::A => &PRESET_A,
            Self::B => &PRESET_B,
            Self::C => &PRESET_C,
            Self::D => &PRESET_D,
        }
    }

    /// The register of a metric; `None` where such a probe does not measure it.
    #[must_use]
    pub fn field(self, metric: Metric) -> Option<&'static Field> {
        self.fields().iter().find(|field| field.metric == metric)
    }

    /// What every probe of the family has.
    fn common(self) -> impl Iterator<Item = &'static Field> {
        self.fields().iter().take(N_COMMON)
    }

    /// The question that covers what every probe of the family has: one with fewer registers would refuse a longer one. `None` for an
    /// impossible address.
    #[must_use]
    pub fn question(self, address: u8) -> Option<Question> {
        let registers = || self.common().map(|field| field.register);
        let (first, last) = (registers().min()?, registers().max()?);
        let count = u8::try_from(last.checked_sub(first)?.checked_add(1)?).ok()?;
        Question::new(address, Function::Holding, first, count)
    }

    /// The fields of an answer to [`Self::question`] with their words, as far as it goes.
    pub(super) fn read(self, words: &Words) -> impl Iterator<Item = (&'static Field, u16)> {
        let first = self.common().map(|field| field.register).min().unwrap_or(0);
        let word = move |field: &Field| words.get(usize::from(field.register.saturating_sub(first))).copied();
        self.common().filter_map(move |field| Some((field, word(field)?)))
    }

    /// Whether every field of an answer to [`Self::question`] is there and a value that nature can give.
    #[must_use]
    pub fn is_plausible(self, words: &Words) -> bool {
        let is_possible = |(field, word): &(&Field, u16)| {
            field.is_meant(*word) && field.metric.is_possible(field.value(*word))
        };
        self.read(words).filter(is_possible).count() == N_COMMON
    }
}

/// One register of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// What it holds.
    pub metric: Metric,
    /// Its number, from 0 as on the wire.
    pub register: u16,
    /// Whether the word is a two's complement number.
    pub signed: bool,
    /// Steps of the metric for one step of the register: a fraction, numerator and denominator.
    pub scale: (u8, u8),
    /// The numbers that it can hold, least and greatest, as they stand in the register.
    pub limits: (i32, i32),
}

impl Field {
    /// A register's word in the metric's decimal steps, rounded half away from zero.
    #[must_use]
    pub fn value(&self, word: u16) -> i32 {
        let number = self.number(word);
        let (times, per) = (i32::from(self.scale.0), i32::from(self.scale.1.max(1)));
        let scaled = number * times;
        (scaled + scaled.signum() * (per / 2)) / per
    }

    /// Whether such a probe can mean this word by a measurement.
    #[must_use]
    pub fn is_meant(&self, word: u16) -> bool {
        let (least, greatest) = self.limits;
        word != NOTHING && (least..=greatest).contains(&self.number(word))
    }

    /// The sample of a register's word; the word itself is kept as the raw value.
    #[must_use]
    pub fn sample(&self, word: u16) -> Sample {
        let (value, raw) = (self.value(word), i32::from(word));
        if self.is_meant(word) {
            Sample::Value { value, raw: Some(raw) }
        } else {
            Sample::Impossible { value, raw }
        }
    }

    fn number(&self, word: u16) -> i32 {
        if self.signed { i32::from(word.cast_signed()) } else { i32::from(word) }
    }

    /// The same with limits.
    const fn within(self, least: i32, greatest: i32) -> Self {
        Self { limits: (least, greatest), ..self }
    }

    /// The question for this register alone; `None` for an impossible address.
    #[must_use]
    pub fn question(&self, address: u8) -> Option<Question> {
        Question::new(address, Function::Holding, self.register, 1)
    }
}

const fn field(metric: Metric, register: u16, signed: bool, scale: (u8, u8)) -> Field {
    Field { metric, register, signed, scale, limits: ANY }
}

/// Whatever a word can be, signed or not.
const ANY: (i32, i32) = (-0x8000, 0xffff);

/// What stands in the register of something that is not there, or has failed.
const NOTHING: u16 = 0xffff;

/// Tenths to the hundredths in which moisture, temperature and pH travel.
const TENTHS: (u8, u8) = (10, 1);
const AS_IS: (u8, u8) = (1, 1);
/// Tenths of µS/cm to whole ones.
const TENTHS_TO_WHOLE: (u8, u8) = (1, 10);

/// How many fields every probe of a family has.
const N_COMMON: usize = 3;

const PRESET_A: [Field; 7] = [
    field(Metric::SoilMoisture, 0, false, TENTHS),
    field(Metric::SoilTemperature, 1, true, TENTHS),
    field(Metric::SoilEc, 2, false, AS_IS),
    field(Metric::SoilPh, 3, false, TENTHS),
    field(Metric::SoilNitrogen, 4, false, AS_IS),
    field(Metric::SoilPhosphorus, 5, false, AS_IS),
    field(Metric::SoilPotassium, 6, false, AS_IS),
];
const PRESET_B: [Field; 7] = [
    field(Metric::SoilMoisture, 0x12, false, TENTHS),
    field(Metric::SoilTemperature, 0x13, true, TENTHS),
    field(Metric::SoilEc, 0x15, false, AS_IS),
    field(Metric::SoilPh, 0x06, false, AS_IS),
    field(Metric::SoilNitrogen, 0x1e, false, AS_IS),
    field(Metric::SoilPhosphorus, 0x1f, false, AS_IS),
    field(Metric::SoilPotassium, 0x20, false, AS_IS),
];
const PRESET_C: [Field; 6] = [
    field(Metric::SoilTemperature, 0, true, AS_IS),
    field(Metric::SoilMoisture, 1, false, AS_IS),
    field(Metric::SoilEc, 2, false, AS_IS),
    field(Metric::SoilSalinity, 3, false, AS_IS),
    field(Metric::SoilTds, 4, false, AS_IS),
    field(Metric::SoilPermittivity, 5, false, AS_IS).within(0, 8200),
];
const PRESET_D: [Field; 7] = [
    field(Metric::SoilMoisture, 0, false, TENTHS),
    field(Metric::SoilTemperature, 1, true, TENTHS).within(-200, 800),
    field(Metric::SoilEc, 2, false, TENTHS_TO_WHOLE).within(0, 20_000),
    field(Metric::SoilPh, 3, false, TENTHS).within(30, 100),
    field(Metric::SoilNitrogen, 4, false, AS_IS).within(0, 2000),
    field(Metric::SoilPhosphorus, 5, false, AS_IS).within(0, 2000),
    field(Metric::SoilPotassium, 6, false, AS_IS).within(0, 2000),
];
