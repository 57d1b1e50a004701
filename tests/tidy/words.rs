//! Rules about what may not be written: unfinished code, silenced tests, unexplained exceptions, places that exist on
//! one machine only.

use crate::source::{Source, find_word, line_of};

/// Code that stands for something not done, and tests that cannot fail.
pub(crate) fn unfinished(files: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let code = file.code();
        for word in ["todo!", "unimplemented!"] {
            for at in find_word(&code, word.trim_end_matches('!')) {
                if code.get(at..).is_some_and(|rest| rest.starts_with(word)) {
                    found.push(format!("{}:{}: `{word}`: finish it", file.path, line_of(&code, at)));
                }
            }
        }
        for at in find_word(&code, "ignore") {
            if code.get(..at).is_some_and(|head| head.ends_with("#[")) {
                let line = line_of(&code, at);
                found.push(format!("{}:{line}: `#[ignore]`: a test runs or does not exist", file.path));
            }
        }
        for at in find_word(&code, "should_panic") {
            let line = line_of(&code, at);
            found.push(format!("{}:{line}: `should_panic`: check the error instead", file.path));
        }
    }
    found
}

/// Every `allow(…)` and `expect(…)` attribute carries its reason.
pub(crate) fn exceptions_have_reasons(files: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let code = file.code();
        for (at, attribute) in attributes(&code) {
            for word in ["allow", "expect"] {
                for inside in find_word(attribute, word) {
                    let rest = attribute.get(inside + word.len()..).unwrap_or_default();
                    if rest.starts_with('(') && !rest.contains("reason") {
                        let line = line_of(&code, at);
                        found.push(format!("{}:{line}: `{word}` without `reason = \"…\"`", file.path));
                    }
                }
            }
        }
    }
    found
}

/// Every attribute of `code`: where it stands, and what is between its brackets.
fn attributes(code: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices('#') {
        let rest = code.get(at + 1..).unwrap_or_default().trim_start_matches('!');
        let Some(inside) = rest.strip_prefix('[') else { continue };
        let mut depth = 1_i32;
        let end = inside.find(|c| {
            depth += i32::from(c == '[') - i32::from(c == ']');
            depth == 0
        });
        found.push((at, inside.get(..end.unwrap_or(inside.len())).unwrap_or_default()));
    }
    found
}

/// No file names a path of one machine, nor a host that serves packages: clients find those by themselves.
pub(crate) fn foreign_places(files: &[Source]) -> Vec<String> {
    // In parts, so that this file does not name them either.
    let mut needles: Vec<String> = Vec::new();
    for server in ["deb", "registry", "static", "files", "index"] {
        for owner in ["debian", "npmjs", "crates", "pythonhosted"] {
            needles.push([server, owner, ""].join("."));
        }
    }
    for folder in ["work", "farm", "root", "home"] {
        needles.push(["", folder, ""].join("/"));
    }
    let mut found = Vec::new();
    for file in files {
        for (index, line) in file.text.lines().enumerate() {
            for needle in &needles {
                if line.match_indices(needle.as_str()).any(|(at, _)| stands_alone(line, at, needle)) {
                    found.push(format!("{}:{}: names `{needle}`, a place outside", file.path, index + 1));
                }
            }
        }
    }
    found
}

/// Whether the needle at `at` begins there: a relative path may have a folder of that name further in.
fn stands_alone(line: &str, at: usize, needle: &str) -> bool {
    let before = line.get(..at).and_then(|head| head.chars().next_back());
    before.is_none_or(|c| {
        let is_longer_word = c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        let is_further_in = needle.starts_with('/') && matches!(c, '/' | '}' | ')' | '*');
        !is_longer_word && !is_further_in
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rust(text: &str) -> [Source; 1] {
        [Source::new("a.rs", text)]
    }

    #[test]
    fn unfinished_code_is_found() {
        let text = "fn a() { todo!() }\nfn b() { unimplemented!(\"x\") }\n#[ignore]\n#[ignore = \"slow\"]\n\
                    #[should_panic]\n";
        assert_eq!(unfinished(&rust(text)).len(), 5, "{:?}", unfinished(&rust(text)));
    }

    #[test]
    fn words_in_comments_and_names_are_no_code() {
        let text = "// todo!() here\nlet s = \"todo!()\"; let todo = 1; git_ignore(); ignore(x);\n";
        assert_eq!(unfinished(&rust(text)), Vec::<String>::new());
    }

    #[test]
    fn an_exception_without_a_reason_is_found() {
        let text = "#[allow(dead_code)]\n#![expect(unused)]\n#[cfg_attr(test, allow(x))]\n\
                    #[allow(\n  clippy::y,\n)]\n";
        let found = exceptions_have_reasons(&rust(text));
        assert_eq!(found.len(), 4, "{found:?}");
    }

    #[test]
    fn a_reason_a_call_and_a_comment_are_fine() {
        let text = "#[expect(clippy::panic, reason = \"cannot happen\")]\nlet x = y.expect(\"z\");\n\
                    // #[allow(x)]\nf(a, expect(b)[0]);\n";
        assert_eq!(exceptions_have_reasons(&rust(text)), Vec::<String>::new());
    }

    #[test]
    fn a_place_of_one_machine_is_found() {
        let path = ["let p = \"", "root", "x\";"].join("/");
        let host = ["https://registry", "npmjs", "org/x"].join(".");
        let files = [Source::new("a.rs", &path), Source::new("package-lock.json", &host)];
        assert_eq!(foreign_places(&files).len(), 2);
        let fine = ["see ../a", "work", "b and ${x}", "root", "x"].join("/");
        assert_eq!(foreign_places(&[Source::new("a.md", &fine)]), Vec::<String>::new());
    }
}
