//! Rules about files as wholes: what stands at the top of the repository, how a file begins, how long it is.

use crate::source::Source;

/// What may stand at the top of the repository (style: "The house").
const TOP_LEVEL: [&str; 9] = [
    "Cargo.toml",
    "Cargo.lock",
    "LICENSE",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "gateway",
    "firmware",
    "shared",
];

/// The rest of it: tests, and the dot-files that tools look for at a root.
const TOP_LEVEL_TOOLS: [&str; 10] = [
    "tests",
    ".git",
    ".ci",
    ".cargo",
    ".config",
    ".github",
    ".gitignore",
    ".clippy.toml",
    ".rustfmt.toml",
    ".deny.toml",
];

/// Lines above which a source file must be taken apart.
const N_LINES_MAX: usize = 800;

/// `names` are the tracked entries at the top of the repository.
pub(crate) fn top_level(names: &[String]) -> Vec<String> {
    names
        .iter()
        .filter(|name| !TOP_LEVEL.contains(&name.as_str()) && !TOP_LEVEL_TOOLS.contains(&name.as_str()))
        .map(|name| format!("{name}: does not belong at the top of the repository"))
        .collect()
}

/// Every Rust file says first what it is responsible for.
pub(crate) fn first_line(files: &[Source]) -> Vec<String> {
    files
        .iter()
        .filter(|file| file.is_rust())
        .filter(|file| !file.text.lines().next().unwrap_or_default().starts_with("//! "))
        .map(|file| format!("{}:1: begin with `//!`: what the file is responsible for", file.path))
        .collect()
}

/// No source file is longer than [`N_LINES_MAX`] lines.
pub(crate) fn length(files: &[Source]) -> Vec<String> {
    const WRITTEN_BY_HAND: [&str; 7] = [".rs", ".ts", ".svelte", ".mjs", ".sh", ".css", "tests/run"];
    files
        .iter()
        .filter(|file| WRITTEN_BY_HAND.iter().any(|end| file.path.ends_with(end)))
        .filter_map(|file| {
            let n_lines = file.text.lines().count();
            (n_lines > N_LINES_MAX)
                .then(|| format!("{}: {n_lines} lines, at most {N_LINES_MAX}: take it apart", file.path))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stray_file_at_the_top_is_found() {
        let names = ["gateway", "notes.txt", ".gitignore"].map(str::to_owned);
        assert_eq!(top_level(&names), ["notes.txt: does not belong at the top of the repository"]);
    }

    #[test]
    fn a_file_without_a_head_is_found() {
        let files = [
            Source::new("a.rs", "//! Does a.\n"),
            Source::new("b.rs", "use a;\n"),
            Source::new("c.rs", ""),
            Source::new("d.md", "no rust"),
        ];
        let found = first_line(&files);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found.iter().all(|problem| problem.starts_with("b.rs:1:") || problem.starts_with("c.rs:1:")));
    }

    #[test]
    fn a_long_file_is_found() {
        let files = [
            Source::new("long.rs", &"\n".repeat(801)),
            Source::new("just.rs", &"\n".repeat(800)),
            Source::new("long.csv", &"\n".repeat(9000)),
        ];
        assert_eq!(length(&files), ["long.rs: 801 lines, at most 800: take it apart"]);
    }
}
