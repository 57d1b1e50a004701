//! How much a step of a program gives: minutes, litres, litres a plant, millimetres, cubic metres; and how long that takes.
//!
//! Integers throughout. A run time is rounded up to the millisecond, so that no less is given than was asked for; scaling
//! rounds to the nearest. What a zone's limits do to a run time has a [`Reason`].

use std::fmt;

use super::control::Level;
use super::site::{RUN_MS_MAX, RunLimits, ZoneFacts};
use crate::reason::Reason;

/// Largest amount of any kind in its own unit: a million cubic metres, far above any farm, and products with it stay far
/// inside 128 bits.
pub const AMOUNT_MAX: u64 = 1_000_000_000_000;

/// What is wanted of a step, before seasonal and other adjustments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A time, ms.
    Time {
        /// The time, ms.
        run_ms: u64,
    },
    /// A volume for the whole zone.
    Volume {
        /// The volume, ml.
        volume_ml: u64,
    },
    /// A volume for each plant.
    PerPlant {
        /// The volume, ml.
        volume_ml: u64,
    },
    /// A gross depth over the zone's whole area.
    Depth {
        /// The depth, µm.
        depth_um: u64,
    },
    /// What the soil lacks at the start.
    Refill {
        /// Nothing before so much of the available water is used up, 1/10 000.
        from_depleted: u16,
    },
}

/// Why an amount has no run time in a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AmountError {
    /// Nothing is asked for.
    Zero,
    /// It is above [`AMOUNT_MAX`].
    TooLarge,
    /// The zone's flow is not known.
    NoFlow,
    /// The zone's area is not known.
    NoArea,
    /// The zone's plants have not been counted.
    NoPlants,
}

impl Target {
    /// A time in minutes.
    #[must_use]
    pub fn minutes(minutes: u32) -> Self {
        Self::Time { run_ms: u64::from(minutes) * 60_000 }
    }

    /// A volume in litres.
    #[must_use]
    pub fn litres(litres: u32) -> Self {
        Self::Volume { volume_ml: u64::from(litres) * 1000 }
    }

    /// A volume in cubic metres.
    #[must_use]
    pub fn cubic_metres(cubic_metres: u32) -> Self {
        Self::Volume { volume_ml: u64::from(cubic_metres) * 1_000_000 }
    }

    /// A volume for each plant in litres.
    #[must_use]
    pub fn litres_per_plant(litres: u32) -> Self {
        Self::PerPlant { volume_ml: u64::from(litres) * 1000 }
    }

    /// A gross depth in millimetres.
    #[must_use]
    pub fn millimetres(millimetres: u32) -> Self {
        Self::Depth { depth_um: u64::from(millimetres) * 1000 }
    }

    /// How long it takes in a zone, ms, before any limit; rounded up. A refill, whose depth nobody knows before its start,
    /// counts as the zone's longest run.
    ///
    /// # Errors
    /// What is missing for the conversion, or wrong with the amount.
    pub fn run_ms(self, zone: &ZoneFacts) -> Result<u64, AmountError> {
        let known = |fact: Option<u32>, error| fact.filter(|fact| *fact > 0).map(u128::from).ok_or(error);
        // 1 µm on 1 dm² is 0.01 ml: volumes are counted in hundredths of a millilitre.
        let (amount, hundredths_each) = match self {
            Self::Time { run_ms } => return checked(run_ms),
            Self::Volume { volume_ml } => (volume_ml, 100),
            Self::PerPlant { volume_ml } => (volume_ml, 100 * known(zone.n_plants, AmountError::NoPlants)?),
            Self::Depth { depth_um } => (depth_um, known(zone.area_dm2, AmountError::NoArea)?),
            Self::Refill { .. } => {
                known(zone.area_dm2, AmountError::NoArea)?;
                known(zone.flow_ml_h, AmountError::NoFlow)?;
                return Ok(zone.limits.run_ms_max.min(RUN_MS_MAX));
            }
        };
        let flow_ml_h = known(zone.flow_ml_h, AmountError::NoFlow)?;
        let run_ms = (u128::from(checked(amount)?) * hundredths_each * 3_600_000).div_ceil(flow_ml_h * 100);
        u64::try_from(run_ms).map_err(|_| AmountError::TooLarge)
    }
}

/// The amount, if it is one.
fn checked(amount: u64) -> Result<u64, AmountError> {
    match amount {
        0 => Err(AmountError::Zero),
        1..=AMOUNT_MAX => Ok(amount),
        _ => Err(AmountError::TooLarge),
    }
}

impl RunLimits {
    /// A run time as the zone may have it, and a note where that is not what was wanted. The longest run wins over the
    /// shortest.
    ///
    /// # Errors
    /// Why nothing is given.
    pub(super) fn apply(&self, wanted_ms: u64) -> Result<(u64, Option<Reason>), Reason> {
        if wanted_ms == 0 {
            return Err(Reason::AdjustedToNothing {});
        }
        let wanted_s = wanted_ms / 1000;
        if wanted_ms < self.skip_below_ms {
            return Err(Reason::BelowThreshold { wanted_s, least_s: self.skip_below_ms / 1000 });
        }
        let run_ms = wanted_ms.max(self.run_ms_min).min(self.run_ms_max.min(RUN_MS_MAX));
        if run_ms == 0 {
            return Err(Reason::InvalidPlan { problem: "run_max_zero".to_owned() });
        }
        let note = (run_ms != wanted_ms).then_some(Reason::RunLimited { wanted_s, run_s: run_ms / 1000 });
        Ok((run_ms, note))
    }
}

impl Level {
    /// A run time at this level, to the nearest millisecond.
    #[must_use]
    pub fn of(self, run_ms: u64) -> u64 {
        let run_ms = (u128::from(run_ms) * u128::from(self.permyriad()) + 5000) / 10_000;
        u64::try_from(run_ms).unwrap_or(u64::MAX)
    }
}

impl AmountError {
    /// The stable code: snake_case.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Zero => "amount_zero",
            Self::TooLarge => "amount_too_large",
            Self::NoFlow => "no_flow",
            Self::NoArea => "no_area",
            Self::NoPlants => "no_plants",
        }
    }
}

impl fmt::Display for AmountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Zero => "the amount must be more than nothing",
            Self::TooLarge => "the amount is too large",
            Self::NoFlow => "the zone's flow must be known for this amount: give it, or ask for minutes",
            Self::NoArea => "the zone's area must be known for a depth in millimetres",
            Self::NoPlants => "the zone's number of plants must be known for an amount by the plant",
        })
    }
}

impl std::error::Error for AmountError {}

#[cfg(test)]
mod tests {
    use super::super::control::Percent;
    use super::super::fixtures::zone_facts;
    use super::*;

    /// One hectare of plums, as in FAO-56 style arithmetic: 400 trees, 8 emitters of 2 l/h each.
    fn plums() -> ZoneFacts {
        ZoneFacts {
            flow_ml_h: Some(400 * 8 * 2000),
            area_dm2: Some(1_000_000),
            n_plants: Some(400),
            ..zone_facts("pump")
        }
    }

    #[test]
    fn every_unit_becomes_the_same_time() {
        let hour_ms = Ok(3_600_000);
        assert_eq!(Target::minutes(60).run_ms(&plums()), hour_ms);
        assert_eq!(Target::litres(6400).run_ms(&plums()), hour_ms);
        assert_eq!(Target::litres_per_plant(16).run_ms(&plums()), hour_ms);
        assert_eq!(Target::Depth { depth_um: 640 }.run_ms(&plums()), hour_ms);
        assert_eq!(Target::cubic_metres(64).run_ms(&plums()), Ok(36_000_000));
        assert_eq!(Target::millimetres(64).run_ms(&plums()), Ok(360_000_000));
    }

    /// Rows of shared/vectors/drip_runtime.csv (own arithmetic: run time = volume / flow): plants, emitters a plant, ml/h
    /// of an emitter, area in m², gross depth in µm, litres a plant in ml, run time in ms (from minutes).
    #[test]
    fn run_times_agree_with_the_drip_table() {
        let rows: [(u32, u32, u32, u32, u64, u64, u64); 4] = [
            (400, 8, 2000, 10_000, 4_444, 111_111, 25_000_000),
            (1100, 4, 2000, 10_000, 3_333, 30_303, 13_636_364),
            (1250, 2, 1600, 2_500, 5_882, 11_765, 13_235_294),
            (149, 1, 1600, 24_950, 2_956, 494_907, 1_113_540_268),
        ];
        for (plants, emitters, emitter_ml_h, area_m2, depth_um, plant_ml, want_ms) in rows {
            let zone = ZoneFacts {
                flow_ml_h: Some(plants * emitters * emitter_ml_h),
                area_dm2: Some(area_m2 * 100),
                n_plants: Some(plants),
                ..zone_facts("pump")
            };
            for target in [Target::Depth { depth_um }, Target::PerPlant { volume_ml: plant_ml }] {
                let found_ms = target.run_ms(&zone).unwrap();
                // The table's amounts are rounded to the unit here: 1 part in 2 900 at most.
                assert!(found_ms.abs_diff(want_ms) <= want_ms / 2900, "{target:?}: {found_ms} {want_ms}");
            }
        }
    }

    #[test]
    fn what_cannot_be_converted_says_what_is_missing() {
        let bare = ZoneFacts { flow_ml_h: None, area_dm2: None, n_plants: None, ..plums() };
        let cases = [
            (Target::minutes(5), Ok(300_000)),
            (Target::litres(1), Err(AmountError::NoFlow)),
            (Target::litres_per_plant(1), Err(AmountError::NoPlants)),
            (Target::millimetres(1), Err(AmountError::NoArea)),
            (Target::minutes(0), Err(AmountError::Zero)),
            (Target::Time { run_ms: AMOUNT_MAX + 1 }, Err(AmountError::TooLarge)),
        ];
        for (target, want) in cases {
            assert_eq!(target.run_ms(&bare), want, "{target:?}");
        }
        let zero_flow = ZoneFacts { flow_ml_h: Some(0), ..plums() };
        assert_eq!(Target::litres(1).run_ms(&zero_flow), Err(AmountError::NoFlow));
        let trickle = ZoneFacts { flow_ml_h: Some(1), area_dm2: Some(u32::MAX), ..plums() };
        assert_eq!(Target::Depth { depth_um: AMOUNT_MAX }.run_ms(&trickle), Err(AmountError::TooLarge));
    }

    #[test]
    fn less_is_never_given_than_asked_for() {
        let zone = ZoneFacts { flow_ml_h: Some(7), ..plums() };
        let run_ms = Target::Volume { volume_ml: 1 }.run_ms(&zone).unwrap();
        assert_eq!(run_ms, 514_286);
        assert_eq!((zone.volume_ml(run_ms), zone.volume_ml(run_ms - 1)), (Some(1), Some(0)));
        assert_eq!(ZoneFacts { flow_ml_h: None, ..zone }.volume_ml(run_ms), None);
    }

    #[test]
    fn limits_skip_raise_and_clamp() {
        let limits = RunLimits { skip_below_ms: 60_000, run_ms_min: 120_000, run_ms_max: 600_000 };
        let cases = [
            (0, Err("adjusted_to_nothing")),
            (59_999, Err("below_threshold")),
            (60_000, Ok((120_000, Some("run_limited")))),
            (120_000, Ok((120_000, None))),
            (600_000, Ok((600_000, None))),
            (600_001, Ok((600_000, Some("run_limited")))),
        ];
        for (wanted_ms, want) in cases {
            let found = limits.apply(wanted_ms).map(|(run_ms, note)| (run_ms, note.map(|note| note.code())));
            assert_eq!(found.map_err(|reason| reason.code()), want, "{wanted_ms}");
        }
        let wrong = RunLimits { run_ms_max: u64::MAX, ..limits };
        assert_eq!(wrong.apply(u64::MAX).unwrap().0, RUN_MS_MAX);
    }

    #[test]
    fn levels_round_to_the_nearest() {
        let level = |percent| Level::new(Percent::new(percent).unwrap(), Percent::FULL);
        assert_eq!(level(33).of(10), 3);
        assert_eq!(level(35).of(10), 4);
        assert_eq!(level(0).of(u64::MAX), 0);
        assert_eq!(level(250).of(u64::MAX), u64::MAX);
    }
}
