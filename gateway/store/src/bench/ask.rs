//! The questions of the measurement; each answer is held against what the farm has read.
//!
//! Must not write. The asked series are spread over the farm, so that no question warms up the next one.

use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::{Context, ensure};

use super::super::reader::Reader;
use super::super::types::{Bucket, Sample};
use super::farm::{FROM_US, Farm, MINUTE_US, mix};
use super::{BenchPlan, percentiles};

/// How often each question is asked.
const N_ASKED: u32 = 21;

/// How long answers took: the median of 21 each.
#[derive(Debug, Clone, Copy)]
pub struct BenchAnswers {
    /// Every reading of one series.
    pub raw: Duration,
    /// One series hour by hour.
    pub hourly: Duration,
    /// The latest reading of every series.
    pub last: Duration,
}

/// Asks for what [`super::load`] wrote. `now` is a monotonic clock. Blocks.
///
/// # Errors
/// The store cannot be read, or an answer is not what was written.
pub fn ask(reader: &Reader, plan: &BenchPlan, now: &dyn Fn() -> Duration) -> anyhow::Result<BenchAnswers> {
    let farm = plan.farm();
    let n_minutes = i64::from(plan.n_minutes);
    let range_us = FROM_US..FROM_US + n_minutes * MINUTE_US;
    let timer = Timer { plan, now };
    let raw = timer.time(
        |series| {
            let (device, metric) = farm.name(series).context("no such series")?;
            let mut samples = Vec::new();
            reader.samples(device, metric, range_us.clone(), &mut |sample| {
                samples.push(sample);
                ControlFlow::Continue(())
            })?;
            Ok(samples)
        },
        |series, samples| check_raw(&farm, n_minutes, series, samples),
    )?;
    let edges: Vec<i64> = (0..=(n_minutes + 59) / 60).map(|hour| FROM_US + hour * 60 * MINUTE_US).collect();
    let hourly = timer.time(
        |series| {
            let (device, metric) = farm.name(series).context("no such series")?;
            Ok(reader.buckets(device, metric, &edges, false)?.0)
        },
        |series, hours| check_hours(&farm, n_minutes, series, hours),
    )?;
    let last = timer.time(
        |_| Ok(reader.last_values(None)?),
        |_, values| {
            ensure!(
                values.len() == usize::try_from(plan.n_series)?,
                "{} latest readings of {} series",
                values.len(),
                plan.n_series
            );
            Ok(())
        },
    )?;
    Ok(BenchAnswers { raw, hourly, last })
}

struct Timer<'a> {
    plan: &'a BenchPlan,
    now: &'a dyn Fn() -> Duration,
}

impl Timer<'_> {
    /// The median time of `ask` over some series; `check` is not timed.
    fn time<T>(
        &self,
        ask: impl Fn(u32) -> anyhow::Result<T>,
        check: impl Fn(u32, &T) -> anyhow::Result<()>,
    ) -> anyhow::Result<Duration> {
        let mut times = Vec::new();
        for n in 0..N_ASKED {
            let series =
                u32::try_from(mix(self.plan.seed ^ u64::from(n)) % u64::from(self.plan.n_series.max(1)))?;
            let began = (self.now)();
            let answer = ask(series)?;
            times.push((self.now)().saturating_sub(began));
            check(series, &answer).with_context(|| format!("series {series}"))?;
        }
        Ok(percentiles(times)(50))
    }
}

fn check_raw(farm: &Farm, n_minutes: i64, series: u32, samples: &[Sample]) -> anyhow::Result<()> {
    let written = farm.series(series, n_minutes);
    ensure!(samples.len() == written.len(), "{} readings of {}", samples.len(), written.len());
    let is_same = |(read, (at_us, value)): (&Sample, &(i64, f64))| {
        read.at_us == *at_us && read.value.map(f64::to_bits) == Some(value.to_bits()) && read.quality == 0
    };
    ensure!(samples.iter().zip(&written).all(is_same), "a reading came back changed");
    Ok(())
}

fn check_hours(farm: &Farm, n_minutes: i64, series: u32, hours: &[Bucket]) -> anyhow::Result<()> {
    let written = farm.series(series, n_minutes);
    let mut n_values = 0_u64;
    for (hour, readings) in hours.iter().zip(written.chunks(60)) {
        let values = readings.iter().map(|(_, value)| *value);
        let (min, max) = (values.clone().reduce(f64::min), values.reduce(f64::max));
        ensure!(
            min.map(f64::to_bits) == Some(hour.min.to_bits())
                && max.map(f64::to_bits) == Some(hour.max.to_bits()),
            "an hour's extremes are wrong"
        );
        ensure!(
            hour.last.to_bits() == readings.last().map_or(0, |(_, last)| last.to_bits()),
            "an hour's end is wrong"
        );
        n_values += hour.n_values;
    }
    ensure!(n_values == u64::try_from(written.len())?, "hours of {n_values} readings of {}", written.len());
    Ok(())
}
