//! Who a written resource is, and what it points to: read off its bytes, since only some exports ask.

use std::fmt;
use std::io::{self, Read};

use memchr::{memchr, memmem};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The longest reference, its name included: a type, an id, a version.
pub const LONGEST_REFERENCE: usize = 256;

/// Bytes that are looked at at a time of what is not in memory.
const CHUNK: usize = 64 * 1024;

/// What is before the id of a resource.
pub fn beginning(resource_type: &str) -> Vec<u8> {
    format!("{{\"resourceType\":\"{resource_type}\",\"id\":\"").into_bytes()
}

/// The id of a resource that begins so, as every resource of its type does.
pub fn id_of<'a>(resource: &'a [u8], beginning: &[u8]) -> Option<&'a [u8]> {
    let rest = resource.strip_prefix(beginning)?;
    rest.get(..memchr(b'"', rest)?)
}

/// Finds the targets of references in written JSON: type and id. Nothing but the name of the member looks like this,
/// since quotes in texts are escaped.
pub fn references(json: &[u8], mut found: impl FnMut(&str, &str)) {
    const NAME: &[u8] = b"\"reference\"";
    for at in memmem::find_iter(json, NAME) {
        let rest = json.get(at + NAME.len()..).unwrap_or_default().trim_ascii_start();
        let Some(rest) = rest.strip_prefix(b":").map(<[u8]>::trim_ascii_start) else { continue };
        let Some(rest) = rest.strip_prefix(b"\"") else { continue };
        let Some(text) = memchr(b'"', rest.get(..LONGEST_REFERENCE).unwrap_or(rest)).map(|end| &rest[..end]) else {
            continue;
        };
        let Ok(text) = std::str::from_utf8(text) else { continue };
        // A json column may hold `Type\/id`.
        let plain = if text.contains('\\') { &*text.replace('\\', "") } else { text };
        if let Some((resource_type, id)) = target_of(plain) {
            found(resource_type, id);
        }
    }
}

/// The same for JSON that is read a chunk at a time, into `chunk`. A reference may be found twice.
///
/// # Errors
///
/// What reading gives.
pub fn references_read(mut json: impl Read, chunk: &mut Vec<u8>, mut found: impl FnMut(&str, &str)) -> io::Result<()> {
    chunk.clear();
    loop {
        // What a chunk cuts is whole in the next one.
        chunk.drain(..chunk.len().saturating_sub(LONGEST_REFERENCE));
        if (&mut json).take(CHUNK as u64).read_to_end(chunk)? == 0 {
            return Ok(());
        }
        references(chunk, &mut found);
    }
}

/// Type and id of a reference to a resource of this server, whatever its version.
pub fn target_of(reference: &str) -> Option<(&str, &str)> {
    let (resource_type, rest) = reference.split_once('/')?;
    let (id, version) = rest.split_once('/').unwrap_or((rest, ""));
    let local = resource_type.starts_with(|first: char| first.is_ascii_uppercase()) && !id.is_empty();
    (local && (version.is_empty() || version.starts_with("_history/"))).then_some((resource_type, id))
}

/// What a Provenance says beside its targets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Targets {
    /// `id`.
    pub id: String,
    /// `recorded`.
    pub recorded: String,
}

/// Reads a Provenance; `found` gets each reference in `target`. `None`: it is no JSON object.
pub fn targets(resource: impl Read, mut found: impl FnMut(&str)) -> Option<Targets> {
    let mut reader = serde_json::Deserializer::from_reader(resource);
    Root(&mut found).deserialize(&mut reader).ok()
}

type Found<'a> = &'a mut dyn FnMut(&str);

struct Root<'a>(Found<'a>);
struct List<'a>(Found<'a>);
struct Item<'a>(Found<'a>);

impl<'de> DeserializeSeed<'de> for Root<'_> {
    type Value = Targets;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Targets, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Root<'_> {
    type Value = Targets;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a Provenance")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Targets, A::Error> {
        let mut targets = Targets::default();
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "target" => map.next_value_seed(List(&mut *self.0))?,
                "id" => targets.id = map.next_value()?,
                "recorded" => targets.recorded = map.next_value()?,
                _ => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(targets)
    }
}

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("references")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Item(&mut *self.0))?.is_some() {}
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Item<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Item<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a reference")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            if name == "reference" {
                (self.0)(&map.next_value::<String>()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_found_where_they_are_members() {
        let json = br##"{"a":{"reference":"Practitioner/p-1","display":"\"reference\":\"Location/no\""},
            "b":[{"reference" : "Organization/o.2/_history/3"},{"reference":"Medication\/m"}],"c":"reference",
            "d":{"reference":"\#x"},"e":{"reference":"https://elsewhere/Patient/1"},"f":{"reference":"urn:uuid:1"},
            "g":{"reference":7},"reference":"#inside","h":{"reference":"Location/cut"##;
        let mut found = Vec::new();
        references(json, |name, id| found.push(format!("{name}/{id}")));
        assert_eq!(found, ["Practitioner/p-1", "Organization/o.2", "Medication/m"]);
    }

    #[test]
    fn references_are_found_wherever_chunks_are_cut() {
        let json = br#"{"reference":"Practitioner/p-1","display":"\"reference\":\"Location/no\""},{"reference": "Organization/o"}"#;
        let mut chunk = Vec::new();
        for cut in 0..json.len() {
            let before = vec![b' '; CHUNK - cut];
            let mut found = std::collections::BTreeSet::new();
            let mut add = |name: &str, id: &str| _ = found.insert(format!("{name}/{id}"));
            references_read(before.chain(&json[..]), &mut chunk, &mut add).unwrap();
            assert_eq!(found.into_iter().collect::<Vec<_>>(), ["Organization/o", "Practitioner/p-1"], "{cut}");
        }
    }

    #[test]
    fn a_resource_begins_with_its_id() {
        let resource = br#"{"resourceType":"Patient","id":"a-1","active":true}"#;
        assert_eq!(id_of(resource, &beginning("Patient")), Some(&b"a-1"[..]));
        assert_eq!(id_of(resource, &beginning("Person")), None);
        assert_eq!(id_of(&resource[..33], &beginning("Patient")), None);
    }

    #[test]
    fn targets_are_read_and_agents_are_not() {
        let json = br#"{"resourceType":"Provenance","id":"x","target":[{"reference":"Encounter/1"},{"display":"?"},
            {"type":"Condition","reference":"Condition/2"}],"recorded":"2020-01-01T00:00:00Z",
            "agent":[{"who":{"reference":"Practitioner/3"}}]}"#;
        let mut found = Vec::new();
        let read = targets(&json[..], |text| found.push(text.to_owned())).unwrap();
        assert_eq!(found, ["Encounter/1", "Condition/2"]);
        assert_eq!((read.id.as_str(), read.recorded.as_str()), ("x", "2020-01-01T00:00:00Z"));
        assert!(targets(&b"[]"[..], |_| {}).is_none());
    }
}
