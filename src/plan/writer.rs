//! Which writer turns a column of some PostgreSQL type into some FHIR type (§2.11).

use super::program::{ArrayOf, Syntax, Writer};
use crate::row::PgKind;

/// A writer, and whether its bytes need quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) writer: Writer,
    pub(super) quoted: bool,
}

/// Why a column does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Misfit {
    /// The types do not go together; what to do.
    Type(&'static str),
    /// A local time without a declared zone.
    NoZone,
}

const CAST: &str = "cast it in the SQL of the mapping";

/// Facts about the column that its type does not tell.
#[derive(Debug, Clone, Copy)]
pub(super) struct Use {
    /// It comes out of a json document as text: numbers and booleans are read from their text.
    pub(super) from_json: bool,
    /// `timezone` is declared.
    pub(super) zone: bool,
    /// FHIR wants a list here and the column stands for all of it.
    pub(super) list: bool,
    /// Number of the code list that text must be in.
    pub(super) allowed: Option<u16>,
}

const fn plain(writer: Writer) -> Choice {
    Choice { writer, quoted: false }
}

const fn quoted(writer: Writer) -> Choice {
    Choice { writer, quoted: true }
}

/// The writer for a column of `kind` where FHIR wants `fhir_type`.
pub(super) fn choose(kind: &PgKind, fhir_type: &str, used: Use) -> Result<Choice, Misfit> {
    if let PgKind::Array(of) = kind {
        if !used.list {
            return Err(Misfit::Type("an array fills a list: write it where FHIR wants one, without brackets"));
        }
        let element = choose(of, fhir_type, Use { list: false, ..used })?;
        return array_of(element).map(|of| plain(Writer::Array(of)));
    }
    if matches!(kind, PgKind::Json | PgKind::Jsonb) {
        return if is_primitive(fhir_type) && !used.list {
            Err(Misfit::Type("name the field of the json document: `$column.field`"))
        } else {
            Ok(plain(if used.list { Writer::JsonList } else { Writer::Json }))
        };
    }
    if used.list {
        return Err(Misfit::Type("put it in brackets to make it the only item, or select an array"));
    }
    scalar(kind, fhir_type, used)
}

fn scalar(kind: &PgKind, fhir_type: &str, used: Use) -> Result<Choice, Misfit> {
    use PgKind::*;
    let checked = |syntax| plain(Writer::Checked(syntax, used.allowed));
    let text = kind.is_text();
    Ok(match (fhir_type, kind) {
        ("string" | "markdown" | "xhtml", _) if text => plain(Writer::String),
        ("code", _) if text => checked(Syntax::Code),
        ("id", _) if text => checked(Syntax::Id),
        ("uri" | "url" | "canonical", _) if text => checked(Syntax::Uri),
        ("oid", _) if text => checked(Syntax::Oid),
        ("uuid", _) if text => checked(Syntax::Uuid),
        ("string" | "markdown" | "code" | "id" | "uri" | "url" | "canonical", Uuid) => plain(Writer::Uuid),
        ("string" | "markdown" | "code" | "id", Int2 | Int4 | Int8) => quoted(Writer::BigInt),
        ("string" | "markdown" | "code" | "id", Numeric) => quoted(Writer::Numeric),
        ("boolean", Bool) => plain(Writer::Bool),
        ("integer", Int2 | Int4 | Int8) => plain(Writer::Int { min: i32::MIN, max: i32::MAX }),
        ("unsignedInt", Int2 | Int4 | Int8) => plain(Writer::Int { min: 0, max: i32::MAX }),
        ("positiveInt", Int2 | Int4 | Int8) => plain(Writer::Int { min: 1, max: i32::MAX }),
        ("decimal", Numeric) => plain(Writer::Numeric),
        ("decimal", Int2 | Int4 | Int8) => plain(Writer::BigInt),
        ("decimal", Float4) => plain(Writer::Float4),
        ("decimal", Float8) => plain(Writer::Float8),
        ("date" | "dateTime", Date) => plain(Writer::Date),
        ("date", _) if text => checked(Syntax::Date),
        ("date", Timestamp | TimestampTz) => {
            return Err(Misfit::Type("a date has no time of day: select `…::date` in SQL"));
        }
        ("dateTime" | "instant", TimestampTz) => plain(Writer::TimestampTz),
        ("dateTime" | "instant", Timestamp) if used.zone => plain(Writer::Timestamp),
        ("dateTime" | "instant", Timestamp) => return Err(Misfit::NoZone),
        ("dateTime", _) if text => checked(Syntax::DateTime),
        ("time", Time) => plain(Writer::Time),
        ("base64Binary", Bytea) => plain(Writer::Base64),
        ("base64Binary", _) if text => {
            return Err(Misfit::Type("for base64 of a text select `convert_to(…, 'UTF8')` in SQL"));
        }
        ("instant", _) if text && used.from_json => checked(Syntax::Instant),
        ("time", _) if text && used.from_json => checked(Syntax::Time),
        ("decimal", _) if text && used.from_json => plain(Writer::Checked(Syntax::Decimal, None)),
        ("integer", _) if text && used.from_json => plain(Writer::Checked(Syntax::Integer(0), None)),
        ("unsignedInt", _) if text && used.from_json => plain(Writer::Checked(Syntax::Integer(1), None)),
        ("positiveInt", _) if text && used.from_json => plain(Writer::Checked(Syntax::Integer(2), None)),
        ("boolean", _) if text && used.from_json => plain(Writer::Checked(Syntax::Boolean, None)),
        _ => return Err(Misfit::Type(CAST)),
    })
}

fn array_of(element: Choice) -> Result<ArrayOf, Misfit> {
    Ok(match element.writer {
        Writer::String => ArrayOf::String,
        Writer::Checked(syntax, allowed) => ArrayOf::Checked(syntax, allowed),
        Writer::Bool => ArrayOf::Bool,
        Writer::BigInt => ArrayOf::BigInt(element.quoted),
        Writer::Numeric => ArrayOf::Numeric(element.quoted),
        Writer::Date => ArrayOf::Date,
        Writer::Timestamp => ArrayOf::Timestamp,
        Writer::TimestampTz => ArrayOf::TimestampTz,
        Writer::Uuid => ArrayOf::Uuid,
        _ => return Err(Misfit::Type("select it as an array of text")),
    })
}

/// A type of column that a FHIR primitive can be written from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The column's type.
    pub kind: PgKind,
    /// The text is checked row by row.
    pub checked: bool,
    /// `timezone` must be declared.
    pub needs_zone: bool,
}

/// The scalar types of column that `fhir_type` can be written from; for the reference.
pub fn accepted(fhir_type: &str) -> Vec<Accepted> {
    use PgKind::*;
    let used = |zone| Use { from_json: false, zone, list: false, allowed: None };
    [Text, Char, Bool, Int2, Int4, Int8, Float4, Float8, Numeric, Date, Time, Timestamp, TimestampTz, Uuid, Bytea]
        .into_iter()
        .filter_map(|kind| {
            let choice = choose(&kind, fhir_type, used(true)).ok()?;
            let needs_zone = choose(&kind, fhir_type, used(false)).is_err();
            Some(Accepted { kind, checked: matches!(choice.writer, Writer::Checked(..)), needs_zone })
        })
        .collect()
}

/// True when a field of a json column can be written as `fhir_type`; for the reference.
pub fn accepts_json_field(fhir_type: &str) -> bool {
    choose(&PgKind::Text, fhir_type, Use { from_json: true, zone: true, list: false, allowed: None }).is_ok()
}

/// The writer for a column inside a string, where it stands as FHIR text.
pub(super) fn in_text(kind: &PgKind, zone: bool) -> Result<Writer, Misfit> {
    use PgKind::*;
    Ok(match kind {
        Text | Char => Writer::String,
        Bool => Writer::Bool,
        Int2 | Int4 | Int8 => Writer::BigInt,
        Numeric => Writer::Numeric,
        Float4 => Writer::Float4,
        Float8 => Writer::Float8,
        Date => Writer::Date,
        Time => Writer::Time,
        TimestampTz => Writer::TimestampTz,
        Timestamp if zone => Writer::Timestamp,
        Timestamp => return Err(Misfit::NoZone),
        Uuid => Writer::Uuid,
        Json | Jsonb | Bytea | Array(_) | Other(_) => return Err(Misfit::Type(CAST)),
    })
}

/// The writer for a column in the context of a template that the crate renders: lists and documents are welcome.
pub(super) fn in_template(kind: &PgKind, zone: bool) -> Result<Writer, Misfit> {
    match kind {
        PgKind::Json | PgKind::Jsonb => Ok(Writer::Json),
        PgKind::Array(of) => {
            let writer = in_text(of, zone)?;
            // The crate would take the scale off a number.
            array_of(Choice { writer, quoted: writer == Writer::Numeric }).map(Writer::Array)
        }
        _ => in_text(kind, zone),
    }
}

/// True for FHIR's primitive types.
pub(super) fn is_primitive(fhir_type: &str) -> bool {
    fhir_type == "xhtml" || fhir_type.chars().next().is_some_and(char::is_lowercase)
}
