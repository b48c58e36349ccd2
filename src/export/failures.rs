//! What went wrong with rows, added up: for the report, and as OperationOutcomes for the person with the files.
//! Nothing here knows a cell value.

use std::collections::BTreeMap;

use crate::bulk::report::{Counts, IdProof, MappingReport};
use crate::encode::Report;
use crate::fhir::outcome::{Issue, IssueType, OperationOutcome, Severity};
use crate::plan::program::{Program, ScopeRows};

/// One OperationOutcome per rejected resource of a type up to here, then a summary (O-05).
const MAX_ROW_OUTCOMES: usize = 1_000;

/// What happened to the rows of one mapping, over all its splits.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub(super) rows: u64,
    pub(super) emitted: u64,
    pub(super) rejected: u64,
    pub(super) deleted: Option<u64>,
    pub(super) seconds: f64,
    sites: BTreeMap<u16, u64>,
    orphans: BTreeMap<u16, u64>,
    adjusted: u64,
    /// (site, resource id if it could be made), bounded.
    rejections: Vec<(u16, Option<String>)>,
}

impl Tally {
    /// Adds what an encoder has counted.
    pub(super) fn add(&mut self, report: Report) {
        self.rows += report.rows_read;
        self.emitted += report.emitted;
        self.rejected += report.rejected;
        self.adjusted += report.dst_adjusted;
        for (site, count) in report.sites {
            *self.sites.entry(site).or_default() += count;
        }
        for (stream, count) in report.orphans {
            *self.orphans.entry(stream).or_default() += count;
        }
        for rejection in report.rejections {
            if self.rejections.len() < MAX_ROW_OUTCOMES {
                self.rejections.push((rejection.site, rejection.id));
            }
        }
    }

    /// Adds another tally of the same mapping.
    pub(super) fn merge(&mut self, other: Self) {
        self.rows += other.rows;
        self.emitted += other.emitted;
        self.rejected += other.rejected;
        self.adjusted += other.adjusted;
        self.seconds += other.seconds;
        for (site, count) in other.sites {
            *self.sites.entry(site).or_default() += count;
        }
        for (stream, count) in other.orphans {
            *self.orphans.entry(stream).or_default() += count;
        }
        self.rejections.extend(other.rejections);
        // The same outcomes whatever worker met them first.
        self.rejections.sort_by(|left, right| (&left.1, left.0).cmp(&(&right.1, right.0)));
        self.rejections.truncate(MAX_ROW_OUTCOMES);
        if let Some(deleted) = other.deleted {
            *self.deleted.get_or_insert_default() += deleted;
        }
    }

    /// The mapping's lines of the report.
    pub(super) fn report(&self, mapping: &str, program: &Program, id_proof: IdProof, updated: Option<String>) -> MappingReport {
        let mut report = MappingReport {
            mapping: mapping.to_owned(),
            resource_type: program.resource_type.clone(),
            rows: self.rows,
            emitted: self.emitted,
            rejected: self.rejected,
            filtered: 0,
            deleted: self.deleted,
            id_proof,
            updated,
            seconds: self.seconds,
            adjusted_times: self.adjusted,
            ..MappingReport::default()
        };
        for (number, count) in &self.sites {
            let Some(site) = program.sites.get(*number as usize) else { continue };
            let (counts, key): (&mut Counts, &String) = match site.code {
                "R206" => (&mut report.dropped_by_path, &site.path),
                "R501" => (&mut report.unmapped_by_map, site.name.as_ref().unwrap_or(&site.path)),
                _ => (&mut report.invalid_by_path, &site.path),
            };
            *counts.entry(key.clone()).or_default() += count;
        }
        for (site, _) in &self.rejections {
            if let Some(site) = program.sites.get(*site as usize) {
                *report.rejected_by_path.entry(site.path.clone()).or_default() += 1;
            }
        }
        for (stream, count) in &self.orphans {
            let name = stream_name(program, *stream);
            *report.orphans_by_list.entry(name).or_default() += count;
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
        for (number, id) in &self.rejections {
            let Some(site) = program.sites.get(*number as usize) else { continue };
            let subject = id.as_ref().map_or_else(|| format!("a {kind} without an id"), |id| format!("{kind}/{id}"));
            let issue = Issue::new(Severity::Error, issue_type(site.code))
                .details(format!("1 row of {kind} was not exported"))
                .diagnostics(format!("{subject}: {} {}", site.code, cause(site.code, &site.path, site.name.as_deref())))
                .expression(site.path.clone());
            line(OperationOutcome::new(issue));
        }
        let more = self.rejected.saturating_sub(self.rejections.len() as u64);
        if more > 0 {
            let issue = Issue::new(Severity::Error, IssueType::Processing)
                .details(format!("{more} more rows of {kind} were not exported"));
            line(OperationOutcome::new(issue));
        }
        for (number, count) in &self.sites {
            let Some(site) = program.sites.get(*number as usize) else { continue };
            let text = match site.code {
                "R206" => format!("{count} parts of {kind} were not written: {} was empty", site.path),
                "R501" => {
                    let map = site.name.as_deref().unwrap_or("a code map");
                    format!("{count} values of {} are not in code map {map}", site.path)
                }
                _ => format!("{count} values of {} could not be written and were left out", site.path),
            };
            let issue = Issue::new(Severity::Warning, IssueType::Incomplete)
                .details(text)
                .diagnostics(site.code)
                .expression(site.path.clone());
            line(OperationOutcome::new(issue));
        }
        count
    }
}

fn stream_name(program: &Program, stream: u16) -> String {
    program
        .scopes
        .iter()
        .position(|scope| matches!(scope.rows, ScopeRows::Stream { stream: own, .. } if own == stream))
        .map_or_else(|| stream.to_string(), |scope| format!("list {scope}"))
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
