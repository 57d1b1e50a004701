//! Compresses what the binary embeds: the API's description and the page. Builds the page first, with `npm ci && npm run build` in
//! `web/`, only when the built files are older than their sources. Without the `web` feature there is no page, and Node.js is not needed.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use flate2::Compression;
use flate2::write::GzEncoder;

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
    println!("cargo:rerun-if-changed=src/api/openapi.json");
    compress(Path::new("src/api/openapi.json"), &out().join("openapi.json.gz"));
    if std::env::var_os("CARGO_FEATURE_WEB").is_some() {
        build_page();
        embed_page();
    }
}

fn build_page() {
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

/// Where cargo wants what is made here.
fn out() -> PathBuf {
    std::env::var_os("OUT_DIR").map_or_else(|| fail("cargo names no OUT_DIR"), PathBuf::from)
}

/// Writes `to`, as gzip (RFC 1952).
fn compress(from: &Path, to: &Path) {
    let packed = std::fs::read(from).and_then(|plain| {
        let mut packer = GzEncoder::new(Vec::new(), Compression::best());
        packer.write_all(&plain)?;
        packer.finish()
    });
    if let Err(error) = packed.and_then(|packed| std::fs::write(to, packed)) {
        fail(&format!("{} was not compressed: {error}", from.display()));
    }
}

/// Compresses each file of the page and writes the table of them that the program includes.
fn embed_page() {
    let mut files = Vec::new();
    list(Path::new("web/dist"), &mut files);
    files.sort();
    let mut table = String::from("[");
    for (n, file) in files.iter().enumerate() {
        let packed = out().join(format!("page-{n}.gz"));
        compress(file, &packed);
        let name = file.strip_prefix("web/dist").unwrap_or(file).display().to_string();
        table.push_str(&format!("({name:?}, include_bytes!({:?}) as &[u8]),", packed.display().to_string()));
    }
    table.push(']');
    if let Err(error) = std::fs::write(out().join("page.rs"), table) {
        fail(&format!("the table of the page was not written: {error}"));
    }
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries =
        std::fs::read_dir(folder).unwrap_or_else(|error| fail(&format!("{}: {error}", folder.display())));
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() { list(&path, files) } else { files.push(path) }
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
