//! Columns compared with what a search asks for.

use super::condition::Condition;
use crate::fhir::decimal::Decimal;
use crate::plan::search::{Compared, Prefix};
use crate::plan::select::{Param, quote_literal};
use crate::row::PgKind;

/// Characters that are taken off both ends of a code.
pub(super) const BLANKS: &str = " \t\n\r";

/// Whether blanks around a value do not count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Trim {
    Yes,
    No,
}

/// "The column, written in FHIR, is one of these."
pub(super) fn equal(name: &str, kind: &PgKind, values: &[&str], trim: Trim) -> Condition {
    let list = |values: Vec<String>, expression: &str, ty: &str| {
        if values.is_empty() {
            return Condition::Never;
        }
        Condition::sql(&format!("{expression} = any("), Param::TextArray(values.into()), &format!("::text[]{ty})"))
    };
    let canonical = |values: &[&str], is: &dyn Fn(&str) -> bool| {
        values.iter().filter(|value| is(value)).map(|value| (*value).to_owned()).collect::<Vec<_>>()
    };
    match kind {
        PgKind::Text | PgKind::Char if trim == Trim::Yes => {
            let trimmed = format!("btrim({name}::text, {})", quote_literal(BLANKS));
            // Those of the value do not count either.
            let bare = values.iter().map(|value| value.trim_matches([' ', '\t', '\n', '\r']).to_owned()).collect();
            list(bare, &trimmed, "")
        }
        PgKind::Text | PgKind::Char => list(canonical(values, &|_| true), &format!("{name}::text"), ""),
        PgKind::Int2 | PgKind::Int4 | PgKind::Int8 => {
            let number = |text: &str| text.parse::<i64>().is_ok_and(|number| number.to_string() == text);
            list(canonical(values, &number), name, "::bigint[]")
        }
        PgKind::Bool => list(canonical(values, &|text| matches!(text, "true" | "false")), name, "::boolean[]"),
        PgKind::Uuid => {
            let uuid = |text: &str| uuid::Uuid::parse_str(text).is_ok_and(|uuid| uuid.to_string() == text);
            list(canonical(values, &uuid), name, "::uuid[]")
        }
        _ => Condition::Maybe,
    }
}

/// "The column is not NULL and none of these."
pub(super) fn unequal(name: &str, kind: &PgKind, values: &[&str]) -> Condition {
    let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
    let none = |expression: &str, ty: &str| {
        Condition::sql(&format!("{expression} <> all("), Param::TextArray(values.into()), &format!("::text[]{ty})"))
    };
    match kind {
        // Texts differ by their bytes, whatever the database's collation says.
        PgKind::Text | PgKind::Char => none(&format!("({name}::text collate \"C\")"), ""),
        PgKind::Int2 | PgKind::Int4 | PgKind::Int8 => none(name, "::bigint[]"),
        PgKind::Bool => none(name, "::boolean[]"),
        PgKind::Uuid => none(name, "::uuid[]"),
        _ => Condition::Maybe,
    }
}

pub(super) fn decimal(name: &str, kind: &PgKind, asked: &Compared) -> Condition {
    if !matches!(kind, PgKind::Numeric | PgKind::Int2 | PgKind::Int4 | PgKind::Int8) {
        return Condition::Maybe;
    }
    let compare =
        |op: &str, value: String| Condition::sql(&format!("{name} {op} "), Param::Text(value), "::text::numeric");
    match asked.prefix {
        Prefix::Eq => match Decimal::implied(&asked.value) {
            Some(implied) => {
                Condition::all([compare(">=", implied.start.to_string()), compare("<=", implied.end.to_string())])
            }
            None => Condition::Maybe,
        },
        Prefix::Ne => Condition::Maybe,
        Prefix::Gt | Prefix::Sa | Prefix::Ge => compare(">=", asked.value.clone()),
        Prefix::Lt | Prefix::Eb | Prefix::Le => compare("<=", asked.value.clone()),
    }
}
