//! A battery by its voltage: the divider before the converter, and what is left by the kind of cell.
//!
//! The curves are data: voltage of one cell at rest and at 25 °C. Under load the voltage sags and while charging it
//! rises, so that the figure is an estimate; closing valves is decided by the voltage alone
//! ([`crate::settings::SupplyPlan`]).

use giot_shared::units::Millivolts;

/// What a battery is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Chemistry {
    /// Lithium iron phosphate, 3.2 V a cell.
    LiFePo4 = 1,
    /// Lead and acid, flooded or AGM, 2 V a cell.
    Lead = 2,
    /// Lithium ion with cobalt or manganese, 3.7 V a cell.
    LiIon = 3,
}

/// One point of a curve: mV of a cell, and what is left, %.
type Point = (u16, u8);

/// Falling; a cell of LiFePO4 says little between 20 and 80 % (typical rest voltages of maker's tables, EVE LF280K class).
const LIFEPO4: [Point; 10] = [
    (3400, 100),
    (3350, 90),
    (3320, 70),
    (3300, 60),
    (3280, 50),
    (3270, 40),
    (3220, 20),
    (3100, 10),
    (3000, 5),
    (2500, 0),
];
/// 12.7 to 10.5 V of six cells at rest (open-circuit voltages of lead-acid batteries as of Battery University BU-903).
const LEAD: [Point; 6] = [(2110, 100), (2075, 75), (2040, 50), (2010, 25), (1980, 10), (1750, 0)];
/// Rest voltages of a usual 18650 cell.
const LI_ION: [Point; 7] =
    [(4200, 100), (4060, 90), (3920, 70), (3790, 50), (3700, 30), (3600, 10), (3000, 0)];

impl Chemistry {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::LiFePo4, Self::Lead, Self::LiIon];

    /// The word in settings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LiFePo4 => "lifepo4",
            Self::Lead => "lead",
            Self::LiIon => "liion",
        }
    }

    /// The kind of a stored code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|chemistry| *chemistry as u8 == code)
    }

    const fn curve(self) -> &'static [Point] {
        match self {
            Self::LiFePo4 => &LIFEPO4,
            Self::Lead => &LEAD,
            Self::LiIon => &LI_ION,
        }
    }
}

/// A battery and how it is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatteryPlan {
    /// What it is made of.
    pub chemistry: Chemistry,
    /// Cells in a row.
    pub n_cells: u8,
    /// Resistors of the divider before the converter, in any unit they share: from the battery, and to ground. (0, 1)
    /// where there is none.
    pub divider: (u16, u16),
}

impl BatteryPlan {
    /// The battery's voltage behind its divider; saturates at 65 V.
    #[must_use]
    pub fn supply(&self, measured: Millivolts) -> Millivolts {
        let (top, bottom) = (u64::from(self.divider.0), u64::from(self.divider.1.max(1)));
        let supply = (u64::from(measured.0) * (top + bottom) + bottom / 2) / bottom;
        Millivolts(u16::try_from(supply).unwrap_or(u16::MAX))
    }

    /// What is left at a battery voltage, %.
    #[must_use]
    pub fn charge_percent(&self, supply: Millivolts) -> u8 {
        let cell = u32::from(supply.0) / u32::from(self.n_cells.max(1));
        let curve = self.chemistry.curve();
        let mut above: Option<Point> = None;
        for &(mv, percent) in curve {
            if cell >= u32::from(mv) {
                let Some((mv_above, percent_above)) = above else { return percent };
                let span = u32::from(mv_above - mv).max(1);
                let part = (cell - u32::from(mv)) * u32::from(percent_above - percent) / span;
                return percent.saturating_add(u8::try_from(part).unwrap_or(0));
            }
            above = Some((mv, percent));
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(chemistry: Chemistry, n_cells: u8) -> BatteryPlan {
        BatteryPlan { chemistry, n_cells, divider: (0, 1) }
    }

    #[test]
    fn voltages_become_percent() {
        let check = |chemistry, n_cells, mv, want| {
            assert_eq!(
                plan(chemistry, n_cells).charge_percent(Millivolts(mv)),
                want,
                "{chemistry:?} {mv} mV"
            );
        };
        check(Chemistry::LiFePo4, 4, 14_600, 100);
        check(Chemistry::LiFePo4, 4, 13_120, 50);
        check(Chemistry::LiFePo4, 4, 12_800, 18);
        check(Chemistry::LiFePo4, 4, 9000, 0);
        check(Chemistry::Lead, 6, 12_700, 100);
        check(Chemistry::Lead, 6, 12_240, 50);
        check(Chemistry::Lead, 6, 12_060, 25);
        check(Chemistry::Lead, 6, 0, 0);
        check(Chemistry::LiIon, 1, 3790, 50);
        check(Chemistry::LiIon, 0, 3600, 10);
    }

    #[test]
    fn curves_fall_and_end_at_nothing() {
        for chemistry in Chemistry::ALL {
            let curve = chemistry.curve();
            assert!(
                curve.windows(2).all(|pair| pair[0].0 > pair[1].0 && pair[0].1 > pair[1].1),
                "{chemistry:?}"
            );
            assert_eq!((curve.first().map(|p| p.1), curve.last().map(|p| p.1)), (Some(100), Some(0)));
            assert_eq!(Chemistry::from_code(chemistry as u8), Some(chemistry));
            let plan = plan(chemistry, 1);
            let percent = |mv| plan.charge_percent(Millivolts(mv));
            assert!((0..5000).all(|mv| percent(mv) <= percent(mv + 1)), "{chemistry:?}");
        }
    }

    #[test]
    fn the_divider_is_taken_back() {
        let divided = BatteryPlan { divider: (300, 100), ..plan(Chemistry::LiFePo4, 4) };
        assert_eq!(divided.supply(Millivolts(3300)), Millivolts(13_200));
        assert_eq!(divided.supply(Millivolts(u16::MAX)), Millivolts(u16::MAX));
        assert_eq!(plan(Chemistry::Lead, 6).supply(Millivolts(12_000)), Millivolts(12_000));
        assert_eq!(BatteryPlan { divider: (1, 0), ..divided }.supply(Millivolts(5)), Millivolts(10));
    }
}
