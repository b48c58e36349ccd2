//! The members of a Group in JSON, read one by one: a million of them are never a tree.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::CohortError;
use crate::bulk::request::patient_id;
use crate::bulk::roster::RosterBuilder;

/// The members, read one by one.
pub(super) struct Members<'a> {
    pub(super) base_url: &'a str,
    pub(super) list: Option<RosterBuilder>,
    pub(super) wrong: Option<CohortError>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Member<'a> {
    #[serde(borrow)]
    entity: Entity<'a>,
    inactive: Option<bool>,
    #[serde(rename = "id")]
    _id: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entity<'a> {
    #[serde(borrow)]
    reference: Cow<'a, str>,
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(rename = "display")]
    _display: Option<IgnoredAny>,
}

impl Members<'_> {
    fn take(&mut self, number: usize, text: &str) -> Result<(), CohortError> {
        let wrong = |problem| CohortError::Member { number, problem };
        let member: Member<'_> = serde_json::from_str(text)
            .map_err(|_other| wrong("has not the form `{\"entity\": {\"reference\": \"Patient/ID\"}}`"))?;
        if member.inactive == Some(true) {
            return Err(wrong("is inactive: leave out who has left"));
        }
        let patient = member.entity.kind.is_none_or(|kind| kind == "Patient");
        let id = local(&member.entity.reference, self.base_url).filter(|_| patient);
        let id = id.ok_or_else(|| wrong("is not a reference to a Patient of this server"))?;
        Ok(self.list.get_or_insert_default().push(id)?)
    }
}

/// The id in `Patient/ID`, also below the own base.
fn local<'a>(reference: &'a str, base_url: &str) -> Option<&'a str> {
    let base = base_url.trim_end_matches('/');
    let path = reference.strip_prefix(base).filter(|path| path.starts_with("/Patient/")).unwrap_or(reference);
    path.trim_start_matches('/').starts_with("Patient/").then(|| patient_id(path)).flatten()
}

/// Every element but the members, as text.
pub(super) struct Whole<'a, 'b>(pub(super) &'a mut Members<'b>);

impl<'de> DeserializeSeed<'de> for Whole<'_, '_> {
    type Value = Vec<(String, &'de RawValue)>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Whole<'_, '_> {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut parts: Vec<(String, &'de RawValue)> = Vec::new();
        let mut listed = false;
        while let Some(name) = map.next_key::<String>()? {
            if parts.iter().any(|(known, _)| *known == name) || (listed && name == "member") || parts.len() > 100 {
                return Err(A::Error::custom("twice"));
            }
            if name == "member" {
                listed = true;
                map.next_value_seed(List(&mut *self.0))?;
            } else {
                parts.push((name, map.next_value()?));
            }
        }
        Ok(parts)
    }
}

struct List<'a, 'b>(&'a mut Members<'b>);

impl<'de> DeserializeSeed<'de> for List<'_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let mut number = 0;
        while let Some(member) = list.next_element::<&RawValue>()? {
            number += 1;
            if let Err(wrong) = self.0.take(number, member.get()) {
                self.0.wrong = Some(wrong);
                return Err(A::Error::custom("a member"));
            }
        }
        // FHIR has no empty lists; here it is no mistake to pass over, and no list either.
        if number == 0 { Err(A::Error::custom("empty")) } else { Ok(()) }
    }
}
