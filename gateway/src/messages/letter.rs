//! What a message says: the newest entries in words, oldest first, and how many there are before them. Pure.

use giot_engine::program::Date;
use giot_shared::time::UnixMs;

use crate::config::Settings;
use crate::why;
use crate::words::{Lang, Names, Words, date, time_of_day};
use giot_store::DiaryRow;

/// Entries that a message tells in words: what a phone shows.
const LINES_MAX: usize = 20;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The cooperative.
    pub title: String,
    /// The lines.
    pub text: String,
    /// The entries of the lines, oldest first.
    pub entries: Vec<Told>,
}

/// An entry for programs.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Told {
    /// Place in the diary.
    pub id: i64,
    /// When, ms since 1970; `None` when the gateway's clock was unset.
    pub time: Option<i64>,
    /// Its zone; `None`: it is about the farm.
    pub zone: Option<String>,
    /// Code of the event.
    pub event: String,
    /// Code of the reason.
    pub reason: String,
}

impl Letter {
    /// Of entries, newest first; `is_more`: there were others before them.
    #[must_use]
    pub fn of(
        rows: &[&DiaryRow],
        is_more: bool,
        lang: Lang,
        words: &Words,
        names: &Names,
        settings: &Settings,
    ) -> Self {
        let offset_min = settings.plan.utc_offset_min;
        let (shown, before) = rows.split_at(rows.len().min(LINES_MAX));
        let mut lines = Vec::new();
        if is_more || !before.is_empty() {
            let n = format!("{}{}", before.len(), if is_more { "+" } else { "" });
            lines.push(words.message_or_id(lang, "message-before", &[("n", &n)]));
        }
        for row in shown.iter().rev() {
            let line = why::line(words, names, &row.entry, false);
            let at = line.at.map(UnixMs).map_or_else(String::new, |at| {
                format!("{} {} ", time_of_day(at, offset_min), date(lang, Date::of(at, offset_min)))
            });
            let zone = row
                .entry
                .zone
                .as_deref()
                .map_or_else(String::new, |zone| format!("{}: ", names.name("zone", zone)));
            let remedy = line.remedy.of(lang);
            let remedy = if remedy.is_empty() { String::new() } else { format!(" → {remedy}") };
            lines.push(format!("{at}{zone}{}{remedy}", line.text.of(lang)));
        }
        Self {
            title: settings.cooperative.clone(),
            text: lines.join("\n"),
            entries: shown.iter().rev().map(|row| told(row)).collect(),
        }
    }

    /// One that says that messages arrive.
    #[must_use]
    pub fn trial(lang: Lang, words: &Words, settings: &Settings) -> Self {
        Self {
            title: settings.cooperative.clone(),
            text: words.message_or_id(lang, "message-trial", &[]),
            entries: Vec::new(),
        }
    }
}

fn told(row: &DiaryRow) -> Told {
    let entry = &row.entry;
    Told {
        id: row.id,
        time: entry.at_us.map(|at_us| at_us.div_euclid(1000)),
        zone: entry.zone.clone(),
        event: entry.event.clone(),
        reason: entry.reason.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use giot_store::DiaryEntry;

    fn row(id: i64, zone: Option<&str>) -> DiaryRow {
        let entry = DiaryEntry {
            at_us: Some(1_772_330_400_000_000 + id * 60_000_000),
            recorded_us: 0,
            zone: zone.map(str::to_owned),
            event: "locked".to_owned(),
            command: None,
            by: "engine".to_owned(),
            person: None,
            reason: "locked".to_owned(),
            args: "{\"by\":\"Lan\",\"note\":\"rò\"}".to_owned(),
            run_ms: None,
            volume_ml: None,
        };
        DiaryRow { id, entry, hash: [0; 32] }
    }

    #[test]
    fn a_letter_tells_the_newest_entries_in_words_and_counts_the_others() {
        let text = "cooperative = \"Nà Sản\"\n[[source]]\nid = \"s\"\n[[zone]]\nid = \"man-1\"\nname = \"Mận đồi\"\nsource = \"s\"\n\
                    valve = { node = \"v01\" }\nprobes = [{ device = \"v01\", metric = \"soil_moisture\" }]\n\
                    start_below_percent = 22\nstop_above_percent = 30\n";
        let settings = crate::config::compile("a", text).expect("a sound farm");
        let (words, names) = (Words::default(), Names::of(&settings));
        let rows: Vec<DiaryRow> = (1..=23).rev().map(|id| row(id, Some("man-1"))).collect();
        let rows: Vec<&DiaryRow> = rows.iter().collect();
        let letter = Letter::of(&rows, false, Lang::Vi, &words, &names, &settings);
        let lines: Vec<&str> = letter.text.lines().collect();
        assert_eq!((letter.title.as_str(), lines.len(), letter.entries.len()), ("Nà Sản", 21, 20));
        assert!(lines[0].contains('3'), "{}", lines[0]);
        // 2026-03-01T02:04:00Z is 09:04 in Sơn La.
        assert!(lines[1].starts_with("09:04 01/03/2026 Mận đồi: Đã khoá: "), "{}", lines[1]);
        assert_eq!((letter.entries[0].id, letter.entries[19].id), (4, 23));
        let one = Letter::of(&rows[..1], true, Lang::En, &words, &names, &settings);
        assert!(one.text.lines().next().is_some_and(|line| line.contains("0+")), "{}", one.text);
        assert!(one.text.contains("Mận đồi: Locked: "), "{}", one.text);
        let farm = row(1, None);
        let of_farm = Letter::of(&[&farm], false, Lang::En, &words, &names, &settings);
        assert!(of_farm.text.starts_with("09:01 1\u{a0}Mar\u{a0}2026 Locked: "), "{}", of_farm.text);
    }
}
