//! Rules about `Cargo.toml` files: why a dependency is there stands beside it.

use crate::source::Source;

/// Every dependency from outside has a comment: on its line, or above it.
///
/// A comment speaks for the lines that follow it up to an empty line, so that a family can share one reason.
pub(crate) fn dependencies_have_reasons(files: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with("Cargo.toml")) {
        let mut in_dependencies = false;
        let mut explained = false;
        for (index, line) in file.text.lines().enumerate() {
            let line = line.trim();
            if let Some(section) = line.strip_prefix('[') {
                in_dependencies = section.trim_end_matches(']').ends_with("dependencies");
                explained = false;
            } else if line.is_empty() {
                explained = false;
            } else if line.starts_with('#') {
                explained = true;
            } else if in_dependencies
                && let Some((name, value)) = line.split_once('=')
                && !name.starts_with("giot-")
                && !explained
                && !value.contains('#')
            {
                found.push(format!("{}:{}: why {}? Say it above", file.path, index + 1, name.trim()));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_without_a_reason_is_found() {
        let text = "[package]\nname = \"x\"\n\n[dependencies]\n# For a.\na = \"1\"\naa = \"1\"\n\nb = \"1\"\n\
                    c = \"1\" # For c.\ngiot-shared.workspace = true\n\n[dev-dependencies]\nd = \"1\"\n";
        let found = dependencies_have_reasons(&[Source::new("gateway/Cargo.toml", text)]);
        assert_eq!(
            found,
            ["gateway/Cargo.toml:9: why b? Say it above", "gateway/Cargo.toml:14: why d? Say it above"]
        );
    }
}
