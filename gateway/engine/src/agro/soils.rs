//! The table of soils (`soils.csv`): ranges of FAO-56 table 19 by texture. A soil's own analysis goes before it.

use std::sync::LazyLock;

use super::table::{Cells, DataStatus, rows};

/// A row of the table: lowest and highest value of each number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Soil {
    /// Key of the row.
    pub id: &'static str,
    /// Vietnamese name.
    pub name_vi: &'static str,
    /// Water content at field capacity, m³/m³.
    pub field_capacity: (f64, f64),
    /// Water content at the wilting point, m³/m³.
    pub wilting_point: (f64, f64),
    /// Water that evaporates unhindered, mm.
    pub rew_mm: (f64, f64),
    /// Water that can evaporate from 0.10 m, mm.
    pub tew_mm: (f64, f64),
    /// Whether the numbers stand in the source.
    pub status: DataStatus,
    /// Where the numbers are from.
    pub source: &'static str,
}

impl Soil {
    fn read(mut cells: Cells) -> Option<Self> {
        Some(Self {
            id: cells.text()?,
            name_vi: cells.text()?,
            field_capacity: cells.range()?,
            wilting_point: cells.range()?,
            rew_mm: cells.range()?,
            tew_mm: cells.range()?,
            status: cells.status()?,
            source: cells.text()?,
        })
    }

    /// The middle of a range, which stands for a texture of which nothing else is known.
    #[must_use]
    pub fn middle((low, high): (f64, f64)) -> f64 {
        (low + high) / 2.0
    }
}

static TABLE: LazyLock<Vec<Soil>> =
    LazyLock::new(|| rows(include_str!("soils.csv")).filter_map(Soil::read).collect());

/// Every soil, from coarse to fine.
#[must_use]
pub fn soils() -> &'static [Soil] {
    &TABLE
}

/// The soil with this key.
#[must_use]
pub fn soil(id: &str) -> Option<&'static Soil> {
    soils().iter().find(|soil| soil.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_reads_and_is_plausible() {
        assert_eq!(soils().len(), 9);
        for row in soils() {
            assert_eq!(soil(row.id), Some(row));
            let ranges = [row.field_capacity, row.wilting_point, row.rew_mm, row.tew_mm];
            assert!(ranges.iter().all(|(low, high)| low < high), "{}", row.id);
            assert!(row.wilting_point.1 < row.field_capacity.1 && row.rew_mm.1 < row.tew_mm.1, "{}", row.id);
        }
        assert_eq!(soil("peat"), None);
    }

    #[test]
    fn the_middle_stands_for_a_texture() {
        let loam = soil("loam").unwrap();
        assert!((Soil::middle(loam.field_capacity) - 0.25).abs() < 1e-12);
    }
}
