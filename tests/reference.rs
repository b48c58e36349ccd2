//! The compiled program and the slow reference (`support/reference`) make the same resources of the same rows.

use std::collections::BTreeMap;

use serde_json::Value;
use smelt::fixture::{Json, Written, batches, write};
use smelt::plan::compile::compile;

use crate::support::generate::Generator;
use crate::support::packs::{Ready, of_texts, shipped};
use crate::support::reference::{Reference, difference};

/// Rows per mapping. `REFERENCE_ROWS=100000 cargo test reference` looks longer.
fn row_count() -> usize {
    std::env::var("REFERENCE_ROWS").map_or(10_000, |text| text.parse().unwrap())
}

/// What came of a comparison.
#[derive(Default)]
struct Compared {
    made: usize,
    rejected: usize,
    /// One example of each kind of difference.
    differences: BTreeMap<String, String>,
}

impl Compared {
    fn report(&self) -> String {
        self.differences.iter().fold(String::new(), |text, (path, example)| text + path + "\n" + example + "\n")
    }
}

/// Compares every mapping of a pack over this many rows each.
fn compare(ready: &Ready, rows: usize) -> Compared {
    let (compiled, diagnostics) = compile(&ready.pack, &ready.sources, &ready.catalog);
    let errors = smelt::mapping::render::text(&diagnostics, &ready.sources, false);
    assert_eq!(compiled.len(), ready.pack.mappings.len(), "{errors}");
    let mut compared = Compared::default();
    for (mapping, compiled) in ready.pack.mappings.iter().zip(&compiled) {
        assert_eq!(mapping.name, compiled.mapping);
        let reference = Reference::new(&ready.pack, mapping, &ready.catalog);
        let rows = Generator::new(&ready.pack, mapping, &ready.catalog, 7).rows(rows);
        let written = write(compiled, batches(compiled, mapping, &ready.catalog, &rows).unwrap()).unwrap();
        assert_eq!(written.len(), rows.len(), "{}: every row is a resource or a reject", mapping.name);
        for (row, written) in rows.iter().zip(written) {
            let difference = match (reference.resource(row), written) {
                (Ok(want), Written::Resource(line)) => {
                    compared.made += 1;
                    let got = Json::parse(&line).unwrap_or_else(|| panic!("no JSON: {line}"));
                    let difference = difference(&want, &got, &mapping.resource_type);
                    difference.or_else(|| unclean(&line).map(|what| (what, String::new(), line)))
                }
                (Err(_), Written::Rejected(_)) => {
                    compared.rejected += 1;
                    None
                }
                (Ok(_), Written::Rejected(path)) => {
                    Some((path.clone(), "a resource".to_owned(), "a reject".to_owned()))
                }
                (Err(path), Written::Resource(line)) => Some((path, "a reject".to_owned(), line)),
            };
            if let Some((path, want, got)) = difference {
                let columns = &ready.catalog.rows[&mapping.name].columns;
                let values = columns
                    .iter()
                    .zip(&row.values)
                    .filter_map(|(column, value)| Some(format!("{}={:?}", column.name, value.as_ref()?)));
                let values = values.collect::<Vec<_>>().join(" ");
                let example = format!("want {want}\ngot  {got}\nof   {values}\n     {:?}\n", row.lists);
                compared.differences.entry(path).or_insert(example);
            }
        }
    }
    compared
}

/// Where the line is not one JSON value without `null`, `""`, `{}` and `[]`.
fn unclean(line: &str) -> Option<String> {
    fn empty(value: &Value) -> bool {
        match value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty() || items.iter().any(empty),
            Value::Object(members) => members.is_empty() || members.values().any(empty),
            Value::Bool(_) | Value::Number(_) => false,
        }
    }
    match serde_json::from_str(line) {
        Ok(value) => empty(&value).then(|| "something empty is written".to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

/// Compares a pack under every policy.
fn compare_policies(mut ready: Ready, rows: usize) {
    let mut report = String::new();
    for (missing, invalid) in [(false, true), (false, false), (true, true), (true, false)] {
        ready.pack.project.policy.reject_missing = missing;
        ready.pack.project.policy.reject_invalid = invalid;
        let compared = compare(&ready, rows);
        let (made, rejected) = (compared.made, compared.rejected);
        assert!(made > rows / 20 && rejected > 0, "{made} resources and {rejected} rejects show little");
        let found = compared.report();
        if !found.is_empty() {
            let heading = format!("== reject missing: {missing}, reject invalid: {invalid}\n");
            report += &heading;
            report += &found;
        }
    }
    assert!(report.is_empty(), "{report}");
}

macro_rules! torture {
    ($($path:literal),* $(,)?) => {
        &[$((concat!("mappings/", $path), include_str!(concat!("torture/", $path)))),*]
    };
}

/// A pack that uses every construct of the language, some of them as nobody should.
const TORTURE: &[(&str, &str)] = torture![
    "project.yaml",
    "patient.yaml",
    "observation.yaml",
    "practitioner-role.yaml",
    "provenance.yaml",
    "value-set.yaml",
    "codes/kind.csv",
    "codes/marital.csv",
    "codes/language.csv",
    "codes/relation.csv",
    "codes/sex.csv",
    "codes/status.csv",
    "codes/category.csv",
    "codes/answer.csv",
    "codes/number.csv",
    "codes/absent.csv",
    "codes/same.csv",
    "codes/text.csv",
    "codes/coding.csv",
    "codes/profile.csv",
];

const COLUMNS: &[(&str, &[&str])] = &[
    (
        "patient",
        &[
            "site text",
            "id integer",
            "updated_at timestamptz",
            "active boolean",
            "assigner text",
            "code text",
            "seen timestamp",
            "family text",
            "given text[]",
            "prefix character",
            "born date",
            "phone text",
            "phones jsonb",
            "numbers integer[]",
            "use text",
            "gender text",
            "dead boolean",
            "dead_at timestamptz",
            "dead_on date",
            "home json",
            "addresses_json jsonb",
            "marital character",
            "language text",
            "preferred boolean",
            "other_ref text",
            "other text",
            "link_type text",
            "gp integer",
            "gp_name text",
            "score numeric",
            "ratio double precision",
            "single real",
            "count bigint",
            "small smallint",
            "big bigint",
            "at_time time",
            "seen_at timestamptz",
            "photo bytea",
            "link text",
            "when_text text",
        ],
    ),
    ("patient/names", &["site text", "id integer", "n integer", "use text", "family text", "first text"]),
    (
        "patient/contacts",
        &[
            "site text",
            "id integer",
            "rank numeric",
            "n bigint",
            "relation text",
            "name text",
            "use text",
            "org integer",
            "gender text",
        ],
    ),
    ("patient/contacts/points", &["contact bigint", "kind text", "value text", "rank integer"]),
    (
        "observation",
        &[
            "id uuid",
            "kind text",
            "profile text",
            "status text",
            "category text",
            "code text",
            "name text",
            "site text",
            "patient integer",
            "patient_name text",
            "visit text",
            "taken_local timestamp",
            "taken_on date",
            "taken_at timestamptz",
            "num numeric",
            "unit text",
            "comparator text",
            "answer text",
            "flag boolean",
            "text text",
            "absent text",
            "flag_code text",
            "note text",
            "author text",
            "small smallint",
            "tags text[]",
            "site_code text",
            "site_name text",
            "method smallint",
            "low numeric",
            "high numeric",
            "part text",
            "device_id uuid",
        ],
    ),
    (
        "practitioner-role",
        &["key integer", "from_on date", "to_on date", "json_codes json", "opens time", "reason text", "labels text[]"],
    ),
    ("practitioner-role/days", &["role integer", "day text", "all_day boolean", "opens time"]),
    (
        "provenance",
        &["id integer", "site text", "patient integer", "recorded timestamptz", "kind text", "who text", "what text"],
    ),
    ("provenance/agents", &["provenance integer", "n integer", "role text", "who text"]),
    ("value-set", &["id integer", "name text", "locked date", "version text", "expanded timestamptz"]),
    ("value-set/systems", &["value_set integer", "n integer", "system text", "property text", "display text"]),
    ("value-set/systems/concepts", &["system integer", "code text", "display text"]),
];

#[test]
fn every_construct() {
    compare_policies(of_texts(TORTURE, COLUMNS), row_count());
}

#[test]
fn the_synthea_pack() {
    let report = compare(&shipped("synthea"), row_count()).report();
    assert!(report.is_empty(), "{report}");
}
