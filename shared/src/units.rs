//! Quantities as checked integers: a number that crosses a file boundary says what it is.
//!
//! Integers, because the smallest node has no floating-point unit; every conversion that can lose or overflow is a
//! named function.

/// Volumetric soil moisture in hundredths of a percent of the soil's volume (1/10 000): 0 is dry, 10 000 is all water.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MoisturePermyriad(u16);

impl MoisturePermyriad {
    /// No water at all.
    pub const MIN: Self = Self(0);
    /// Nothing but water.
    pub const MAX: Self = Self(10_000);

    /// A moisture of `permyriad` / 10 000, or `None` above 10 000.
    #[must_use]
    pub const fn new(permyriad: u16) -> Option<Self> {
        if permyriad <= 10_000 { Some(Self(permyriad)) } else { None }
    }

    /// The value in 1/10 000 of the soil's volume.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The nearest moisture to a percentage of volume, or `None` outside 0–100 % and for a non-number.
    #[must_use]
    pub fn from_percent(percent: f64) -> Option<Self> {
        if !(0.0..=100.0).contains(&percent) {
            return None;
        }
        // Truncation after + 0.5 rounds to nearest: the operand is between 0.5 and 10 000.5.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "range checked above")]
        Self::new((percent * 100.0 + 0.5) as u16)
    }

    /// The value in percent of the soil's volume.
    #[must_use]
    pub fn percent(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

/// Electric potential in millivolts, as an ADC or a supply monitor gives it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millivolts(pub u16);

/// Volume of water in millilitres; 4 294 m³ at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millilitres(pub u32);

impl Millilitres {
    /// The volume in litres.
    #[must_use]
    pub fn litres(self) -> f64 {
        f64::from(self.0) / 1000.0
    }
}

/// Flow of water in litres per hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LitresPerHour(pub u32);

impl LitresPerHour {
    /// The volume that this flow gives in `duration_ms`; saturates at the largest volume.
    #[must_use]
    pub fn volume_in_ms(self, duration_ms: u64) -> Millilitres {
        // L/h · ms = mL · (1000 / 3 600 000): divide by 3600.
        let ml = u64::from(self.0).saturating_mul(duration_ms) / 3600;
        Millilitres(u32::try_from(ml).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moisture_is_bounded_and_rounds_to_nearest() {
        assert_eq!(MoisturePermyriad::new(10_000), Some(MoisturePermyriad::MAX));
        assert_eq!(MoisturePermyriad::new(10_001), None);
        for (percent, want) in [(0.0, Some(0)), (23.456, Some(2346)), (100.0, Some(10_000)), (100.01, None)] {
            assert_eq!(MoisturePermyriad::from_percent(percent).map(MoisturePermyriad::get), want);
        }
        assert_eq!(MoisturePermyriad::from_percent(f64::NAN), None);
        assert_eq!(MoisturePermyriad::from_percent(-0.01), None);
    }

    #[test]
    fn flow_times_time_is_volume() {
        assert_eq!(LitresPerHour(3600).volume_in_ms(1000), Millilitres(1000));
        assert_eq!(LitresPerHour(u32::MAX).volume_in_ms(u64::MAX), Millilitres(u32::MAX));
    }
}
