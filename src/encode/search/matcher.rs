//! What a value of a resource is compared with.

use std::borrow::Cow;
use std::ops::Range;

use jiff::tz::TimeZone;
use serde_json::value::RawValue;

use super::texts::Texts;
use super::{below, object, text};
use crate::fhir::decimal::Decimal;
use crate::fhir::id::{ReferenceText, reference};
use crate::fhir::span::covers;
use crate::plan::search::{Ask, Compared, Look, Prefix, QuantityAsk, Step, Target, TextMatch, Token};

/// An [`Ask`] with its values read.
#[derive(Debug)]
pub(super) enum Matcher {
    Missing(bool),
    Token {
        not: bool,
        any: Vec<Token>,
    },
    Beside(Texts),
    Text(Texts),
    Date(Vec<(Prefix, Range<i64>)>),
    Number(Vec<Number>),
    Quantity(Vec<(Number, QuantityAsk)>),
    Reference(Vec<Target>),
    Identifier(Vec<Token>),
    Uri(Vec<String>),
    /// Of each value, what its parts are like.
    Composite(Vec<Vec<Matcher>>),
}

/// A number to compare with: itself, and the numbers it stands for.
#[derive(Debug)]
pub(super) struct Number {
    prefix: Prefix,
    value: Decimal,
    implied: Range<Decimal>,
}

impl Matcher {
    /// `None` when a value cannot be read.
    pub(super) fn new(ask: &Ask, zone: &TimeZone) -> Option<Self> {
        Some(match ask {
            Ask::Missing(missing) => Self::Missing(*missing),
            Ask::Token(any) => Self::Token { not: false, any: any.clone() },
            Ask::NotToken(any) => Self::Token { not: true, any: any.clone() },
            Ask::Text(any) => Self::Beside(Texts::new(TextMatch::Starts, any)),
            Ask::String(how, any) => Self::Text(Texts::new(*how, any)),
            Ask::Date(any) => {
                let one = |asked: &Compared| Some((asked.prefix, covers(&asked.value, zone)?));
                Self::Date(any.iter().map(one).collect::<Option<_>>()?)
            }
            Ask::Number(any) => {
                let one = |asked: &Compared| Number::new(asked.prefix, &asked.value);
                Self::Number(any.iter().map(one).collect::<Option<_>>()?)
            }
            Ask::Quantity(any) => {
                let one = |asked: &QuantityAsk| Some((Number::new(asked.prefix, &asked.value)?, asked.clone()));
                Self::Quantity(any.iter().map(one).collect::<Option<_>>()?)
            }
            Ask::Reference(any) => Self::Reference(any.clone()),
            Ask::Identifier(any) => Self::Identifier(any.clone()),
            Ask::Uri(any) => Self::Uri(any.clone()),
            Ask::Composite(any) => {
                let parts = |asks: &Vec<Ask>| asks.iter().map(|ask| Self::new(ask, zone)).collect::<Option<_>>();
                Self::Composite(any.iter().map(parts).collect::<Option<_>>()?)
            }
        })
    }

    /// Whether one value is what is asked for; negation, absence and what several values say together are the caller's.
    pub(super) fn is(&self, value: &RawValue, look: &Look, zone: &TimeZone) -> bool {
        match self {
            Self::Missing(_) => value.get() != "null" && look.resolves.is_none_or(|wanted| is_of(value, wanted)),
            Self::Token { any, .. } => any.iter().any(|wanted| is_token(value, wanted, &look.systems)),
            Self::Beside(texts) => texts.beside(value),
            Self::Text(texts) => texts.is(value),
            Self::Date(any) => {
                spans(value, zone).iter().any(|span| any.iter().any(|(how, asked)| within(*how, asked, span)))
            }
            Self::Number(any) => Decimal::parse(value.get()).is_some_and(|value| any.iter().any(|one| one.is(&value))),
            Self::Quantity(any) => any.iter().any(|(number, asked)| is_quantity(value, number, asked)),
            Self::Reference(any) => any.iter().any(|target| points_to(value, target, look)),
            Self::Identifier(any) => {
                let identifier = [Step::Member("identifier".to_owned())];
                below(value, &identifier, &mut |value| any.iter().any(|wanted| is_token(value, wanted, &[])))
            }
            Self::Composite(_) => false,
            Self::Uri(any) => text(value).is_some_and(|text| any.iter().any(|wanted| *wanted == text)),
        }
    }
}

/// FHIR's token comparison on a primitive, a Coding, a CodeableConcept, an Identifier or a ContactPoint. `systems` are
/// those of a primitive's closed list.
fn is_token(value: &RawValue, token: &Token, systems: &[&str]) -> bool {
    let code = |value: Option<&RawValue>| match (&token.code, value) {
        (None, _) => true,
        (Some(code), Some(value)) => text(value).map_or(value.get() == code, |text| text == *code),
        (Some(_), None) => false,
    };
    let Some(object) = object(value) else {
        let right = match token.system.as_deref() {
            None => true,
            Some(system) => systems.contains(&system),
        };
        return right && code(Some(value));
    };
    if let Some(codings) = object.get("coding") {
        return below(codings, &[], &mut |coding| is_token(coding, token, &[]));
    }
    let system = object.get("system").and_then(|value| text(value)).unwrap_or_default();
    let right = token.system.as_ref().is_none_or(|wanted| *wanted == system);
    right && code(object.get("code").or_else(|| object.get("value")).copied())
}

/// The times that a date, a Period or a Timing covers.
fn spans(value: &RawValue, zone: &TimeZone) -> Vec<Range<i64>> {
    if let Some(text) = text(value) {
        return covers(&text, zone).into_iter().collect();
    }
    let Some(object) = object(value) else { return Vec::new() };
    let at = |name: &str| object.get(name).and_then(|value| text(value)).and_then(|text| covers(&text, zone));
    let mut all = Vec::new();
    if object.contains_key("start") || object.contains_key("end") {
        all.push(at("start").map_or(i64::MIN, |span| span.start)..at("end").map_or(i64::MAX, |span| span.end));
    }
    let mut add = |value: &RawValue| {
        all.extend(spans(value, zone));
        false
    };
    let member = |name: &str| Step::Member(name.to_owned());
    below(value, &[member("event")], &mut add);
    below(value, &[member("repeat"), member("boundsPeriod")], &mut add);
    all
}

/// R4's comparison of two ranges (search, 3.1.1.4.3): what is `asked`, and what a resource has.
fn within(prefix: Prefix, asked: &Range<i64>, has: &Range<i64>) -> bool {
    let inside = asked.start <= has.start && has.end <= asked.end;
    match prefix {
        Prefix::Eq => inside,
        Prefix::Ne => !inside,
        Prefix::Gt => has.end > asked.end,
        Prefix::Lt => has.start < asked.start,
        Prefix::Ge => inside || has.end > asked.end,
        Prefix::Le => inside || has.start < asked.start,
        Prefix::Sa => has.start >= asked.end,
        Prefix::Eb => has.end <= asked.start,
    }
}

impl Number {
    fn new(prefix: Prefix, text: &str) -> Option<Self> {
        Some(Self { prefix, value: Decimal::parse(text)?, implied: Decimal::implied(text)? })
    }

    /// Only equality knows how precise the number is.
    fn is(&self, value: &Decimal) -> bool {
        match self.prefix {
            Prefix::Eq => self.implied.contains(value),
            Prefix::Ne => !self.implied.contains(value),
            Prefix::Gt | Prefix::Sa => *value > self.value,
            Prefix::Lt | Prefix::Eb => *value < self.value,
            Prefix::Ge => *value >= self.value,
            Prefix::Le => *value <= self.value,
        }
    }
}

/// A Quantity, Money or Range. A range is equal when it is inside, and above or below when a part of it is.
fn is_quantity(value: &RawValue, number: &Number, asked: &QuantityAsk) -> bool {
    let Some(object) = object(value) else { return false };
    let decimal = |name: &str| object.get(name).and_then(|value| Decimal::parse(value.get()));
    if object.contains_key("low") || object.contains_key("high") {
        let ends = ["low", "high"].map(|end| object.get(end).map(|value| is_quantity(value, number, asked)));
        return match number.prefix {
            Prefix::Eq => ends == [Some(true), Some(true)],
            Prefix::Gt | Prefix::Ge | Prefix::Sa => ends[1].unwrap_or(true),
            Prefix::Lt | Prefix::Le | Prefix::Eb => ends[0].unwrap_or(true),
            Prefix::Ne => ends.contains(&Some(true)),
        };
    }
    let member = |name: &str| object.get(name).and_then(|value| text(value));
    let has = |name: &str, wanted: &str| member(name).is_some_and(|text| text == wanted);
    let unit = match (&asked.system, &asked.unit) {
        (_, None) => true,
        (Some(system), Some(code)) => {
            (has("system", system) && has("code", code)) || (system == "urn:iso:std:iso:4217" && has("currency", code))
        }
        (None, Some(unit)) => has("code", unit) || has("unit", unit) || has("currency", unit),
    };
    unit && decimal("value").is_some_and(|value| number.is(&value))
}

/// Where a Reference, or a canonical or URI in its place, points to.
fn written(value: &RawValue) -> Option<String> {
    match object(value) {
        Some(object) => object.get("reference").and_then(|value| text(value)).map(Cow::into_owned),
        None => text(value).map(Cow::into_owned),
    }
}

/// Whether a Reference resolves to a resource of type `wanted`, as far as its text says.
fn is_of(value: &RawValue, wanted: &str) -> bool {
    let Some(written) = written(value) else { return false };
    matches!(reference(&written), Some(ReferenceText::Relative { resource_type, .. }) if resource_type == wanted)
}

/// Whether a Reference, or a canonical or URI in its place, points to `target`.
fn points_to(value: &RawValue, target: &Target, look: &Look) -> bool {
    let Some(written) = written(value) else { return false };
    match target {
        Target::Url(url) => {
            written == *url || written.strip_prefix(url.as_str()).is_some_and(|rest| rest.starts_with('|'))
        }
        Target::Local { resource_type, id } => match reference(&written) {
            Some(ReferenceText::Relative { resource_type: of, id: to }) => {
                to == id.as_str()
                    && resource_type.as_ref().is_none_or(|wanted| wanted == of)
                    && look.resolves.is_none_or(|wanted| wanted == of)
            }
            _ => false,
        },
    }
}
