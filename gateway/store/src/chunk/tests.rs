//! Round trips, damage and sizes of chunk blobs.

use proptest::prelude::*;

use super::*;

fn assert_round_trip(points: &[Point]) -> usize {
    let quick = encode(points, Effort::Quick);
    let thorough = encode(points, Effort::Thorough);
    // Only thorough packing adds hours, behind up to three bytes of their length.
    let hours = take_header(&mut Cursor::new(&thorough)).unwrap().hours.map_or(0, |hours| hours.len() + 3);
    assert!(thorough.len() <= quick.len() + hours, "{} {} {hours}", thorough.len(), quick.len());
    assert_eq!(decode_hours(&quick), Ok(None));
    assert_blob(&quick, points);
    assert_blob(&thorough, points);
    thorough.len()
}

/// Bytes from hexadecimal digits.
pub(in super::super) fn unhex(text: &str) -> Vec<u8> {
    let byte = |two: &[u8]| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap();
    text.as_bytes().chunks(2).map(byte).collect()
}

fn assert_blob(blob: &[u8], points: &[Point]) {
    let back = decode(blob).unwrap();
    assert_eq!(back.len(), points.len());
    for (a, b) in back.iter().zip(points) {
        assert!(a.is_same(b), "{a:?} {b:?}");
    }
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
        let mut blob = encode(&points, Effort::Quick);
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
fn version_one_stays_readable() {
    let golden = "01030300401e18240a060001808ece1c020102020103d40302020400010402";
    let t0 = 1_700_000_000_000_000;
    let point = |at_us, value, quality| Point { at_us, value, quality };
    let points = [point(t0, 23.4, 0), point(t0 + 60_000_000, f64::NAN, 4), point(t0 + 180_000_000, 23.5, 4)];
    let mut blob = unhex(golden);
    assert_blob(&blob, &points);
    blob[0] = VERSION;
    assert_eq!(encode(&points, Effort::Quick), blob, "without hours version two differs by its number only");
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
    let n_bytes = assert_round_trip(&series(1440, 60_000_000, |_| f64::NAN));
    assert!(n_bytes < 220, "{n_bytes}");
    let n_bytes = assert_round_trip(&series(1440, 60_000_000, |_| 23.5));
    assert!(n_bytes < 100, "{n_bytes}");
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

/// pco 1.1 panics when it foretells a last batch of one to five numbers.
#[test]
fn every_length_around_a_batch_comes_back() {
    for n in [511, 512, 513, 514, 515, 516, 517, 518, 519, 1_025, 2_053] {
        assert_round_trip(&series(n, 60_000_000, |i| (200 + noise(i)) as f64 / 10.0));
    }
}

/// Noise around a grid costs the noise, not twice: 1,000 different delays are 10 bits.
#[test]
fn readings_around_a_grid_take_their_noise_only() {
    let mut points = series(4_000, 60_000_000, |_| 1.0);
    for (i, point) in (0..).zip(&mut points) {
        point.at_us += noise(i) * 10_000 + noise(i + 7) % 10 * 1_000;
    }
    let gap = points.len() / 2;
    points.drain(gap..gap + 90);
    let n_bytes = assert_round_trip(&points);
    assert!(n_bytes < points.len() * 10 / 8 + 400, "{n_bytes}");
}

#[test]
fn hours_are_what_their_points_say() {
    let counter = |i: i64| (i * 3 % 1_000) as f64;
    let soil = |i: i64| (2_345 - i / 20 + noise(i) / 50) as f64 / 100.0;
    let mut with_holes = series(4_000, 60_000_000, soil);
    with_holes.retain(|point| point.at_us / 60_000_000 % 97 > 3);
    for point in with_holes.iter_mut().skip(5).step_by(50) {
        point.value = f64::NAN;
        point.quality = 2;
    }
    let mut jittered = series(4_000, 60_000_000, soil);
    jittered.iter_mut().zip(0..).for_each(|(point, i)| point.at_us += noise(i) * 1_000);
    let cases = [
        (series(4_000, 60_000_000, soil), false),
        (series(4_000, 60_000_000, counter), true),
        (series(3_000, 90_000_001, soil), false),
        (with_holes, false),
        (jittered, false),
    ];
    for (points, is_counter) in cases {
        let blob = encode(&points, Effort::Thorough);
        let hours = decode_hours(&blob).unwrap().unwrap();
        assert_eq!(hours.is_counter, is_counter);
        let n_values = points.iter().filter(|point| !point.is_missing()).count();
        assert_eq!(
            hours.hours.iter().map(|hour| hour.n_values).sum::<i64>(),
            i64::try_from(n_values).unwrap()
        );
        let n_bytes = take_header(&mut Cursor::new(&blob)).unwrap().hours.unwrap().len();
        assert!(n_bytes < hours.hours.len() * 8, "{n_bytes} bytes for {} hours", hours.hours.len());
        for n in 0..n_bytes {
            assert!(hours::decode(&blob[..n], 0).is_err());
        }
    }
    let seldom = series(100, 600_000_000, soil);
    assert_eq!(decode_hours(&encode(&seldom, Effort::Thorough)), Ok(None));
}

#[test]
fn counts_beyond_the_bound_are_refused() {
    let mut blob = vec![VERSION, 0];
    put_len(&mut blob, N_MAX + 1);
    blob.extend_from_slice(&[0; 40]);
    assert_eq!(decode(&blob).map(|points| points.len()), Err(BadBytes));
}

#[test]
fn parts_hold_what_lies_in_the_range() {
    let grid = series(5_000, 60_000_000, |i| i as f64 / 10.0);
    let uneven: Vec<Point> = grid
        .iter()
        .map(|point| Point { at_us: point.at_us + noise(point.at_us / 60_000_000), ..*point })
        .collect();
    for points in [&grid[..], &uneven, &grid[..1], &grid[..40], &uneven[..40]] {
        let Ok(Content::Decimals(decimals)) = decode_content(&encode(points, Effort::Thorough)) else {
            panic!("no decimals");
        };
        let (first, last) = (points[0].at_us, points[points.len() - 1].at_us);
        let middle = points[points.len() / 2].at_us;
        let moments =
            [i64::MIN, first - 1, first, first + 1, middle - 1, middle, middle + 1, last, last + 1, i64::MAX];
        for range in moments.iter().flat_map(|from| moments.map(|to| *from..to)) {
            let mut met = Vec::new();
            let flow = decimals.each_part(&range, |at_us, mantissas| {
                assert!(at_us.len() == mantissas.len() && !at_us.is_empty() && at_us.len() <= SPREAD_MAX);
                met.extend(at_us.iter().copied().zip(mantissas.iter().copied()));
                ControlFlow::Continue(())
            });
            assert!(flow.is_continue());
            let inside = points.iter().filter(|point| range.contains(&point.at_us));
            let join = |mantissa| decimal::join(mantissa, decimals.scale).unwrap();
            let met = met.iter().map(|(at_us, mantissa)| (*at_us, join(*mantissa).to_bits()));
            assert!(met.eq(inside.map(|point| (point.at_us, point.value.to_bits()))), "{range:?}");
        }
    }
}
