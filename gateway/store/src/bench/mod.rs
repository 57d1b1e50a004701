//! The load that measures the store: a made-up farm's history goes in, is made compact and asked for.
//!
//! Each batch is as large as a bulk import's ([`BATCH_SAMPLES`]) and a bounded number of them is in flight; every one is waited for, so
//! that the figures are of durable samples. Answers are compared with what the farm has read: a quick wrong answer is an error.
//!
//! Must not read a clock: the caller brings one. Deterministic: the same plan writes the same samples.

mod ask;
mod farm;

use std::io::Write;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::error::{CommitError, SubmitError};
use super::types::{Batch, DeviceSamples};
use super::writer::{Done, Writer};

pub use self::ask::{BenchAnswers, ask};

use self::farm::{Farm, Field};

/// Readings of a batch.
pub const BATCH_SAMPLES: usize = 1_000;

/// What to write.
#[derive(Debug, Clone, Copy)]
pub struct BenchPlan {
    /// Series; four make a device.
    pub n_series: u32,
    /// One reading a minute and series.
    pub n_minutes: u32,
    /// Makes another farm of the same kind.
    pub seed: u64,
    /// Readings come up to a second behind their minute.
    pub jitter: bool,
    /// Batches sent before the first must be on disk.
    pub n_in_flight: usize,
}

/// What came of the load.
#[derive(Debug, Clone, Copy)]
pub struct BenchLoad {
    /// Readings on disk.
    pub n_samples: u64,
    /// From the first batch sent to the last one durable.
    pub elapsed: Duration,
    /// Half of the batches were durable within this time after they were sent.
    pub durable_p50: Duration,
    /// 99 of 100 batches were.
    pub durable_p99: Duration,
}

impl BenchPlan {
    /// Readings in all.
    #[must_use]
    pub fn n_samples(&self) -> u64 {
        u64::from(self.n_series) * u64::from(self.n_minutes)
    }

    fn farm(&self) -> Farm {
        Farm::new(self.seed, self.n_series, self.jitter)
    }

    /// Minute by minute, device by device.
    fn turns<'f>(&self, farm: &'f Farm) -> impl Iterator<Item = (i64, &'f Field)> {
        (0..i64::from(self.n_minutes))
            .flat_map(|minute| farm.fields().iter().map(move |field| (minute, field)))
    }
}

/// Writes the plan's history through `writer`, as it would come in: minute by minute. `now` is a monotonic clock; `progress` hears
/// how many readings were sent. Blocks.
///
/// # Errors
/// The first batch that is not kept.
pub fn load(
    writer: &Writer,
    plan: &BenchPlan,
    now: &(dyn Fn() -> Duration + Sync),
    progress: &dyn Fn(u64),
) -> Result<BenchLoad, CommitError> {
    let farm = plan.farm();
    let mut flight = Flight::new(writer, plan.n_in_flight, now);
    let (mut samples, mut n_waiting, mut n_sent) = (Vec::new(), 0, 0);
    let began = now();
    for (minute, field) in plan.turns(&farm) {
        let device = DeviceSamples { device: field.device.clone(), samples: farm.readings(field, minute) };
        n_waiting += device.samples.len();
        samples.push(device);
        if n_waiting >= BATCH_SAMPLES {
            n_sent += u64::try_from(n_waiting).unwrap_or(u64::MAX);
            n_waiting = 0;
            let next = Vec::with_capacity(samples.len());
            flight.send(std::mem::replace(&mut samples, next))?;
            progress(n_sent);
        }
    }
    flight.send(samples)?;
    flight.land()?;
    let elapsed = now().saturating_sub(began);
    progress(plan.n_samples());
    let durable = percentiles(flight.latencies);
    Ok(BenchLoad { n_samples: plan.n_samples(), elapsed, durable_p50: durable(50), durable_p99: durable(99) })
}

/// Writes the plan's history as InfluxDB line protocol (times in ms), in the order in which [`load`] sends it.
///
/// # Errors
/// `out` refuses.
pub fn write_lines(plan: &BenchPlan, out: &mut dyn Write) -> std::io::Result<()> {
    let farm = plan.farm();
    for (minute, field) in plan.turns(&farm) {
        write!(out, "farm,device={}", field.device)?;
        let mut separator = ' ';
        for sample in farm.readings(field, minute) {
            if let Some(value) = sample.value {
                write!(out, "{separator}{}={value}", sample.metric)?;
                separator = ',';
            }
        }
        writeln!(out, " {}", farm.at_us(field, minute) / 1_000)?;
    }
    Ok(())
}

/// The time that `percent` of 100 stay within.
fn percentiles(mut times: Vec<Duration>) -> impl Fn(usize) -> Duration {
    times.sort_unstable();
    move |percent| times.get(times.len() * percent / 100).or(times.last()).copied().unwrap_or_default()
}

type Answer = (usize, Result<(), CommitError>);

/// Batches that were sent and are not known to be on disk.
struct Flight<'a> {
    writer: &'a Writer,
    n_max: usize,
    now: &'a (dyn Fn() -> Duration + Sync),
    answers: Sender<Answer>,
    answered: Receiver<Answer>,
    sent_at: Vec<Duration>,
    latencies: Vec<Duration>,
}

impl<'a> Flight<'a> {
    fn new(writer: &'a Writer, n_max: usize, now: &'a (dyn Fn() -> Duration + Sync)) -> Self {
        let (answers, answered) = channel();
        Self { writer, n_max: n_max.max(1), now, answers, answered, sent_at: vec![], latencies: vec![] }
    }

    /// Sends a batch once there is room for it in the air.
    fn send(&mut self, samples: Vec<DeviceSamples>) -> Result<(), CommitError> {
        while self.sent_at.len() - self.latencies.len() >= self.n_max {
            self.wait_for_one()?;
        }
        let (answers, n) = (self.answers.clone(), self.sent_at.len());
        self.sent_at.push((self.now)());
        // Answers nobody waits for belong to a load that has failed.
        let done = Done::call(move |result| drop(answers.send((n, result))));
        submit(self.writer, Batch { samples, ..Batch::default() }, done)
    }

    fn wait_for_one(&mut self) -> Result<(), CommitError> {
        let died = || CommitError::Unavailable("the store's thread died".into());
        let (n, result) = self.answered.recv().map_err(|_| died())?;
        result?;
        let sent_at = self.sent_at.get(n).copied().unwrap_or_default();
        self.latencies.push((self.now)().saturating_sub(sent_at));
        Ok(())
    }

    /// Waits until everything is on disk.
    fn land(&mut self) -> Result<(), CommitError> {
        while self.latencies.len() < self.sent_at.len() {
            self.wait_for_one()?;
        }
        Ok(())
    }
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
