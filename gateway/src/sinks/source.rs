//! What goes to a sink next: read from the store, made into lines. Blocks; holds no decision about when.
//!
//! New commits go first, so that today is on the chart within seconds even while a month is made up for; they take at most
//! three quarters of a delivery while spans wait. Invariants: what [`Source::collect`] hands over is everything that lies between the
//! cursor and the places it names, except series that are not wanted or cannot be named; memory is bounded by `ITEMS_MAX` and one
//! commit.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use giot_store::{DiaryRow, JournalSample, ReadError, Reader, Sample, SentSpan, SeriesNames, SinkRow};

use super::line::{Mapping, push_sample};
use super::window::Place;

/// Lines of one delivery: four full requests, so that keeping the cursor costs little beside them. Small in tests, so that they meet the
/// bound.
const ITEMS_MAX: usize = if cfg!(test) { 64 } else { 20_000 };

/// New commits take no more while spans wait.
const NEW_ITEMS_MAX: usize = ITEMS_MAX / 4 * 3;

/// Spans looked at for one delivery.
const SPANS_MAX: u32 = if cfg!(test) { 3 } else { 256 };

/// Diary entries of one delivery.
const DIARY_MAX: u32 = 1_000;

/// A request takes no further line once it has so many bytes: below every usual limit, and some seconds on a mobile link.
const BODY_BYTES: usize = 1 << 20;

/// Names of series kept at hand, about 150 bytes each.
const SERIES_MAX: usize = 20_000;

/// One line to be.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A reading.
    Sample {
        /// Number of its series.
        series: u32,
        /// The reading.
        sample: Sample,
    },
    /// A diary entry.
    Diary(Box<DiaryRow>),
}

/// What goes next.
#[derive(Debug, Default)]
pub struct Work {
    /// Its lines.
    pub items: Vec<Item>,
    /// Where the cursor is once they are taken.
    pub place: Place,
    /// Spans that are sent then.
    pub spans: Vec<SentSpan>,
    /// Series met that cannot be named, and why.
    pub unspeakable: Vec<String>,
}

/// How a series is called.
#[derive(Clone, Debug)]
enum Name {
    Line(Arc<str>),
    NotSent,
}

/// Reads for one sink.
#[derive(Debug)]
pub struct Source {
    reader: Reader,
    sink: i64,
    mapping: Arc<Mapping>,
    metrics: Vec<String>,
    names: BTreeMap<u32, Name>,
}

impl Source {
    /// For a sink that gets the `metrics` (all, if none are named).
    #[must_use]
    pub fn new(reader: Reader, sink: i64, mapping: Arc<Mapping>, metrics: Vec<String>) -> Self {
        Self { reader, sink, mapping, metrics, names: BTreeMap::new() }
    }

    /// The sink's row as it is on disk.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn row(&self) -> Result<Option<SinkRow>, ReadError> {
        Ok(self.reader.sinks()?.into_iter().find(|row| row.id == self.sink))
    }

    /// What follows `sent`, and spans that are due in `epoch`.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn collect(&mut self, epoch: i64, sent: Place) -> Result<Work, ReadError> {
        let mut work = Work { place: sent, ..Work::default() };
        let spans = self.reader.due_spans(self.sink, epoch, SPANS_MAX)?;
        let n_new_max = if spans.is_empty() { ITEMS_MAX } else { NEW_ITEMS_MAX };
        let journal = self.reader.journal_after(sent.journal, n_new_max)?;
        work.place.journal = journal.upto_id;
        for JournalSample { series, sample } in journal.samples {
            if self.is_sent(series, &mut work)? {
                work.items.push(Item::Sample { series, sample });
            }
        }
        for row in self.reader.diary_after(sent.diary, DIARY_MAX)?.rows {
            work.place.diary = row.id;
            work.items.push(Item::Diary(Box::new(row)));
        }
        for span in spans {
            if work.items.len() >= ITEMS_MAX {
                break;
            }
            let (mut sent_us, mut is_whole) = (None, true);
            if self.is_sent(span.series, &mut work)? {
                let items = &mut work.items;
                self.reader.span_samples(span.series, span.from_us, span.to_us, &mut |sample| {
                    items.push(Item::Sample { series: span.series, sample });
                    let first_us = sent_us.map_or(sample.at_us, |(first_us, _)| first_us);
                    sent_us = Some((first_us, sample.at_us));
                    is_whole = items.len() < ITEMS_MAX;
                    if is_whole { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                })?;
            }
            work.spans.push(SentSpan { span, sent_us, is_whole });
        }
        Ok(work)
    }

    /// The lines of the first items in `range`, as many as fit into a request, and their number; or why the first cannot be written.
    pub fn encode(&self, items: &[Item], range: Range<usize>) -> Result<(Vec<u8>, usize), String> {
        let mut body = Vec::new();
        let mut n = 0;
        for item in items.get(range).unwrap_or_default() {
            if body.len() >= BODY_BYTES {
                break;
            }
            match item {
                Item::Sample { series, sample } => {
                    if let Some(Name::Line(line)) = self.names.get(series) {
                        push_sample(line, sample, &mut body);
                    }
                }
                Item::Diary(row) => match self.mapping.push_diary(row, &mut body) {
                    Ok(()) => {}
                    Err(error) if n == 0 => return Err(error.to_string()),
                    Err(_) => break,
                },
            }
            n += 1;
        }
        Ok((body, n))
    }

    /// Whether a series goes to this sink; its name is at hand then.
    fn is_sent(&mut self, series: u32, work: &mut Work) -> Result<bool, ReadError> {
        if let Some(name) = self.names.get(&series) {
            return Ok(matches!(name, Name::Line(_)));
        }
        if self.names.len() >= SERIES_MAX && work.items.is_empty() {
            self.names.clear();
        }
        let name = match self.reader.series_names(series)? {
            Some(SeriesNames { device, metric }) if self.is_wanted(&metric) => {
                match self.mapping.series(&device, &metric) {
                    Ok(line) => Name::Line(line.into()),
                    Err(error) => {
                        work.unspeakable.push(format!("{device} {metric}: {error}"));
                        Name::NotSent
                    }
                }
            }
            _ => Name::NotSent,
        };
        let is_sent = matches!(name, Name::Line(_));
        self.names.insert(series, name);
        Ok(is_sent)
    }

    fn is_wanted(&self, metric: &str) -> bool {
        let fits = |pattern: &String| match pattern.strip_suffix('*') {
            Some(beginning) => metric.starts_with(beginning),
            None => metric == pattern,
        };
        self.metrics.is_empty() || self.metrics.iter().any(fits)
    }
}
