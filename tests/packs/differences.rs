//! Two resources element by element, and the differences that the pack's README explains.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;

use super::store::text;
use crate::rust_text::root;

/// How ours differs from theirs, in the order of the README's columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Theirs,
    Ours,
    Coarser,
    Other,
}

/// Type, kind and path.
pub(super) type Difference = (String, Kind, String);

/// What was found, with an example each.
pub(super) type Found = BTreeMap<Difference, String>;

/// The table in the pack's README: a row per type, a cell per kind, paths in backticks.
pub(super) fn explained() -> BTreeSet<Difference> {
    let page = fs::read_to_string(root().join("mappings/synthea/README.md")).expect("the pack's page");
    let table = page.split_once("| type | theirs only |").expect("the table of differences").1;
    let kinds = [Kind::Theirs, Kind::Ours, Kind::Coarser, Kind::Other];
    let mut listed = BTreeSet::new();
    for row in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 5, "{row}");
        for (kind, cell) in kinds.into_iter().zip(&cells[1..]) {
            for path in cell.split('`').skip(1).step_by(2) {
                listed.insert((cells[0].to_owned(), kind, path.to_owned()));
            }
        }
    }
    listed
}

/// Collects the differences between two resources of one type.
pub(super) fn compare(name: &str, theirs: &Value, ours: &Value, found: &mut Found) {
    let example = text(ours, "/id").unwrap_or_default();
    let mut emit = |kind, path: &str, theirs: &Value, ours: &Value| {
        let key = (name.to_owned(), kind, path.to_owned());
        found.entry(key).or_insert_with(|| format!("{example}: theirs {theirs}, ours {ours}"));
    };
    objects("", theirs, ours, &mut emit);
}

type Emit<'a> = &'a mut dyn FnMut(Kind, &str, &Value, &Value);

fn objects(path: &str, theirs: &Value, ours: &Value, emit: Emit<'_>) {
    let names = |value: &Value| value.as_object().map(|members| members.keys().cloned().collect()).unwrap_or_default();
    let mut all: BTreeSet<String> = names(theirs);
    all.append(&mut names(ours));
    for name in all {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        values(&path, &theirs[&name], &ours[&name], emit);
    }
}

fn values(path: &str, theirs: &Value, ours: &Value, emit: Emit<'_>) {
    let empty = Vec::new();
    match (theirs, ours) {
        (Value::Object(_), Value::Object(_)) => objects(path, theirs, ours, emit),
        (Value::Array(left), Value::Array(right)) => lists(path, left, right, emit),
        (Value::Array(left), Value::Null) if slice(path, &left[0]).is_some() => lists(path, left, &empty, emit),
        (Value::Null, Value::Array(right)) if slice(path, &right[0]).is_some() => lists(path, &empty, right, emit),
        (_, Value::Null) => {
            if !is_edition(path, theirs) {
                emit(Kind::Theirs, path, theirs, ours);
            }
        }
        (Value::Null, _) => emit(Kind::Ours, path, theirs, ours),
        (Value::Number(left), Value::Number(right)) => {
            let (left, right) = (left.as_f64().unwrap_or(f64::NAN), right.as_f64().unwrap_or(f64::NAN));
            // The tables have one decimal, the bundles four digits of an income.
            match (left - right).abs() {
                0.0 => {}
                off if off < f64::max(0.051, left * 0.0005) => emit(Kind::Coarser, path, theirs, ours),
                _ => emit(Kind::Other, path, theirs, ours),
            }
        }
        (Value::String(left), Value::String(right)) => {
            if left == right || left.replace(',', " ") == *right {
            } else if is_time(left) && (left.get(..10) == Some(right) || without_fraction(left) == *right) {
                emit(Kind::Coarser, path, theirs, ours);
            } else {
                emit(Kind::Other, path, theirs, ours);
            }
        }
        _ if theirs == ours => {}
        _ => emit(Kind::Other, path, theirs, ours),
    }
}

/// Items with a name of their own are compared by it, the others in their order.
fn lists(path: &str, theirs: &[Value], ours: &[Value], emit: Emit<'_>) {
    let mut rest: Vec<(Option<String>, &Value)> =
        ours.iter().map(|item| (slice(path, item).or_else(|| key(path, item)), item)).collect();
    for item in theirs {
        let (slice, key) = (slice(path, item), key(path, item));
        let named = slice.clone().or(key);
        let path = slice.map_or_else(|| path.to_owned(), |name| format!("{path}:{name}"));
        match rest.iter().position(|(name, _)| *name == named) {
            Some(at) => values(&path, item, rest.remove(at).1, emit),
            None => emit(Kind::Theirs, &path, item, &Value::Null),
        }
    }
    for (_, item) in rest {
        let path = slice(path, item).map_or_else(|| path.to_owned(), |name| format!("{path}:{name}"));
        emit(Kind::Ours, &path, &Value::Null, item);
    }
}

/// The name of an item that is a thing of its own; it is part of the path.
fn slice(path: &str, item: &Value) -> Option<String> {
    let name = match path.rsplit('.').next()? {
        "profile" => item.as_str()?,
        "extension" => text(item, "/url")?,
        "identifier" => text(item, "/system")?,
        "adjudication" | "total" => text(item, "/category/coding/0/code")?,
        _ => return None,
    };
    Some(name.rsplit('/').next()?.to_owned())
}

/// What tells items of one kind apart where their order means nothing.
fn key(path: &str, item: &Value) -> Option<String> {
    let code = match path.rsplit('.').next()? {
        "component" => "/code/coding/0/code",
        "reaction" => "/manifestation/0/coding/0/code",
        "item" => "/productOrService/coding/0/code",
        _ => return None,
    };
    text(item, code).map(str::to_owned)
}

/// The edition of SNOMED CT, which the tables do not say.
fn is_edition(path: &str, theirs: &Value) -> bool {
    path.ends_with("coding.version") && theirs == "http://snomed.info/sct/731000124108"
}

fn is_time(text: &str) -> bool {
    text.as_bytes().get(10) == Some(&b'T')
}

fn without_fraction(time: &str) -> String {
    let Some((seconds, rest)) = time.split_once('.') else { return time.to_owned() };
    format!("{seconds}{}", rest.trim_start_matches(|c: char| c.is_ascii_digit()))
}

#[test]
fn a_difference_has_a_kind_and_a_path() {
    let theirs = serde_json::json!({"id": "1", "at": "2020-01-01T10:00:00.5-05:00", "day": "2020-01-01T10:00:00-05:00",
        "n": 27.49, "m": 3, "code": {"coding": [{"version": "http://snomed.info/sct/731000124108", "display": "a, b"}]},
        "extension": [{"url": "x/one"}, {"url": "x/two", "v": 1}], "gone": 1});
    let ours = serde_json::json!({"id": "1", "at": "2020-01-01T10:00:00-05:00", "day": "2020-01-01", "n": 27.5, "m": 4,
        "code": {"coding": [{"display": "a  b"}]}, "extension": [{"url": "x/two", "v": "1"}, {"url": "x/new"}]});
    let mut found = Found::new();
    compare("T", &theirs, &ours, &mut found);
    let found: Vec<(Kind, &str)> = found.keys().map(|(_, kind, path)| (*kind, path.as_str())).collect();
    assert_eq!(
        found,
        [
            (Kind::Theirs, "extension:one"),
            (Kind::Theirs, "gone"),
            (Kind::Ours, "extension:new"),
            (Kind::Coarser, "at"),
            (Kind::Coarser, "day"),
            (Kind::Coarser, "n"),
            (Kind::Other, "extension:two.v"),
            (Kind::Other, "m"),
        ]
    );
}
