//! What is noted while resources are written: which there are, and what they point to. Only exports to which something
//! is added note anything (K-44, K-52).

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::sync::{Mutex, PoisonError};

use memchr::memchr;
use rustc_hash::FxHashSet;
use sha2::{Digest as _, Sha256};

use super::ExportError;
use super::keyset::{Key, Sorter};
use super::spill::Spill;
use crate::encode::{EncodeError, LONGEST_REFERENCE, Settled, beginning, id_of, references, references_read};

/// References of one worker that are known to be noted.
const RECENT: usize = 4096;

/// References that are remembered as texts, so that the rows they lead to can be asked for by key.
const NAMED: usize = 10_000;

/// The types of a pack, by number.
#[derive(Debug, Clone)]
pub(super) struct Types(Vec<String>);

impl Types {
    /// R4 has 148 types, so a byte holds the number of one.
    pub(super) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut names: Vec<String> = names.map(str::to_owned).collect();
        names.sort_unstable();
        names.dedup();
        Self(names)
    }

    /// The number of a type that the pack makes.
    pub(super) fn number(&self, name: &str) -> Option<u8> {
        self.0.binary_search_by(|known| known.as_str().cmp(name)).ok().and_then(|at| u8::try_from(at).ok())
    }

    /// What stands for a resource of such a type. A digest that nobody can aim at, since ids come from the source.
    pub(super) fn key(&self, name: &str, id: &str) -> Option<Key> {
        let number = self.number(name)?;
        let digest = Sha256::new().chain_update(name).chain_update(b"/").chain_update(id).finalize();
        let mut key = [number; 16];
        key.get_mut(..15)?.copy_from_slice(digest.get(..15)?);
        Some(key)
    }
}

/// The type of a key, by number.
pub(super) fn type_of(key: &Key) -> u8 {
    key[15]
}

/// What all workers have noted.
pub(super) struct Gather {
    pub(super) types: Types,
    /// By number of the type: resources are noted.
    exported: Vec<bool>,
    /// By number of the type: references to it are noted.
    followed: Vec<bool>,
    resources: Mutex<Sorter<16>>,
    references: Mutex<Sorter<16>>,
    named: Mutex<Named>,
}

/// References as texts.
#[derive(Debug, Default)]
struct Named {
    texts: BTreeSet<Box<str>>,
    too_many: bool,
}

impl Gather {
    /// Notes resources of some types, and references to some.
    pub(super) fn new(types: Types, exported: impl Fn(&str) -> bool, followed: impl Fn(&str) -> bool) -> Self {
        Self {
            exported: types.0.iter().map(|name| exported(name)).collect(),
            followed: types.0.iter().map(|name| followed(name)).collect(),
            types,
            resources: Mutex::default(),
            references: Mutex::default(),
            named: Mutex::default(),
        }
    }

    /// The resources noted since this was last called.
    pub(super) fn take_resources(&self) -> Sorter<16> {
        std::mem::take(&mut self.resources.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The references noted since this was last called, as `Type/id`; `None` when they are too many.
    pub(super) fn take_named(&self) -> Option<BTreeSet<Box<str>>> {
        let named = std::mem::take(&mut *self.named.lock().unwrap_or_else(PoisonError::into_inner));
        (!named.too_many).then_some(named.texts)
    }

    fn name(&self, texts: &mut Vec<Box<str>>) {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        named.texts.extend(texts.drain(..));
        if named.too_many || named.texts.len() > NAMED {
            *named = Named { texts: BTreeSet::new(), too_many: true };
        }
    }

    /// The references noted since this was last called.
    pub(super) fn take_references(&self) -> Sorter<16> {
        std::mem::take(&mut self.references.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The notes of one worker.
#[derive(Debug, Default)]
pub(super) struct Notes {
    resources: Vec<Key>,
    references: Vec<Key>,
    named: Vec<Box<str>>,
    recent: FxHashSet<Box<str>>,
    text: String,
}

impl Notes {
    /// Notes whole resources of a type. The first may have its beginning in the spill.
    pub(super) fn take(
        &mut self,
        gather: &Gather,
        kind: &str,
        settled: &Settled,
        spill: &mut Spill,
    ) -> Result<(), ExportError> {
        if settled.resources == 0 {
            return Ok(());
        }
        let is = |of: &[bool]| gather.types.number(kind).and_then(|at| of.get(usize::from(at)).copied()) == Some(true);
        if is(&gather.exported) {
            self.ids(gather, kind, &settled.bytes, spill)?;
        }
        if gather.followed.contains(&true) {
            references(&settled.bytes, |name, id| self.follow(gather, name, id));
            if !spill.is_empty() {
                let rest = settled.bytes.get(..LONGEST_REFERENCE).unwrap_or(&settled.bytes);
                let resource = spill.reader()?.chain(rest);
                references_read(resource, &mut Vec::new(), |name, id| self.follow(gather, name, id))?;
            }
        }
        if !self.named.is_empty() {
            gather.name(&mut self.named);
        }
        for (keys, all) in [(&mut self.resources, &gather.resources), (&mut self.references, &gather.references)] {
            if !keys.is_empty() {
                all.lock().unwrap_or_else(PoisonError::into_inner).extend(keys.drain(..))?;
            }
        }
        Ok(())
    }

    fn ids(&mut self, gather: &Gather, kind: &str, settled: &[u8], spill: &mut Spill) -> Result<(), ExportError> {
        let beginning = beginning(kind);
        let mut at = 0;
        if !spill.is_empty() {
            let head = head(spill.reader()?.chain(settled))?;
            self.resources.push(own_key(&gather.types, kind, &beginning, &head)?);
            at = memchr(b'\n', settled).map_or(settled.len(), |end| end + 1);
        }
        while let Some(rest) = settled.get(at..).filter(|rest| !rest.is_empty()) {
            self.resources.push(own_key(&gather.types, kind, &beginning, rest)?);
            at += memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        }
        Ok(())
    }

    fn follow(&mut self, gather: &Gather, name: &str, id: &str) {
        let followed = gather.types.number(name).and_then(|number| gather.followed.get(usize::from(number)));
        if followed != Some(&true) {
            return;
        }
        self.text.clear();
        self.text.extend([name, "/", id]);
        if self.recent.contains(self.text.as_str()) {
            return;
        }
        if self.recent.len() >= RECENT {
            self.recent.clear();
        }
        self.recent.insert(self.text.as_str().into());
        self.named.push(self.text.as_str().into());
        self.references.extend(gather.types.key(name, id));
    }
}

/// The first bytes of a resource: its type and id are among them.
pub(super) fn head(resource: impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(LONGEST_REFERENCE);
    resource.take(LONGEST_REFERENCE as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// What stands for a written resource.
pub(super) fn own_key(types: &Types, kind: &str, beginning: &[u8], resource: &[u8]) -> Result<Key, EncodeError> {
    let id = id_of(resource, beginning).and_then(|id| std::str::from_utf8(id).ok());
    id.and_then(|id| types.key(kind, id)).ok_or(EncodeError::Program("a resource does not begin with its id"))
}
