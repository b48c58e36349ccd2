//! Which resources that were made are written.

use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};

use super::ExportError;
use super::gather::{Types, head, own_key};
use super::keyset::{Key, KeySet, Sorter};
use crate::encode::{EncodeError, Search, beginning, target_of, targets};
use crate::fhir::instant::Instant;

/// Decides about one resource.
pub(super) trait Sieve {
    /// True when it is written.
    fn wants(&self, resource: impl Read) -> Result<bool, ExportError>;
}

impl Sieve for Search {
    fn wants(&self, resource: impl Read) -> Result<bool, ExportError> {
        Ok(Self::wants(self, resource))
    }
}

/// What is added to an export.
#[derive(Debug, Clone)]
pub(super) struct Keep {
    pub(super) types: Arc<Types>,
    pub(super) rule: Rule,
}

#[derive(Debug, Clone)]
pub(super) enum Rule {
    /// Resources of this type, which begin so, that are in the set.
    Among(String, Vec<u8>, Arc<KeySet>),
    /// Provenance of something in the set.
    About(Arc<KeySet>),
    /// No Provenance yet: of which in the set each is, and since when.
    Look(Arc<KeySet>, Arc<Mutex<Newest>>),
}

impl Rule {
    /// Resources of a type that are in a set.
    pub(super) fn among(kind: &str, set: &Arc<KeySet>) -> Self {
        Self::Among(kind.to_owned(), beginning(kind), Arc::clone(set))
    }
}

impl Sieve for Keep {
    fn wants(&self, resource: impl Read) -> Result<bool, ExportError> {
        match &self.rule {
            Rule::Among(kind, beginning, set) => {
                let key = own_key(&self.types, kind, beginning, &head(resource)?)?;
                Ok(set.contains(&key)?)
            }
            Rule::About(set) => Ok(!self.about(resource, set)?.1.is_empty()),
            Rule::Look(set, newest) => {
                let (said, about) = self.about(resource, set)?;
                let key = self.types.key("Provenance", &said.id);
                let key = key.ok_or(EncodeError::Program("a Provenance has no id"))?;
                let recorded = said.recorded.parse().map_or(Instant::MIN, |instant: Instant| instant);
                newest.lock().unwrap_or_else(PoisonError::into_inner).add(&about, recorded, key)?;
                Ok(false)
            }
        }
    }
}

impl Keep {
    /// What a Provenance says, and which of its targets are in the set.
    fn about(&self, resource: impl Read, set: &KeySet) -> Result<(crate::encode::Targets, Vec<Key>), ExportError> {
        let (mut about, mut failed) = (Vec::new(), None);
        let said = targets(resource, |reference| {
            let Some(key) = target_of(reference).and_then(|(name, id)| self.types.key(name, id)) else { return };
            match set.contains(&key) {
                Ok(true) => about.push(key),
                Ok(false) => {}
                Err(error) => failed = Some(error),
            }
        });
        let said = said.ok_or(EncodeError::Program("a Provenance is no JSON"))?;
        failed.map_or(Ok((said, about)), |error| Err(error.into()))
    }
}

/// Finds the newest Provenance of each resource; of several of one time, always the same.
#[derive(Default)]
pub(super) struct Newest {
    /// Target, time from the newest on, Provenance.
    all: Sorter<40>,
}

impl std::fmt::Debug for Newest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Newest")
    }
}

impl Newest {
    fn add(&mut self, about: &[Key], recorded: Instant, key: Key) -> std::io::Result<()> {
        // Numbers in the order of their bytes, turned round.
        let time = !(recorded.unix_micros() as u64 ^ 1 << 63);
        self.all.extend(about.iter().map(|target| {
            let mut row = [0; 40];
            row[..16].copy_from_slice(target);
            row[16..24].copy_from_slice(&time.to_be_bytes());
            row[24..].copy_from_slice(&key);
            row
        }))
    }

    /// The newest of each.
    pub(super) fn found(self) -> std::io::Result<KeySet> {
        let mut all = self.all.sorted()?;
        let mut found = Sorter::default();
        let mut last: Option<[u8; 16]> = None;
        while let Some(row) = all.next()? {
            let (target, rest) =
                row.split_first_chunk::<16>().map_or(([0; 16], &row[..]), |(first, rest)| (*first, rest));
            if last != Some(target) {
                last = Some(target);
                found.extend(rest.last_chunk::<16>().copied())?;
            }
        }
        KeySet::new(&mut found.sorted()?, |_| Ok(true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // K-52: the newest by `recorded`, whatever came first.
    #[test]
    fn the_newest_is_found() {
        let at = |text: &str| text.parse::<Instant>().unwrap();
        let mut newest = Newest::default();
        let (a, b) = ([1; 16], [2; 16]);
        for (about, recorded, key) in [
            (&[a, b][..], "2020-01-01T00:00:00Z", 10),
            (&[a], "2021-01-01T00:00:00Z", 11),
            (&[a], "1969-01-01T00:00:00Z", 12),
            (&[b], "1950-01-01T00:00:00Z", 13),
            (&[b], "2020-01-01T00:00:00Z", 14),
        ] {
            newest.add(about, at(recorded), [key; 16]).unwrap();
        }
        let found = newest.found().unwrap();
        let keys: Vec<u8> = (10..15).filter(|key| found.contains(&[*key; 16]).unwrap()).collect();
        assert_eq!(keys, [10, 11]);
    }
}
