//! Patient ids of a request → keys of the rows they stand for. An id that leads to no row is an error: a restriction
//! that matches nothing by mistake looks like an empty record.

use std::collections::{BTreeMap, BTreeSet};

use super::ExportError;
use super::prepare::Prepared;
use crate::plan::patients::{IdForm, existing_keys, id_form};
use crate::source::Session;

/// Keys, by Patient mapping.
#[derive(Debug, Default)]
pub(super) struct PatientKeys {
    by_mapping: BTreeMap<String, Vec<String>>,
    all: Vec<String>,
}

impl PatientKeys {
    /// The keys in this mapping's rows; of every Patient mapping without a name.
    pub(super) fn of(&self, mapping: Option<&str>) -> &[String] {
        match mapping {
            Some(name) => self.by_mapping.get(name).map_or(&[], Vec::as_slice),
            None => &self.all,
        }
    }
}

/// Finds the keys of the patients asked for.
pub(super) async fn keys(session: &Session, prepared: &Prepared, ids: &[String]) -> Result<PatientKeys, ExportError> {
    let mut missing: BTreeSet<&String> = ids.iter().collect();
    let mut found = PatientKeys::default();
    for mapping in prepared.pack.mappings.iter().filter(|mapping| mapping.resource_type == "Patient") {
        let Some(rows) = prepared.catalog.rows.get(&mapping.name) else { continue };
        let [key] = mapping.header.key.as_slice() else {
            return Err(ExportError::PatientsNotApplicable {
                mapping: mapping.name.clone(),
                why: "its key has several columns",
            });
        };
        let Some((_, column)) = rows.column(&key.text) else { continue };
        let form = id_form(mapping);
        if form == IdForm::Hashed {
            return Err(ExportError::PatientsNotApplicable {
                mapping: mapping.name.clone(),
                why: "its ids are hashed, and do not lead back to a key; make them of the key itself",
            });
        }
        let candidates: BTreeMap<&str, &String> =
            ids.iter().filter_map(|id| Some((form.key(id, &column.kind)?, id))).collect();
        let asked: Vec<String> = candidates.keys().map(|key| (*key).to_owned()).collect();
        for row in session.query_text(&existing_keys(mapping, &column.kind, asked)).await? {
            let Some(Some(key)) = row.into_iter().next() else { continue };
            if let Some(id) = candidates.get(key.as_str()) {
                missing.remove(id);
            }
            found.all.push(key.clone());
            found.by_mapping.entry(mapping.name.clone()).or_default().push(key);
        }
    }
    if missing.is_empty() {
        Ok(found)
    } else {
        Err(ExportError::UnknownPatients(missing.into_iter().cloned().collect()))
    }
}
