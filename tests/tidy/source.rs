//! Reads the repository's own text and takes Rust code apart just enough for the rules.
//!
//! It must not judge anything: rules live in the other modules. Paths are relative to the repository, with `/`, sorted,
//! so that every run reports in the same order.

use std::path::Path;

/// One text file of the repository.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Path from the repository's root.
    pub(crate) path: String,
    /// The whole text.
    pub(crate) text: String,
}

impl Source {
    /// A made-up file for the tests of the rules.
    #[cfg(test)]
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// Whether this is Rust.
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether every line of this file belongs to tests.
    pub(crate) fn is_test_only(&self) -> bool {
        self.path.starts_with("tests/") || self.path.contains("/tests/") || self.path.ends_with("/tests.rs")
    }

    /// The code without comments and without what stands in quotes, line for line.
    pub(crate) fn code(&self) -> String {
        code_only(&self.text)
    }

    /// Like [`Source::code`], ended where the file's own `#[cfg(test)] mod` begins.
    pub(crate) fn code_outside_tests(&self) -> String {
        let code = self.code();
        let mut end = code.len();
        for (at, found) in code.match_indices("#[cfg(test)]") {
            let rest = code.get(at + found.len()..).unwrap_or_default().trim_start();
            if rest.starts_with("mod ")
                && rest.find('{') < rest.find(';').or(Some(usize::MAX))
                && end == code.len()
            {
                end = at;
            }
        }
        code.get(..end).unwrap_or_default().to_owned()
    }
}

/// What holds nothing of ours: built, installed or fetched. (In a second work tree `.git` is a file.)
const FOREIGN: [&str; 6] = ["target", "node_modules", ".git", "dist", "giot-data", ".svelte-kit"];

/// Every text file of the repository at `root`; files that are no UTF-8 are left out.
///
/// # Errors
/// When a folder or a file cannot be read.
pub(crate) fn read_repository(root: &Path) -> std::io::Result<Vec<Source>> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let path = entry.path();
            let kind = entry.file_type()?;
            if FOREIGN.contains(&entry.file_name().to_string_lossy().as_ref()) {
                continue;
            }
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file()
                && let Ok(text) = String::from_utf8(std::fs::read(&path)?)
            {
                let relative = path.strip_prefix(root).unwrap_or(&path);
                files.push(Source { path: relative.to_string_lossy().replace('\\', "/"), text });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// The number of the line in which byte `at` of `text` stands, from 1.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

/// Where `word` stands in `code` as a whole identifier (or path), in bytes.
pub(crate) fn find_word(code: &str, word: &str) -> Vec<usize> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word)
        .filter(|(at, found)| {
            let before = code.get(..*at).and_then(|head| head.chars().next_back());
            let after = code.get(at + found.len()..).and_then(|tail| tail.chars().next());
            !before.is_some_and(is_part) && !after.is_some_and(is_part)
        })
        .map(|(at, _)| at)
        .collect()
}

/// `text` with comments and the insides of strings and characters replaced by spaces; line ends stay.
fn code_only(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(length) = token_len(&chars, at) {
        let token = chars.get(at..at + length).unwrap_or_default();
        let keep = !is_hidden(token);
        // Every hidden character becomes as many spaces as it has bytes: offsets stay those of the text.
        for c in token {
            if keep || *c == '\n' {
                out.push(*c);
            } else {
                out.extend(std::iter::repeat_n(' ', c.len_utf8()));
            }
        }
        at += length;
    }
    out
}

/// Whether a token is a comment, a string or a character.
fn is_hidden(token: &[char]) -> bool {
    match token {
        ['/', '/' | '*', ..] | ['"' | '\'', _, ..] => true,
        ['r', '"' | '#', ..] => token.contains(&'"'),
        _ => false,
    }
}

/// The length in characters of the token at `at`; `None` at the end. Tokens are comments, strings, characters, words,
/// and single characters.
fn token_len(chars: &[char], at: usize) -> Option<usize> {
    let rest = chars.get(at..)?;
    let length = match rest {
        [] => return None,
        ['/', '/', ..] => rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
        ['/', '*', ..] => block_comment_len(rest),
        ['r', '"' | '#', ..] => raw_string_len(rest).unwrap_or(1),
        ['"', ..] => quoted_len(rest, '"'),
        // A character is '\…' or one sign and a quote; everything else after ' is a lifetime.
        ['\'', '\\', ..] => quoted_len(rest, '\''),
        ['\'', _, '\'', ..] => 3,
        [c, ..] if c.is_alphanumeric() || *c == '_' => {
            rest.iter().position(|c| !(c.is_alphanumeric() || *c == '_')).unwrap_or(rest.len())
        }
        _ => 1,
    };
    // `br"…"` and `cr"…"`: the word ends before the r that opens a raw string.
    Some(match rest.get(..length) {
        Some(['b' | 'c', 'r']) if matches!(rest.get(2), Some('"' | '#')) => 1,
        _ => length,
    })
}

fn block_comment_len(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    loop {
        match rest.get(at..at + 2) {
            Some(['/', '*']) => (depth, at) = (depth + 1, at + 2),
            Some(['*', '/']) if depth == 1 => return at + 2,
            Some(['*', '/']) => (depth, at) = (depth - 1, at + 2),
            Some(_) => at += 1,
            None => return rest.len(),
        }
    }
}

fn quoted_len(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while let Some(c) = rest.get(at) {
        match c {
            '\\' => at += 2,
            c if *c == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// `None` when this `r` opens no raw string but a raw identifier.
fn raw_string_len(rest: &[char]) -> Option<usize> {
    let n_hashes = rest.get(1..)?.iter().take_while(|c| **c == '#').count();
    if rest.get(1 + n_hashes) != Some(&'"') {
        return None;
    }
    let mut at = 2 + n_hashes;
    while let Some(c) = rest.get(at) {
        let closing = rest.get(at + 1..at + 1 + n_hashes).unwrap_or_default();
        if *c == '"' && closing.len() == n_hashes && closing.iter().all(|c| *c == '#') {
            return Some(at + 1 + n_hashes);
        }
        at += 1;
    }
    Some(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_has_no_comments_and_no_quoted_text() {
        let text = "let a = \"todo!() // x\"; // todo!()\nlet b = 'x'; /* a /* b */ c */ fn f<'a>() {}\n\
                    let c = r#\"say \"hi\" todo!\"#; let r#type = b'\\''; br\"todo!\"; x";
        let code = code_only(text);
        assert_eq!(code.len(), text.len());
        assert_eq!(code.lines().count(), text.lines().count());
        assert!(!code.contains("todo"), "{code}");
        assert!(!code.contains("hi"), "{code}");
        for kept in ["let a =", "let b =", "fn f<'a>() {}", "let c =", "r#type = b", "; x"] {
            assert!(code.contains(kept), "{kept} in {code}");
        }
    }

    #[test]
    fn words_are_whole() {
        assert_eq!(find_word("rumqttc::x my_rumqttc rumqttcs (rumqttc)", "rumqttc"), [0, 32]);
    }

    #[test]
    fn offsets_stay_behind_letters_of_several_bytes() {
        let text = "// giọt\nlet mận = \"nước\"; rumqttc";
        let code = code_only(text);
        assert_eq!(code.len(), text.len());
        assert_eq!(find_word(&code, "rumqttc"), [text.find("rumqttc").unwrap()]);
    }

    #[test]
    fn tests_at_the_end_are_cut_off() {
        let file = Source::new("a.rs", "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() { c() }\n}\n");
        assert_eq!(file.code_outside_tests(), "fn a() {}\n");
        let elsewhere = Source::new("a.rs", "#[cfg(test)]\nmod tests;\nfn a() { x() }\n");
        assert!(elsewhere.code_outside_tests().contains("x()"));
    }
}
