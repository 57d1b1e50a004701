//! Numbers as people and sensors write them: a whole number and a count of decimals.
//!
//! A probe reports 23.45, not an arbitrary double; kept as (2345, 2) it takes two bytes instead of eight.
//! Invariant: what [`split`] returns, [`join`] turns back into the very same bits; a number for which that cannot hold
//! is not split. Must not round anything.

/// Most decimals looked for: finer steps are below the noise of any probe.
pub(super) const SCALE_MAX: u8 = 4;

/// Powers of ten up to [`SCALE_MAX`]; all exact as f64.
const POWERS: [f64; 5] = [1.0, 10.0, 100.0, 1_000.0, 10_000.0];

/// Largest magnitude with every whole number exact in f64 (2^53).
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// The value of `mantissa` / 10^`scale`: the double nearest to that decimal, since both operands are exact and IEEE 754
/// division rounds correctly. A scale above [`SCALE_MAX`] gives `None`.
pub(super) fn join(mantissa: i64, scale: u8) -> Option<f64> {
    Some(joiner(scale)?(mantissa))
}

/// [`join`] for many mantissas of one scale.
pub(super) fn joiner(scale: u8) -> Option<impl Fn(i64) -> f64> {
    // Mantissas made by `split` are below 2^53, so the conversion is exact.
    POWERS.get(usize::from(scale)).map(|power| move |mantissa: i64| mantissa as f64 / power)
}

/// The mantissa of `value` at exactly `scale` decimals, if `value` is such a number.
pub(crate) fn mantissa_at(value: f64, scale: u8) -> Option<i64> {
    let power = POWERS.get(usize::from(scale))?;
    let scaled = value * power;
    if scaled.is_nan() || scaled.abs() >= EXACT_MAX {
        return None;
    }
    // To the nearest whole number; a wrong one would fail the comparison below.
    #[expect(clippy::cast_possible_truncation, reason = "below 2^53")]
    let mantissa = (scaled + 0.5_f64.copysign(scaled)) as i64;
    (join(mantissa, scale)?.to_bits() == value.to_bits()).then_some(mantissa)
}

/// Mantissa and fewest decimals of `value`; `None` for NaN, infinities, -0.0 and numbers with more decimals.
pub(crate) fn split(value: f64) -> Option<(i64, u8)> {
    (0..=SCALE_MAX).find_map(|scale| mantissa_at(value, scale).map(|mantissa| (mantissa, scale)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_found_with_the_fewest_digits() {
        let cases = [
            (0.0, Some((0, 0))),
            (23.45, Some((2345, 2))),
            (-0.1, Some((-1, 1))),
            (1013.25, Some((101_325, 2))),
            (0.0001, Some((1, 4))),
            (0.00001, None),
            (-0.0, None),
            (1.0 / 3.0, None),
            (f64::NAN, None),
            (f64::INFINITY, None),
            (f64::MAX, None),
            (f64::MIN_POSITIVE, None),
        ];
        for (value, expected) in cases {
            assert_eq!(split(value), expected, "{value}");
            if let Some((mantissa, scale)) = expected {
                assert_eq!(join(mantissa, scale).map(f64::to_bits), Some(value.to_bits()));
            }
        }
    }
}
