//! Numbers, spans and moments as people in the cooperative write them: 1.234,5 and 05/03/2026 in Vietnamese, 1,234.5 and
//! 5 Mar 2026 in English. The same rules as the page's `format.ts`. Pure.

use giot_engine::program::Date;
use giot_shared::time::UnixMs;

use super::{Lang, Words};

/// A space that does not break, between a number and its unit.
const NBSP: char = '\u{a0}';

const MONTHS_EN: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A number with so many decimals; a dash for what is no number.
#[must_use]
pub fn number(lang: Lang, value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let (point, group) = match lang {
        Lang::Vi => (',', '.'),
        Lang::En => ('.', ','),
    };
    let fixed = format!("{:.decimals$}", value.abs());
    let (whole, fraction) = fixed.split_once('.').map_or((fixed.as_str(), None), |(w, f)| (w, Some(f)));
    let mut text = String::with_capacity(fixed.len() + 4);
    if value < 0.0 && fixed.bytes().any(|byte| (b'1'..=b'9').contains(&byte)) {
        text.push('−');
    }
    for (idx, digit) in whole.chars().enumerate() {
        if idx > 0 && (whole.len() - idx).is_multiple_of(3) {
            text.push(group);
        }
        text.push(digit);
    }
    if let Some(fraction) = fraction {
        text.push(point);
        text.push_str(fraction);
    }
    text
}

/// Moisture in % of volume: as many decimals as it has, up to two, so that 24.09 does not read as 24.1.
#[must_use]
pub fn percent(lang: Lang, value: f64) -> String {
    let is_tenths = ((value * 100.0).round() / 10.0).fract() == 0.0;
    format!("{}{NBSP}%", number(lang, value, if is_tenths { 1 } else { 2 }))
}

/// A number with as many decimals as it has, up to three.
#[must_use]
pub fn exact(lang: Lang, value: f64) -> String {
    let thousandths = (value * 1000.0).round();
    let is_whole = |parts: f64| (thousandths / parts).fract() == 0.0;
    let decimals = [1000.0, 100.0, 10.0].iter().position(|parts| is_whole(*parts)).unwrap_or(3);
    number(lang, value, decimals)
}

/// A volume; below ten litres with one decimal.
#[must_use]
pub fn litres(words: &Words, lang: Lang, value: f64) -> String {
    let text = number(lang, value, usize::from(value < 10.0));
    words.message_or_id(lang, "unit-litre", &[("n", &text)])
}

/// A span in at most two neighbouring units.
#[must_use]
pub fn span(words: &Words, lang: Lang, span_ms: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative; saturates")]
    let total_s = (span_ms.max(0.0) / 1000.0).round() as u64;
    let parts = [
        ("unit-day", total_s / 86_400),
        ("unit-h", total_s % 86_400 / 3600),
        ("unit-min", total_s % 3600 / 60),
        ("unit-s", total_s % 60),
    ];
    let first = parts.iter().position(|(_, n)| *n > 0).unwrap_or(parts.len() - 1);
    let shown = parts.iter().skip(first).take(2).enumerate().filter(|(idx, (_, n))| *idx == 0 || *n > 0);
    let texts: Vec<String> =
        shown.map(|(_, (unit, n))| words.message_or_id(lang, unit, &[("n", &n.to_string())])).collect();
    texts.join(" ")
}

/// Minutes after midnight as a time of day: 06:05.
#[must_use]
pub fn clock(minutes: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within a day by rem_euclid")]
    let minute = minutes.rem_euclid(1440.0) as u32;
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

/// The time of day of a moment on the farm.
#[must_use]
pub fn time_of_day(at: UnixMs, utc_offset_min: i32) -> String {
    let minutes = at.0.div_euclid(60_000).saturating_add(i64::from(utc_offset_min)).rem_euclid(1440);
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

/// A day.
#[must_use]
pub fn date(lang: Lang, date: Date) -> String {
    let (year, month, day) = (date.year(), date.month(), date.day());
    match lang {
        Lang::Vi => format!("{day:02}/{month:02}/{year}"),
        Lang::En => {
            let name = MONTHS_EN.get(usize::from(month).saturating_sub(1)).copied().unwrap_or_default();
            format!("{day}{NBSP}{name}{NBSP}{year}")
        }
    }
}

/// The time of day and the day of a moment on the farm.
#[must_use]
pub fn moment(lang: Lang, at: UnixMs, utc_offset_min: i32) -> String {
    format!("{} {}", time_of_day(at, utc_offset_min), date(lang, Date::of(at, utc_offset_min)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_each_language() {
        let check = |value, decimals, vi: &str, en: &str| {
            assert_eq!(number(Lang::Vi, value, decimals), vi);
            assert_eq!(number(Lang::En, value, decimals), en);
        };
        check(1234.5, 1, "1.234,5", "1,234.5");
        check(-0.04, 1, "0,0", "0.0");
        check(-1_234_567.0, 0, "−1.234.567", "−1,234,567");
        check(999.0, 0, "999", "999");
        check(f64::NAN, 0, "–", "–");
        assert_eq!(percent(Lang::Vi, 24.09), "24,09\u{a0}%");
        assert_eq!(percent(Lang::En, 24.1), "24.1\u{a0}%");
    }

    #[test]
    fn spans_and_times() {
        let words = Words::default();
        let check = |seconds: f64, vi: &str, en: &str| {
            assert_eq!(span(&words, Lang::Vi, seconds * 1000.0), vi);
            assert_eq!(span(&words, Lang::En, seconds * 1000.0), en);
        };
        check(0.0, "0 giây", "0 s");
        check(7500.0, "2 giờ 5 phút", "2 h 5 min");
        check(86_400.0, "1 ngày", "1 d");
        check(86_460.0, "1 ngày", "1 d");
        assert_eq!(clock(1505.0), "01:05");
        assert_eq!(time_of_day(UnixMs(0), 420), "07:00");
        assert_eq!(moment(Lang::Vi, UnixMs(1_772_668_800_000), 420), "07:00 05/03/2026");
        let day = Date::new(2026, 3, 5).unwrap();
        assert_eq!(
            (date(Lang::Vi, day).as_str(), date(Lang::En, day).as_str()),
            ("05/03/2026", "5\u{a0}Mar\u{a0}2026")
        );
    }
}
