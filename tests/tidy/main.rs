//! Rules about the code, as tests: each rule runs over the real repository and has tests of its own that show that it
//! can fail. What a rule wants and why stands at the rule.

mod catalogue;
mod doors;
mod files;
mod imports;
mod manifests;
mod source;
mod words;

use std::path::{Path, PathBuf};

use giot_engine::Reason;
use giot_gateway::words::{Words, reasons_table};
use giot_shared::metric::Metric;
use source::Source;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn repository() -> anyhow::Result<Vec<Source>> {
    let files = source::read_repository(&root())?;
    anyhow::ensure!(files.len() > 20, "only {} files found: looked in the wrong place", files.len());
    Ok(files)
}

fn verdict(problems: &[String]) -> anyhow::Result<()> {
    anyhow::ensure!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
    Ok(())
}

#[test]
fn the_top_of_the_repository_holds_only_what_belongs_there() -> anyhow::Result<()> {
    let ignored = std::fs::read_to_string(root().join(".gitignore"))?;
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root())? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !ignored.lines().any(|line| line.trim_matches('/') == name) {
            names.push(name);
        }
    }
    names.sort();
    verdict(&files::top_level(&names))
}

#[test]
fn every_rust_file_says_what_it_is_responsible_for() -> anyhow::Result<()> {
    verdict(&files::first_line(&repository()?))
}

#[test]
fn no_file_is_too_long() -> anyhow::Result<()> {
    verdict(&files::length(&repository()?))
}

#[test]
fn nothing_is_unfinished_or_silenced() -> anyhow::Result<()> {
    verdict(&words::unfinished(&repository()?))
}

#[test]
fn every_exception_has_a_reason() -> anyhow::Result<()> {
    verdict(&words::exceptions_have_reasons(&repository()?))
}

#[test]
fn no_file_names_a_place_outside() -> anyhow::Result<()> {
    verdict(&words::foreign_places(&repository()?))
}

#[test]
fn every_library_has_one_door() -> anyhow::Result<()> {
    verdict(&doors::one_door(&repository()?, doors::DOORS))
}

#[test]
fn the_engine_is_pure() -> anyhow::Result<()> {
    verdict(&doors::engine_is_pure(&repository()?))
}

#[test]
fn every_dependency_has_a_reason() -> anyhow::Result<()> {
    verdict(&manifests::dependencies_have_reasons(&repository()?))
}

#[test]
fn imports_follow_the_directions() -> anyhow::Result<()> {
    let metadata = cargo_metadata::MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .other_options(["--offline".to_owned()])
        .exec()?;
    let edges = imports::edges(&metadata);
    anyhow::ensure!(edges.iter().any(|edge| edge.to == "giot-shared"), "no edges found: {edges:?}");
    verdict(&imports::directions(&edges))
}

#[test]
fn both_languages_say_the_same() -> anyhow::Result<()> {
    let (vi, en) = catalogue_texts()?;
    verdict(&catalogue::same_messages("vi.ftl", &vi, "en.ftl", &en))
}

#[test]
fn every_decision_has_words() -> anyhow::Result<()> {
    let (vi, en) = catalogue_texts()?;
    let mut problems = Vec::new();
    for (name, text) in [("vi.ftl", &vi), ("en.ftl", &en)] {
        for kind in ["reason", "do"] {
            problems.extend(catalogue::codes_without_words(name, text, kind, Reason::ALL_CODES));
        }
        problems.extend(catalogue::words_without_numbers(name, text, Reason::ALL_CODES, Reason::arg_names));
    }
    verdict(&problems)
}

#[test]
fn every_metric_has_words() -> anyhow::Result<()> {
    let (vi, en) = catalogue_texts()?;
    let names: Vec<&str> = Metric::ALL.iter().map(|metric| metric.name()).collect();
    let missing = |(name, text)| catalogue::codes_without_words(name, text, "metric", &names);
    verdict(
        &[("vi.ftl", vi.as_str()), ("en.ftl", en.as_str())].into_iter().flat_map(missing).collect::<Vec<_>>(),
    )
}

#[test]
fn the_table_of_reasons_is_fresh() -> anyhow::Result<()> {
    let kept = std::fs::read_to_string(root().join("gateway/locales/REASONS.md"))?;
    let fresh = reasons_table(&Words::default());
    let differs = kept.lines().zip(fresh.lines()).find(|(kept, fresh)| kept != fresh);
    anyhow::ensure!(
        kept.trim_end() == fresh.trim_end(),
        "gateway/locales/REASONS.md: write it anew: cargo run -- reasons > gateway/locales/REASONS.md\n{differs:?}"
    );
    Ok(())
}

fn catalogue_texts() -> anyhow::Result<(String, String)> {
    let folder = root().join("gateway/locales");
    Ok((std::fs::read_to_string(folder.join("vi.ftl"))?, std::fs::read_to_string(folder.join("en.ftl"))?))
}
