//! What is added to an export once the rest is written: Provenance of it (K-52), and what it points to (K-44).
//!
//! Under the same snapshot the rows of the mappings concerned are read and their resources made; those are written
//! that are wanted. What is pointed to may point further, so that is repeated until nothing new is found.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::ExportError;
use super::gather::{Gather, Types, type_of};
use super::keep::{Keep, Newest, Rule};
use super::keyset::KeySet;
use super::plan::Part;
use super::worker::{Done, Shared, Task};
use crate::bulk::Provenances;
use crate::encode::Search;
use crate::plan::filter;
use crate::plan::patients::PlainId;
use crate::plan::select::Filter;
use crate::plan::split::Range;
use crate::row::PgKind;
use crate::sink::Sink;

/// Sets of what was exported that are asked one by one; more are made into one.
const SETS: usize = 16;

/// The rows of one mapping from which something may be added.
pub(super) struct Addition {
    /// Position of the mapping's part, and of its tally.
    pub(super) part: usize,
    pub(super) filter: Arc<Filter>,
    /// Without what is withheld.
    pub(super) only: Option<Arc<Search>>,
    pub(super) ranges: Vec<Range>,
    /// How an id leads back to the key, and the key's column.
    pub(super) plain: Option<(PlainId, String, PgKind)>,
}

impl Addition {
    /// The rows of resources that are pointed to, where their ids lead back to keys.
    fn named(&self, kind: &str, texts: Option<&BTreeSet<Box<str>>>) -> Option<Arc<Filter>> {
        let ((plain, column, key), texts) = (self.plain.as_ref()?, texts?);
        let ids = texts.iter().filter_map(|text| text.strip_prefix(kind)?.strip_prefix('/'));
        let keys: Vec<String> = ids.filter_map(|id| plain.key(id)).map(str::to_owned).collect();
        let mut filter = Filter::clone(&self.filter);
        filter::keys(&mut filter, &(column.clone(), key.clone()), Arc::new(keys));
        Some(Arc::new(filter))
    }
}

/// What is added to an export.
#[derive(Default)]
pub(super) struct Added {
    /// Which Provenance.
    pub(super) provenance: Option<Provenances>,
    /// Where Provenance comes from.
    pub(super) about: Vec<Addition>,
    /// What may be pointed to.
    pub(super) context: Vec<Addition>,
}

impl Added {
    /// Where from, without a word on when.
    pub(super) fn all(&self) -> impl Iterator<Item = &Addition> {
        self.about.iter().chain(&self.context)
    }

    /// What has to be noted; nothing where nothing is added.
    pub(super) fn gather<'a>(&self, parts: &[Part<'_>], mapped: impl Iterator<Item = &'a str>) -> Option<Gather> {
        let types = |of: &[Addition]| -> BTreeSet<String> {
            let name = |one: &Addition| Some(parts.get(one.part)?.compiled.program.resource_type.clone());
            of.iter().filter_map(name).collect()
        };
        let context = types(&self.context);
        let provenance = !self.about.is_empty();
        // Of Provenance there is none.
        let exported = |name: &str| (provenance && name != "Provenance") || context.contains(name);
        (provenance || !context.is_empty())
            .then(|| Gather::new(Types::new(mapped), exported, |name| context.contains(name)))
    }

    /// Adds what is wanted; `phase` runs tasks.
    pub(super) fn run<S: Sink>(
        &self,
        parts: &[Part<'_>],
        shared: &Shared<'_, S>,
        phase: impl Fn(Vec<Task>) -> Result<Vec<Done<S::File>>, ExportError>,
    ) -> Result<Vec<Done<S::File>>, ExportError> {
        let Some(gather) = &shared.gather else { return Ok(Vec::new()) };
        let types = Arc::new(gather.types.clone());
        let tasks = |of: &mut dyn Iterator<Item = (&Addition, Option<Arc<Filter>>, bool)>,
                     rule: &dyn Fn(&str) -> Rule| {
            let mut tasks = Vec::new();
            for (addition, named, again) in of {
                let Some(part) = parts.get(addition.part) else { continue };
                let kind = &part.compiled.program.resource_type;
                // A few keys are one range.
                let ranges = if named.is_some() { &vec![Range::default()] } else { &addition.ranges };
                shared.progress.expect(kind, ranges.len() as u64);
                tasks.extend(ranges.iter().map(|range| Task {
                    compiled: Arc::clone(&part.compiled),
                    tally: addition.part,
                    filter: Arc::clone(named.as_ref().unwrap_or(&addition.filter)),
                    range: range.clone(),
                    estimate: part.estimate / ranges.len() as u64,
                    only: addition.only.clone(),
                    keep: Some(Keep { types: Arc::clone(&types), rule: rule(kind) }),
                    again,
                    deletes: false,
                }));
            }
            tasks
        };
        let everything = |_: &[u8; 16]| Ok(true);
        let exported = Arc::new(KeySet::new(&mut gather.take_resources().sorted()?, everything)?);
        let mut done = Vec::new();
        let about = || self.about.iter().map(|one| (one, None, false));
        if !self.about.is_empty() && exported.len() > 0 {
            let mut set = Arc::clone(&exported);
            let mut looked = false;
            if self.provenance == Some(Provenances::Latest) {
                let newest = Arc::new(Mutex::new(Newest::default()));
                // Nothing is written, and the rows are read and told of once more.
                phase(tasks(&mut about(), &|_| Rule::Look(Arc::clone(&set), Arc::clone(&newest))))?;
                let found = std::mem::take(&mut *newest.lock().unwrap_or_else(PoisonError::into_inner));
                set = Arc::new(found.found()?);
                looked = true;
            }
            let rule = |kind: &str| if looked { Rule::among(kind, &set) } else { Rule::About(Arc::clone(&set)) };
            done.extend(phase(tasks(&mut about(), &rule))?);
        }
        let mut known = vec![exported];
        let mut read = BTreeSet::new();
        while !self.context.is_empty() {
            let mut wanted_types = BTreeSet::new();
            let new = |key: &[u8; 16]| {
                let known = known.iter().map(|set| set.contains(key)).collect::<io::Result<Vec<bool>>>()?;
                let new = !known.contains(&true);
                if new {
                    wanted_types.insert(type_of(key));
                }
                Ok(new)
            };
            let named = gather.take_named();
            let wanted = Arc::new(KeySet::new(&mut gather.take_references().sorted()?, new)?);
            if wanted.len() == 0 {
                break;
            }
            let here = |addition: &&Addition| {
                let part = parts.get(addition.part);
                let number = part.and_then(|part| types.number(&part.compiled.program.resource_type));
                number.is_some_and(|number| wanted_types.contains(&number))
            };
            let rule = |kind: &str| Rule::among(kind, &wanted);
            let mut of = self.context.iter().filter(here).map(|one| {
                let kind = parts.get(one.part).map(|part| part.compiled.program.resource_type.as_str());
                let named = one.named(kind.unwrap_or_default(), named.as_ref());
                let again = read.contains(&one.part);
                if named.is_none() {
                    read.insert(one.part);
                }
                (one, named, again)
            });
            done.extend(phase(tasks(&mut of, &rule))?);
            known.push(wanted);
            if known.len() > SETS {
                known = vec![Arc::new(KeySet::union(&known)?)];
            }
        }
        Ok(done)
    }
}
