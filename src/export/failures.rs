//! What went wrong with rows, added up: for the report, and as OperationOutcomes for the person with the files.
//! Nothing here knows a cell value.

use crate::bulk::report::{IdProof, MappingReport};
use crate::encode::{Rejection, Report};
use crate::fhir::outcome::{Issue, IssueType, OperationOutcome, Severity};
use crate::plan::program::{Compiled, Program};

/// One OperationOutcome per rejected resource of a type up to here, then a summary (O-05).
const MAX_ROW_OUTCOMES: usize = 1_000;

/// What happened to the rows of one mapping, over all its splits.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub(super) counts: Report,
    /// Resources that were made and not asked for.
    pub(super) filtered: u64,
    /// Copies in other blocks of resources that were written.
    pub(super) repeated: u64,
    pub(super) deleted: Option<u64>,
    /// Tombstones without a whole key, or whose id is none.
    pub(super) not_deleted: u64,
    pub(super) seconds: f64,
}

impl Tally {
    /// Adds another tally of the same mapping.
    pub(super) fn merge(&mut self, other: Self) {
        self.counts.merge(other.counts);
        // The same outcomes whatever worker met them first.
        self.counts.rejections.sort_by(|left, right| (&left.id, left.site).cmp(&(&right.id, right.site)));
        self.counts.rejections.truncate(MAX_ROW_OUTCOMES);
        self.seconds += other.seconds;
        self.filtered += other.filtered;
        self.not_deleted += other.not_deleted;
        if let Some(deleted) = other.deleted {
            *self.deleted.get_or_insert_default() += deleted;
        }
    }

    /// The mapping's lines of the report.
    pub(super) fn report(&self, compiled: &Compiled, id_proof: IdProof, updated: Option<String>) -> MappingReport {
        let program = &compiled.program;
        let mut report = MappingReport {
            mapping: compiled.mapping.clone(),
            resource_type: program.resource_type.clone(),
            rows: self.counts.rows_read,
            emitted: self.counts.emitted - self.filtered,
            rejected: self.counts.rejected,
            filtered: self.filtered,
            repeated: self.repeated,
            deleted: self.deleted,
            id_proof,
            updated,
            seconds: self.seconds,
            ..MappingReport::default()
        };
        for (number, counts) in &self.counts.sites {
            let Some(site) = program.sites.get(*number as usize) else { continue };
            let map = site.name.as_ref().unwrap_or(&site.path);
            report.adjusted_times += counts.adjusted;
            for (paths, key, count) in [
                (&mut report.rejected_by_path, &site.path, counts.rejected),
                (&mut report.dropped_by_path, &site.path, counts.dropped),
                (&mut report.invalid_by_path, &site.path, counts.invalid),
                (&mut report.unmapped_by_map, map, counts.unmapped),
            ] {
                if count > 0 {
                    *paths.entry(key.clone()).or_default() += count;
                }
            }
        }
        for (stream, count) in compiled.streams.iter().zip(&self.counts.orphans).filter(|(_, count)| **count > 0) {
            *report.orphans_by_list.entry(stream.name.clone()).or_default() += count;
        }
        report
    }

    /// OperationOutcome lines, and how many.
    pub(super) fn outcomes(&self, program: &Program, out: &mut Vec<u8>) -> u64 {
        let mut count = 0;
        let mut line = |outcome: OperationOutcome| {
            out.extend_from_slice(outcome.to_json_line().as_bytes());
            count += 1;
        };
        let kind = &program.resource_type;
        for Rejection { site, id } in &self.counts.rejections {
            let Some(site) = program.sites.get(*site as usize) else { continue };
            let subject = id.as_ref().map_or_else(|| format!("a {kind} without an id"), |id| format!("{kind}/{id}"));
            let issue = Issue::new(Severity::Error, issue_type(site.code))
                .details(format!("1 row of {kind} was not exported"))
                .diagnostics(format!("{subject}: {} {}", site.code, cause(site.code, &site.path, site.name.as_deref())))
                .expression(site.path.clone());
            line(OperationOutcome::new(issue));
        }
        if self.not_deleted > 0 {
            let issue = Issue::new(Severity::Error, IssueType::Processing)
                .details(format!("{} of {kind} not written", many(self.not_deleted, "deletion")))
                .diagnostics("R405 the tombstone's key is not whole, or its id is not a FHIR id");
            line(OperationOutcome::new(issue));
        }
        let more = self.counts.rejected.saturating_sub(self.counts.rejections.len() as u64);
        if more > 0 {
            let issue = Issue::new(Severity::Error, IssueType::Processing)
                .details(format!("{} of {kind} not exported either", many(more, "row")));
            line(OperationOutcome::new(issue));
        }
        for (number, counts) in &self.counts.sites {
            let Some(site) = program.sites.get(*number as usize) else { continue };
            let path = &site.path;
            let map = site.name.as_deref().unwrap_or("its code map");
            let distinct = self.counts.distinct_unmapped(*number);
            for (count, text) in [
                (counts.dropped, format!("{} not written: {path} was empty", many(counts.dropped, "part"))),
                (
                    counts.invalid,
                    format!("{} of {path} could not be written and left out", many(counts.invalid, "value")),
                ),
                (
                    counts.unmapped,
                    format!(
                        "{} of {path} ({distinct} distinct) not found in code map {map}",
                        many(counts.unmapped, "value")
                    ),
                ),
                (
                    counts.adjusted,
                    format!("{} of {path} in a change of the clocks", many(counts.adjusted, "local time")),
                ),
            ] {
                if count > 0 {
                    let issue = Issue::new(Severity::Warning, IssueType::Incomplete)
                        .details(text)
                        .diagnostics(site.code)
                        .expression(path.clone());
                    line(OperationOutcome::new(issue));
                }
            }
        }
        count
    }
}

/// `1 row`, `2 rows`.
fn many(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn issue_type(code: &str) -> IssueType {
    match code {
        "R206" => IssueType::Required,
        "R204" | "R205" | "R405" => IssueType::Value,
        _ => IssueType::Processing,
    }
}

fn cause(code: &str, path: &str, name: Option<&str>) -> String {
    let column = name.map(|name| format!(" (column {name})")).unwrap_or_default();
    match code {
        "R206" => format!("{path} is required and empty"),
        "R405" => format!("{path} is empty or not a FHIR id"),
        "R205" => format!("the code is not in the value set that {path} requires{column}"),
        "R503" => format!("the value of {path} is not in code map {}", name.unwrap_or("?")),
        _ => format!("the value cannot be written as {path}{column}"),
    }
}
