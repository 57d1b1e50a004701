//! Builds the page before the binary embeds it: `npm ci && npm run build` in `web/`, only when the built files are older
//! than their sources. Without the `web` feature nothing is run and Node.js is not needed.

use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

/// What the built page depends on, relative to `gateway/`.
const SOURCES: &[&str] = &[
    "web/src",
    "web/public",
    "web/index.html",
    "web/package.json",
    "web/package-lock.json",
    "web/vite.config.ts",
    "web/.npmrc",
    "web/tsconfig.json",
    "locales",
];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    pack_relocations();
    if std::env::var_os("CARGO_FEATURE_WEB").is_none() {
        return;
    }
    for source in SOURCES {
        println!("cargo:rerun-if-changed={source}");
    }
    println!("cargo:rerun-if-changed=web/dist/index.html");
    let built = newest(Path::new("web/dist/index.html"));
    let source = SOURCES.iter().filter_map(|source| newest(Path::new(source))).max();
    if built.is_some() && built >= source {
        return;
    }
    npm(&["ci", "--no-audit", "--no-fund"]);
    npm(&["run", "build"]);
    // The page takes the time of its newest source: it is then as new as they are, and not changed since this script began,
    // which would make cargo run it and compile the gateway once more.
    let page = Path::new("web/dist/index.html");
    let touched = std::fs::File::options()
        .append(true)
        .open(page)
        .and_then(|file| source.map_or(Ok(()), |source| file.set_modified(source)));
    if let Err(error) = touched {
        fail(&format!("the page was not built: {}: {error}", page.display()));
    }
}

/// Positions to mend at loading take 8 bytes for 63 of them instead of 24 for each: 1.8 MB less of the file. Glibc understands it
/// since 2.36 (2022), which is older than what the standard library's own symbols need on most machines that compile this.
fn pack_relocations() {
    let is = |key: &str, value: &str| std::env::var(key).is_ok_and(|is| is == value);
    if is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

fn npm(args: &[&str]) {
    let command = format!("npm {}", args.join(" "));
    match Command::new("npm").args(args).current_dir("web").status() {
        Ok(status) if status.success() => {}
        Ok(status) => fail(&format!("`{command}` in gateway/web ended with {status}")),
        Err(error) => fail(&format!(
            "`{command}` did not start: {error}. Install Node.js 20 or newer with npm, or build without the page: \
             cargo build --no-default-features"
        )),
    }
}

/// The newest change below a path; `None` where there is nothing.
fn newest(path: &Path) -> Option<SystemTime> {
    let own = std::fs::metadata(path).ok()?.modified().ok()?;
    let Ok(entries) = std::fs::read_dir(path) else { return Some(own) };
    entries.flatten().filter_map(|entry| newest(&entry.path())).max().or(Some(own))
}

fn fail(what: &str) -> ! {
    println!("cargo:error={what}");
    std::process::exit(1)
}
