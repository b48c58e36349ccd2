//! What an incremental export of this pack will rest on, told before anything is exported.

use std::fmt;
use std::time::Duration;

use super::ExportError;
use super::prepare::Prepared;
use crate::plan::updated::commits;
use crate::source::{Source, Watermark};

/// The watermark in force, and what tells changes and deletions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preflight {
    /// How sure the watermark is.
    pub watermark: Watermark,
    /// How far it lies behind the database's clock.
    pub lag: Duration,
    /// Mappings whose changes a column tells, the time of the commit, nobody.
    pub changes: [usize; 3],
    /// Mappings whose deletions a mark or tombstone tells, nobody.
    pub deletions: [usize; 2],
}

/// Takes a snapshot, without waiting for writers, and lets it go.
///
/// # Errors
///
/// What the connection gives.
pub async fn preflight(source: &Source, prepared: &Prepared) -> Result<Preflight, ExportError> {
    let snapshot = source.snapshot(Duration::ZERO).await?;
    let by_commit = commits(&prepared.pack, &prepared.catalog);
    let (mut changes, mut deletions) = ([0; 3], [0; 2]);
    for compiled in &prepared.compiled {
        let Some(mapping) = prepared.pack.mappings.iter().find(|mapping| mapping.name == compiled.mapping) else {
            continue;
        };
        let kind = if by_commit.iter().any(|(known, _)| known.name == mapping.name) {
            1
        } else if mapping.header.updated.is_empty() {
            2
        } else {
            0
        };
        changes[kind] += 1;
        deletions[usize::from(mapping.header.deleted.is_none())] += 1;
    }
    Ok(Preflight { watermark: snapshot.watermark(), lag: snapshot.lag(), changes, deletions })
}

impl fmt::Display for Preflight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lag = self.lag.as_secs_f64();
        write!(f, "watermark {lag:.1} s behind the database's clock, ")?;
        match self.watermark {
            Watermark::Exact => f.write_str("exact")?,
            Watermark::Margin { reason } => write!(f, "with a margin: {reason}")?,
        }
        let [column, commit, none] = self.changes;
        write!(f, "; changes told by a column in {column} mappings, by the commit in {commit}, not in {none}")?;
        let [declared, none] = self.deletions;
        write!(f, "; deletions recorded in {declared}, not in {none}")
    }
}
