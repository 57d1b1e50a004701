//! One library, one door: a big dependency is named in one place only, so that it can be exchanged there.
//!
//! The same holds for the clocks: whoever reads time anywhere else cannot be tested with made-up time.

use crate::source::{Source, find_word, line_of};

/// A word that only code in one place may say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Door {
    /// The crate or path as written in code.
    word: &'static str,
    /// Prefixes of the files that may say it.
    only_in: &'static [&'static str],
    /// Prefixes of the files the rule is about.
    within: &'static [&'static str],
}

const PROGRAM: &[&str] =
    &["gateway/src/", "gateway/engine/src/", "gateway/store/src/", "shared/src/", "firmware/src/"];
const NOWHERE_ELSE: &[&str] = &["gateway/", "shared/", "firmware/"];
const CLOCK: &[&str] = &["gateway/src/clock.rs"];
/// Beside the clock: the broker's own interface counts an expiry in instants of the runtime, which tests can pause; the
/// node's loop measures its link in those of its executor.
const MONOTONIC: &[&str] = &["gateway/src/clock.rs", "gateway/src/mqtt/", "firmware/src/run/"];

/// Every door of the house. Tests may use any library; boards have clocks of their own.
pub(crate) const DOORS: &[Door] = &[
    Door { word: "rumqttc", only_in: &["gateway/src/mqtt/"], within: NOWHERE_ELSE },
    Door { word: "rusqlite", only_in: &["gateway/store/src/"], within: NOWHERE_ELSE },
    Door { word: "pco", only_in: &["gateway/store/src/"], within: NOWHERE_ELSE },
    Door { word: "axum", only_in: &["gateway/src/api/"], within: NOWHERE_ELSE },
    Door { word: "influxdb2", only_in: &["gateway/src/sinks/influx.rs"], within: NOWHERE_ELSE },
    Door { word: "hyper", only_in: &["gateway/src/sinks/influx.rs"], within: NOWHERE_ELSE },
    Door { word: "rust_xlsxwriter", only_in: &["gateway/src/history/export/xlsx.rs"], within: NOWHERE_ELSE },
    Door { word: "jiff", only_in: &["gateway/src/history/timezone.rs"], within: NOWHERE_ELSE },
    // The session's settings and state are in link/, its bytes are moved by the one loop.
    Door { word: "minimq", only_in: &["firmware/src/link/", "firmware/src/run/"], within: NOWHERE_ELSE },
    Door { word: "rmodbus", only_in: &["firmware/src/probe/modbus/"], within: NOWHERE_ELSE },
    Door { word: "fluent_bundle", only_in: &["gateway/src/words/"], within: NOWHERE_ELSE },
    Door { word: "cel", only_in: &["gateway/src/rules/"], within: NOWHERE_ELSE },
    Door { word: "clap", only_in: &["gateway/src/cli/"], within: NOWHERE_ELSE },
    Door { word: "SystemTime::now", only_in: CLOCK, within: PROGRAM },
    Door { word: "Instant::now", only_in: MONOTONIC, within: PROGRAM },
    // Clippy knows the clocks by type; nobody else may silence it.
    Door { word: "clippy::disallowed_methods", only_in: CLOCK, within: PROGRAM },
    Door { word: "Utc::now", only_in: CLOCK, within: PROGRAM },
    Door { word: "Local::now", only_in: CLOCK, within: PROGRAM },
];

/// Every place that uses a library past its door. Code that only tests see is free.
pub(crate) fn one_door(files: &[Source], doors: &[Door]) -> Vec<String> {
    let begins_with = |path: &str, prefixes: &[&str]| prefixes.iter().any(|prefix| path.starts_with(prefix));
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.is_rust() && !file.is_test_only()) {
        let code = file.code_outside_tests();
        for door in doors {
            if !begins_with(&file.path, door.within) || begins_with(&file.path, door.only_in) {
                continue;
            }
            for at in find_word(&code, door.word) {
                let line = line_of(&code, at);
                let only_in = door.only_in.join(", ");
                found.push(format!("{}:{line}: `{}` belongs in {only_in}", file.path, door.word));
            }
        }
    }
    found
}

/// The engine decides from what it is given: no runtime, no formats, no clock, no unordered collections.
pub(crate) fn engine_is_pure(files: &[Source]) -> Vec<String> {
    const FORBIDDEN: [&str; 12] = [
        "tokio",
        "serde",
        "std::time",
        "std::fs",
        "std::net",
        "std::io",
        "std::env",
        "std::thread",
        "HashMap",
        "HashSet",
        "chrono",
        "rand",
    ];
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.is_rust() && file.path.starts_with("gateway/engine/src/")) {
        let code = if file.is_test_only() { String::new() } else { file.code_outside_tests() };
        for word in FORBIDDEN {
            for at in find_word(&code, word) {
                found.push(format!("{}:{}: the engine may not use `{word}`", file.path, line_of(&code, at)));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_past_its_door_is_found() {
        let files = [
            Source::new("gateway/src/api/x.rs", "use rusqlite::Connection;\nuse axum::Router;\n"),
            Source::new("gateway/store/src/y.rs", "use rusqlite::Connection;\n"),
            Source::new("gateway/src/ingest/z.rs", "let t = std::time::Instant::now();\n"),
            Source::new("firmware/boards/host/src/a.rs", "let t = tokio::time::Instant::now();\n"),
            Source::new("tests/it/b.rs", "use rumqttc::Client;\n"),
        ];
        assert_eq!(
            one_door(&files, DOORS),
            [
                "gateway/src/api/x.rs:1: `rusqlite` belongs in gateway/store/src/",
                "gateway/src/ingest/z.rs:1: `Instant::now` belongs in gateway/src/clock.rs, gateway/src/mqtt/, firmware/src/run/",
            ]
        );
    }

    #[test]
    fn comments_and_tests_may_name_it() {
        let text = "// rusqlite is elsewhere\nfn a() {}\n#[cfg(test)]\nmod tests {\n    use rusqlite::Connection;\n}\n";
        assert_eq!(one_door(&[Source::new("gateway/src/api/x.rs", text)], DOORS), Vec::<String>::new());
    }

    #[test]
    fn an_engine_with_a_clock_is_found() {
        let files = [
            Source::new(
                "gateway/engine/src/a.rs",
                "use std::time::Duration;\nuse std::collections::HashMap;\n",
            ),
            Source::new("gateway/src/a.rs", "use std::time::Duration;\n"),
            Source::new("gateway/engine/src/tests.rs", "use std::collections::HashMap;\n"),
        ];
        assert_eq!(engine_is_pure(&files).len(), 2);
    }
}
