//! Ids of a request, of patients and of groups → keys of the rows they stand for. An id that leads to no row is an
//! error: a restriction that matches nothing by mistake looks like an empty record.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use super::ExportError;
use super::drive::{Buffers, drive};
use super::prepare::Prepared;
use crate::encode::{Encoder, Limits};
use crate::mapping::tree::Mapping;
use crate::plan::compile::identities;
use crate::plan::patients::{PlainId, existing_keys};
use crate::plan::program::Compiled;
use crate::plan::select::{Filter, statement};
use crate::plan::split::Range;
use crate::source::Session;

/// Bytes of ids and keys that are made before they are looked at.
const CHUNK: usize = 64 * 1024;

/// Keys, by mapping.
#[derive(Debug, Default)]
pub(super) struct FoundKeys {
    by_mapping: BTreeMap<String, Vec<String>>,
    all: Vec<String>,
    /// Ids by mapping and key.
    ids: BTreeMap<String, BTreeMap<String, String>>,
}

impl FoundKeys {
    /// The keys in this mapping's rows; of every mapping without a name.
    pub(super) fn of(&self, mapping: Option<&str>) -> &[String] {
        match mapping {
            Some(name) => self.by_mapping.get(name).map_or(&[], Vec::as_slice),
            None => &self.all,
        }
    }

    /// The id that a key of this mapping was found for.
    pub(super) fn id(&self, mapping: &str, key: &str) -> Option<&str> {
        self.ids.get(mapping)?.get(key).map(String::as_str)
    }

    fn add(&mut self, mapping: &Mapping, key: String, id: &str) {
        self.all.push(key.clone());
        self.ids.entry(mapping.name.clone()).or_default().insert(key.clone(), id.to_owned());
        self.by_mapping.entry(mapping.name.clone()).or_default().push(key);
    }
}

/// The keys of those resources of a type that there are, and the ids of the others.
///
/// Ids that show their key are looked up. Of mappings with other ids every key is read and its id made, as long
/// as something is missing: nothing but the keys asked for is kept.
pub(super) async fn find(
    session: &Session,
    prepared: &Prepared,
    resource_type: &str,
    ids: &[String],
) -> Result<(FoundKeys, Vec<String>), ExportError> {
    let mut missing: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
    let mut found = FoundKeys::default();
    let mut to_read: Vec<(&Mapping, Compiled)> = Vec::new();
    for mapping in prepared.pack.mappings.iter().filter(|mapping| mapping.resource_type == resource_type) {
        let Some(rows) = prepared.catalog.rows.get(&mapping.name) else { continue };
        let not_applicable = |why| ExportError::PatientsNotApplicable { mapping: mapping.name.clone(), why };
        let [key] = mapping.header.key.as_slice() else {
            return Err(not_applicable("its key has several columns"));
        };
        let Some((_, column)) = rows.column(&key.text) else { continue };
        let Some(form) = PlainId::of(mapping, &column.kind) else {
            let compiled = identities(&prepared.pack, mapping, &prepared.sources, &prepared.catalog);
            to_read.push((mapping, compiled.ok_or_else(|| not_applicable("its key cannot be written as text"))?));
            continue;
        };
        let candidates: BTreeMap<&str, &str> = ids.iter().filter_map(|id| Some((form.key(id)?, id.as_str()))).collect();
        let asked: Vec<String> = candidates.keys().map(|key| (*key).to_owned()).collect();
        for row in session.query_text(&existing_keys(mapping, &column.kind, asked)).await? {
            let Some(Some(key)) = row.into_iter().next() else { continue };
            if let Some(id) = candidates.get(key.as_str()) {
                missing.remove(id);
                found.add(mapping, key, id);
            }
        }
    }
    for (mapping, compiled) in to_read {
        if !missing.is_empty() {
            read(session, mapping, &compiled, &mut missing, &mut found).await?;
        }
    }
    Ok((found, missing.into_iter().map(str::to_owned).collect()))
}

/// Reads the keys of a mapping's rows until none of `missing` is left, which its ids are taken from.
async fn read(
    session: &Session,
    mapping: &Mapping,
    compiled: &Compiled,
    missing: &mut BTreeSet<&str>,
    found: &mut FoundKeys,
) -> Result<(), ExportError> {
    let Some(driving) = compiled.streams.first() else { return Ok(()) };
    let statement = statement(driving, &Filter::default(), &Range::default(), None);
    let mut rows = [session.portal_stream(&statement).await?];
    let mut encoder = Encoder::new(Arc::clone(&compiled.program), Limits { chunk_bytes: CHUNK })?;
    let mut spare = Vec::new();
    drive(&mut encoder, &mut rows, &mut Buffers::default(), |_, output| {
        // A key may be of any length; only an id is short.
        while output.spill().is_some() {}
        let lines = output.take_settled(std::mem::take(&mut spare)).bytes;
        for line in lines.split(|byte| *byte == b'\n') {
            let mut strings = line.splitn(2, |byte| *byte == b'\t');
            let (Some(id), Some(key)) = (strings.next(), strings.next()) else { continue };
            // A FHIR id has nothing that JSON escapes.
            let id = id.get(1..id.len().saturating_sub(1)).and_then(|id| std::str::from_utf8(id).ok());
            if let Some(id) = id
                && missing.remove(id)
                && let Ok(key) = serde_json::from_slice(key)
            {
                found.add(mapping, key, id);
            }
        }
        spare = lines;
        Ok(if missing.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })
    .await
}
