//! What the documents say besides code: what they point to is there. The Rust of the README is run as a doctest of the
//! crate, its Python by `interop_pyzmq.rs`, its shell by `interop_program.rs`.

#[path = "docs/options.rs"]
mod options;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

const README: &str = include_str!("../README.md");
const ARCHITECTURE: &str = include_str!("../docs/architecture.md");
const CONFORMANCE: &str = include_str!("../docs/conformance.md");
const GUARANTEES: &str = include_str!("../docs/guarantees.md");

#[test]
fn the_readme_has_its_two_commands() {
    let blocks = README.split("```sh\n").skip(1);
    let commands: Vec<&str> = blocks
        .filter_map(|rest| rest.split("```").next())
        .map(str::trim)
        .filter(|block| block.starts_with("cargo "))
        .collect();
    assert_eq!(commands.len(), 2, "{commands:?}");
    for command in commands {
        assert!(!command.contains('\n'), "{command}");
    }
}

#[test]
fn links_lead_somewhere() {
    for (name, text) in [
        ("README.md", README),
        ("docs/architecture.md", ARCHITECTURE),
        ("docs/guarantees.md", GUARANTEES),
        ("docs/conformance.md", CONFORMANCE),
        (
            "docs/performance.md",
            include_str!("../docs/performance.md"),
        ),
        (
            "docs/experiments.md",
            include_str!("../docs/experiments.md"),
        ),
        ("docs/delivery.md", include_str!("../docs/delivery.md")),
        (
            "docs/spool-format.md",
            include_str!("../docs/spool-format.md"),
        ),
        ("docs/pipelines.md", include_str!("../docs/pipelines.md")),
        ("docs/options.md", include_str!("../docs/options.md")),
        ("docs/production.md", include_str!("../docs/production.md")),
        (
            "docs/closed-ports.md",
            include_str!("../docs/closed-ports.md"),
        ),
        ("docs/SUMMARY.md", include_str!("../docs/SUMMARY.md")),
        ("docs/async.md", include_str!("../docs/async.md")),
        ("docs/guide.md", include_str!("../docs/guide.md")),
        ("docs/migrating.md", include_str!("../docs/migrating.md")),
        ("docs/stability.md", include_str!("../docs/stability.md")),
        (
            "docs/other-tools.md",
            include_str!("../docs/other-tools.md"),
        ),
        ("CONTRIBUTING.md", include_str!("../CONTRIBUTING.md")),
        ("SECURITY.md", include_str!("../SECURITY.md")),
        ("cli/README.md", include_str!("../cli/README.md")),
    ] {
        let folder = root().join(name);
        let folder = folder.parent().expect("files are in a folder");
        let targets = text.split("](").skip(1);
        let targets = targets.filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.starts_with("http")) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = folder.join(file);
            assert!(path.exists(), "{name} links to {target}");
            if !heading.is_empty() {
                let page = if file.is_empty() {
                    text.to_owned()
                } else {
                    fs::read_to_string(path).expect("a page")
                };
                let found = page.lines().any(|line| anchor(line) == heading);
                assert!(found, "{name} links to {target}");
            }
        }
    }
}

/// By what links a heading is found, as forges and mdBook make it.
fn anchor(line: &str) -> String {
    let heading = line.trim_start_matches('#').trim();
    let kept = |c: &char| c.is_alphanumeric() || "-_ ".contains(*c);
    let kept: String = heading.to_lowercase().chars().filter(kept).collect();
    kept.replace(' ', "-")
}

/// The site that mdBook makes has the pages that SUMMARY.md names.
#[test]
fn every_page_is_in_the_summary_once() {
    let summary = include_str!("../docs/SUMMARY.md");
    for entry in fs::read_dir(root().join("docs")).expect("a folder") {
        let name = entry.expect("an entry").file_name();
        let name = name.to_string_lossy();
        if name.ends_with(".md") && name != "SUMMARY.md" {
            let times = summary.matches(&format!("({name})")).count();
            assert_eq!(times, 1, "docs/SUMMARY.md names {name}");
        }
    }
}

/// Some doctest includes each page with Rust on it.
#[test]
fn blocks_of_rust_are_tested() {
    let mut sources = Vec::new();
    for folder in ["src", "cli/src", "runtimes"] {
        collect_sources(&root().join(folder), &mut sources);
    }
    let sources: Vec<String> = sources
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .collect();
    for entry in fs::read_dir(root().join("docs")).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a page");
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let included = format!("/docs/{name}\")");
        let tested = sources.iter().any(|source| source.contains(&included));
        assert!(tested || !text.contains("```rust"), "{name} is not tested");
        assert!(!text.contains("```rust,ignore"), "{name}");
    }
}

/// Files that architecture.md names, up to where it tells of files to come.
#[test]
fn the_architecture_names_files_that_exist() {
    let present = ARCHITECTURE.split("## What is to come").next();
    let files = quoted(present.unwrap_or_default())
        .filter(|name| name.ends_with(".rs") || name.ends_with('/'))
        .filter(|name| !name.contains(' '));
    let mut count = 0;
    for name in files {
        let places = ["", "src", "src/engine", "tests", "tests/models"];
        let found = places
            .iter()
            .any(|place| root().join(place).join(name).exists());
        assert!(found, "architecture.md names {name}");
        count += 1;
    }
    assert!(count > 40, "only {count} files were recognised");
}

/// Tests that documents name as `file::test`.
#[test]
fn promises_are_pinned_by_tests_that_exist() {
    let mut sources = Vec::new();
    for folder in [
        "src",
        "tests",
        "cli/src",
        "cli/tests",
        "interop/tests",
        "runtimes/tests",
        "transactions/tests",
    ] {
        collect_sources(&root().join(folder), &mut sources);
    }
    let tests: HashSet<String> = sources.iter().flat_map(|path| functions(path)).collect();
    for (document, text) in [
        ("guarantees.md", GUARANTEES),
        ("conformance.md", CONFORMANCE),
    ] {
        let mut count = 0;
        for name in quoted(text).filter(|name| is_test_name(name)) {
            assert!(tests.contains(name), "{document} names {name}");
            count += 1;
        }
        assert!(
            count > 50,
            "only {count} tests were recognised in {document}"
        );
    }
}

#[test]
fn the_page_of_options_is_what_the_table_says() {
    let path = root().join("docs/options.md");
    let page = options::page();
    if std::env::var_os("ZEROHOP_WRITE_DOCS").is_some() {
        fs::write(&path, &page).expect("written");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == page,
        "docs/options.md is out of date: ZEROHOP_WRITE_DOCS=1 cargo test -p zerohop --test docs options"
    );
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What stands between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// `file::test`, and neither `Type::method` nor the example in the introduction.
fn is_test_name(name: &str) -> bool {
    let lower = |part: &str| {
        part.bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let parts: Vec<&str> = name.split("::").collect();
    parts.len() == 2 && parts.into_iter().all(lower) && name != "file::test"
}

fn collect_sources(folder: &Path, sources: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect_sources(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(path);
        }
    }
}

/// The functions of a file, as `file::function`.
fn functions(path: &Path) -> Vec<String> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let text = fs::read_to_string(path).expect("a source file");
    let lines = text
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("fn "));
    let names = lines.filter_map(|line| line.split(['(', '<']).next());
    names.map(|name| format!("{stem}::{name}")).collect()
}
