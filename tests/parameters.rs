//! Every parameter of a kick-off, at every level: what it does, and which tests say so.
//!
//! `docs/parameters.toml` is the list; the tests are those that name the clauses ([`conformance`](crate::conformance)).
//! `BLESS=1 cargo test parameters` writes the page anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::Deserialize;

use crate::conformance::{Named, entries, keeps_fresh, named};

const LIST: &str = "docs/parameters.toml";
const PAGE: &str = "docs/src/reference/parameters.md";
const LEVELS: [&str; 3] = ["system", "patient", "group"];

/// What a parameter does at a level.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Behaviour {
    does: String,
    clauses: Vec<String>,
}

/// `parameter@level`, or `parameter@all` where it does the same at every level.
fn list() -> Vec<(String, String, Behaviour)> {
    let split = |(key, behaviour): (String, Behaviour)| {
        let (parameter, level) = key.split_once('@').unwrap_or_else(|| panic!("{LIST} has no level in {key}"));
        (parameter.to_owned(), level.to_owned(), behaviour)
    };
    entries(LIST).into_iter().map(split).collect()
}

#[test]
fn every_parameter_says_what_it_does_at_every_level() {
    let (list, named) = (list(), named());
    let mut found = Vec::new();
    let parameters: BTreeSet<&String> = list.iter().map(|(parameter, ..)| parameter).collect();
    for parameter in parameters {
        let mut levels: Vec<&str> =
            list.iter().filter(|(name, ..)| name == parameter).map(|(_, level, _)| level.as_str()).collect();
        levels.sort_unstable();
        if levels != ["all"] && levels != ["group", "patient", "system"] {
            found.push(format!("{parameter}: levels {levels:?}"));
        }
    }
    for (parameter, level, behaviour) in &list {
        if behaviour.clauses.is_empty() || behaviour.does.is_empty() {
            found.push(format!("{parameter} at {level}: says nothing"));
        }
        for clause in behaviour.clauses.iter().filter(|clause| !named.contains_key(*clause)) {
            found.push(format!("{parameter} at {level}: no test names {clause}"));
        }
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn the_page_is_fresh() {
    keeps_fresh(PAGE, &page(&list(), &named()));
}

fn page(list: &[(String, String, Behaviour)], named: &Named) -> String {
    let mut page = String::from(
        "# Parameters by level\n\n\
         What a parameter of a kick-off does at each level, the [clauses](conformance.md) that say so, and the tests that\n\
         show it. [Kick-off](kick-off.md) tells how they are written. The page is made from `docs/parameters.toml` and the\n\
         comments of tests.\n\n\
         | parameter | level | behaviour | clauses | tests |\n|---|---|---|---|---|\n",
    );
    for (parameter, level, behaviour) in list {
        let levels = if level == "all" { LEVELS.join(", ") } else { level.clone() };
        let of_clause = |clause| named.get(clause).into_iter().flatten();
        let tests: BTreeSet<String> = behaviour
            .clauses
            .iter()
            .flat_map(of_clause)
            .map(|test| format!("`{}`", test.rsplit(' ').next().unwrap_or(test)))
            .collect();
        let tests = tests.into_iter().collect::<Vec<_>>().join(", ");
        let does = behaviour.does.replace('|', "\\|");
        let _ = writeln!(page, "| `{parameter}` | {levels} | {does} | {} | {tests} |", behaviour.clauses.join(", "));
    }
    page
}
