//! Code maps at run time: from the bytes of a source value to the JSON to write.

use std::hash::{BuildHasher as _, BuildHasherDefault};

use rustc_hash::{FxHashMap, FxHasher};

use super::{Invalid, text};
use crate::plan::program::{MapOther, MapTable};

/// Up to this many entries are compared one by one.
const LINEAR: usize = 8;

/// What a lookup found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing to write.
    #[default]
    Nothing,
    /// A listed value.
    Entry(u32),
    /// NULL or blank, for which the map has something.
    Empty,
    /// A value not listed, for which the map has something.
    Other,
    /// `!absent`.
    Absent,
    /// `!error`: the resource is rejected where the value is to be written.
    Reject,
}

/// A code map, indexed.
#[derive(Debug)]
pub(super) struct Table {
    map: MapTable,
    index: FxHashMap<Box<[u8]>, u32>,
}

impl Table {
    pub(super) fn new(map: &MapTable) -> Self {
        let mut index = FxHashMap::default();
        if map.entries.len() > LINEAR {
            for (nth, (source, _)) in map.entries.iter().enumerate() {
                index.entry(Box::from(source.as_bytes())).or_insert(nth as u32);
            }
        }
        Self { map: map.clone(), index }
    }

    /// What a value becomes, and true when it is to be counted as unmapped.
    #[inline]
    pub(super) fn find(&self, value: &[u8]) -> (Found, bool) {
        let entry = if self.index.is_empty() {
            self.map.entries.iter().position(|(source, _)| source.as_bytes() == value).map(|nth| nth as u32)
        } else {
            self.index.get(value).copied()
        };
        match entry {
            // An entry without JSON has nothing to say in this form.
            Some(nth) if self.entry(nth).is_empty() => (Found::Nothing, false),
            Some(nth) => (Found::Entry(nth), false),
            None => (of(&self.map.other, Found::Other), self.map.counted),
        }
    }

    /// What NULL or blank text becomes.
    #[inline]
    pub(super) fn find_empty(&self) -> Found {
        match &self.map.empty {
            // There is no value to write between the bytes.
            MapOther::Around(..) => Found::Nothing,
            other => of(other, Found::Empty),
        }
    }

    fn entry(&self, nth: u32) -> &[u8] {
        self.map.entries.get(nth as usize).map_or(&[], |(_, json)| json)
    }

    /// Appends the JSON; `value` is the source value, for `!same` and `!text`.
    #[inline]
    pub(super) fn write(&self, found: Found, value: &[u8], out: &mut Vec<u8>) -> Result<(), Invalid> {
        let other = match found {
            Found::Entry(nth) => {
                out.extend_from_slice(self.entry(nth));
                return Ok(());
            }
            Found::Empty => &self.map.empty,
            Found::Other => &self.map.other,
            Found::Nothing | Found::Absent | Found::Reject => return Err(Invalid),
        };
        match other {
            MapOther::Json(json) => out.extend_from_slice(json),
            MapOther::Around(before, after) => {
                out.extend_from_slice(before);
                // Codes have no blanks around them.
                text::string(value.trim_ascii(), out)?;
                out.extend_from_slice(after);
            }
            MapOther::Omit | MapOther::Absent | MapOther::Reject => return Err(Invalid),
        }
        Ok(())
    }
}

fn of(other: &MapOther, something: Found) -> Found {
    match other {
        MapOther::Omit => Found::Nothing,
        MapOther::Json(_) | MapOther::Around(..) => something,
        MapOther::Absent => Found::Absent,
        MapOther::Reject => Found::Reject,
    }
}

/// A number that stands for an unmapped value where only how many there are matters.
pub(super) fn hash(value: &[u8]) -> u64 {
    BuildHasherDefault::<FxHasher>::default().hash_one(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(entries: usize, empty: MapOther, other: MapOther) -> Table {
        let entries = (0..entries).map(|n| (format!("s{n}"), format!("\"t{n}\"").into_bytes())).collect();
        Table::new(&MapTable { name: "m".to_owned(), entries, empty, other, counted: true })
    }

    fn written(table: &Table, found: Found, value: &str) -> String {
        let mut out = Vec::new();
        table
            .write(found, value.as_bytes(), &mut out)
            .map_or("invalid".to_owned(), |()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn listed_values_in_small_and_large_maps() {
        for entries in [3, 8, 9, 500] {
            let table = table(entries, MapOther::Omit, MapOther::Omit);
            for nth in [0, entries - 1] {
                let value = format!("s{nth}");
                let (found, counted) = table.find(value.as_bytes());
                assert_eq!((written(&table, found, &value), counted), (format!("\"t{nth}\""), false));
            }
            assert_eq!(table.find(b"other"), (Found::Nothing, true));
            assert_eq!(table.find_empty(), Found::Nothing);
        }
    }

    #[test]
    fn unlisted_values() {
        for (other, found, text) in [
            (MapOther::Omit, Found::Nothing, "invalid"),
            (MapOther::Json(b"1".to_vec()), Found::Other, "1"),
            (MapOther::Around(b"{\"text\":".to_vec(), b"}".to_vec()), Found::Other, "{\"text\":\"a\\\"b\"}"),
            (MapOther::Absent, Found::Absent, "invalid"),
            (MapOther::Reject, Found::Reject, "invalid"),
        ] {
            let table = table(1, MapOther::Omit, other);
            assert_eq!(table.find(b"a\"b"), (found, true));
            assert_eq!(written(&table, found, "a\"b"), text);
        }
    }

    #[test]
    fn null() {
        let table = table(1, MapOther::Json(b"\"unknown\"".to_vec()), MapOther::Omit);
        assert_eq!(table.find_empty(), Found::Empty);
        assert_eq!(written(&table, Found::Empty, ""), "\"unknown\"");
    }
}
