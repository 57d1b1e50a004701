//! Round trips, damage and sizes of chunk blobs.

use proptest::prelude::*;

use super::*;

fn assert_round_trip(points: &[Point]) -> usize {
    let blob = encode(points);
    let back = decode(&blob).unwrap();
    assert_eq!(back.len(), points.len());
    for (a, b) in back.iter().zip(points) {
        assert!(a.is_same(b), "{a:?} {b:?}");
    }
    blob.len()
}

/// Points on a grid of `step_us` with values from `value`.
fn series(n: i64, step_us: i64, value: impl Fn(i64) -> f64) -> Vec<Point> {
    (0..n)
        .map(|i| Point { at_us: 1_700_000_000_000_000 + i * step_us, value: value(i), quality: 0 })
        .collect()
}

/// A small repeatable noise, 0 to 99.
fn noise(i: i64) -> i64 {
    (i * 7_919 + 13) * 104_729 % 1_000_003 % 100
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(f64::NAN),
        any::<f64>(),
        Just(-0.0),
        Just(0.0),
        (any::<i32>(), 1..5).prop_map(|(m, scale)| f64::from(m) / 10_f64.powi(scale)),
    ]
}

fn decimals() -> impl Strategy<Value = Vec<f64>> {
    (1..5, prop::collection::vec(-30_000_i32..30_000, 1..300))
        .prop_map(|(scale, ms)| ms.into_iter().map(|m| f64::from(m) / 10_f64.powi(scale)).collect())
}

fn points() -> impl Strategy<Value = Vec<Point>> {
    let values = prop_oneof![decimals(), prop::collection::vec(value(), 1..300)];
    (values, any::<i64>(), 1_u64..1 << 40, any::<bool>(), prop::collection::vec(any::<u8>(), 1..5)).prop_map(
        |(values, from_us, step, jitter, qualities)| {
            let mut at_us = from_us / 2;
            let n = values.len();
            values
                .into_iter()
                .enumerate()
                .map(|(i, value)| {
                    let more = if jitter { u64::try_from(i % 7).unwrap() * 31 } else { 0 };
                    at_us = at_us.checked_add_unsigned(step + more).unwrap();
                    Point { at_us, value, quality: qualities[i * qualities.len() / n] }
                })
                .collect()
        },
    )
}

proptest! {
    #[test]
    fn every_point_comes_back_bit_for_bit(points in points()) {
        assert_round_trip(&points);
    }

    #[test]
    fn damage_never_panics(points in points(), at in any::<prop::sample::Index>(), bit in 0_u32..8) {
        let mut blob = encode(&points);
        let at = at.index(blob.len());
        prop_assert!(decode(&blob[..at]).is_err());
        let row = points.len().try_into().unwrap();
        let sum = checksum(1, points[0].at_us, 2, row, &blob);
        blob[at] ^= 1_u8 << bit;
        prop_assert!(decode(&blob).map_or(0, |points| points.len()) <= N_MAX);
        prop_assert_ne!(checksum(1, points[0].at_us, 2, row, &blob), sum);
    }
}

/// The bytes were made from the module doc by a program of its own.
#[test]
fn version_one_stays_what_it_is() {
    let golden = "01030300401e18240a060001808ece1c020102020103d40302020400010402";
    let t0 = 1_700_000_000_000_000;
    let point = |at_us, value, quality| Point { at_us, value, quality };
    let points = [point(t0, 23.4, 0), point(t0 + 60_000_000, f64::NAN, 4), point(t0 + 180_000_000, 23.5, 4)];
    let hex: String = encode(&points).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, golden);
    assert_round_trip(&points);
}

#[test]
fn extreme_times_come_back() {
    let at = [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX - 1, i64::MAX];
    let points: Vec<Point> = at.into_iter().map(|at_us| Point { at_us, value: 1.5, quality: 3 }).collect();
    assert_round_trip(&points);
    assert_round_trip(&points[..1]);
    assert_round_trip(&[points[0], points[5]]);
}

#[test]
fn all_missing_and_constant_series_are_tiny() {
    assert!(assert_round_trip(&series(1440, 60_000_000, |_| f64::NAN)) < 220);
    assert!(assert_round_trip(&series(1440, 60_000_000, |_| 23.5)) < 80);
}

#[test]
fn a_day_of_usual_readings_takes_about_a_byte_each_or_less() {
    let soil =
        series(1440, 60_000_000, |i| (2_345.0 - (i / 20) as f64 + noise(i) as f64 / 50.0).round() / 100.0);
    let n_bytes = assert_round_trip(&soil);
    assert!(n_bytes < 900, "{n_bytes}");
    let jittered: Vec<Point> = soil
        .iter()
        .enumerate()
        .map(|(i, point)| Point { at_us: point.at_us + noise(i64::try_from(i).unwrap()) * 1_000, ..*point })
        .collect();
    let n_bytes = assert_round_trip(&jittered);
    assert!(n_bytes < 2_700, "{n_bytes}");
}

#[test]
fn counts_beyond_the_bound_are_refused() {
    let mut blob = vec![VERSION, 0];
    put_len(&mut blob, N_MAX + 1);
    blob.extend_from_slice(&[0; 40]);
    assert_eq!(decode(&blob).map(|points| points.len()), Err(BadBytes));
}
