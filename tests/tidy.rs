//! The house in order: sizes, pages, generated files, traces of a machine.
//!
//! `BLESS=1 cargo test tidy` writes the generated files anew.

use std::collections::BTreeSet;
use std::path::Path;

use crate::rust_text::{code, files, root, rust_files, without_tests};

/// A file beyond this needs a reason.
const LONG: usize = 400;

/// No file goes beyond this.
const TOO_LONG: usize = 800;

/// Files of more than [`LONG`] lines, and why they are one file.
const LONG_FILES: &[(&str, &str)] = &[
    ("src/encode/leaf.rs", "one arm per kind of leaf, to be compared with each other"),
    ("src/encode/scope.rs", "the row, its lists and their cursors move together"),
    ("src/encode/tests.rs", "the cases of every op, in the order of program.rs"),
    ("src/encode/time.rs", "every date and time form with its tests"),
    ("src/mapping/check/object.rs", "one walk over the members of an object"),
    ("src/mapping/check/reference.rs", "both forms of a reference, with their mistakes"),
    ("src/mapping/check/value.rs", "one arm per form of a value"),
    ("src/mapping/syntax/template/walk.rs", "one walk over a parsed template"),
    ("src/mapping/tree.rs", "the whole language as one type, read from top to bottom"),
    ("src/mapping/yaml.rs", "the subset of YAML and what is refused, with its tests"),
    ("src/plan/columns.rs", "where a name is found, and the streams it is read from"),
    ("src/plan/program.rs", "every op with its contract, read from top to bottom"),
    ("src/row/value.rs", "one reader per kind of column, with its tests"),
    ("src/sink/local.rs", "a file's life from hidden to committed, with its tests"),
    ("src/source/target.rs", "every connection setting in libpq's order"),
    ("tests/docs.rs", "what is held about the book, one test after the other"),
    ("tests/support/generate.rs", "one generator per kind of column"),
];

#[test]
fn files_are_short() {
    let mut texts = rust_files("src").unwrap();
    texts.extend(rust_files("tests").unwrap());
    let sizes: Vec<(&str, usize)> = texts
        .iter()
        .filter(|(_, text)| !text.starts_with("// @generated"))
        .map(|(path, text)| (path.as_str(), text.lines().count()))
        .collect();
    let found = too_long(&sizes, LONG_FILES);
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

fn too_long(sizes: &[(&str, usize)], reasons: &[(&str, &str)]) -> Vec<String> {
    let has_reason = |path: &str| reasons.iter().any(|(known, reason)| *known == path && !reason.is_empty());
    let mut found = Vec::new();
    for (path, lines) in sizes {
        if *lines > TOO_LONG {
            found.push(format!("{path} has {lines} lines; {TOO_LONG} is the limit"));
        } else if *lines > LONG && !has_reason(path) {
            found.push(format!("{path} has {lines} lines; split it, or give a reason in LONG_FILES"));
        }
    }
    for (path, _) in reasons {
        if !sizes.iter().any(|(known, lines)| known == path && *lines > LONG) {
            found.push(format!("{path} is not longer than {LONG} lines; remove it from LONG_FILES"));
        }
    }
    found
}

#[test]
fn long_files_are_caught() {
    let reasons = [("b", "because"), ("gone", "because"), ("short", "because")];
    let found = too_long(&[("a", 401), ("b", 401), ("c", 801), ("short", 400)], &reasons);
    let paths: Vec<&str> = found.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(paths, ["a", "c", "gone", "short"]);
}

#[test]
fn every_diagnostic_has_a_page() {
    let used: BTreeSet<String> =
        rust_files("src").unwrap().iter().flat_map(|(_, text)| codes(&without_tests(&code(text, true)))).collect();
    let pages: BTreeSet<String> = smelt::cli::explain::PAGES.iter().map(|(code, _)| (*code).to_owned()).collect();
    let lost: Vec<&String> = used.difference(&pages).collect();
    assert!(lost.is_empty(), "no page in docs/src/reference/diagnostics for {lost:?}");
    for (code, page) in smelt::cli::explain::PAGES {
        assert!(page.starts_with(&format!("# {code}")), "the page of {code} starts with another title");
    }
}

/// String literals that are nothing but a code: a capital letter and three digits.
fn codes(text: &str) -> Vec<String> {
    let is_code = |word: &&str| {
        word.len() == 4
            && word.starts_with(|c: char| "MRX".contains(c))
            && word.bytes().skip(1).all(|b| b.is_ascii_digit())
    };
    text.split('"').skip(1).step_by(2).filter(is_code).map(str::to_owned).collect()
}

#[test]
fn codes_are_found_in_code_only() {
    let text = "Diagnostic::error(\"M202\", span, \"M999 in words\") // \"M100\"\n#[cfg(test)]\nmod t { \"M101\" }";
    assert_eq!(codes(&without_tests(&code(text, true))), ["M202"]);
}

#[test]
fn generated_pages_are_fresh() {
    let pages = [
        ("docs/src/reference/settings.md", smelt::config::table::reference()),
        ("docs/src/reference/exit-codes.md", smelt::cli::exit::reference()),
        ("docs/src/reference/cli.md", smelt::cli::reference()),
    ];
    for (path, want) in pages {
        let path = root().join(path);
        if std::env::var_os("BLESS").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &want).unwrap();
        }
        let have = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(have == want, "{} is stale; run `BLESS=1 cargo test tidy`", path.display());
    }
}

#[test]
fn nothing_is_left_undone() {
    for (path, text) in rust_files("src").unwrap() {
        let code = without_tests(&code(&text, false));
        for word in ["todo!", "unimplemented!", "dbg!"] {
            assert!(!code.contains(word), "{path} has {word}");
        }
    }
}

#[test]
fn no_file_names_a_machine() {
    let mut found = Vec::new();
    for path in files(".").unwrap() {
        if let Ok(text) = std::fs::read_to_string(root().join(&path)) {
            found.extend(machine_paths(&path, &text));
        }
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

/// Lines with a path that exists on one machine only: a home directory, or the directory a checkout lies in.
fn machine_paths(path: &Path, text: &str) -> Vec<String> {
    let marks = ["/home/", "/root/", "/Users/", "/work/", "../shared"];
    let starts = |line: &str, mark: &str| {
        line.match_indices(mark)
            .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-$}~".contains(c)))
    };
    // This list is the only place that may name them.
    let own = path == Path::new("tests/tidy.rs");
    text.lines()
        .zip(1..)
        .filter(|(line, _)| !own && marks.iter().any(|mark| starts(line, mark)))
        .map(|(line, number)| {
            format!("{}:{number}: {}", path.display(), line.trim().chars().take(100).collect::<String>())
        })
        .collect()
}

#[test]
fn machine_paths_are_caught() {
    let text = "see /home/me/x\nfine: https://example.org/home/x\nls /work/x\n../shared/data\n$HOME/work/x\n";
    let found = machine_paths(Path::new("a.md"), text);
    assert_eq!(found, ["a.md:1: see /home/me/x", "a.md:3: ls /work/x", "a.md:4: ../shared/data"]);
}
