//! Every clause of the Bulk Data service: what became of it, and which tests say so.
//!
//! `docs/conformance.toml` is the list; a test takes a clause on by naming it in a comment, above the test or in it:
//! `// K-11, T-35: why`.
//! `BLESS=1 cargo test conformance` writes the page anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::rust_text::{root, rust_files};

const LIST: &str = "docs/conformance.toml";
const PAGE: &str = "docs/src/reference/conformance.md";

/// Heading, letter, and numbers from and to.
type Section = (&'static str, char, &'static [(u32, u32)]);

/// Every clause there is.
const CLAUSES: &[Section] = &[
    ("Kick-off and its parameters", 'K', &[(1, 26), (30, 69)]),
    ("Status", 'S', &[(1, 20)]),
    ("Manifest", 'M', &[(1, 20)]),
    ("Files", 'F', &[(1, 17), (20, 23)]),
    ("Delete", 'D', &[(1, 5)]),
    ("Groups", 'G', &[(1, 3), (10, 17)]),
    ("Authorization", 'A', &[(1, 32)]),
    ("CapabilityStatement", 'C', &[(1, 10)]),
    ("Bulk Publish", 'P', &[(1, 7)]),
    ("Outcomes", 'O', &[(1, 5)]),
    ("Limits", 'R', &[(1, 4)]),
    ("Security", 'X', &[(1, 10)]),
    ("What clients depend on", 'T', &[(1, 42)]),
];

/// One line of the list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Clause {
    strength: Strength,
    title: String,
    status: Option<Status>,
    reason: Option<String>,
    #[serde(default)]
    evidence: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Strength {
    #[serde(rename = "SHALL", alias = "REQUIRED")]
    Shall,
    #[serde(rename = "SHALL NOT")]
    ShallNot,
    #[serde(rename = "SHOULD", alias = "RECOMMENDED")]
    Should,
    #[serde(rename = "SHOULD NOT")]
    ShouldNot,
    #[serde(rename = "MAY")]
    May,
    #[serde(rename = "own")]
    Own,
}

impl Strength {
    fn word(self) -> &'static str {
        match self {
            Self::Shall => "SHALL",
            Self::ShallNot => "SHALL NOT",
            Self::Should => "SHOULD",
            Self::ShouldNot => "SHOULD NOT",
            Self::May => "MAY",
            Self::Own => "own",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Status {
    Built,
    Open,
    NotApplicable,
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Self::Built => "built",
            Self::Open => "open",
            Self::NotApplicable => "not applicable",
        }
    }
}

fn ids() -> Vec<String> {
    let of = |letter: char, ranges: &[(u32, u32)]| -> Vec<String> {
        ranges.iter().flat_map(|(from, to)| *from..=*to).map(|number| format!("{letter}-{number:02}")).collect()
    };
    CLAUSES.iter().flat_map(|(_, letter, ranges)| of(*letter, ranges)).collect()
}

fn list() -> BTreeMap<String, Clause> {
    let mut list = BTreeMap::new();
    for (id, clause) in entries(LIST) {
        assert!(list.insert(id.clone(), clause).is_none(), "{LIST} has {id} twice");
    }
    list
}

/// A list is TOML, an entry on a line: as little of the language as it needs is read.
pub(crate) fn entries<T: DeserializeOwned>(path: &str) -> Vec<(String, T)> {
    let text = fs::read_to_string(root().join(path)).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| entry(line).unwrap_or_else(|| panic!("{path} has a line of another form: {line}"))).collect()
}

/// `K-01 = { key = "value", key = ["value"] }`
fn entry<T: DeserializeOwned>(line: &str) -> Option<(String, T)> {
    let (id, rest) = line.split_once(" = { ")?;
    let mut rest = rest.strip_suffix(" }")?;
    let mut members = serde_json::Map::new();
    while !rest.is_empty() {
        let (key, after) = rest.split_once(" = ")?;
        let mut values = serde_json::Deserializer::from_str(after).into_iter();
        members.insert(key.to_owned(), values.next()?.ok()?);
        rest = &after[values.byte_offset()..];
        rest = rest.strip_prefix(", ").unwrap_or(rest);
    }
    Some((id.to_owned(), serde_json::from_value(members.into()).ok()?))
}

/// Clause, and the tests that name it, each as `path name`.
pub(crate) type Named = BTreeMap<String, BTreeSet<String>>;

pub(crate) fn named() -> Named {
    let mut named = Named::new();
    for directory in ["src", "tests"] {
        let files = rust_files(directory).unwrap();
        // This file names clauses as samples.
        for (path, text) in files.into_iter().filter(|(path, _)| path != "tests/conformance.rs") {
            for (id, test) in citations(&text) {
                named.entry(id).or_default().insert(format!("{path} {test}"));
            }
        }
    }
    named
}

/// Clauses in comments of tests, with the name of the test: the function below the comment, or the one around it.
fn citations(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let (mut waiting, mut attribute, mut test) = (Vec::new(), false, None::<(&str, usize)>);
    for whole in text.lines() {
        let line = whole.trim_start();
        let indent = whole.len() - line.len();
        if let Some(comment) = line.strip_prefix("//").filter(|rest| !rest.starts_with('!')) {
            waiting.extend(ids_in(comment).into_iter().map(|id| (id, indent)));
        } else if line.starts_with("#[") {
            attribute |= line.contains("test]") || line.contains("test(");
        } else if let Some(name) = function(line) {
            test = std::mem::take(&mut attribute).then_some((name, indent));
            found.extend(waiting.drain(..).filter_map(|(id, _)| Some((id, test?.0.to_owned()))));
        } else if !line.is_empty() {
            let inside =
                |(id, at): (String, usize)| test.filter(|test| test.1 < at).map(|test| (id, test.0.to_owned()));
            found.extend(waiting.drain(..).filter_map(inside));
        }
    }
    found
}

/// `name` of `pub async fn name(`.
fn function(line: &str) -> Option<&str> {
    let words = ["pub ", "pub(crate) ", "pub(super) ", "const ", "async "];
    let line = words.iter().fold(line, |line, word| line.strip_prefix(word).unwrap_or(line));
    line.strip_prefix("fn ")?.split(['(', '<']).next()
}

/// `K-11` and the like among the words of a comment.
fn ids_in(comment: &str) -> Vec<String> {
    let is_id = |word: &&str| {
        let bytes = word.as_bytes();
        bytes.len() == 4
            && CLAUSES.iter().any(|(_, letter, _)| word.starts_with(*letter))
            && bytes[1] == b'-'
            && bytes[2..].iter().all(u8::is_ascii_digit)
    };
    comment.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').filter(is_id).map(str::to_owned).collect()
}

#[test]
fn citations_are_found_where_they_stand() {
    let text = "\
        // K-01, T-37: why\n#[test]\nfn a() {\n    // K-02\n    x(); // K-03\n}\n// K-04\nfn helper() {\n    // K-05\n}\n\
        //! K-06\n/// S-01\n\n#[tokio::test]\nasync fn b() {}\n// UTF-80 XK-07 K-7 K-08\n#[actix_web::test]\n#[ignore]\n\
        pub async fn c() {}\n/// K-09\nstruct D;\n";
    let found = citations(text);
    let shown: Vec<String> = found.iter().map(|(id, test)| format!("{id} {test}")).collect();
    assert_eq!(shown, ["K-01 a", "T-37 a", "K-02 a", "S-01 b", "K-08 c"]);
}

#[test]
fn the_list_is_whole_and_honest() {
    let (list, named) = (list(), named());
    let ids = ids();
    let known: BTreeSet<&String> = ids.iter().collect();
    let mut found = Vec::new();
    found.extend(ids.iter().filter(|id| !list.contains_key(*id)).map(|id| format!("{id} is not in {LIST}")));
    found.extend(list.keys().filter(|id| !known.contains(id)).map(|id| format!("{id} is no clause")));
    for (id, tests) in named.iter().filter(|(id, _)| !known.contains(id)) {
        found.push(format!("{id} is no clause, and {tests:?} names it"));
    }
    for (id, clause) in &list {
        if clause.title.is_empty() || clause.title.ends_with('.') {
            found.push(format!("{id}: a title, without a full stop"));
        }
        if clause.status.is_some() && clause.reason.as_ref().is_none_or(String::is_empty) {
            found.push(format!("{id}: a status of its own wants a reason"));
        }
        if clause.status == Some(Status::Built) && !named.contains_key(id) && clause.evidence.is_empty() {
            found.push(format!("{id} is built, and neither a test nor a page says so"));
        }
        for path in clause.evidence.iter().filter(|path| !root().join(path).exists()) {
            found.push(format!("{id}: there is no {path}"));
        }
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn nothing_owed_is_open() {
    let (list, named) = (list(), named());
    let is_open = |(id, clause): &(&String, &Clause)| {
        status(id, clause, &named) == Status::Open && clause.strength != Strength::May
    };
    let open: Vec<&String> = list.iter().filter(is_open).map(|(id, _)| id).collect();
    assert!(open.is_empty(), "owed, and open: {open:?}");
}

/// What became of a clause: as the list says, or else as tests do.
fn status(id: &str, clause: &Clause, named: &Named) -> Status {
    let shown = named.contains_key(id) || !clause.evidence.is_empty();
    clause.status.unwrap_or(if shown { Status::Built } else { Status::Open })
}

#[test]
fn the_page_is_fresh() {
    keeps_fresh(PAGE, &page(&list(), &named()));
}

/// Fails when a page is not `want`; writes it where `BLESS` is set.
pub(crate) fn keeps_fresh(page: &str, want: &str) {
    let path = root().join(page);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, want).unwrap();
    }
    let have = fs::read_to_string(&path).unwrap_or_default();
    assert!(have == want, "{page} is stale; run `BLESS=1 cargo test the_page_is_fresh`");
}

fn page(list: &BTreeMap<String, Clause>, named: &Named) -> String {
    let mut page = String::from(
        "# Conformance\n\n\
         The clauses of the Bulk Data service: of the Bulk Data Access guide 1.0 to 3.0 and the draft of 4.0, of SMART\n\
         Backend Services, of what published clients depend on, and rules of our own. A clause is *built* when a test\n\
         shows it; *open* is missing. The page is made from `docs/conformance.toml` and the comments of tests.\n\n",
    );
    let all = [Status::Built, Status::Open, Status::NotApplicable];
    page.push_str("| | built | open | not applicable |\n|---|---|---|---|\n");
    for (title, letter, _) in CLAUSES {
        let of = |(id, clause): (&String, &Clause)| id.starts_with(*letter).then(|| status(id, clause, named));
        let have: Vec<Status> = list.iter().filter_map(of).collect();
        let counts = all.map(|one| have.iter().filter(|status| **status == one).count().to_string());
        let _ = writeln!(page, "| {title} | {} |", counts.join(" | "));
    }
    for (title, letter, _) in CLAUSES {
        let _ = write!(
            page,
            "\n## {title}\n\n| clause | strength | what | status | tests, reason |\n|---|---|---|---|---|\n"
        );
        for (id, clause) in list.iter().filter(|(id, _)| id.starts_with(*letter)) {
            let tests = named.get(id).into_iter().flatten();
            let tests = tests.map(|test| format!("`{}`", test.rsplit(' ').next().unwrap_or(test)));
            let pages = clause.evidence.iter().map(|path| format!("`{path}`"));
            let mut shown: Vec<String> = tests.chain(pages).collect();
            shown.sort();
            shown.dedup();
            let notes = [clause.reason.clone().unwrap_or_default(), shown.join(", ")];
            let notes: Vec<String> = notes.into_iter().filter(|note| !note.is_empty()).collect();
            let status = status(id, clause, named).word();
            let (strength, title) = (clause.strength.word(), clause.title.replace('|', "\\|"));
            let _ = writeln!(page, "| {id} | {strength} | {title} | {status} | {} |", notes.join(" "));
        }
    }
    page
}
