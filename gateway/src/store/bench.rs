//! The load that measures the store: many devices, a bounded number of batches in flight, every one waited for.
//!
//! Must not read a clock: the caller brings one. Deterministic: the same plan writes the same samples.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use super::error::{CommitError, SubmitError};
use super::types::{Batch, DeviceSamples, Mark, MetricSample};
use super::writer::{Done, Writer};

/// What to write.
#[derive(Debug, Clone, Copy)]
pub struct BenchPlan {
    /// Devices that take turns.
    pub n_devices: u32,
    /// Metrics of each device.
    pub n_metrics: u32,
    /// Batches in all; each holds one sample of every metric of one device.
    pub n_batches: u32,
    /// Batches sent before the first must be on disk.
    pub n_in_flight: usize,
    /// Time of the first sample.
    pub from_us: i64,
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub struct BenchReport {
    /// Batches on disk.
    pub n_batches: u32,
    /// Samples on disk.
    pub n_samples: u64,
    /// From the first batch sent to the last one durable.
    pub elapsed: Duration,
    /// Half of the batches were durable within this time after they were sent.
    pub durable_p50: Duration,
    /// 99 of 100 batches were.
    pub durable_p99: Duration,
}

/// Writes the plan's batches through `writer`. `now` is a monotonic clock. Blocks.
///
/// # Errors
/// The first batch that is not kept.
pub fn bench(
    writer: &Writer,
    plan: BenchPlan,
    now: &(dyn Fn() -> Duration + Sync),
) -> Result<BenchReport, CommitError> {
    let devices: Vec<Arc<str>> = (0..plan.n_devices.max(1)).map(|n| format!("bench-{n:05}").into()).collect();
    let metrics: Vec<Arc<str>> = (0..plan.n_metrics).map(|n| format!("metric_{n}").into()).collect();
    // Holds a place for each batch in flight; answers come back with the number of their batch.
    let (answers, answered) = sync_channel(plan.n_in_flight.max(1));
    let mut sent_at = Vec::new();
    let mut latencies = Vec::new();
    let began = now();
    for n in 0..plan.n_batches {
        if sent_at.len() - latencies.len() >= plan.n_in_flight.max(1) {
            latencies.push(wait_for_one(&answered, &sent_at, now)?);
        }
        while let Ok((n, result)) = answered.try_recv() {
            latencies.push(latency(n, result, &sent_at, now)?);
        }
        sent_at.push(now());
        let answers = answers.clone();
        let done = Done::call(move |result| drop(answers.send((n, result))));
        submit(writer, batch(&plan, &devices, &metrics, n), done)?;
    }
    while latencies.len() < sent_at.len() {
        latencies.push(wait_for_one(&answered, &sent_at, now)?);
    }
    let elapsed = now().saturating_sub(began);
    latencies.sort_unstable();
    let at = |percent: usize| latencies.get(latencies.len() * percent / 100).copied().unwrap_or_default();
    Ok(BenchReport {
        n_batches: plan.n_batches,
        n_samples: u64::from(plan.n_batches) * u64::from(plan.n_metrics),
        elapsed,
        durable_p50: at(50),
        durable_p99: at(99),
    })
}

type Answer = (u32, Result<(), CommitError>);

fn wait_for_one(
    answered: &std::sync::mpsc::Receiver<Answer>,
    sent_at: &[Duration],
    now: &dyn Fn() -> Duration,
) -> Result<Duration, CommitError> {
    let died = || CommitError::Unavailable("the store's thread died".into());
    let (n, result) = answered.recv().map_err(|_| died())?;
    latency(n, result, sent_at, now)
}

fn latency(
    n: u32,
    result: Result<(), CommitError>,
    sent_at: &[Duration],
    now: &dyn Fn() -> Duration,
) -> Result<Duration, CommitError> {
    result?;
    let sent_at = usize::try_from(n).ok().and_then(|n| sent_at.get(n)).copied().unwrap_or_default();
    Ok(now().saturating_sub(sent_at))
}

fn submit(writer: &Writer, batch: Batch, done: Done) -> Result<(), CommitError> {
    let mut next = (batch, done);
    loop {
        match writer.try_submit(next.0, next.1) {
            Ok(()) => return Ok(()),
            Err(SubmitError::Full(back)) => {
                next = *back;
                std::thread::yield_now();
            }
            Err(SubmitError::Closed(_)) => {
                return Err(CommitError::Unavailable("the store is closed".into()));
            }
        }
    }
}

/// Batch number `n`: minute by minute, values that wander a little with two decimals.
fn batch(plan: &BenchPlan, devices: &[Arc<str>], metrics: &[Arc<str>], n: u32) -> Batch {
    let n_devices = u32::try_from(devices.len()).unwrap_or(u32::MAX).max(1);
    let (round, turn) = (n / n_devices, n % n_devices);
    let device = usize::try_from(turn).ok().and_then(|turn| devices.get(turn));
    let Some(device) = device else { return Batch::default() };
    let at_us = plan.from_us + i64::from(round) * 60_000_000 + i64::from(turn) * 1_000;
    let samples = (0_u32..)
        .zip(metrics)
        .map(|(idx, metric)| {
            let wobble = (round.wrapping_mul(2_654_435_761).wrapping_add(idx * 40_503) >> 27) + turn % 100;
            let value = f64::from(2_000 + 100 * idx + wobble) / 100.0;
            MetricSample { metric: Arc::clone(metric), at_us, value: Some(value), quality: 0 }
        })
        .collect();
    Batch {
        samples: vec![DeviceSamples { device: Arc::clone(device), samples }],
        mark: Some(Mark { node: Arc::clone(device), epoch: 1, seq: u64::from(round), after: None }),
        ..Batch::default()
    }
}
