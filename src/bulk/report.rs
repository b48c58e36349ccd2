//! The companion report: what happened to every row, as data. It holds counts and names, never a value of a row.
//!
//! The manifest says what was made; `report.json` beside it lets an operator prove that nothing was lost on the way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::manifest::type_rank;

/// What files of blocks are called, where those of a type are called after it.
pub const BLOCKS: &str = "blocks";

/// Counts by name: of a FHIR path, a code map, a list.
pub type Counts = BTreeMap<String, u64>;

/// The whole report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Report {
    /// Version of this form; 1.
    pub format: u32,
    /// Who made the export, from what.
    pub versions: Versions,
    /// What was asked for.
    pub request: Request,
    /// What `transactionTime` rests on.
    pub watermark: Watermark,
    /// How long it took.
    pub timings: Timings,
    /// Per mapping, in the order of the manifest.
    pub mappings: Vec<MappingReport>,
    /// Every file, the manifest and this report excepted.
    pub files: Vec<FileReport>,
}

/// Who made the export, from what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Versions {
    /// Version of this program.
    pub smelt: String,
    /// FHIR version of the resources.
    pub fhir: String,
    /// `server_version` of the database.
    pub postgresql: String,
    /// Name of the mapping pack.
    pub pack: String,
    /// SHA-256 (hex) of the mapping pack.
    pub pack_digest: String,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// Resource types.
    pub types: Vec<String>,
    /// FHIR instant, exclusive.
    pub since: Option<String>,
    /// FHIR instant, exclusive.
    pub until: Option<String>,
    /// The type whose blocks the files hold; none when they hold one type each.
    #[serde(default)]
    pub organized_by: Option<String>,
    /// How many patients it was restricted to; none when it was not. Who they were is not recorded.
    pub patient_count: Option<u64>,
    /// Values of `includeAssociatedData`.
    #[serde(default)]
    pub associated: Vec<String>,
    /// Parallel sessions.
    pub workers: u32,
}

/// What `transactionTime` rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Watermark {
    /// FHIR instant: the next export's `_since`.
    pub transaction_time: String,
    /// `exact`, or why it lies further back than the snapshot.
    pub quality: String,
}

/// How long it took, in seconds of wall time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Timings {
    /// From connecting to a bound plan.
    pub plan_seconds: f64,
    /// From the snapshot to the last committed file.
    pub export_seconds: f64,
}

/// What happened to the rows of one mapping.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MappingReport {
    /// The mapping's name.
    pub mapping: String,
    /// The type it makes.
    pub resource_type: String,
    /// Rows read; each is emitted, rejected or filtered.
    pub rows: u64,
    /// Resources written.
    pub emitted: u64,
    /// Rows that could not become a resource.
    pub rejected: u64,
    /// Rows read and left out on purpose.
    pub filtered: u64,
    /// How often its resources stand in files beyond the first time: context in several blocks.
    #[serde(default)]
    pub repeated: u64,
    /// Deletions written; none when they were not computed.
    pub deleted: Option<u64>,
    /// Rejected rows by the path that could not be written.
    pub rejected_by_path: Counts,
    /// Parts left out because an element FHIR requires was empty, by the path of that element.
    pub dropped_by_path: Counts,
    /// Values that could not be written and were left out, by path (`invalid: omit`).
    pub invalid_by_path: Counts,
    /// Local times in a gap or an overlap of the zone, for which one of two readings was taken.
    pub adjusted_times: u64,
    /// Rows with a code that a map does not list, by map.
    pub unmapped_by_map: Counts,
    /// Rows of a list without a parent in the export, by list.
    pub orphans_by_list: Counts,
    /// References whose target row does not exist, by the path of the reference; none when not checked.
    pub dangling_by_path: Option<Counts>,
    /// What says that no id occurs twice.
    pub id_proof: IdProof,
    /// Column of the last change that `_since` and `_until` used.
    pub updated: Option<String>,
    /// Wall time spent on it, summed over workers, in seconds.
    pub seconds: f64,
}

/// What says that no id occurs twice in a resource type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IdProof {
    /// A unique constraint on the key.
    Constraint,
    /// Every id of the type was compared inside the export's snapshot.
    Checked,
    /// Nothing yet: the export stopped before.
    #[default]
    None,
}

/// One stored file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileReport {
    /// Name in the output directory.
    pub name: String,
    /// Type of every resource in it; empty where it holds blocks of all types.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub resource_type: String,
    /// Number of resources.
    pub count: u64,
    /// Bytes, not compressed.
    pub bytes: u64,
    /// Bytes as stored.
    pub stored_bytes: u64,
    /// SHA-256 (hex) over the bytes as stored; none in a dry run.
    pub sha256: Option<String>,
}

/// One line of the closing table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TypeTotal {
    /// Resource type.
    pub resource_type: String,
    /// Resources written.
    pub resources: u64,
    /// Rows rejected.
    pub rejected: u64,
    /// Bytes, not compressed.
    pub bytes: u64,
    /// Wall time spent on it, summed over workers.
    pub seconds: f64,
}

impl MappingReport {
    /// True when every row read is accounted for.
    pub fn balances(&self) -> bool {
        self.rows == self.emitted + self.rejected + self.filtered
    }
}

impl Report {
    /// Rows that could not become a resource.
    pub fn rejected(&self) -> u64 {
        self.mappings.iter().map(|mapping| mapping.rejected).sum()
    }

    /// Totals by resource type, in the order of the manifest.
    pub fn by_type(&self) -> Vec<TypeTotal> {
        let mut totals: BTreeMap<(u8, &str), TypeTotal> = BTreeMap::new();
        for mapping in &self.mappings {
            let name = mapping.resource_type.as_str();
            let total = totals.entry((type_rank(name), name)).or_default();
            name.clone_into(&mut total.resource_type);
            total.resources += mapping.emitted;
            total.rejected += mapping.rejected;
            total.seconds += mapping.seconds;
        }
        for file in &self.files {
            let name = file.resource_type.as_str();
            if name.is_empty() {
                let blocks = totals.entry((u8::MAX, BLOCKS)).or_default();
                BLOCKS.clone_into(&mut blocks.resource_type);
                blocks.bytes += file.bytes;
            } else if let Some(total) = totals.get_mut(&(type_rank(name), name)) {
                total.bytes += file.bytes;
            }
        }
        totals.into_values().collect()
    }

    /// The report as JSON, with a newline at its end.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut json = serde_json::to_vec_pretty(self)?;
        json.push(b'\n');
        Ok(json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(name: &str, resource_type: &str, emitted: u64, rejected: u64) -> MappingReport {
        MappingReport {
            mapping: name.to_owned(),
            resource_type: resource_type.to_owned(),
            rows: emitted + rejected,
            emitted,
            rejected,
            seconds: 0.5,
            ..MappingReport::default()
        }
    }

    fn report() -> Report {
        let file = FileReport {
            name: "Observation.001.ndjson".to_owned(),
            resource_type: "Observation".to_owned(),
            count: 30,
            bytes: 3000,
            stored_bytes: 300,
            sha256: None,
        };
        Report {
            format: 1,
            versions: Versions {
                smelt: "0.1.0".to_owned(),
                fhir: "4.0.1".to_owned(),
                postgresql: "15.8".to_owned(),
                pack: "synthea".to_owned(),
                pack_digest: "ab".to_owned(),
            },
            request: Request {
                types: Vec::new(),
                since: None,
                until: None,
                organized_by: None,
                patient_count: None,
                associated: Vec::new(),
                workers: 2,
            },
            watermark: Watermark { transaction_time: "2026-01-01T00:00:00Z".to_owned(), quality: "exact".to_owned() },
            timings: Timings { plan_seconds: 0.1, export_seconds: 1.0 },
            mappings: vec![
                mapping("labs", "Observation", 10, 1),
                mapping("vitals", "Observation", 20, 0),
                mapping("patient", "Patient", 5, 0),
            ],
            files: vec![file],
        }
    }

    #[test]
    fn totals_join_the_mappings_of_a_type() {
        let totals = report().by_type();
        let lines: Vec<_> = totals
            .iter()
            .map(|line| (line.resource_type.as_str(), line.resources, line.rejected, line.bytes))
            .collect();
        assert_eq!(lines, [("Patient", 5, 0, 0), ("Observation", 30, 1, 3000)]);
        assert_eq!(report().rejected(), 1);
    }

    #[test]
    fn a_lost_row_does_not_balance() {
        let mut mapping = mapping("labs", "Observation", 10, 1);
        assert!(mapping.balances());
        mapping.rows += 1;
        assert!(!mapping.balances());
        mapping.filtered = 1;
        assert!(mapping.balances());
    }

    #[test]
    fn reads_what_it_writes() {
        let read: Report = serde_json::from_slice(&report().to_json().unwrap()).unwrap();
        assert_eq!(read, report());
    }
}
