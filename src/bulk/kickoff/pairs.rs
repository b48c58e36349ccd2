//! Names and values of a kick-off, out of the query and out of a `Parameters` body.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Intake;
use super::mistake::Mistake;
use crate::bulk::percent::{Form, decode};

/// One parameter as given.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) name: String,
    pub(super) value: Given,
    pub(super) carrier: Carrier,
}

/// Where it stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carrier {
    Query,
    Body,
}

/// A value: clients differ in the `value[x]` they choose, so every primitive is its text (T-08, T-37).
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Given {
    Text(String),
    /// `valueReference.reference`
    Reference(String),
    /// `valueCoding`: system and code.
    Coding(Option<String>, String),
    /// None, several, or one of no use.
    Nothing,
}

/// All parameters: those of the query first, then those of a POST's body (K-05).
pub(super) fn read(intake: &Intake<'_>) -> Result<Vec<Pair>, Mistake> {
    let mut pairs = of_query(intake.query.unwrap_or_default())?;
    if let Some(body) = intake.body.filter(|_| intake.post) {
        pairs.extend(of_body(body)?);
    }
    Ok(pairs)
}

fn of_query(query: &str) -> Result<Vec<Pair>, Mistake> {
    let text = |text: &str| decode(text, Form::Query).ok_or(Mistake::QueryNotUtf8);
    let pair = |piece: &str| {
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        Ok(Pair { name: text(name)?, value: Given::Text(text(value)?), carrier: Carrier::Query })
    };
    query.split('&').filter(|piece| !piece.is_empty()).map(pair).collect()
}

/// A query without the patients it names, for whatever keeps or repeats the URL of a kick-off (K-50, M-03). What else
/// stands in it stays as it was written.
pub fn without_patients(query: &str) -> String {
    let names_patient = |piece: &str| {
        let name = piece.split('=').next().unwrap_or_default();
        decode(name, Form::Query).is_none_or(|name| name == "patient")
    };
    query.split('&').filter(|piece| !names_patient(piece)).collect::<Vec<_>>().join("&")
}

fn of_body(body: &[u8]) -> Result<Vec<Pair>, Mistake> {
    let body = body.trim_ascii();
    if body.is_empty() {
        return Ok(Vec::new());
    }
    let resource = match serde_json::from_slice::<Body>(body) {
        Ok(Body::Object { resource_type, parameter }) if resource_type == "Parameters" => parameter,
        Ok(_) => return Err(Mistake::NotParameters),
        Err(error) if error.is_data() => return Err(Mistake::NotParameters),
        // The error's own text may repeat a value: its place alone is told.
        Err(error) => return Err(Mistake::NotJson { line: error.line(), column: error.column() }),
    };
    Ok(resource.into_iter().map(|Entry { name, value }| Pair { name, value, carrier: Carrier::Body }).collect())
}

/// The body, which is read in one pass: thousands of entries are usual, a tree of them is not needed (K-21).
enum Body {
    Object { resource_type: String, parameter: Vec<Entry> },
    Other,
}

struct Entry {
    name: String,
    value: Given,
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Body;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a resource")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Body, A::Error> {
                let (mut resource_type, mut parameter) = (None, None);
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "resourceType" if resource_type.is_none() => resource_type = Some(map.next_value()?),
                        "parameter" if parameter.is_none() => parameter = Some(map.next_value()?),
                        "resourceType" | "parameter" => return Err(A::Error::custom("a member is repeated")),
                        _ => _ = map.next_value::<IgnoredAny>()?,
                    }
                }
                Ok(Body::Object {
                    resource_type: resource_type.unwrap_or_default(),
                    parameter: parameter.unwrap_or_default(),
                })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Body, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Body::Other)
            }
        }
        deserializer.deserialize_any(Fields)
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Entry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a parameter")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry, A::Error> {
                let (mut name, mut values) = (None, Vec::new());
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "name" if name.is_none() => name = Some(map.next_value()?),
                        "name" => return Err(A::Error::custom("a member is repeated")),
                        "valueReference" => values.push(map.next_value::<Reference>()?.0),
                        "valueCoding" => values.push(map.next_value::<Coding>()?.0),
                        key if key.starts_with("value") => values.push(map.next_value::<Scalar>()?.0),
                        // What they hold would be forgotten.
                        "part" | "resource" => {
                            map.next_value::<IgnoredAny>()?;
                            values.push(Given::Nothing);
                        }
                        _ => _ = map.next_value::<IgnoredAny>()?,
                    }
                    values.truncate(2);
                }
                let name = name.ok_or_else(|| A::Error::custom("a parameter has no name"))?;
                let value = if values.len() == 1 { values.pop() } else { None };
                Ok(Entry { name, value: value.unwrap_or(Given::Nothing) })
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// A primitive as its text; anything else is nothing.
struct Scalar(Given);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor).map(Self)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Given;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Given, E> {
        Ok(Given::Text(text.to_owned()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Given, E> {
        Ok(Given::Text(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Given, E> {
        Ok(Given::Text(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Given, E> {
        Ok(Given::Text(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Given, E> {
        Ok(Given::Text(value.to_string()))
    }

    fn visit_unit<E>(self) -> Result<Given, E> {
        Ok(Given::Nothing)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Given, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Given::Nothing)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Given, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Given::Nothing)
    }
}

/// `{"reference": "Patient/1"}`
struct Reference(Given);

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Object {
            reference: Option<Scalar>,
        }
        let object = Option::<Object>::deserialize(deserializer)?;
        Ok(Self(match object.and_then(|object| object.reference) {
            Some(Scalar(Given::Text(text))) => Given::Reference(text),
            _ => Given::Nothing,
        }))
    }
}

/// `{"system": "…", "code": "x"}`
struct Coding(Given);

impl<'de> Deserialize<'de> for Coding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Object {
            system: Option<String>,
            code: Option<String>,
        }
        let object = Option::<Object>::deserialize(deserializer)?;
        Ok(Self(match object {
            Some(Object { system, code: Some(code) }) => Given::Coding(system, code),
            _ => Given::Nothing,
        }))
    }
}
