//! How a zone's soil answers to water, learned from its history: a bucket that fills with what is given, with a delay, runs over
//! above a level, holds no more than its field capacity or what was ever read of it, and is emptied by plants, who take less when it gets dry.
//!
//! Only the difference to what happened is modelled: it grows by what the trial gives more (or less), shrinks by what runs over
//! more, and by what dry plants take less. So weather, plants and noise stay those of the recorded readings, and a trial that
//! gives what was given reads what was read.

use giot_shared::time::UnixMs;
use giot_shared::units::LitresPerHour;

use super::play::Run;
use super::stress::Stress;

const HOUR_MS: f64 = 3_600_000.0;
/// Delays between water at the emitter and at the probe that are tried, hours.
const DELAYS_H: [f64; 5] = [0.25, 0.5, 1.0, 2.0, 4.0];
/// Fewer pairs of hours teach nothing about how soil dries.
const HOURS_MIN: usize = 72;
/// Fewer hours with water teach nothing about how it wets.
const WET_HOURS_MIN: usize = 3;
/// Fewer hours with rain do not either: it falls more evenly than water is given.
const RAIN_HOURS_MIN: usize = 10;
/// Less in an hour is dew, or one tip of a gauge, mm.
const RAIN_MM_MIN: f64 = 0.3;
/// Levels above which soil runs over that are tried, as shares of the readings below them.
const OVER_SHARES: [f64; 6] = [0.3, 0.5, 0.7, 0.8, 0.9, 0.97];
/// Where nobody knows when plants take less, they do in the driest hours of the history: this share of them.
const DRIEST_SHARE: f64 = 0.1;
/// Soil that loses more than this share of what is above that level in an hour is no soil.
const DRAINS_MAX: f64 = 0.5;

/// How a soil answers. Levels are % of the soil's volume at the probes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// What a cubic metre adds.
    pub per_m3: f64,
    /// It runs over above this level.
    pub over: f64,
    /// Share of what is above that is lost in an hour.
    pub drains: f64,
    /// It is full here, at field capacity or where it was read wettest, whichever is wetter: what comes on top runs off at once.
    pub full: f64,
    /// What plants and air take in a day on the mean.
    pub taken: f64,
    /// Below this level plants take less, in proportion down to `dry`.
    pub stress: f64,
    /// Here they take nothing.
    pub dry: f64,
    /// Mean delay between emitter and probe, hours.
    pub delay_h: f64,
    /// Share of the hourly changes that it explains.
    pub r2: f64,
    /// Pairs of hours that it was learned from.
    pub n_hours: usize,
    /// Too little was given to learn from: what a cubic metre adds follows from what rain added.
    pub is_by_rain: bool,
}

/// An hour of the history.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Hour {
    /// Level of the zone; `None`: nothing was read.
    pub level: Option<f64>,
    /// Water given in it, m³.
    pub m3: f64,
    /// Rain in it, mm.
    pub rain_mm: f64,
}

impl Bucket {
    /// Learns from hours in a row; the delay and the level that explain most win. `stress`: where plants begin to take less, and
    /// where they take nothing; `None`: below the driest tenth of the readings. `field_capacity`: what the soil holds in any case,
    /// % of volume. `mm_per_m3`: what a cubic metre is on the ground that it wets, so that rain can teach where hardly anything
    /// was given.
    ///
    /// # Errors
    /// The code of what is missing.
    pub fn learn(
        hours: &[Hour],
        stress: Option<&Stress>,
        field_capacity: Option<f64>,
        mm_per_m3: Option<f64>,
    ) -> Result<Self, &'static str> {
        let n_wet = hours.iter().filter(|hour| hour.m3 > 0.0).count();
        let n_rainy = hours.iter().filter(|hour| hour.rain_mm >= RAIN_MM_MIN).count();
        let by_rain = mm_per_m3.filter(|_| n_wet < WET_HOURS_MIN && n_rainy >= RAIN_HOURS_MIN);
        if n_wet < WET_HOURS_MIN && by_rain.is_none() {
            return Err("too_little_water");
        }
        if pairs(hours).count() < HOURS_MIN {
            return Err("too_few_readings");
        }
        let mut levels: Vec<f64> = hours.iter().filter_map(|hour| hour.level).collect();
        levels.sort_by(f64::total_cmp);
        let mut best: Option<Self> = None;
        for delay_h in DELAYS_H {
            for over in OVER_SHARES.iter().filter_map(|share| quantile(&levels, *share)) {
                let fit = Self::fit(hours, delay_h, over, by_rain);
                let better = fit.filter(|fit| fit.per_m3 > 0.0 && best.is_none_or(|best| fit.r2 > best.r2));
                best = better.or(best);
            }
        }
        let full = levels.last().copied().unwrap_or_default().max(field_capacity.unwrap_or_default());
        let driest = || quantile(&levels, DRIEST_SHARE).map(|level| (level, level / 2.0));
        let (stress, dry) =
            stress.map(|stress| (stress.level, stress.dry)).or_else(driest).unwrap_or_default();
        best.map(|best| Self { stress, dry, full, ..best }).ok_or("no_answer")
    }

    /// Least squares of the hourly changes: water and rain that arrive, what is above the level, and a constant.
    #[expect(clippy::cast_precision_loss, reason = "hours of a year are far below 2^53")]
    fn fit(hours: &[Hour], delay_h: f64, over: f64, by_rain: Option<f64>) -> Option<Self> {
        let water = delayed(hours.iter().map(|hour| hour.m3), delay_h);
        let rain = delayed(hours.iter().map(|hour| hour.rain_mm), delay_h);
        let row =
            |idx: usize, level: f64| Some([*water.get(idx)?, *rain.get(idx)?, (level - over).max(0.0), 1.0]);
        let mut system = [[0.0_f64; 5]; 4];
        let (mut n, mut sum, mut square) = (0_usize, 0.0, 0.0);
        for (idx, level, change) in pairs(hours) {
            let row = row(idx, level)?;
            for (own, line) in row.iter().zip(system.iter_mut()) {
                for (other, cell) in row.iter().chain([&change]).zip(line.iter_mut()) {
                    *cell += own * other;
                }
            }
            (n, sum, square) = (n + 1, sum + change, square + change * change);
        }
        // Where it never rained that column is empty: a trifle keeps the system solvable.
        for (idx, line) in system.iter_mut().enumerate() {
            *line.get_mut(idx)? += 1e-9;
        }
        let answer = solve(system)?;
        let mut rest = 0.0;
        for (idx, level, change) in pairs(hours) {
            let made: f64 = row(idx, level)?.iter().zip(answer).map(|(value, factor)| value * factor).sum();
            rest += (change - made) * (change - made);
        }
        let spread = square - sum * sum / n as f64;
        let [of_water, of_rain, of_excess, constant] = answer;
        Some(Self {
            per_m3: by_rain.map_or(of_water, |mm_per_m3| of_rain * mm_per_m3),
            over,
            drains: (-of_excess).clamp(0.0, DRAINS_MAX),
            taken: (-constant).max(0.0) * 24.0,
            full: 0.0,
            stress: 0.0,
            dry: 0.0,
            delay_h,
            r2: if spread > 0.0 { (1.0 - rest / spread).max(0.0) } else { 0.0 },
            n_hours: n,
            is_by_rain: by_rain.is_some(),
        })
    }

    /// What is lost in an hour at a level, % of volume: what runs over, and what plants take.
    fn lost(&self, level: f64) -> f64 {
        let thirst = ((level - self.dry) / (self.stress - self.dry).max(0.1)).clamp(0.0, 1.0);
        self.drains * (level - self.over).max(0.0) + self.taken / 24.0 * thirst
    }
}

/// The value that a share of the sorted values lies below.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a length"
    )]
    let idx = (sorted.len() as f64 * share) as usize;
    sorted.get(idx.min(sorted.len().saturating_sub(1))).copied()
}

/// Hours that follow each other with readings: place, level, change to the next.
fn pairs(hours: &[Hour]) -> impl Iterator<Item = (usize, f64, f64)> + '_ {
    let next = hours.iter().skip(1);
    let pairs = hours.iter().zip(next).enumerate();
    pairs.filter_map(|(idx, (hour, next))| {
        let level = hour.level?;
        Some((idx, level, next.level? - level))
    })
}

/// What arrives in each hour of what was given, by a reservoir with that mean delay.
fn delayed(given: impl Iterator<Item = f64>, delay_h: f64) -> Vec<f64> {
    let kept = libm::exp(-1.0 / delay_h);
    let mut under_way = 0.0;
    given
        .map(|amount| {
            under_way += amount;
            let arrives = under_way * (1.0 - kept);
            under_way -= arrives;
            arrives
        })
        .collect()
}

/// Gauss with pivots; `None` for a system without one answer.
fn solve(mut system: [[f64; 5]; 4]) -> Option<[f64; 4]> {
    for i in 0..4 {
        let size = |line: &[f64; 5]| line.get(i).map_or(0.0, |cell| cell.abs());
        let pivot = (i..4).max_by(|a, b| {
            let of = |idx: &usize| system.get(*idx).map_or(0.0, size);
            of(a).total_cmp(&of(b))
        })?;
        system.swap(i, pivot);
        let line = *system.get(i)?;
        let head = *line.get(i)?;
        if head.abs() < 1e-12 {
            return None;
        }
        for (j, other) in system.iter_mut().enumerate().filter(|(j, _)| *j != i) {
            let factor = other.get(i)? / head;
            debug_assert_ne!(i, j);
            for (cell, own) in other.iter_mut().zip(line) {
                *cell -= factor * own;
            }
        }
    }
    let mut answer = [0.0; 4];
    for (i, value) in answer.iter_mut().enumerate() {
        let line = system.get(i)?;
        *value = line.get(4)? / line.get(i)?;
    }
    answer.iter().all(|value| value.is_finite()).then_some(answer)
}

/// How much wetter the trial's soil is than it was read.
#[derive(Clone, Debug)]
pub struct Difference {
    bucket: Bucket,
    at: UnixMs,
    /// Water of the trial less water that was given, on its way to the probes, m³.
    under_way: f64,
    /// % of volume.
    wetter: f64,
}

impl Difference {
    /// None yet.
    #[must_use]
    pub const fn new(bucket: Bucket, from: UnixMs) -> Self {
        Self { bucket, at: from, under_way: 0.0, wetter: 0.0 }
    }

    /// At the moment that it was advanced to, % of volume.
    #[must_use]
    pub const fn now(&self) -> f64 {
        self.wetter
    }

    /// Lets time pass. `open`: since when the trial's valve is open, and what it gives; `really`: the runs that took place; `read`:
    /// the level that was read last.
    pub fn advance(
        &mut self,
        at: UnixMs,
        open: Option<(UnixMs, LitresPerHour)>,
        really: &[Run],
        read: Option<f64>,
    ) {
        // In steps of at most a quarter of an hour, so that water moves while it is given.
        while self.at < at {
            let until = self.at.plus_ms(900_000).min(at);
            let hours = ms(until.since_ms(self.at)) / HOUR_MS;
            let by_trial = open
                .filter(|(from, _)| *from <= self.at)
                .map_or(0.0, |(_, flow)| f64::from(flow.0) / 1000.0 * hours);
            let given: f64 = really.iter().map(|run| part_m3(run, self.at, until)).sum();
            self.under_way += by_trial - given;
            let arrives = self.under_way * (1.0 - libm::exp(-hours / self.bucket.delay_h));
            self.under_way -= arrives;
            self.wetter += arrives * self.bucket.per_m3;
            if let Some(read) = read {
                let more = self.bucket.lost(read + self.wetter) - self.bucket.lost(read);
                // Soil that is full is full in the trial too.
                self.wetter = (self.wetter - more * hours).min((self.bucket.full - read).max(0.0));
            }
            self.at = until;
        }
    }
}

/// What a run gave between two moments, m³.
fn part_m3(run: &Run, from: UnixMs, to: UnixMs) -> f64 {
    let whole_ms = run.to.since_ms(run.from);
    let part_ms = run.to.min(to).since_ms(run.from.max(from));
    if whole_ms == 0 || run.to <= from || run.from >= to {
        return 0.0;
    }
    ms(run.ml) / 1e6 * ms(part_ms) / ms(whole_ms)
}

/// Spans and volumes of a history as numbers.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
const fn ms(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backtest::StressFrom;

    /// A soil that gains 2 % a cubic metre after an hour, loses 5 % of what is above 22 % each hour, and 1.2 % a day to plants; half a
    /// day's worth each second day.
    fn hours(n_days: usize) -> Vec<Hour> {
        let mut level = 24.0;
        let given = (0..n_days * 24).map(|hour| if hour % 48 == 20 { 1.4 } else { 0.0 });
        let arrives = delayed(given.clone(), 1.0);
        given
            .zip(arrives)
            .map(|(m3, arrives)| {
                let hour = Hour { level: Some(level), m3, rain_mm: 0.0 };
                level += arrives * 2.0 - (level - 22.0_f64).max(0.0) * 0.05 - 0.05;
                hour
            })
            .collect()
    }

    fn bucket() -> Bucket {
        Bucket {
            per_m3: 2.0,
            over: 22.0,
            drains: 0.05,
            full: 45.0,
            taken: 1.2,
            stress: 18.0,
            dry: 10.0,
            delay_h: 1.0,
            r2: 1.0,
            n_hours: 100,
            is_by_rain: false,
        }
    }

    const STRESS: Stress = Stress { level: 18.0, dry: 10.0, is_tension: false, from: StressFrom::Soil };

    fn at(minute: u64) -> UnixMs {
        UnixMs(1_790_000_000_000).plus_ms(minute * 60_000)
    }

    #[test]
    fn a_bucket_finds_the_soil_that_made_its_history() {
        let found = Bucket::learn(&hours(40), Some(&STRESS), None, None).expect("enough");
        assert!((found.per_m3 - 2.0).abs() < 0.3 && (found.taken - 1.2).abs() < 0.4, "{found:?}");
        assert!((20.5..23.5).contains(&found.over) && found.r2 > 0.95, "{found:?}");
    }

    /// Water may carry soil above what was ever read of it, as far as it holds water.
    #[test]
    fn soil_is_full_at_field_capacity_where_that_is_known() {
        let full = |field_capacity| {
            Bucket::learn(&hours(40), Some(&STRESS), field_capacity, None).expect("enough").full
        };
        let wettest = full(None);
        assert!((24.0..28.0).contains(&wettest), "{wettest}");
        assert!((full(Some(36.0)) - 36.0).abs() < 1e-9 && (full(Some(20.0)) - wettest).abs() < 1e-9);
    }

    /// The same season with rain in the place of water: a cubic metre on 2000 m² is half a millimetre.
    #[test]
    fn rain_teaches_where_nothing_was_given() {
        let rainy: Vec<Hour> =
            hours(40).into_iter().map(|hour| Hour { m3: 0.0, rain_mm: hour.m3 * 0.5, ..hour }).collect();
        let found = Bucket::learn(&rainy, Some(&STRESS), None, Some(0.5)).expect("enough");
        let given = Bucket::learn(&hours(40), Some(&STRESS), None, Some(0.5)).expect("enough");
        assert!(found.is_by_rain && !given.is_by_rain);
        assert!((found.per_m3 - given.per_m3).abs() < 1e-6, "{found:?} {given:?}");
        assert_eq!(Bucket::learn(&rainy, Some(&STRESS), None, None).map(|_| ()), Err("too_little_water"));
        assert_eq!(
            Bucket::learn(&rainy[..400], Some(&STRESS), None, Some(0.5)).map(|_| ()),
            Err("too_little_water")
        );
    }

    #[test]
    fn what_cannot_teach_is_told() {
        let learn = |hours: &[Hour]| Bucket::learn(hours, Some(&STRESS), None, Some(0.5)).map(|_| ());
        let dry: Vec<Hour> = hours(20).into_iter().map(|hour| Hour { m3: 0.0, ..hour }).collect();
        assert_eq!(learn(&dry), Err("too_little_water"));
        assert_eq!(learn(&hours(20)[..69]), Err("too_little_water"));
        let silent: Vec<Hour> = hours(20).into_iter().map(|hour| Hour { level: None, ..hour }).collect();
        assert_eq!(learn(&silent), Err("too_few_readings"));
        let upside_down = hours(20).into_iter();
        let upside_down: Vec<Hour> =
            upside_down.map(|hour| Hour { level: hour.level.map(|level| 50.0 - level), ..hour }).collect();
        assert_eq!(learn(&upside_down), Err("no_answer"));
    }

    #[test]
    fn the_same_water_makes_no_difference() {
        let really = [Run { from: at(60), to: at(120), ml: 1_000_000 }];
        let mut same = Difference::new(bucket(), at(0));
        same.advance(at(60), None, &really, Some(20.0));
        same.advance(at(120), Some((at(60), LitresPerHour(1000))), &really, Some(20.0));
        same.advance(at(6000), None, &really, Some(21.0));
        assert!(same.now().abs() < 1e-9, "{}", same.now());
    }

    #[test]
    fn soil_is_never_fuller_than_full() {
        let mut flood = Difference::new(Bucket { drains: 0.0, full: 30.0, ..bucket() }, at(0));
        flood.advance(at(6000), Some((at(0), LitresPerHour(5000))), &[], Some(24.0));
        assert!((flood.now() - 6.0).abs() < 1e-9, "{}", flood.now());
        flood.advance(at(6015), None, &[], Some(30.0));
        assert!(flood.now().abs() < 1e-9, "{}", flood.now());
    }

    #[test]
    fn more_water_stays_until_it_runs_over_and_less_water_dries_for_good() {
        let mut more = Difference::new(bucket(), at(0));
        more.advance(at(60), Some((at(0), LitresPerHour(1000))), &[], Some(19.0));
        more.advance(at(1500), None, &[], Some(19.0));
        assert!((more.now() - 2.0).abs() < 0.01, "below the level nothing runs over: {}", more.now());
        more.advance(at(6000), None, &[], Some(23.0));
        assert!(more.now() < 0.1 && more.now() >= 0.0, "{}", more.now());
        // Ten runs that the trial does not give.
        let really: Vec<Run> =
            (0..10).map(|nth| Run { from: at(nth * 1440), to: at(nth * 1440 + 60), ml: 500_000 }).collect();
        let mut less = Difference::new(bucket(), at(0));
        less.advance(at(14_400), None, &really, Some(20.0));
        assert!(
            (-9.0..-4.0).contains(&less.now()),
            "plants take less, and it never gets wet again: {}",
            less.now()
        );
    }
}
