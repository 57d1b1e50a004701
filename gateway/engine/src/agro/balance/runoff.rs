//! Rain that runs off the surface, by the curve number of the soil (ASCE Manual 70, second edition, 2016, pp. 451–454).

use super::surface::Surface;

/// Rain below this share of the storage soaks in wholly.
const ABSTRACTED: f64 = 0.2;

/// Runoff of a day's rain, mm. `curve_number` is that of average wetness; a wet surface raises it, a dry one lowers it.
/// Without a surface the average holds.
#[must_use]
pub fn runoff_mm(rain_mm: f64, curve_number: f64, surface: Option<&Surface>) -> f64 {
    let curve_number = surface.map_or(curve_number, |surface| by_wetness(curve_number, surface));
    let storage_mm = 250.0 * (100.0 / curve_number - 1.0);
    let surplus_mm = rain_mm - ABSTRACTED * storage_mm;
    if surplus_mm <= 0.0 {
        return 0.0;
    }
    (surplus_mm * surplus_mm / (rain_mm + (1.0 - ABSTRACTED) * storage_mm)).min(rain_mm)
}

/// The curve number between its dry and its wet value, by what the surface layer lacks (14-14 to 14-20).
fn by_wetness(average: f64, surface: &Surface) -> f64 {
    let dry = average / (2.281 - 0.01281 * average);
    let wet = average / (0.427 + 0.00573 * average);
    let wet_until_mm = 0.5 * surface.rew_mm;
    let dry_from_mm = 0.7 * surface.rew_mm + 0.3 * surface.tew_mm;
    if surface.de_mm <= wet_until_mm {
        wet
    } else if surface.de_mm >= dry_from_mm {
        dry
    } else {
        ((surface.de_mm - wet_until_mm) * dry + (dry_from_mm - surface.de_mm) * wet)
            / (dry_from_mm - wet_until_mm)
    }
}
