//! Each module may know only what stands above it in `lib.rs`, and outside crates stay where they belong.
//!
//! The rules are read from the sources' paths: `crate::x`, groups, and `super::` chains that leave a module. Code
//! under `#[cfg(test)]` is free.

use std::collections::{BTreeMap, BTreeSet};

use crate::rust_text::{code, root, rust_files, test_modules, without_tests};

/// What a module may name.
struct Rule {
    module: &'static str,
    /// Other modules of this crate.
    imports: &'static [&'static str],
    /// Outside crates beside [`PURE`]; `name@file.rs` allows it in that file only.
    crates: &'static [&'static str],
    /// Whether it may name files, sockets, processes, threads and the clock of `std`.
    io: bool,
}

/// Crates that turn values into values; every module may use them.
const PURE: &[&str] = &[
    "base64",
    "bytes",
    "itoa",
    "jiff",
    "memchr",
    "rustc_hash",
    "ryu",
    "serde",
    "serde_json",
    "sha1",
    "sha2",
    "strsim",
    "thiserror",
    "uuid",
];

/// Parts of `std` that do I/O.
const STD_IO: &[&str] = &["std::env", "std::fs", "std::net", "std::os", "std::process", "std::thread", "std::time"];

const RULES: &[Rule] = &[
    Rule { module: "clock", imports: &[], crates: &[], io: true },
    Rule { module: "fhir", imports: &[], crates: &[], io: false },
    Rule { module: "bulk", imports: &["fhir"], crates: &[], io: false },
    Rule {
        module: "mapping",
        imports: &["fhir"],
        crates: &["annotate_snippets", "granit_parser", "handlebars"],
        io: false,
    },
    Rule { module: "row", imports: &[], crates: &[], io: false },
    Rule { module: "plan", imports: &["fhir", "bulk", "mapping", "row"], crates: &[], io: false },
    Rule {
        module: "source",
        imports: &["fhir", "plan", "row"],
        crates: &[
            "deadpool_postgres",
            "futures_core",
            "rustls",
            "rustls_native_certs",
            "tokio",
            "tokio_postgres",
            "tokio_postgres_rustls",
            "tokio_util",
            "tracing",
        ],
        io: true,
    },
    Rule {
        module: "encode",
        imports: &["fhir", "plan", "row"],
        crates: &["handlebars", "unicode_normalization@texts.rs"],
        io: false,
    },
    Rule { module: "fixture", imports: &["mapping", "plan", "row", "encode"], crates: &[], io: false },
    Rule { module: "sink", imports: &[], crates: &["flate2", "zstd"], io: true },
    Rule {
        module: "export",
        imports: &["fhir", "bulk", "mapping", "plan", "row", "source", "encode", "sink"],
        crates: &["tempfile", "tokio", "tokio_util", "tracing", "zstd@store.rs"],
        io: true,
    },
    Rule {
        module: "auth",
        imports: &["clock", "fhir", "bulk"],
        crates: &[
            "getrandom@secret.rs",
            "jsonwebtoken",
            "redb@replay.rs",
            "reqwest",
            "rustls",
            "rustls_native_certs",
            "serde_saphyr@registry.rs",
            "tokio",
            "tracing",
        ],
        io: true,
    },
    Rule { module: "cohort", imports: &["bulk"], crates: &["redb@store.rs"], io: false },
    Rule {
        module: "job",
        imports: &["clock", "fhir", "bulk", "source", "sink", "export", "cohort"],
        // The store is one file's affair.
        crates: &["getrandom@id.rs", "redb@store.rs", "tokio", "tokio_util", "tracing"],
        io: true,
    },
    Rule {
        module: "http",
        imports: &["clock", "fhir", "bulk", "auth", "cohort", "job"],
        crates: &[
            "actix_cors@server.rs",
            "actix_web",
            "flate2@body.rs",
            "futures_core@answer.rs",
            "getrandom@answer.rs",
            "prometheus_client@metrics.rs",
            "rustls@tls.rs",
            "socket2@server.rs",
            "tokio",
            "tracing",
            "zstd@body.rs",
        ],
        io: true,
    },
    Rule {
        module: "config",
        imports: &["fhir", "bulk", "mapping", "sink", "http"],
        crates: &["granit_parser@flat.rs", "tracing"],
        io: true,
    },
    Rule {
        module: "cli",
        imports: &[
            "clock", "fhir", "bulk", "mapping", "plan", "row", "source", "encode", "fixture", "sink", "export", "auth",
            "cohort", "job", "http", "config",
        ],
        crates: &[
            "clap",
            "clap_complete",
            // The demo fills a database that it has made itself; nothing else writes to one.
            "futures_sink@seed.rs",
            "indicatif",
            "tempfile",
            "tokio",
            "tokio_postgres@seed.rs",
            "tokio_util",
            "tracing",
            "tracing_subscriber",
            "zstd@seed.rs",
        ],
        io: true,
    },
];

#[test]
fn modules_know_only_what_they_may() {
    let sources = rust_files("src").unwrap();
    let found = violations(&sources, &dependencies());
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn every_module_has_a_rule_in_the_order_of_the_flow() {
    let library = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let declared: Vec<&str> =
        library.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let ruled: Vec<&str> = RULES.iter().map(|rule| rule.module).collect();
    assert_eq!(declared, ruled);
    for (place, rule) in RULES.iter().enumerate() {
        for import in rule.imports {
            let above = ruled.iter().position(|module| module == import);
            assert!(
                above.is_some_and(|above| above < place),
                "{} may import {import}, which is not above it",
                rule.module
            );
        }
    }
}

#[test]
fn planted_violations_are_caught() {
    let crates = BTreeSet::from(["tokio_postgres".to_owned(), "handlebars".to_owned(), "serde_json".to_owned()]);
    let check = |path: &str, text: &str| violations(&[(path.to_owned(), text.to_owned())], &crates).join("; ");
    for (path, text, want) in [
        ("src/encode/ndjson.rs", "use crate::source::Cursor;", "src/encode/ndjson.rs names crate::source"),
        ("src/encode/ndjson.rs", "use crate::{row::PgKind, sink};", "src/encode/ndjson.rs names crate::sink"),
        ("src/row/mod.rs", "use super::plan::Program;", "src/row/mod.rs names crate::plan"),
        (
            "src/mapping/yaml/quote.rs",
            "use super::super::super::plan::X;",
            "src/mapping/yaml/quote.rs names crate::plan",
        ),
        ("src/plan/bind.rs", "fn f(c: tokio_postgres::Client) {}", "src/plan/bind.rs names tokio_postgres"),
        ("src/plan/bind.rs", "use ::tokio_postgres;", "src/plan/bind.rs names tokio_postgres"),
        ("src/fhir/codes.rs", "let x = std::fs::read(p);", "src/fhir/codes.rs names std::fs"),
        ("src/fhir/codes.rs", "use std::{fmt, fs};", "src/fhir/codes.rs names std::fs"),
        ("src/other/mod.rs", "", "src/other/mod.rs belongs to no module with a rule"),
    ] {
        assert_eq!(check(path, text), want, "{text}");
    }
    for (path, text) in [
        ("src/encode/ndjson.rs", "use crate::row::PgKind; // not crate::source"),
        ("src/encode/ndjson.rs", "#[cfg(test)]\nmod tests { use crate::source::Cursor; use std::fs; }"),
        ("src/mapping/yaml/quote.rs", "use super::super::source::Span;"),
        ("src/encode/ndjson.rs", "let text = \"crate::source\"; use serde_json::Value; handlebars::Handlebars::new()"),
        ("src/plan/bind.rs", "self.handlebars::<u8>()"),
        ("src/main.rs", "smelt::cli::run()"),
    ] {
        assert_eq!(check(path, text), "", "{text}");
    }
    let with_tests = [
        ("src/sink/mod.rs".to_owned(), "#[cfg(test)]\nmod contract;".to_owned()),
        ("src/sink/contract.rs".to_owned(), "use crate::export::run;".to_owned()),
    ];
    assert_eq!(violations(&with_tests, &crates), [""; 0]);
}

#[test]
fn one_file_rules_hold() {
    let crates = BTreeSet::from(["granit_parser".to_owned()]);
    let check = |path: &str| violations(&[(path.to_owned(), "use granit_parser::Event;".to_owned())], &crates);
    assert_eq!(check("src/config/flat.rs"), [""; 0]);
    assert_eq!(check("src/config/pack.rs"), ["src/config/pack.rs names granit_parser"]);
}

/// Every breach of the rules in these files (path from the root, text).
fn violations(sources: &[(String, String)], crates: &BTreeSet<String>) -> Vec<String> {
    let sources: BTreeMap<&str, String> =
        sources.iter().map(|(path, text)| (path.as_str(), code(text, false))).collect();
    let mut test_only = BTreeSet::new();
    for (path, text) in &sources {
        let directory = path.strip_suffix("/mod.rs").or_else(|| path.strip_suffix(".rs")).unwrap_or(path);
        test_only.extend(test_modules(text).into_iter().map(|name| format!("{directory}/{name}")));
    }
    let mut found = BTreeSet::new();
    for (path, text) in &sources {
        let is_test = test_only
            .iter()
            .any(|test| path.strip_prefix(test.as_str()).is_some_and(|rest| rest == ".rs" || rest.starts_with('/')));
        if is_test || *path == "src/main.rs" || *path == "src/lib.rs" {
            continue;
        }
        let steps: Vec<&str> = path.trim_start_matches("src/").trim_end_matches(".rs").split('/').collect();
        let depth = steps.iter().filter(|step| **step != "mod").count();
        let Some(rule) = RULES.iter().find(|rule| steps.first() == Some(&rule.module)) else {
            found.insert(format!("{path} belongs to no module with a rule"));
            continue;
        };
        for name in names(&without_tests(text), depth) {
            let allowed = match name.strip_prefix("crate::") {
                Some(module) => {
                    module == rule.module
                        || rule.imports.contains(&module)
                        || !RULES.iter().any(|known| known.module == module)
                }
                None if STD_IO.contains(&name.as_str()) => rule.io,
                None if crates.contains(&name) => {
                    let file = steps.last().copied().unwrap_or_default();
                    PURE.contains(&name.as_str())
                        || rule.crates.iter().any(|one| *one == name || *one == format!("{name}@{file}.rs"))
                }
                None => true,
            };
            if !allowed {
                found.insert(format!("{path} names {name}"));
            }
        }
    }
    found.into_iter().collect()
}

/// The first two steps of every path that starts at the crate's root or in `std`, the first step of every other.
/// `depth` is how many `super` lead to the root.
fn names(text: &str, depth: usize) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let bytes = text.as_bytes();
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut at = 0;
    while at < text.len() {
        if !is_word(bytes[at]) {
            at += 1;
            continue;
        }
        let end = text[at..].find(|c: char| !c.is_ascii() || !is_word(c as u8)).map_or(text.len(), |end| at + end);
        let (word, mut rest) = (&text[at..end], &text[end..]);
        let before = text[..at].trim_end();
        at = end;
        // `a::word` and `a.word` do not start a path; `use ::word` does.
        let inside = before.ends_with('.')
            || before.strip_suffix("::").is_some_and(|before| before.ends_with(|c: char| is_word(c as u8) || c == '>'));
        if inside {
            continue;
        }
        let mut supers = usize::from(word == "super");
        while supers > 0 {
            match rest.trim_start().strip_prefix("::").map(str::trim_start).and_then(|rest| rest.strip_prefix("super"))
            {
                Some(next) => {
                    supers += 1;
                    rest = next;
                }
                None => break,
            }
        }
        let root = match word {
            "crate" => "crate",
            "super" if supers == depth => "crate",
            "super" | "self" => continue,
            "std" => "std",
            _ => {
                let path = rest.trim_start().starts_with("::");
                let used = before.ends_with("use") || before.ends_with("use ::") || before.ends_with("extern crate");
                if path || used {
                    found.insert(word.to_owned());
                }
                continue;
            }
        };
        if let Some(rest) = rest.trim_start().strip_prefix("::") {
            found.extend(first_steps(rest.trim_start()).into_iter().map(|step| format!("{root}::{step}")));
        }
    }
    found
}

/// `a` of `a::b`; `a` and `c` of `{a::b, c}`.
fn first_steps(text: &str) -> Vec<&str> {
    let step = |text: &str| text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    let Some(group) = text.strip_prefix('{') else { return vec![&text[..step(text)]] };
    let mut steps = Vec::new();
    let (mut depth, mut fresh) = (0, true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            c if fresh && !c.is_whitespace() => {
                steps.push(&group[at..at + step(&group[at..])]);
                fresh = false;
            }
            _ => {}
        }
    }
    steps
}

/// The crates of Cargo.toml, as paths name them.
fn dependencies() -> BTreeSet<String> {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap_or_default();
    let section = manifest.split("[dependencies]").nth(1).and_then(|rest| rest.split("\n[").next()).unwrap_or_default();
    section.lines().filter_map(|line| Some(line.split_once(" = ")?.0.trim().replace('-', "_"))).collect()
}

#[test]
fn every_dependency_is_placed() {
    let crates = dependencies();
    assert!(crates.len() > 20, "{crates:?}");
    let placed: BTreeSet<&str> =
        RULES.iter().flat_map(|rule| rule.crates).chain(PURE).map(|one| one.split('@').next().unwrap_or(one)).collect();
    let lost: Vec<&String> = crates.iter().filter(|name| !placed.contains(name.as_str())).collect();
    assert!(lost.is_empty(), "no module may use {lost:?}: remove it from Cargo.toml or place it in RULES");
}
