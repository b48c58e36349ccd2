//! What a search parameter is asked for: values by the kind of the parameter, prefixes and modifiers (K-57, K-62, K-63).

use crate::bulk::type_filter::{Ask, Compared, Prefix, QuantityAsk, Target, TextMatch, Token};
use crate::fhir::decimal::Decimal;
use crate::fhir::elements::{TypeKind, type_kind};
use crate::fhir::id;
use crate::fhir::search::{SearchParam, SearchType};
use crate::fhir::span::covers;

/// Why a value or a modifier cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unusable {
    /// The part from `:` on; the modifiers there are.
    Modifier(&'static str),
    /// A value; the form it should have.
    Value(&'static str),
}

const TOKEN: &str = "`code`, `system|code`, `|code` or `system|`";
const DATE: &str =
    "a date such as 2024, 2024-05 or 2024-05-01T10:30:00Z after eq, ne, gt, lt, ge, le, sa, eb or nothing";
const NUMBER: &str = "a number after eq, ne, gt, lt, ge, le or nothing";
const QUANTITY: &str = "`number`, `number|system|code` or `number||unit` after eq, ne, gt, lt, ge, le or nothing";
const REFERENCE: &str = "`id`, `Type/id` or a URL";
const COMPOSITE: &str = "a value for each part with `$` between, such as `8480-6$gt140`";

/// What `value` asks of a parameter.
pub(super) fn ask(param: &SearchParam, modifier: Option<&str>, value: &str, base: &str) -> Result<Ask, Unusable> {
    if param.kind != SearchType::Composite {
        return simple(param.kind, modifier, value, base);
    }
    if modifier.is_some() {
        return Err(Unusable::Modifier("none"));
    }
    let together = |item: &str| {
        let values = unescaped(item, '$');
        let parts = values.iter().zip(&param.parts).map(|(value, (kind, _))| simple(*kind, None, value, base).ok());
        parts.collect::<Option<Vec<_>>>().filter(|_| values.len() == param.parts.len())
    };
    let read: Option<Vec<_>> = items(value).into_iter().map(together).collect();
    read.filter(|items| !items.is_empty()).map(Ask::Composite).ok_or(Unusable::Value(COMPOSITE))
}

fn simple(kind: SearchType, modifier: Option<&str>, value: &str, base: &str) -> Result<Ask, Unusable> {
    // PostgreSQL knows no NUL, and no code has a control character in it.
    let clean = || Some(value).filter(|value| !value.contains(char::is_control));
    let each = |form| clean().map(|value| items(value)).filter(|items| !items.is_empty()).ok_or(Unusable::Value(form));
    let all = |form, items: Vec<&str>, one: &dyn Fn(&str) -> Option<Compared>| {
        items.into_iter().map(one).collect::<Option<Vec<_>>>().ok_or(Unusable::Value(form))
    };
    let tokens = || {
        let read: Option<Vec<Token>> = each(TOKEN)?.into_iter().map(token).collect();
        read.ok_or(Unusable::Value(TOKEN))
    };
    let texts = || Ok(each("text")?.into_iter().map(plain).collect::<Vec<_>>());
    match (kind, modifier) {
        (_, Some("missing")) => match value {
            "true" => Ok(Ask::Missing(true)),
            "false" => Ok(Ask::Missing(false)),
            _ => Err(Unusable::Value("`true` or `false`")),
        },
        (SearchType::Token, None) => Ok(Ask::Token(tokens()?)),
        (SearchType::Token, Some("not")) => Ok(Ask::NotToken(tokens()?)),
        (SearchType::Token, Some("text")) => Ok(Ask::Text(texts()?)),
        (SearchType::Token, _) => Err(Unusable::Modifier("`:missing`, `:not` and `:text`")),
        (SearchType::String, None) => Ok(Ask::String(TextMatch::Starts, texts()?)),
        (SearchType::String, Some("exact")) => Ok(Ask::String(TextMatch::Exact, texts()?)),
        (SearchType::String, Some("contains")) => Ok(Ask::String(TextMatch::Contains, texts()?)),
        (SearchType::String, _) => Err(Unusable::Modifier("`:missing`, `:exact` and `:contains`")),
        (SearchType::Date, None) => Ok(Ask::Date(all(DATE, each(DATE)?, &date)?)),
        (SearchType::Number, None) => Ok(Ask::Number(all(NUMBER, each(NUMBER)?, &number)?)),
        (SearchType::Quantity, None) => {
            let read: Option<Vec<_>> = each(QUANTITY)?.into_iter().map(quantity).collect();
            Ok(Ask::Quantity(read.ok_or(Unusable::Value(QUANTITY))?))
        }
        (SearchType::Uri, None) => Ok(Ask::Uri(texts()?)),
        (SearchType::Reference, Some("identifier")) => Ok(Ask::Identifier(tokens()?)),
        (SearchType::Reference, of_type) => {
            if of_type.is_some_and(|name| type_kind(name) != Some(TypeKind::Resource)) {
                return Err(Unusable::Modifier("`:missing`, `:identifier` and the name of a resource type"));
            }
            let read: Option<Vec<_>> = each(REFERENCE)?.into_iter().map(|item| target(item, of_type, base)).collect();
            Ok(Ask::Reference(read.ok_or(Unusable::Value(REFERENCE))?))
        }
        _ => Err(Unusable::Modifier("`:missing`")),
    }
}

/// The alternatives of a value.
fn items(value: &str) -> Vec<&str> {
    unescaped(value, ',').into_iter().map(str::trim).filter(|item| !item.is_empty()).collect()
}

fn token(item: &str) -> Option<Token> {
    let parts = unescaped(item, '|');
    let given = |text: &str| Some(plain(text)).filter(|text| !text.is_empty());
    match parts.as_slice() {
        [code] => Some(Token { system: None, code: Some(given(code)?) }),
        [system, code] if !(system.is_empty() && code.is_empty()) => {
            Some(Token { system: Some(plain(system)), code: given(code) })
        }
        _ => None,
    }
}

/// Takes a prefix off; letters that are none stay.
fn prefixed(item: &str) -> (Prefix, &str) {
    const PREFIXES: [(&str, Prefix); 8] = [
        ("eq", Prefix::Eq),
        ("ne", Prefix::Ne),
        ("gt", Prefix::Gt),
        ("lt", Prefix::Lt),
        ("ge", Prefix::Ge),
        ("le", Prefix::Le),
        ("sa", Prefix::Sa),
        ("eb", Prefix::Eb),
    ];
    let found = PREFIXES.iter().find_map(|(text, prefix)| Some((*prefix, item.strip_prefix(text)?)));
    found.unwrap_or((Prefix::Eq, item))
}

fn date(item: &str) -> Option<Compared> {
    let (prefix, value) = prefixed(item);
    covers(value, &jiff::tz::TimeZone::UTC)?;
    Some(Compared { prefix, value: value.to_owned() })
}

fn number(item: &str) -> Option<Compared> {
    let (prefix, value) = prefixed(item);
    Decimal::parse(value)?;
    // Of points, "after" and "above" are the same.
    let prefix = match prefix {
        Prefix::Sa => Prefix::Gt,
        Prefix::Eb => Prefix::Lt,
        other => other,
    };
    Some(Compared { prefix, value: value.to_owned() })
}

fn quantity(item: &str) -> Option<QuantityAsk> {
    let parts = unescaped(item, '|');
    let given = |text: &&str| Some(plain(text)).filter(|text| !text.is_empty());
    let (value, system, unit) = match parts.as_slice() {
        [value] => (value, None, None),
        [value, system, unit] => (value, given(system), Some(given(unit)?)),
        _ => return None,
    };
    let Compared { prefix, value } = number(value)?;
    Some(QuantityAsk { prefix, value, system, unit })
}

/// A reference, with the type that a modifier names.
fn target(item: &str, of_type: Option<&str>, base: &str) -> Option<Target> {
    let text = plain(item);
    let relative =
        text.strip_prefix(base.trim_end_matches('/')).and_then(|rest| rest.strip_prefix('/')).unwrap_or(&text);
    let local = |resource_type: Option<&str>, text: &str| {
        let (resource_type, id) = (resource_type.map(str::to_owned), text.to_owned());
        id::is_id(text).then_some(Target::Local { resource_type, id })
    };
    if relative.contains("://") || relative.starts_with("urn:") {
        return Some(Target::Url(text)).filter(|_| of_type.is_none());
    }
    match (relative.split_once('/'), of_type) {
        (None, of_type) => local(of_type, relative),
        (Some((name, id)), of_type) => {
            let known = type_kind(name) == Some(TypeKind::Resource) && of_type.is_none_or(|wanted| wanted == name);
            local(Some(name), id).filter(|_| known)
        }
    }
}

/// The pieces between `mark`s that no `\` stands before.
fn unescaped(text: &str, mark: char) -> Vec<&str> {
    let mut escaped = false;
    text.split(|c: char| {
        let plain = !std::mem::take(&mut escaped);
        escaped = plain && c == '\\';
        plain && c == mark
    })
    .collect()
}

/// `\,` `\|` `\$` `\\` are the character behind the `\`; another `\` is itself (K-62).
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let escaped = chars.next_if(|next| c == '\\' && matches!(next, ',' | '|' | '$' | '\\'));
        out.push(escaped.unwrap_or(c));
    }
    out
}
