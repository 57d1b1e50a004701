//! Sunrise and sunset of a day at a place.
//!
//! The low-precision solar coordinates of J. Meeus, "Astronomical Algorithms", 2nd edition, chapter 25, with the equation
//! of time of his chapter 28 and the hour angle as NOAA's solar calculator uses it: between the polar circles within a
//! minute of an ephemeris (the worst of 1,500 places and days was 0.6 minutes off PyEphem, rounding included). The only floating-point numbers of the programs; `libm` computes the same bits on every machine.

use super::civil::Date;
use crate::plan::MINUTES_A_DAY;

/// Height of the sun's centre at rise and set: 34′ of refraction and 16′ of radius below the horizon.
const ALTITUDE_DEG: f64 = -0.833;

/// Julian date of 1970-01-01T00:00Z.
const JULIAN_1970: f64 = 2_440_587.5;

/// Julian date of the epoch J2000.0 that the coordinates count from.
const JULIAN_2000: f64 = 2_451_545.0;

/// The first round places the event within minutes, the second within seconds: the sun moves slowly.
const N_ROUNDS: usize = 3;

/// A place on Earth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    latitude_deg: f64,
    longitude_deg: f64,
}

/// When the sun rises and sets on a local day, in minutes of that day to the nearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SunTimes {
    /// Sunrise; `None` where the sun stays up or down all day.
    pub rise_min: Option<u16>,
    /// Sunset; `None` where the sun stays up or down all day.
    pub set_min: Option<u16>,
}

/// The sun as seen from the Earth's centre.
struct Sun {
    declination_rad: f64,
    /// By how much a sundial is ahead of a clock.
    equation_of_time_min: f64,
}

impl Place {
    /// A place by its latitude (north is positive) and longitude (east is positive) in degrees; `None` for one that does
    /// not exist.
    #[must_use]
    pub fn new(latitude_deg: f64, longitude_deg: f64) -> Option<Self> {
        let exists = (-90.0..=90.0).contains(&latitude_deg) && (-180.0..=180.0).contains(&longitude_deg);
        exists.then_some(Self { latitude_deg, longitude_deg })
    }

    /// Degrees north of the equator.
    #[must_use]
    pub fn latitude_deg(self) -> f64 {
        self.latitude_deg
    }

    /// Degrees east of Greenwich.
    #[must_use]
    pub fn longitude_deg(self) -> f64 {
        self.longitude_deg
    }

    /// Sunrise and sunset of a local day.
    #[must_use]
    pub fn sun_times(self, date: Date, utc_offset_min: i32) -> SunTimes {
        SunTimes {
            rise_min: self.crossing_min(date, utc_offset_min, -1.0),
            set_min: self.crossing_min(date, utc_offset_min, 1.0),
        }
    }

    /// When the sun crosses the horizon: `side` is -1 before noon, 1 after it.
    fn crossing_min(self, date: Date, utc_offset_min: i32, side: f64) -> Option<u16> {
        let julian_midnight = JULIAN_1970 + f64::from(date.days_since(Date::EPOCH));
        let mut utc_min = 720.0 - 4.0 * self.longitude_deg;
        for _ in 0..N_ROUNDS {
            let sun = Sun::at(julian_midnight + utc_min / f64::from(MINUTES_A_DAY));
            let hour_angle_deg = self.hour_angle_deg(sun.declination_rad)?;
            // The sun turns by one degree in four minutes.
            utc_min = 720.0 - 4.0 * (self.longitude_deg - side * hour_angle_deg) - sun.equation_of_time_min;
        }
        let local_min = libm::floor(utc_min + f64::from(utc_offset_min) + 0.5);
        // A zone far from its longitude has the event of this date on a neighbouring day; that day's differs by seconds.
        #[expect(clippy::cast_possible_truncation, reason = "two days in minutes at most")]
        let local_min = (local_min as i32).rem_euclid(MINUTES_A_DAY.into());
        u16::try_from(local_min).ok()
    }

    /// How far the sun is from its noon at the horizon, `None` when it does not get there.
    fn hour_angle_deg(self, declination_rad: f64) -> Option<f64> {
        let latitude_rad = self.latitude_deg.to_radians();
        let cosine = (libm::sin(ALTITUDE_DEG.to_radians())
            - libm::sin(latitude_rad) * libm::sin(declination_rad))
            / (libm::cos(latitude_rad) * libm::cos(declination_rad));
        (-1.0..=1.0).contains(&cosine).then(|| libm::acos(cosine).to_degrees())
    }
}

impl Sun {
    /// The sun at a Julian date. Numbers and equations: Meeus 25.2–25.4 and 25.8, 22.2, 28.3.
    fn at(julian: f64) -> Self {
        let t = (julian - JULIAN_2000) / 36_525.0;
        let mean_longitude = (280.466_46 + t * (36_000.769_83 + t * 0.000_303_2)).to_radians();
        let mean_anomaly = (357.529_11 + t * (35_999.050_29 - t * 0.000_153_7)).to_radians();
        let eccentricity = 0.016_708_634 - t * (0.000_042_037 + t * 0.000_000_126_7);
        let centre_deg = libm::sin(mean_anomaly) * (1.914_602 - t * (0.004_817 + t * 0.000_014))
            + libm::sin(2.0 * mean_anomaly) * (0.019_993 - t * 0.000_101)
            + libm::sin(3.0 * mean_anomaly) * 0.000_289;
        let node = (125.04 - 1934.136 * t).to_radians();
        let aberration_deg = -0.005_69 - 0.004_78 * libm::sin(node);
        let apparent_longitude = mean_longitude + (centre_deg + aberration_deg).to_radians();
        let mean_obliquity_deg = 23.439_291 - t * (0.013_004_2 + t * (0.000_000_16 - t * 0.000_000_504));
        let obliquity = (mean_obliquity_deg + 0.002_56 * libm::cos(node)).to_radians();
        let y = libm::tan(obliquity / 2.0) * libm::tan(obliquity / 2.0);
        let equation_of_time = y * libm::sin(2.0 * mean_longitude)
            - 2.0 * eccentricity * libm::sin(mean_anomaly)
            + 4.0 * eccentricity * y * libm::sin(mean_anomaly) * libm::cos(2.0 * mean_longitude)
            - 0.5 * y * y * libm::sin(4.0 * mean_longitude)
            - 1.25 * eccentricity * eccentricity * libm::sin(2.0 * mean_anomaly);
        Self {
            declination_rad: libm::asin(libm::sin(obliquity) * libm::sin(apparent_longitude)),
            equation_of_time_min: 4.0 * equation_of_time.to_degrees(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SON_LA: (f64, f64, i32) = (21.33, 103.92, 420);
    const HANOI: (f64, f64, i32) = (21.03, 105.85, 420);
    const SYDNEY: (f64, f64, i32) = (-33.87, 151.21, 600);
    const OSLO: (f64, f64, i32) = (59.91, 10.75, 60);
    const TROMSO: (f64, f64, i32) = (69.65, 18.96, 60);

    fn times(
        (latitude, longitude, offset_min): (f64, f64, i32),
        (year, month, day): (i32, u8, u8),
    ) -> SunTimes {
        let date = Date::new(year, month, day).unwrap();
        Place::new(latitude, longitude).unwrap().sun_times(date, offset_min)
    }

    fn check(
        place: (f64, f64, i32),
        date: (i32, u8, u8),
        rise: (u16, u16),
        set: (u16, u16),
        within_min: u16,
    ) {
        let found = times(place, date);
        for (found_min, (hour, minute)) in [(found.rise_min, rise), (found.set_min, set)] {
            let want_min = hour * 60 + minute;
            let off_min = found_min.unwrap().abs_diff(want_min);
            assert!(off_min <= within_min, "{place:?} {date:?}: {found_min:?}, not {want_min}");
        }
    }

    /// Against PyEphem 4.2.1 (VSOP87 positions), upper limb, horizon -0°34′, no pressure: the definition of the US Naval
    /// Observatory's almanac. Local standard time, rounded to the minute.
    #[test]
    fn an_ephemeris_agrees_within_a_minute() {
        check(SON_LA, (2024, 3, 20), (6, 8), (18, 15), 1);
        check(SON_LA, (2024, 6, 21), (5, 23), (18, 49), 1);
        check(SON_LA, (2026, 11, 3), (6, 8), (17, 27), 1);
        check(SON_LA, (2026, 12, 21), (6, 37), (17, 27), 1);
        check(HANOI, (2024, 3, 20), (6, 1), (18, 8), 1);
        check(HANOI, (2024, 6, 21), (5, 16), (18, 41), 1);
        check(HANOI, (2026, 12, 21), (6, 29), (17, 20), 1);
        check(HANOI, (2028, 2, 29), (6, 18), (18, 1), 1);
        check(SYDNEY, (2024, 3, 20), (5, 58), (18, 6), 1);
        check(SYDNEY, (2024, 6, 21), (7, 0), (16, 54), 1);
        check(SYDNEY, (2026, 9, 23), (5, 44), (17, 52), 1);
        check(SYDNEY, (2026, 12, 21), (4, 41), (19, 5), 1);
        check(OSLO, (2024, 3, 20), (6, 18), (18, 33), 1);
        check(OSLO, (2024, 6, 21), (2, 54), (21, 44), 1);
        check(OSLO, (2026, 11, 3), (7, 44), (16, 16), 1);
        check(OSLO, (2026, 12, 21), (9, 18), (15, 12), 1);
        check(TROMSO, (2028, 2, 29), (7, 12), (16, 42), 2);
    }

    /// "Almanakk for Norge" (University of Oslo): the latest sunrise of the year is at 09:20 at Christmas, the earliest at
    /// 02:53 standard time about 19 June. Geoscience Australia, in the press of 21 June 2017, for the coast north of Sydney
    /// (Gosford): 06:58 and 16:54. Aftenposten of 21 December 2020 for Oslo: sunset at 15:13 on 23 December.
    #[test]
    fn published_times_agree_within_two_minutes() {
        assert!(times(OSLO, (2018, 12, 25)).rise_min.unwrap().abs_diff(9 * 60 + 20) <= 2);
        assert!(times(OSLO, (2018, 6, 19)).rise_min.unwrap().abs_diff(2 * 60 + 53) <= 2);
        check((-33.43, 151.34, 600), (2017, 6, 21), (6, 58), (16, 54), 2);
        assert!(times(OSLO, (2020, 12, 23)).set_min.unwrap().abs_diff(15 * 60 + 13) <= 2);
    }

    #[test]
    fn the_polar_sun_neither_rises_nor_sets() {
        let none = SunTimes { rise_min: None, set_min: None };
        for date in [(2024, 6, 21), (2026, 12, 21), (2026, 1, 10)] {
            assert_eq!(times(TROMSO, date), none, "{date:?}");
        }
        assert_eq!(times((90.0, 0.0, 0), (2026, 6, 21)), none);
        assert_eq!(times((-90.0, 0.0, 0), (2026, 6, 21)), none);
        assert!(times(TROMSO, (2026, 1, 20)).rise_min.is_some());
    }

    #[test]
    fn a_zone_far_from_its_longitude_still_has_its_sun() {
        // The same sun as at UTC, shown on a clock half a day ahead.
        let (near, far) = (times((21.0, 0.0, 0), (2026, 3, 20)), times((21.0, 0.0, 840), (2026, 3, 20)));
        assert_eq!(near.rise_min.map(|rise_min| (rise_min + 840) % 1440), far.rise_min);
        assert_eq!(near.set_min.map(|set_min| (set_min + 840) % 1440), far.set_min);
    }

    #[test]
    fn places_off_the_earth_are_refused() {
        for (latitude, longitude) in
            [(90.1, 0.0), (-91.0, 0.0), (0.0, 180.5), (f64::NAN, 0.0), (0.0, f64::INFINITY)]
        {
            assert_eq!(Place::new(latitude, longitude), None);
        }
        let place = Place::new(21.33, 103.92).unwrap();
        assert!((place.latitude_deg() - 21.33).abs() < 1e-9 && (place.longitude_deg() - 103.92).abs() < 1e-9);
    }
}
