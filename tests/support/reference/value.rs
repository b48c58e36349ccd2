//! JSON as the reference makes it, and when it agrees with JSON that was written.

use std::collections::BTreeMap;

use smelt::fixture::Json;

/// A JSON value, or the mark of one that cannot be written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Bool(bool),
    /// Digits as they must be written.
    Number(String),
    /// Any digits that read back as this number.
    Float(f64),
    /// The same in single precision.
    Single(f32),
    Text(String),
    List(Vec<Value>),
    Object(BTreeMap<String, Value>),
    /// A document that is written as it is.
    Raw(Json),
    /// A value that rejects the resource it would stand in.
    Poison,
}

impl Value {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn object<const N: usize>(members: [(&str, Value); N]) -> Self {
        Self::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    pub(crate) fn of_json(json: Json) -> Self {
        match json {
            Json::Null => panic!("null in a constant"),
            Json::Bool(value) => Self::Bool(value),
            Json::Number(digits) => Self::Number(digits),
            Json::Text(text) => Self::Text(text),
            Json::List(items) => Self::List(items.into_iter().map(Self::of_json).collect()),
            Json::Object(members) => {
                Self::Object(members.into_iter().map(|(name, value)| (name, Self::of_json(value))).collect())
            }
        }
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        match self {
            Self::Poison => true,
            Self::List(items) => items.iter().any(Self::is_poisoned),
            Self::Object(members) => members.values().any(Self::is_poisoned),
            _ => false,
        }
    }
}

/// The first place where the written JSON is not the value: its path, what was wanted and what was written. Member
/// order is of no account; numbers are compared digit by digit.
pub(crate) fn difference(want: &Value, got: &Json, path: &str) -> Option<(String, String, String)> {
    let here = || Some((path.to_owned(), format!("{want:?}"), got.to_string()));
    let same = match (want, got) {
        (Value::Bool(want), Json::Bool(got)) => want == got,
        (Value::Number(want), Json::Number(got)) => want == got,
        (Value::Float(want), Json::Number(got)) => got.parse() == Ok(*want),
        (Value::Single(want), Json::Number(got)) => got.parse() == Ok(*want),
        (Value::Text(want), Json::Text(got)) => want == got,
        (Value::Raw(want), got) => want.clone().jsonb() == got.clone().jsonb(),
        (Value::List(wanted), Json::List(items)) if wanted.len() == items.len() => {
            return wanted.iter().zip(items).find_map(|(want, got)| difference(want, got, path));
        }
        (Value::Object(wanted), Json::Object(members)) => {
            let names: Vec<&String> = members.iter().map(|(name, _)| name).collect();
            if let Some((missing, want)) = wanted.iter().find(|(name, _)| !names.contains(name)) {
                return Some((format!("{path}.{missing}"), format!("{want:?}"), "nothing".to_owned()));
            }
            return members.iter().find_map(|(name, got)| {
                let path = format!("{path}.{name}");
                match wanted.get(name) {
                    Some(want) => difference(want, got, &path),
                    None => Some((path, "nothing".to_owned(), got.to_string())),
                }
            });
        }
        _ => false,
    };
    if same { None } else { here() }
}

/// The elements of PostgreSQL's text of a one-dimensional array.
pub(crate) fn array_elements(text: &str) -> Vec<Option<String>> {
    let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap();
    let mut elements = Vec::new();
    let mut chars = inner.chars().peekable();
    while chars.peek().is_some() {
        let mut element = String::new();
        let quoted = chars.next_if_eq(&'"').is_some();
        loop {
            match chars.next() {
                None => break,
                Some('"') if quoted => {
                    chars.next();
                    break;
                }
                Some(',') if !quoted => break,
                Some('\\') => element.extend(chars.next()),
                Some(other) => element.push(other),
            }
        }
        elements.push((quoted || element != "NULL").then_some(element));
    }
    elements
}
