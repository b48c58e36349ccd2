//! The language by example: each directory beside this file is a pack, a database and what comes of it.
//!
//! `schema.sql` makes the database, `mappings/` and `sql/` are the pack, `expected.ndjson` is every line of the export
//! (resources, deletions, outcomes) and `expected.txt` the diagnostics; each is missing where there are none. `request.txt` may ask for less, one parameter
//! per line: `type`, `since`, `until`, `patient`, `elements`, and `pack` for a pack below `mappings/`.
//! `BLESS=1 cargo test mappings` writes what is expected anew; `CASE=name` runs one.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use smelt::bulk::Parameters;
use smelt::config::read_pack;

use crate::rust_text::root;
use crate::support::database::Database;
use crate::support::pack::{Refused, run, runtime};

fn cases() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("tests/mappings")).unwrap();
    let mut cases: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    if let Ok(only) = std::env::var("CASE") {
        cases.retain(|case| case.ends_with(&only));
    }
    cases.sort();
    assert!(!cases.is_empty(), "no such case");
    cases
}

// M-10, M-11, M-12, T-15, K-36, S-07, F-05: cases of deletions, of increments, of rows that cannot be mapped.
#[test]
fn every_case_gives_what_it_says() {
    let cases = cases();
    // Each waits for the server most of the time.
    let queue = std::sync::Mutex::new(cases.iter());
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let work = || {
            let mut wrong = Vec::new();
            loop {
                let next = queue.lock().unwrap().next();
                let Some(case) = next else { return wrong };
                wrong.extend(differs(case));
            }
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.concat());
}

/// What is not as it should be, in words.
fn differs(case: &Path) -> Option<String> {
    let (asked, pack) = request(case);
    let files = read_pack(&case.join("mappings").join(pack)).unwrap();
    let runtime = runtime();
    let database = runtime.block_on(async {
        let database = Database::with_options("template template0").await;
        let schema = fs::read_to_string(case.join("schema.sql")).unwrap();
        database
            .client()
            .await
            .batch_execute(&schema)
            .await
            .unwrap_or_else(|error| panic!("{}: {error:?}", case.display()));
        database
    });
    let (lines, diagnostics) = match run(&runtime, database.dsn(), &files, &asked) {
        Ok(ran) => (ran.ndjson(), ran.warnings),
        Err(Refused::Diagnostics(text)) => (String::new(), text),
        Err(Refused::Failed(error)) => (String::new(), format!("the export failed: {error}\n")),
    };
    let compare = |name: &str, have: &str| {
        let path = case.join(name);
        if std::env::var_os("BLESS").is_some() {
            drop(fs::remove_file(&path));
            if !have.is_empty() {
                fs::write(&path, have).unwrap();
            }
        }
        let want = fs::read_to_string(&path).unwrap_or_default();
        if have == want { String::new() } else { difference(&path, &want, have) }
    };
    let wrong = compare("expected.ndjson", &lines) + &compare("expected.txt", &diagnostics);
    (!wrong.is_empty()).then_some(wrong)
}

fn request(case: &Path) -> (Parameters, String) {
    let mut asked = Parameters::default();
    let mut pack = String::new();
    let text = fs::read_to_string(case.join("request.txt")).unwrap_or_default();
    for line in text.lines() {
        let (name, value) = line.split_once(' ').unwrap_or((line, ""));
        let value = value.to_owned();
        match name {
            "type" => asked.types.push(value),
            "patient" => asked.patients.push(value),
            "since" => asked.since = Some(value),
            "until" => asked.until = Some(value),
            "elements" => asked.elements.push(value),
            "pack" => pack = value,
            _ => panic!("{}: no parameter `{name}`", case.display()),
        }
    }
    (asked, pack)
}

fn difference(case: &Path, want: &str, have: &str) -> String {
    let mut text = format!("\n--- {}\n", case.strip_prefix(root().join("tests/mappings")).unwrap_or(case).display());
    let (want, have): (Vec<&str>, Vec<&str>) = (want.lines().collect(), have.lines().collect());
    for line in 0..want.len().max(have.len()) {
        let (want, have) = (want.get(line), have.get(line));
        if want != have {
            let _ = write!(text, "line {}\n  want {}\n  have {}\n", line + 1, or_none(want), or_none(have));
        }
    }
    text
}

fn or_none<'a>(line: Option<&&'a str>) -> &'a str {
    line.copied().unwrap_or("nothing")
}

#[test]
fn a_difference_is_seen() {
    let text = difference(Path::new("a/b"), "same\nx\n", "same\ny\nz\n");
    assert_eq!(text, "\n--- a/b\nline 2\n  want x\n  have y\nline 3\n  want nothing\n  have z\n");
}
