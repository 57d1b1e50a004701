//! Cursor, store and sender together: whatever is written late or early, folded, killed or lost by the sink, in the end it has what the
//! store has. And memory and rows stay bounded while it is away.

mod http;
mod model;
mod script;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use giot_store::{Batch, DeviceSamples, MetricSample, Reader, Store};

const T0: i64 = 1_700_000_000_000_000;
const MINUTE: i64 = 60_000_000;

/// Series number and time of a point.
type Key = (u32, i64);

/// Its value and quality.
type Value = (Option<f64>, u8);

/// What a store holds.
type Points = BTreeMap<Key, Value>;

fn readings(device: &str, metric: &str, points: &[(i64, f64)]) -> Batch {
    let sample = |(minute, value): &(i64, f64)| MetricSample {
        metric: metric.into(),
        at_us: T0 + minute * MINUTE,
        value: Some(*value),
        quality: 0,
    };
    let samples = vec![DeviceSamples { device: device.into(), samples: points.iter().map(sample).collect() }];
    Batch { samples, ..Batch::default() }
}

fn write(store: &Store, device: &str, points: &[(i64, f64)]) {
    store.writer().commit_blocking(readings(device, "soil_moisture", points)).unwrap();
}

/// Everything in the store.
fn stored(reader: &Reader) -> Points {
    let mut points = Points::new();
    for series in 1..=u32::try_from(reader.series().unwrap().len()).unwrap() {
        reader
            .span_samples(series, i64::MIN, i64::MAX, &mut |sample| {
                points.insert((series, sample.at_us), (sample.value, sample.quality));
                ControlFlow::Continue(())
            })
            .unwrap();
    }
    points
}

/// Runs what waits for the store's writer.
fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}
