//! Ids of a request, of patients and of groups → keys of the rows they stand for. An id that leads to no row is an
//! error: a restriction that matches nothing by mistake looks like an empty record.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::ExportError;
use super::drive::lines;
use super::prepare::Prepared;
use crate::mapping::tree::Mapping;
use crate::plan::compile::identities;
use crate::plan::patients::{PlainId, existing_keys};
use crate::plan::program::Compiled;
use crate::plan::select::{Filter, statement};
use crate::plan::split::Range;
use crate::source::Session;

/// Ids that are looked up at once.
const AT_ONCE: usize = 50_000;

/// Keys, by mapping.
#[derive(Debug, Default)]
pub(super) struct FoundKeys {
    by_mapping: BTreeMap<String, Keys>,
}

/// The keys in one mapping's rows.
#[derive(Debug, Default)]
pub(super) struct Keys {
    keys: Arc<Vec<String>>,
    /// The position, among the ids that were asked for, of the one that each was found for.
    of: Vec<u32>,
}

impl FoundKeys {
    /// The keys in this mapping's rows; of every mapping without a name.
    pub(super) fn of(&self, mapping: Option<&str>) -> Arc<Vec<String>> {
        let mut all = self.by_mapping.iter().filter(|(name, _)| mapping.is_none_or(|mapping| mapping == *name));
        match (all.next(), all.next()) {
            (None, _) => Arc::default(),
            (Some((_, one)), None) => Arc::clone(&one.keys),
            (Some(_), Some(_)) => {
                self.by_mapping.values().flat_map(|one| one.keys.iter().cloned()).collect::<Vec<_>>().into()
            }
        }
    }

    /// Keys of some mappings' rows, which no id was asked for.
    pub(super) fn of_keys(keys: BTreeMap<String, Vec<String>>) -> Self {
        let by_mapping = keys.into_iter().map(|(name, keys)| (name, Keys { keys: keys.into(), of: Vec::new() }));
        Self { by_mapping: by_mapping.collect() }
    }

    /// Those of the keys whose id, by its position, is one of these.
    pub(super) fn only(&self, wanted: impl Fn(usize) -> bool) -> Self {
        let of_mapping = |keys: &Keys| {
            let pairs = keys.keys.iter().zip(&keys.of).filter(|(_, at)| wanted(**at as usize));
            let (keys, of): (Vec<String>, Vec<u32>) = pairs.map(|(key, at)| (key.clone(), *at)).unzip();
            Keys { keys: keys.into(), of }
        };
        Self { by_mapping: self.by_mapping.iter().map(|(name, keys)| (name.clone(), of_mapping(keys))).collect() }
    }

    /// Calls `each` with every key: its mapping, itself, and the position of its id.
    pub(super) fn each(&self, mut each: impl FnMut(&str, &str, usize)) {
        for (name, keys) in &self.by_mapping {
            keys.keys.iter().zip(&keys.of).for_each(|(key, at)| each(name, key, *at as usize));
        }
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.by_mapping.values().map(|keys| keys.keys.len()).sum()
    }
}

/// Keys as they are found.
#[derive(Default)]
struct Finding {
    by_mapping: BTreeMap<String, (Vec<String>, Vec<u32>)>,
}

impl Finding {
    fn add(&mut self, mapping: &Mapping, key: String, at: u32) {
        let (keys, of) = self.by_mapping.entry(mapping.name.clone()).or_default();
        keys.push(key);
        of.push(at);
    }

    fn finish(self) -> FoundKeys {
        let keys = |(keys, of): (Vec<String>, Vec<u32>)| Keys { keys: keys.into(), of };
        FoundKeys { by_mapping: self.by_mapping.into_iter().map(|(name, found)| (name, keys(found))).collect() }
    }
}

/// The keys of those resources of a type that there are, and the positions of the ids that lead to none.
///
/// Ids that show their key are looked up. Of mappings with other ids every key is read and its id made, as long
/// as something is missing: nothing but the keys asked for is kept.
pub(super) async fn find(
    session: &Session,
    prepared: &Prepared,
    resource_type: &str,
    ids: &[&str],
) -> Result<(FoundKeys, Vec<usize>), ExportError> {
    let mut missing = vec![true; ids.len()];
    let mut found = Finding::default();
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
        for (part, start) in ids.chunks(AT_ONCE).zip((0..).step_by(AT_ONCE)) {
            let candidates: BTreeMap<&str, usize> =
                part.iter().zip(start..).filter_map(|(id, at)| Some((form.key(id)?, at))).collect();
            if candidates.is_empty() {
                continue;
            }
            let asked: Vec<String> = candidates.keys().map(|key| (*key).to_owned()).collect();
            for row in session.query_text(&existing_keys(mapping, &column.kind, asked)).await? {
                let Some(Some(key)) = row.into_iter().next() else { continue };
                if let Some(at) = candidates.get(key.as_str()) {
                    if let Some(missing) = missing.get_mut(*at) {
                        *missing = false;
                    }
                    found.add(mapping, key, *at as u32);
                }
            }
        }
    }
    let left =
        |missing: &[bool]| -> Vec<usize> { (0..ids.len()).filter(|at| missing.get(*at) == Some(&true)).collect() };
    let mut wanted: BTreeMap<&str, u32> = BTreeMap::new();
    if !to_read.is_empty() {
        wanted.extend(left(&missing).into_iter().filter_map(|at| Some((*ids.get(at)?, at as u32))));
    }
    for (mapping, compiled) in to_read {
        if !wanted.is_empty() {
            read(session, &compiled, &mut wanted, |key, at| {
                if let Some(missing) = missing.get_mut(at as usize) {
                    *missing = false;
                }
                found.add(mapping, key, at);
            })
            .await?;
        }
    }
    Ok((found.finish(), left(&missing)))
}

/// Reads the keys of a mapping's rows until none of `missing` is left, which its ids are taken from.
async fn read(
    session: &Session,
    compiled: &Compiled,
    missing: &mut BTreeMap<&str, u32>,
    mut found: impl FnMut(String, u32),
) -> Result<(), ExportError> {
    let Some(driving) = compiled.streams.first() else { return Ok(()) };
    let statement = statement(driving, &Filter::default(), &Range::default(), None);
    let mut rows = [session.portal_stream(&statement).await?];
    lines(compiled, &mut rows, |line| {
        let mut strings = line.splitn(2, |byte| *byte == b'\t');
        if let (Some(id), Some(key)) = (strings.next(), strings.next())
            // A FHIR id has nothing that JSON escapes.
            && let Some(id) = id.get(1..id.len().saturating_sub(1)).and_then(|id| std::str::from_utf8(id).ok())
            && let Some(at) = missing.remove(id)
            && let Ok(key) = serde_json::from_slice(key)
        {
            found(key, at);
        }
        if missing.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .await
}
