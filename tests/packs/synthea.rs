//! The shipped pack exports the whole demo store: nothing lost, nothing twice, nothing dangling.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;
use smelt::bulk::report::IdProof;

use super::store::{Exported, decoded, demo, export, smelt, text};
use crate::support::database::Database;

/// Rows of a mapping, counted without the pack's own SQL.
const ROWS: [(&str, &str); 30] = [
    ("allergy-intolerance", "allergies"),
    (
        "blood-pressure",
        "(select generate_series(1, greatest(count(*) filter (where code = '8480-6'), count(*) filter (where code = '8462-4'))) \
         from observations group by patient, encounter, date) readings",
    ),
    ("care-plan", "careplans"),
    ("care-team", "careplans"),
    ("claim", "claims"),
    ("condition", "conditions"),
    ("coverage", "payer_transitions"),
    ("device", "devices"),
    ("diagnostic-report", "diagnostic_reports"),
    ("document-reference", "clinical_notes"),
    ("encounter", "encounters"),
    ("explanation-of-benefit", "claims"),
    ("group", "cohorts"),
    ("imaging-study", "(select distinct id from imaging_studies) studies"),
    ("immunization", "immunizations"),
    ("location", "organizations"),
    ("medication", "(select distinct code from medications where GIVEN) drugs"),
    ("medication-administration", "medications where GIVEN"),
    ("medication-request", "medications"),
    ("note-report", "clinical_notes"),
    ("observation", "observations where code <> '8480-6' and code <> '8462-4'"),
    ("organization", "organizations"),
    ("patient", "patients"),
    ("payer", "payers"),
    ("practitioner", "providers"),
    ("practitioner-role", "providers"),
    ("procedure", "procedures"),
    ("provenance", "encounters where provider is not null and organization is not null"),
    ("secondary-coverage", "payer_transitions where secondary_payer is not null"),
    ("supply-delivery", "supplies"),
];

/// Dose forms that a clinician gives.
const GIVEN: &str = "(description like any (array['%Injection', '%Injection [%', '%Drug Implant', '%Drug Implant [%', \
                     '%Intrauterine System', '%Intrauterine System [%']))";

#[tokio::test]
async fn the_pack_fits_the_store() {
    let output = smelt(demo().await, "validate", &["--format", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((output.status.code(), report["diagnostics"].as_array().map(Vec::len)), (Some(0), Some(0)), "{report}");
}

// M-07, M-09, T-27, T-40, F-02, F-04, K-25, T-01
#[tokio::test]
async fn a_whole_export_is_whole() {
    let database = demo().await;
    let exported = export(database, &["--workers", "3", "--check-references", "--file-size", "32MiB"]);
    rows_are_accounted_for(database, &exported).await;
    files_are_private(&exported);
    let whole = Whole::read(&exported);
    for (name, lines) in &whole.lines {
        let counted: u64 = exported.manifest["output"]
            .as_array()
            .expect("a list")
            .iter()
            .filter(|item| item["type"] == **name)
            .filter_map(|item| item["count"].as_u64())
            .sum();
        assert_eq!(counted, lines.len() as u64, "{name}");
    }
    let dangling: Vec<&String> = whole.references.difference(&whole.resources).take(5).collect();
    assert!(dangling.is_empty(), "no such resources: {dangling:?}");

    // Splits and workers change where a line stands, never what it says.
    let single = export(database, &["--workers", "1", "--type", "Observation,Claim,DiagnosticReport,Group"]);
    for (name, lines) in Whole::read(&single).lines {
        assert_eq!(Some(&lines), whole.lines.get(&name), "{name}");
    }
}

async fn rows_are_accounted_for(database: &Database, exported: &Exported) {
    let mappings: BTreeSet<&str> = exported.report.mappings.iter().map(|mapping| mapping.mapping.as_str()).collect();
    assert_eq!(mappings, ROWS.iter().map(|(mapping, _)| *mapping).collect());
    let client = database.client().await;
    client.batch_execute("set search_path = synthea").await.expect("a schema");
    for mapping in &exported.report.mappings {
        assert!(mapping.balances(), "{mapping:?}");
        let from = ROWS.iter().find(|(name, _)| *name == mapping.mapping).expect("a count").1;
        let sql = format!("select count(*) from {}", from.replace("GIVEN", GIVEN));
        let rows: i64 = client.query_one(&sql, &[]).await.expect("a count").get(0);
        assert_eq!((mapping.emitted, mapping.rejected), (rows as u64, 0), "{}", mapping.mapping);
        // Their rows are groups; the keys of all others are those of a table that no join multiplies.
        let counted = ["blood-pressure", "imaging-study", "medication"].contains(&mapping.mapping.as_str());
        let proof = if counted { IdProof::Checked } else { IdProof::Constraint };
        assert_eq!(mapping.id_proof, proof, "{}", mapping.mapping);
        let dangling: u64 = mapping.dangling_by_path.iter().flat_map(BTreeMap::values).sum();
        assert_eq!(dangling, 0, "{}", mapping.mapping);
    }
}

fn files_are_private(exported: &Exported) {
    let mode = |path: &std::path::Path| path.metadata().expect("a file").permissions().mode() & 0o777;
    assert_eq!(mode(&exported.path()), 0o700);
    for entry in exported.path().read_dir().expect("a directory") {
        let path = entry.expect("a file").path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

/// What is in an export.
#[derive(Default)]
struct Whole {
    /// Hashes of the lines by type, sorted.
    lines: BTreeMap<String, Vec<u64>>,
    /// `Type/id`.
    resources: HashSet<String>,
    /// Every `reference`.
    references: HashSet<String>,
}

impl Whole {
    /// Reads every line as JSON; a second resource of the same type and id fails.
    fn read(exported: &Exported) -> Self {
        let mut whole = Self::default();
        for (name, path) in exported.output() {
            for line in BufReader::new(decoded(&path)).lines() {
                let line = line.expect("UTF-8");
                // Not serde_json::from_str: this one is compiled with serde_json, optimized.
                let resource: Value = line.parse().expect("JSON");
                assert_eq!(text(&resource, "/resourceType"), Some(name.as_str()));
                let reference = format!("{name}/{}", text(&resource, "/id").expect("an id"));
                assert!(whole.resources.insert(reference.clone()), "{reference} is there twice");
                whole.collect(&resource);
                let mut hasher = DefaultHasher::new();
                line.hash(&mut hasher);
                whole.lines.entry(name.clone()).or_default().push(hasher.finish());
            }
        }
        whole.lines.values_mut().for_each(|lines| lines.sort_unstable());
        whole
    }

    fn collect(&mut self, value: &Value) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get("reference")
                    && !self.references.contains(reference)
                {
                    self.references.insert(reference.clone());
                }
                members.values().for_each(|member| self.collect(member));
            }
            Value::Array(items) => items.iter().for_each(|item| self.collect(item)),
            _ => {}
        }
    }
}
