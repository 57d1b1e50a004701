//! The table of crops (`crops.csv`): numbers of FAO-56 with the status and source of each row.
//!
//! Numbers of a table are a start: the variety, the spacing and the climate of a farm go before them.

use std::sync::LazyLock;

use super::stages::Curve;
use super::table::{Cells, DataStatus, rows};

/// How a crop stands at the start of its season.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// Sown or planted: height and roots begin small.
    Annual,
    /// Grown: height and roots stay.
    Perennial,
}

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crop {
    /// Key of the row.
    pub id: &'static str,
    /// Vietnamese name.
    pub name_vi: &'static str,
    /// English name.
    pub name_en: &'static str,
    /// How it stands at the start of its season.
    pub habit: Habit,
    /// Single coefficients (table 12).
    pub kc: Curve,
    /// Basal coefficients (table 17).
    pub kcb: Curve,
    /// Height when grown, m (table 12).
    pub height_m: f64,
    /// Depth of grown roots, m, for irrigation and for rain-fed stands (table 22).
    pub root_m: (f64, f64),
    /// Share of the available water that roots take without stress (table 22).
    pub p: f64,
    /// Lengths of the stages in days (table 11), where the table has them.
    pub stage_days: Option<[f64; 4]>,
    /// Whether the numbers stand in the source.
    pub status: DataStatus,
    /// Where the numbers are from.
    pub source: &'static str,
}

/// Depth of the roots of a sown crop at first, m.
const SOWN_ROOT_M: f64 = 0.2;
/// Height of a sown crop at first, m.
const SOWN_HEIGHT_M: f64 = 0.05;

impl Crop {
    fn read(mut cells: Cells) -> Option<Self> {
        let (id, name_vi, name_en) = (cells.text()?, cells.text()?, cells.text()?);
        let habit = match cells.text()? {
            "annual" => Habit::Annual,
            "perennial" => Habit::Perennial,
            _ => return None,
        };
        let kc = Curve::new(cells.number()?, cells.number()?, cells.number()?);
        let kcb = Curve::new(cells.number()?, cells.number()?, cells.number()?);
        let (height_m, root_m, p) = (cells.number()?, cells.range()?, cells.number()?);
        let lengths = [cells.number(), cells.number(), cells.number(), cells.number()];
        let stage_days = match lengths {
            [Some(ini), Some(dev), Some(mid), Some(late)] => Some([ini, dev, mid, late]),
            _ => None,
        };
        let (status, source) = (cells.status()?, cells.text()?);
        Some(Self { id, name_vi, name_en, habit, kc, kcb, height_m, root_m, p, stage_days, status, source })
    }

    /// Height at the start of a season and when grown, m.
    #[must_use]
    pub fn season_height_m(&self) -> (f64, f64) {
        match self.habit {
            Habit::Annual => (SOWN_HEIGHT_M.min(self.height_m), self.height_m),
            Habit::Perennial => (self.height_m, self.height_m),
        }
    }

    /// Depth of the roots at the start of a season and when grown, m, for an irrigated stand.
    #[must_use]
    pub fn season_root_m(&self) -> (f64, f64) {
        match self.habit {
            Habit::Annual => (SOWN_ROOT_M.min(self.root_m.0), self.root_m.0),
            Habit::Perennial => (self.root_m.0, self.root_m.0),
        }
    }
}

static TABLE: LazyLock<Vec<Crop>> =
    LazyLock::new(|| rows(include_str!("crops.csv")).filter_map(Crop::read).collect());

/// Every crop, in the order of the table.
#[must_use]
pub fn crops() -> &'static [Crop] {
    &TABLE
}

/// The crop with this key.
#[must_use]
pub fn crop(id: &str) -> Option<&'static Crop> {
    crops().iter().find(|crop| crop.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_reads_and_is_plausible() {
        let n_rows = include_str!("crops.csv").lines().filter(|line| !line.starts_with('#')).count() - 1;
        assert_eq!(crops().len(), n_rows);
        assert!(n_rows >= 16);
        for crop in crops() {
            for value in [crop.kc.ini, crop.kc.mid, crop.kc.end, crop.kcb.ini, crop.kcb.mid, crop.kcb.end] {
                assert!((0.1..=1.3).contains(&value), "{}: {value}", crop.id);
            }
            assert!(crop.kcb.mid <= crop.kc.mid, "{}: the basal part is not above the whole", crop.id);
            assert!(crop.root_m.0 <= crop.root_m.1 && crop.root_m.1 <= 2.0, "{}", crop.id);
            assert!((0.1..=0.8).contains(&crop.p) && (0.1..=6.0).contains(&crop.height_m), "{}", crop.id);
            assert!(!crop.source.is_empty() && !crop.name_vi.is_empty(), "{}", crop.id);
        }
    }

    #[test]
    fn keys_are_unique_and_find_their_row() {
        for row in crops() {
            assert_eq!(crop(row.id), Some(row), "{}", row.id);
        }
        assert_eq!(crop("durian"), None);
    }

    #[test]
    fn a_row_says_whether_its_numbers_are_printed() {
        let plum = crop("plum_bare").unwrap();
        assert_eq!((plum.status, plum.stage_days), (DataStatus::Sourced, Some([20.0, 70.0, 120.0, 60.0])));
        assert_eq!(plum.season_root_m(), (1.0, 1.0));
        assert_eq!(crop("mango").unwrap().status, DataStatus::Placeholder);
        assert_eq!(crop("maize").unwrap().season_root_m(), (0.2, 1.0));
    }
}
