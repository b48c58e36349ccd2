//! Finds the references in a resource as its bytes pass.

use std::collections::BTreeSet;

use crate::fhir::id::{ReferenceText, reference};

/// What stands before the text of a reference. Programs write no blanks, and inside a JSON string the quotes would be
/// escaped.
const BEFORE: &[u8] = br#""reference":""#;

/// The longest text that can be a reference to a resource here, with room for a version.
const LONGEST: usize = 256;

/// Looks for references to resources of some types.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    types: &'a BTreeSet<String>,
    /// Bytes of [`BEFORE`] that have passed.
    matched: usize,
    text: Vec<u8>,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(types: &'a BTreeSet<String>) -> Self {
        Self { types, matched: 0, text: Vec::new() }
    }

    /// Calls `found` with `Type/id` of every reference that ends in `bytes`; one may begin in bytes seen before.
    pub(super) fn scan<E>(&mut self, bytes: &[u8], mut found: impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
        for byte in bytes {
            if self.matched < BEFORE.len() {
                self.matched = match BEFORE.get(self.matched) {
                    Some(wanted) if wanted == byte => self.matched + 1,
                    _ => usize::from(*byte == b'"'),
                };
            } else if *byte == b'"' {
                self.matched = 0;
                self.end(&mut found)?;
            } else if self.text.len() <= LONGEST {
                self.text.push(*byte);
            }
        }
        Ok(())
    }

    fn end<E>(&mut self, found: &mut impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
        let text = std::mem::take(&mut self.text);
        // With a backslash it is none: neither types nor ids have what JSON escapes.
        let Some(ReferenceText::Relative { resource_type, id }) =
            std::str::from_utf8(&text).ok().filter(|text| text.len() <= LONGEST).and_then(reference)
        else {
            return Ok(());
        };
        if self.types.contains(resource_type) { found(&format!("{resource_type}/{id}")) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_found_wherever_the_bytes_are_cut() {
        let types = ["Practitioner", "Organization"].map(str::to_owned).into();
        let text = br##"{"a":"reference","text":"\"reference\":\"Practitioner/no\"","reference":"x","b":[{"reference":
"Practitioner/blank"},{"reference":"Practitioner/p-1"},{"reference":"Patient/p-1"},{"reference":"#x"},{"reference":""},
{"reference":"Organization/o.1/_history/3"},{"reference":"https://h/Practitioner/2"},{"reference":"Practitioner/p-2"}]}"##;
        for cut in 0..text.len() {
            let mut scanner = Scanner::new(&types);
            let mut found = Vec::new();
            for part in [&text[..cut], &text[cut..]] {
                scanner
                    .scan(part, |text| {
                        found.push(text.to_owned());
                        Ok::<_, ()>(())
                    })
                    .unwrap();
            }
            assert_eq!(found, ["Practitioner/p-1", "Organization/o.1", "Practitioner/p-2"], "{cut}");
        }
    }
}
