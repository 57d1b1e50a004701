//! The table of all reasons, generated from the engine's list and the catalogues: `locales/REASONS.md`.
//!
//! Every code of [`Reason::ALL_CODES`] has a row; whoever adds a reason adds its words (`reason-…`, and `do-…` for what a
//! person can do) to both catalogues and writes the table anew with `giot reasons`. A test compares.

use std::collections::BTreeSet;

use giot_engine::Reason;

use super::{DEPLETION, EN, Lang, MOISTURE, Words, message_id};

/// Families of words that stand inside reasons: prefix of their ids, and what they are.
const INNER: [(&str, &str); 6] = [
    ("cause", "Vì sao không tính được nước · Why water cannot be counted"),
    ("fault", "Lỗi · Faults"),
    ("close", "Vì sao van tự đóng · Why a valve closed by itself"),
    ("refusal", "Vì sao trạm từ chối · Why a node refused"),
    ("restart", "Vì sao trạm khởi động lại · Why a node began anew"),
    ("problem", "Cài đặt sai · Wrong settings"),
];

/// The table as Markdown.
#[must_use]
pub fn reasons_table(words: &Words) -> String {
    let mut text = String::from(
        "# Vì sao · Why\n\n\
         Every start, stop, skip, refusal and fault in the diary has one of these codes with its numbers. This file is written\n\
         by `giot reasons` from the engine's list and the two catalogues beside it; a test keeps it fresh.\n\n\
         | code | tiếng Việt | English | numbers and names | nên làm gì | what to do |\n\
         |---|---|---|---|---|---|\n",
    );
    for code in Reason::ALL_CODES {
        let names = Reason::arg_names(code).unwrap_or_default();
        let numbers: Vec<String> = names.iter().map(|name| format!("`{name}` {}", unit(name))).collect();
        let sentence = |lang| sentence(words, lang, &message_id("reason", code), names);
        let remedy = |lang| words.remedy(lang, code).unwrap_or_default();
        let cells = [
            format!("`{code}`"),
            sentence(Lang::Vi),
            sentence(Lang::En),
            numbers.join("<br>"),
            remedy(Lang::Vi),
            remedy(Lang::En),
        ];
        row(&mut text, &cells);
    }
    for (family, title) in INNER {
        text.push_str(&format!("\n## {title}\n\n| code | tiếng Việt | English |\n|---|---|---|\n"));
        for id in ids(EN, family) {
            let code = id.strip_prefix(family).and_then(|rest| rest.strip_prefix('-')).unwrap_or(&id);
            let cells = [
                format!("`{}`", code.replace('-', "_")),
                sentence(words, Lang::Vi, &id, &[]),
                sentence(words, Lang::En, &id, &[]),
            ];
            row(&mut text, &cells);
        }
    }
    text
}

fn row(text: &mut String, cells: &[String]) {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|").replace('\n', " ")).collect();
    text.push_str(&format!("| {} |\n", cells.join(" | ")));
}

/// A message with the names of its arguments in place of values.
fn sentence(words: &Words, lang: Lang, id: &str, names: &[&str]) -> String {
    let places: Vec<(&str, String)> = names
        .iter()
        .map(|name| (*name, if *name == "unit" { " *unit*".to_owned() } else { format!("*{name}*") }))
        .collect();
    let places: Vec<(&str, &str)> = places.iter().map(|(name, place)| (*name, place.as_str())).collect();
    words.message(lang, id, &places).unwrap_or_default()
}

/// The ids of a family, in order.
fn ids(text: &str, family: &str) -> BTreeSet<String> {
    let id = |line: &str| Some(line.split_once(" = ")?.0.to_owned());
    let of_family = |id: &String| id.strip_prefix(family).is_some_and(|rest| rest.starts_with('-'));
    text.lines().filter_map(id).filter(of_family).collect()
}

/// The unit that a name stands for in the store, the API and the diary.
fn unit(name: &str) -> &'static str {
    const SUFFIXES: [(&str, &str); 11] = [
        ("_l_per_h", "(L/h)"),
        ("_percent", "(%)"),
        ("_kpa", "(kPa)"),
        ("_mm", "(mm)"),
        ("_ml", "(mL)"),
        ("_l", "(L)"),
        ("_c", "(°C)"),
        ("_ms", "(ms)"),
        ("_min", "(minute of the day)"),
        ("_at", "(ms since 1970)"),
        ("_s", "(s)"),
    ];
    if DEPLETION.contains(&name) {
        return "(% of the soil's available water)";
    }
    if MOISTURE.contains(&name) {
        return "(% of the soil's volume)";
    }
    if let Some((_, unit)) = SUFFIXES.iter().find(|(suffix, _)| name.ends_with(suffix)) {
        return unit;
    }
    match name {
        "percent" => "(%)",
        "level" | "least" | "resume" => "(unit of the gauge)",
        "unit" => "(unit)",
        "hours" => "(h)",
        "litres" | "volume" => "(L)",
        "cycle" | "attempts" | "failures" | "left" | "was_left" => "(count)",
        "command" => "(number of the command)",
        "fault" | "close" | "refusal" | "restart" | "problem" | "cause" => "(code, below)",
        "by" => "(person)",
        "note" => "(a person's words)",
        "values" => "(names and numbers with units)",
        "times_max" => "(count)",
        count if count.starts_with("n_") => "(count)",
        "epoch" => "(number of the boot)",
        "version" => "(number of the farm's version)",
        "valve" => "(number at its node)",
        _ => "(name)",
    }
}
