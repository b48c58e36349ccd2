//! Whether a produced resource is wanted: found by a search (`_typeFilter`), and by none that withholds.
//!
//! Only elements that the search names are kept while a resource is read, so a large one costs no memory. Reading JSON
//! back costs time; it is spent on types with a filter alone.

mod matcher;
#[cfg(test)]
mod tests;
mod texts;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;

use jiff::tz::TimeZone;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use self::matcher::Matcher;
use super::EncodeError;
use crate::plan::search::{self, Look, Step, Wanted};

/// The searches of one type, ready to be asked.
#[derive(Debug)]
pub struct Search {
    /// One of them finds it; where there is none, everything is wanted.
    any: Vec<Vec<Test>>,
    /// None of them finds it.
    none: Vec<Vec<Test>>,
    /// The members of a resource that they look at.
    names: Vec<String>,
    /// Where dates without a zone are.
    zone: TimeZone,
}

#[derive(Debug)]
struct Test {
    looks: Vec<Look>,
    matcher: Matcher,
}

type Object<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;
type Members = BTreeMap<String, Box<RawValue>>;

impl Search {
    /// Prepares what is wanted; dates without a zone are read in `zone` (an IANA name).
    ///
    /// # Errors
    ///
    /// [`EncodeError::Zone`]; [`EncodeError::Program`] for a value that the kick-off would have refused.
    pub fn new(wanted: &Wanted, zone: &str) -> Result<Self, EncodeError> {
        let zone = TimeZone::get(zone).map_err(|source| EncodeError::Zone { name: zone.to_owned(), source })?;
        let test = |test: &search::Test| {
            let matcher =
                Matcher::new(&test.ask, &zone).ok_or(EncodeError::Program("a search value has no meaning"))?;
            Ok(Test { looks: test.looks.clone(), matcher })
        };
        let search = |tests: &Vec<_>| tests.iter().map(test).collect();
        let all = |searches: &[Vec<_>]| searches.iter().map(search).collect::<Result<_, EncodeError>>();
        let (any, none): (Vec<Vec<Test>>, Vec<_>) = (all(&wanted.any)?, all(&wanted.none)?);
        let names = wanted.members().map(str::to_owned).collect();
        Ok(Self { any, none, names, zone })
    }

    /// True when the resource is wanted; a text that is no JSON object never is.
    pub fn wants(&self, resource: impl Read) -> bool {
        let mut reader = serde_json::Deserializer::from_reader(resource);
        let Ok(kept) = Kept(self).deserialize(&mut reader) else { return false };
        let found = |tests: &Vec<Test>| tests.iter().all(|test| self.holds(test, &kept));
        (self.any.is_empty() || self.any.iter().any(found)) && !self.none.iter().any(found)
    }

    fn holds(&self, test: &Test, resource: &Members) -> bool {
        let any = |is: &dyn Fn(&Look, &RawValue) -> bool| {
            test.looks.iter().any(|look| from_root(resource, &look.steps, &mut |value| is(look, value)))
        };
        let presence = test.looks.iter().any(|look| look.presence);
        let present = || any(&|_, value| value.get() != "false");
        let matches = || any(&|look, value| test.matcher.is(value, look, &self.zone));
        match &test.matcher {
            Matcher::Missing(missing) => matches() != *missing,
            Matcher::Token { not, any } if presence => {
                let text = if present() { "true" } else { "false" };
                any.iter().any(|token| token.code.as_deref() == Some(text)) != *not
            }
            Matcher::Token { not, .. } => matches() != *not,
            Matcher::Composite(any) => test.looks.iter().any(|look| {
                let parts = |reach: &Reach<'_>| any.iter().any(|matchers| self.together(matchers, look, reach));
                match look.steps.as_slice() {
                    [] => parts(&|steps, is| from_root(resource, steps, is)),
                    steps => from_root(resource, steps, &mut |item| parts(&|steps, is| below(item, steps, is))),
                }
            }),
            _ => matches(),
        }
    }

    /// Whether one place has every part of a composite value.
    fn together(&self, matchers: &[Matcher], look: &Look, reach: &Reach<'_>) -> bool {
        matchers.iter().zip(&look.parts).all(|(matcher, places)| {
            places.iter().any(|place| reach(&place.steps, &mut |value| matcher.is(value, place, &self.zone)))
        })
    }
}

/// Whether something holds of a value that steps lead to from some place.
type Reach<'a> = dyn Fn(&[Step], &mut dyn FnMut(&RawValue) -> bool) -> bool + 'a;

/// Whether `is` holds of a value that `steps` lead to.
fn from_root(resource: &Members, steps: &[Step], is: &mut dyn FnMut(&RawValue) -> bool) -> bool {
    let Some((Step::Member(name), rest)) = steps.split_first() else { return false };
    resource.get(name).is_some_and(|value| below(value, rest, is))
}

fn below(value: &RawValue, steps: &[Step], is: &mut dyn FnMut(&RawValue) -> bool) -> bool {
    if value.get().starts_with('[') {
        let items: Vec<&RawValue> = serde_json::from_str(value.get()).unwrap_or_default();
        return items.into_iter().any(|item| below(item, steps, is));
    }
    let Some((step, rest)) = steps.split_first() else { return is(value) };
    let Some(object) = object(value) else { return false };
    match step {
        Step::Member(name) => object.get(name.as_str()).is_some_and(|value| below(value, rest, is)),
        Step::Where(member, text) => {
            object.get(*member).is_some_and(|value| is_text(value, text)) && below(value, rest, is)
        }
    }
}

fn object(value: &RawValue) -> Option<Object<'_>> {
    serde_json::from_str(value.get()).ok()
}

/// A JSON string; nothing for other values.
fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    // A `Cow` alone would always be copied.
    #[derive(serde::Deserialize)]
    #[serde(transparent)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str(value.get()).ok().map(|Text(text)| text)
}

fn is_text(value: &RawValue, wanted: &str) -> bool {
    text(value).is_some_and(|text| text == wanted)
}

/// Reads the elements that a search names, and drops the others unread.
struct Kept<'a>(&'a Search);

impl<'de> DeserializeSeed<'de> for Kept<'_> {
    type Value = Members;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Kept<'_> {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a resource")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut kept = Members::new();
        while let Some(name) = map.next_key::<String>()? {
            if self.0.names.contains(&name) {
                kept.insert(name, map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
                // The mark: what only searches look at follows, and with it `meta` as it was before it was tagged.
                if name.is_empty() {
                    kept.remove("meta");
                }
            }
        }
        Ok(kept)
    }
}
