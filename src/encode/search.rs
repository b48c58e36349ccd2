//! Whether a produced resource is wanted: found by a search (`_typeFilter`), and by none that withholds (X-09).
//!
//! Only elements that the search names are kept while a resource is read, so a large one costs no memory. Reading JSON
//! back costs time; it is spent on types with a filter alone.

use std::fmt;
use std::io::Read;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::plan::search::{Test, Token, Wanted};

/// True when the resource is wanted; a text that is no JSON object never is.
pub fn finds(wanted: &Wanted, resource: impl Read) -> bool {
    let mut reader = serde_json::Deserializer::from_reader(resource);
    let Ok(kept) = Kept(wanted).deserialize(&mut reader) else { return false };
    let found = |tests: &Vec<Test>| tests.iter().all(|test| holds(test, &kept));
    (wanted.any.is_empty() || wanted.any.iter().any(found)) && !wanted.none.iter().any(found)
}

fn holds(test: &Test, resource: &Map<String, Value>) -> bool {
    test.paths.iter().any(|path| {
        let Some((first, rest)) = path.split_first() else { return false };
        resource.get(first).is_some_and(|value| below(value, rest, &test.any))
    })
}

fn below(value: &Value, path: &[String], any: &[Token]) -> bool {
    match (value, path.split_first()) {
        (Value::Array(items), _) => items.iter().any(|item| below(item, path, any)),
        (Value::Object(object), Some((first, rest))) => object.get(first).is_some_and(|value| below(value, rest, any)),
        (_, Some(_)) => false,
        (value, None) => any.iter().any(|token| is(value, token)),
    }
}

/// FHIR's token comparison on a primitive, a Coding, a CodeableConcept or an Identifier.
fn is(value: &Value, token: &Token) -> bool {
    let code = |value: Option<&Value>| match (&token.code, value) {
        (None, _) => true,
        (Some(code), Some(Value::String(text))) => text == code,
        (Some(code), Some(Value::Bool(flag))) => code == if *flag { "true" } else { "false" },
        (Some(_), _) => false,
    };
    match value {
        Value::Object(object) => {
            if let Some(Value::Array(codings)) = object.get("coding") {
                return codings.iter().any(|coding| is(coding, token));
            }
            let system = object.get("system").and_then(Value::as_str).unwrap_or_default();
            let right = token.system.as_ref().is_none_or(|wanted| wanted == system);
            right && code(object.get("code").or_else(|| object.get("value")))
        }
        plain => token.system.is_none() && code(Some(plain)),
    }
}

/// Reads the elements that a search names, and drops the others unread.
struct Kept<'a>(&'a Wanted);

impl<'de> DeserializeSeed<'de> for Kept<'_> {
    type Value = Map<String, Value>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Kept<'_> {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a resource")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut kept = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let named = |test: &Test| test.paths.iter().any(|path| path.first() == Some(&name));
            if self.0.any.iter().chain(&self.0.none).flatten().any(named) {
                kept.insert(name, map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESOURCE: &str = r#"{"resourceType":"Observation","id":"a","status":"final","active":true,
        "category":[{"coding":[{"system":"s","code":"x"},{"system":"t","code":"y"}]},{"text":"none"}],
        "identifier":[{"system":"m","value":"17"},{"value":"18"}],"class":{"system":"c","code":"AMB"}}"#;

    fn found(path: &str, tokens: &[&str]) -> bool {
        let token = |text: &&str| match text.split_once('|') {
            None => Token { system: None, code: Some((*text).to_owned()) },
            Some((system, code)) => {
                Token { system: Some(system.to_owned()), code: Some(code.to_owned()).filter(|code| !code.is_empty()) }
            }
        };
        let test =
            Test { paths: vec![path.split('.').map(str::to_owned).collect()], any: tokens.iter().map(token).collect() };
        finds(&Wanted { any: vec![vec![test]], none: Vec::new() }, RESOURCE.as_bytes())
    }

    #[test]
    fn tokens_of_every_form() {
        for (path, tokens) in [
            ("status", vec!["final"]),
            ("status", vec!["amended", "final"]),
            ("active", vec!["true"]),
            ("category", vec!["y"]),
            ("category", vec!["s|x"]),
            ("category", vec!["t|"]),
            ("identifier", vec!["m|17"]),
            ("identifier", vec!["|18"]),
            ("class", vec!["AMB"]),
            ("id", vec!["a"]),
        ] {
            assert!(found(path, &tokens), "{path}={tokens:?}");
        }
        for (path, tokens) in [
            ("status", vec!["Final"]),
            ("active", vec!["false"]),
            ("category", vec!["s|y"]),
            ("category", vec!["none"]),
            ("category", vec!["|x"]),
            ("identifier", vec!["|17"]),
            ("identifier", vec!["m|18"]),
            ("class", vec!["c|IMP"]),
            ("absent", vec!["x"]),
        ] {
            assert!(!found(path, &tokens), "{path}={tokens:?}");
        }
    }

    #[test]
    fn searches_are_alternatives_and_their_parameters_are_not() {
        let test = |path: &str, code: &str| Test {
            paths: vec![vec![path.to_owned()]],
            any: vec![Token { system: None, code: Some(code.to_owned()) }],
        };
        let asks = |any| finds(&Wanted { any, none: Vec::new() }, RESOURCE.as_bytes());
        assert!(asks(vec![vec![test("status", "final"), test("id", "a")]]));
        assert!(!asks(vec![vec![test("status", "final"), test("id", "b")]]));
        assert!(asks(vec![vec![test("id", "b")], vec![test("id", "a")]]));
        assert!(!finds(&Wanted { any: vec![vec![test("id", "a")]], none: Vec::new() }, &b"[1]"[..]));
    }

    // X-09
    #[test]
    fn what_is_withheld_is_not_wanted() {
        let test = |path: &str, code: &str| Test {
            paths: vec![vec![path.to_owned()]],
            any: vec![Token { system: None, code: Some(code.to_owned()) }],
        };
        let asks = |any, none| finds(&Wanted { any, none }, RESOURCE.as_bytes());
        let (this, other) = (vec![test("id", "a")], vec![test("id", "b")]);
        assert!(asks(vec![], vec![other.clone()]), "everything else is wanted");
        assert!(!asks(vec![], vec![this.clone()]));
        assert!(!asks(vec![], vec![other.clone(), vec![test("category", "y")]]), "one rule is enough");
        assert!(asks(vec![], vec![[this.clone(), other.clone()].concat()]), "all of a rule must hold");
        assert!(!asks(vec![this.clone()], vec![this.clone()]), "a client cannot ask for it");
        let rule = Wanted { any: vec![], none: vec![other] };
        for broken in [&b"[1]"[..], b"{", b"{\"id\":\"a\""] {
            assert!(!finds(&rule, broken), "what cannot be read is withheld");
        }
    }
}
