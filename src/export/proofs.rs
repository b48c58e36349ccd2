//! What is proven about the data inside the export's snapshot: no id twice, and which references point to nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::ExportError;
use super::keys::constrained;
use super::prepare::Prepared;
use crate::bulk::report::{Counts, IdProof};
use crate::mapping::tree::Mapping;
use crate::plan::proof::{Disjoint, disjoint, reference_checks, repeated_keys};
use crate::plan::select::{Filter, Statement};
use crate::source::{Session, Snapshot};

/// Questions to the database, and their answers.
#[derive(Debug, Default)]
pub(super) struct Proofs {
    questions: Vec<Question>,
    ids: BTreeMap<String, IdProof>,
    dangling: BTreeMap<String, Counts>,
}

#[derive(Debug)]
enum Question {
    Keys { mapping: String, statement: Statement },
    SharedIds { left: String, right: String, statement: Statement },
    Reference { mapping: String, path: String, statement: Statement },
}

/// Decides what has to be asked, references only of parts with a filter. A key that a unique constraint covers is proven already.
pub(super) async fn plan(
    session: &Session,
    prepared: &Prepared,
    parts: &[(&Mapping, Option<Arc<Filter>>)],
    exported: &BTreeSet<&str>,
    check_references: bool,
) -> Result<Proofs, ExportError> {
    let mut proofs = Proofs::default();
    let exported: Vec<&str> = exported.iter().copied().collect();
    for (at, (mapping, filter)) in parts.iter().enumerate() {
        if constrained(session, prepared, mapping).await? {
            proofs.ids.insert(mapping.name.clone(), IdProof::Constraint);
        } else {
            let statement = repeated_keys(mapping);
            proofs.questions.push(Question::Keys { mapping: mapping.name.clone(), statement });
        }
        for (other, _) in &parts[..at] {
            if other.resource_type != mapping.resource_type {
                continue;
            }
            match disjoint(other, mapping) {
                Disjoint::BySpace => {}
                Disjoint::Ask(statement) => proofs.questions.push(Question::SharedIds {
                    left: other.name.clone(),
                    right: mapping.name.clone(),
                    statement,
                }),
                Disjoint::Unknown => {
                    return Err(ExportError::Ids(format!(
                        "mappings `{}` and `{}` both make {}, and their ids cannot be told apart; begin them with \
                         different texts, or make them with {{{{uuid 'Name' …}}}}",
                        other.name, mapping.name, mapping.resource_type
                    )));
                }
            }
        }
        if let Some(filter) = filter.as_ref().filter(|_| check_references) {
            proofs.dangling.insert(mapping.name.clone(), Counts::new());
            for check in reference_checks(&prepared.pack, mapping, &exported, filter) {
                proofs.questions.push(Question::Reference {
                    mapping: mapping.name.clone(),
                    path: check.path,
                    statement: check.statement,
                });
            }
        }
    }
    Ok(proofs)
}

impl Proofs {
    /// Asks. Runs beside the workers, in the same snapshot.
    pub(super) async fn run(&mut self, snapshot: &Snapshot) -> Result<(), ExportError> {
        if self.questions.is_empty() {
            return Ok(());
        }
        let session = snapshot.leader();
        for question in std::mem::take(&mut self.questions) {
            match question {
                Question::Keys { mapping, statement } => {
                    let repeated = numbers(session, &statement).await?.first().copied();
                    if repeated != Some(0) {
                        return Err(ExportError::Ids(format!(
                            "the key of mapping `{mapping}` does not identify its rows: {} keys occur more than once",
                            repeated.unwrap_or_default()
                        )));
                    }
                    self.ids.insert(mapping, IdProof::Checked);
                }
                Question::SharedIds { left, right, statement } => {
                    let shared = numbers(session, &statement).await?.first().copied().unwrap_or_default();
                    if shared != 0 {
                        return Err(ExportError::Ids(format!(
                            "mappings `{left}` and `{right}` make {shared} ids in common"
                        )));
                    }
                }
                Question::Reference { mapping, path, statement } => {
                    let count = numbers(session, &statement).await?.first().copied().unwrap_or_default();
                    *self.dangling.entry(mapping).or_default().entry(path).or_default() += count;
                }
            }
        }
        Ok(())
    }

    /// What says that a mapping's ids are unique.
    pub(super) fn of(&self, mapping: &str) -> IdProof {
        self.ids.get(mapping).copied().unwrap_or_default()
    }

    /// References of a mapping that point to nothing, by path; `None` when they were not counted.
    pub(super) fn dangling(&self, mapping: &str) -> Option<Counts> {
        self.dangling.get(mapping).cloned()
    }
}

/// The first row of an answer, as counts.
pub(super) async fn numbers(session: &Session, statement: &Statement) -> Result<Vec<u64>, ExportError> {
    let rows = session.query_text(statement).await?;
    let row = rows.into_iter().next().unwrap_or_default();
    Ok(row.into_iter().map(|field| field.and_then(|text| text.parse().ok()).unwrap_or_default()).collect())
}
