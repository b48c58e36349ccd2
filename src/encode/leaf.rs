//! One field becomes one JSON value, or text, or the text that ids are made of.

use rustc_hash::FxHashSet;

use super::array::{ArrayCursor, bytes as element_bytes};
use super::number::{self, Numeric};
use super::time::{self, Zone};
use super::{EncodeError, Invalid, syntax, text};
use crate::plan::program::{ArrayOf, Program, Writer};
use crate::row::PgKind;

/// Where text goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// The content of a JSON string.
    Json,
    /// The same, column values HTML-escaped before.
    Html,
    /// As it is.
    Raw,
}

/// What the writers of fields need to know and remember.
#[derive(Debug)]
pub(super) struct Leaves {
    zone: Zone,
    allowed: Vec<FxHashSet<Box<[u8]>>>,
    /// Local times in a gap or an overlap since this was last taken.
    adjusted: u64,
    /// A buffer to borrow and give back.
    pub(super) scratch: Vec<u8>,
}

impl Leaves {
    pub(super) fn new(program: &Program) -> Result<Self, EncodeError> {
        let set = |codes: &Vec<String>| codes.iter().map(|code| Box::from(code.as_bytes())).collect();
        Ok(Self {
            zone: Zone::new(&program.timezone)?,
            allowed: program.allowed.iter().map(set).collect(),
            adjusted: 0,
            scratch: Vec::new(),
        })
    }

    /// Local times that were in a gap or an overlap since the last call.
    #[inline]
    pub(super) fn take_adjusted(&mut self) -> u64 {
        std::mem::take(&mut self.adjusted)
    }

    /// Appends a field as JSON. After an error some of it may stand in `out`.
    #[inline]
    pub(super) fn json(
        &mut self,
        kind: &PgKind,
        writer: Writer,
        quoted: bool,
        field: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Invalid> {
        match writer {
            Writer::String if kind.is_text() => text::string(text_of(kind, field), out),
            Writer::Json | Writer::JsonList => document(kind, field, writer == Writer::JsonList, out),
            Writer::Array(of) => self.array(kind, of, field, out),
            _ => {
                let quoted = quoted || is_string(writer);
                if quoted {
                    out.push(b'"');
                }
                self.text(kind, writer, field, Form::Json, out)?;
                if quoted {
                    out.push(b'"');
                }
                Ok(())
            }
        }
    }

    /// Appends a field as FHIR text.
    #[inline]
    pub(super) fn text(
        &mut self,
        kind: &PgKind,
        writer: Writer,
        field: &[u8],
        form: Form,
        out: &mut Vec<u8>,
    ) -> Result<(), Invalid> {
        match writer {
            Writer::String if kind.is_text() => self.put_text(text_of(kind, field), form, out)?,
            Writer::Checked(syntax, allowed) if kind.is_text() => {
                let field = text::trim(field);
                if !syntax::matches(syntax, field) || !self.is_allowed(allowed, field) {
                    return Err(Invalid);
                }
                self.put_text(field, form, out)?;
            }
            Writer::Bool => text::boolean(boolean(field)?, out),
            Writer::Int { min, max } => {
                let value = int(field)?;
                if value < i64::from(min) || value > i64::from(max) {
                    return Err(Invalid);
                }
                text::int(value, out);
            }
            Writer::BigInt => text::int(int(field)?, out),
            Writer::Numeric => Numeric::read(field)?.write(out)?,
            Writer::Float4 => number::float(float4(field)?, out)?,
            Writer::Float8 => number::float(float8(field)?, out)?,
            Writer::Date => time::date(field, out)?,
            Writer::Time => time::time(field, out)?,
            Writer::Timestamp => self.adjusted += u64::from(self.zone.local(field, out)?),
            Writer::TimestampTz => self.zone.instant(field, out)?,
            Writer::Uuid => text::uuid(field, out)?,
            Writer::Base64 => text::base64(field, out)?,
            Writer::Json | Writer::JsonList => document(kind, field, writer == Writer::JsonList, out)?,
            Writer::Array(of) => self.array(kind, of, field, out)?,
            Writer::String | Writer::Checked(..) => return Err(Invalid),
        }
        Ok(())
    }

    /// Appends text that comes from a column.
    #[inline]
    pub(super) fn put_text(&mut self, value: &[u8], form: Form, out: &mut Vec<u8>) -> Result<(), Invalid> {
        match form {
            Form::Json => text::escape(value, out),
            Form::Html => {
                let mut scratch = std::mem::take(&mut self.scratch);
                scratch.clear();
                let done = text::utf8(value).and_then(|value| {
                    text::html(value, &mut scratch);
                    text::escape(&scratch, out)
                });
                self.scratch = scratch;
                done
            }
            Form::Raw => text::utf8(value).map(|value| out.extend_from_slice(value.as_bytes())),
        }
    }

    fn is_allowed(&self, allowed: Option<u16>, code: &[u8]) -> bool {
        allowed.is_none_or(|list| self.allowed.get(usize::from(list)).is_some_and(|codes| codes.contains(code)))
    }

    /// The elements that are not empty, with commas between.
    fn array(&mut self, kind: &PgKind, of: ArrayOf, field: &[u8], out: &mut Vec<u8>) -> Result<(), Invalid> {
        let PgKind::Array(element_kind) = kind else { return Err(Invalid) };
        let (writer, quoted) = match of {
            ArrayOf::String => (Writer::String, false),
            ArrayOf::Checked(syntax, allowed) => (Writer::Checked(syntax, allowed), false),
            ArrayOf::Bool => (Writer::Bool, false),
            ArrayOf::BigInt(quoted) => (Writer::BigInt, quoted),
            ArrayOf::Numeric(quoted) => (Writer::Numeric, quoted),
            ArrayOf::Date => (Writer::Date, false),
            ArrayOf::TimestampTz => (Writer::TimestampTz, false),
            ArrayOf::Timestamp => (Writer::Timestamp, false),
            ArrayOf::Uuid => (Writer::Uuid, false),
        };
        let (mut cursor, dimensions) = ArrayCursor::open(field)?;
        if dimensions > 1 {
            return Err(Invalid);
        }
        let start = out.len();
        while cursor.left() > 0 {
            let element = cursor.next(field).ok_or(Invalid)?;
            let Some(element) = element_bytes(field, element).filter(|bytes| is_present(element_kind, bytes)) else {
                continue;
            };
            if out.len() > start {
                out.push(b',');
            }
            self.json(element_kind, writer, quoted, element, out)?;
        }
        Ok(())
    }
}

/// True for writers whose JSON is a string whatever the place.
#[inline]
fn is_string(writer: Writer) -> bool {
    match writer {
        Writer::String
        | Writer::Date
        | Writer::Time
        | Writer::Timestamp
        | Writer::TimestampTz
        | Writer::Uuid
        | Writer::Base64 => true,
        Writer::Checked(syntax, _) => !syntax::is_bare(syntax),
        _ => false,
    }
}

/// The text of a text kind; the padding of `char(n)` is none of it.
#[inline]
pub(super) fn text_of<'a>(kind: &PgKind, field: &'a [u8]) -> &'a [u8] {
    if *kind == PgKind::Char { text::trim_padding(field) } else { field }
}

/// Appends a json document, which must be a list or an object as FHIR has it at the place.
fn document(kind: &PgKind, field: &[u8], list: bool, out: &mut Vec<u8>) -> Result<(), Invalid> {
    let document = document_of(kind, field)?;
    if text::trim(document).first() != Some(if list { &b'[' } else { &b'{' }) {
        return Err(Invalid);
    }
    text::json(document, out)
}

/// The text of a json field; `jsonb` has a version before it.
fn document_of<'a>(kind: &PgKind, field: &'a [u8]) -> Result<&'a [u8], Invalid> {
    if *kind == PgKind::Jsonb { field.strip_prefix(&[1]).ok_or(Invalid) } else { Ok(field) }
}

/// True when a field that is not NULL says something (§2.7): blank text, arrays of nothing and empty documents do not.
#[inline]
pub(super) fn is_present(kind: &PgKind, field: &[u8]) -> bool {
    match kind {
        PgKind::Text | PgKind::Char => !text::is_blank(field),
        PgKind::Json | PgKind::Jsonb => document_of(kind, field).is_ok_and(|text| !text::is_empty_json(text)),
        PgKind::Bytea => !field.is_empty(),
        PgKind::Array(of) => {
            let Ok((mut cursor, _)) = ArrayCursor::open(field) else { return true };
            std::iter::from_fn(|| cursor.next(field))
                .any(|element| element_bytes(field, element).is_some_and(|bytes| is_present(of, bytes)))
        }
        _ => true,
    }
}

/// Appends a field as PostgreSQL prints it (`timestamptz` in UTC, booleans as `true` / `false`): the form that ids
/// are made of and code maps list.
pub(super) fn database(kind: &PgKind, field: &[u8], out: &mut Vec<u8>) -> Result<(), Invalid> {
    match kind {
        PgKind::Bool => text::boolean(boolean(field)?, out),
        PgKind::Int2 | PgKind::Int4 | PgKind::Int8 => text::int(int(field)?, out),
        PgKind::Float4 => number::float_database(float4(field)?, 6, out),
        PgKind::Float8 => number::float_database(float8(field)?, 15, out),
        PgKind::Numeric => Numeric::read(field)?.write_database(out)?,
        PgKind::Text | PgKind::Char => out.extend_from_slice(text_of(kind, field)),
        PgKind::Date => time::date_database(field, out)?,
        PgKind::Time => time::time_database(field, out)?,
        PgKind::Timestamp => time::timestamp_database(field, "", out)?,
        PgKind::TimestampTz => time::timestamp_database(field, "+00", out)?,
        PgKind::Uuid => text::uuid(field, out)?,
        PgKind::Json | PgKind::Jsonb => out.extend_from_slice(document_of(kind, field)?),
        PgKind::Bytea => {
            out.extend_from_slice(b"\\x");
            text::hex(field, out);
        }
        PgKind::Array(_) | PgKind::Other(_) => return Err(Invalid),
    }
    Ok(())
}

#[inline]
pub(super) fn boolean(field: &[u8]) -> Result<bool, Invalid> {
    match field {
        [0] => Ok(false),
        [1] => Ok(true),
        _ => Err(Invalid),
    }
}

/// Any integer kind.
#[inline]
pub(super) fn int(field: &[u8]) -> Result<i64, Invalid> {
    match *field {
        [a, b] => Ok(i64::from(i16::from_be_bytes([a, b]))),
        [a, b, c, d] => Ok(i64::from(i32::from_be_bytes([a, b, c, d]))),
        _ => field.try_into().map(i64::from_be_bytes).map_err(|_wrong_length| Invalid),
    }
}

pub(super) fn float4(field: &[u8]) -> Result<f32, Invalid> {
    field.try_into().map(f32::from_be_bytes).map_err(|_wrong_length| Invalid)
}

pub(super) fn float8(field: &[u8]) -> Result<f64, Invalid> {
    field.try_into().map(f64::from_be_bytes).map_err(|_wrong_length| Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::fixture;
    use crate::plan::program::Syntax;
    use crate::row::value::binary;

    fn leaves() -> Leaves {
        let mut program = fixture::empty_program();
        program.timezone = "America/New_York".to_owned();
        program.allowed = vec![vec!["final".to_owned(), "amended".to_owned()]];
        Leaves::new(&program).unwrap()
    }

    fn field(kind: &str, text: &str) -> (PgKind, Vec<u8>) {
        let kind = PgKind::from_sql_name(kind);
        let mut field = Vec::new();
        binary(&kind, text, &mut field).unwrap();
        (kind, field)
    }

    #[test]
    fn every_writer() {
        let whole = Writer::Int { min: 1, max: i32::MAX };
        let status = Writer::Checked(Syntax::Code, Some(0));
        for (kind, value, writer, quoted, expected) in [
            ("text", " a\"b ", Writer::String, false, r#"" a\"b ""#),
            ("character", "ab   ", Writer::String, false, r#""ab""#),
            ("text", " final\n", status, false, r#""final""#),
            ("text", "gone", status, false, "invalid"),
            ("text", "2026-03", Writer::Checked(Syntax::Date, None), false, r#""2026-03""#),
            ("text", "03/2026", Writer::Checked(Syntax::Date, None), false, "invalid"),
            ("text", "1.50", Writer::Checked(Syntax::Decimal, None), false, "1.50"),
            ("text", "1.50", Writer::Checked(Syntax::Decimal, None), true, r#""1.50""#),
            ("boolean", "t", Writer::Bool, false, "true"),
            ("smallint", "7", whole, false, "7"),
            ("bigint", "0", whole, false, "invalid"),
            ("bigint", "2147483648", whole, false, "invalid"),
            ("bigint", "-9223372036854775808", Writer::BigInt, true, r#""-9223372036854775808""#),
            ("numeric", "81.50", Writer::Numeric, false, "81.50"),
            ("numeric", "NaN", Writer::Numeric, false, "invalid"),
            ("real", "0.1", Writer::Float4, false, "0.1"),
            ("double precision", "36.6", Writer::Float8, false, "36.6"),
            ("date", "1990-07-21", Writer::Date, false, r#""1990-07-21""#),
            ("time", "09:30", Writer::Time, false, r#""09:30:00""#),
            ("timestamptz", "2026-03-08T14:31:02Z", Writer::TimestampTz, false, r#""2026-03-08T10:31:02-04:00""#),
            ("timestamp", "2026-03-08T02:31:02", Writer::Timestamp, false, r#""2026-03-08T02:31:02-04:00""#),
            (
                "uuid",
                "A3F1C2D4-0001-4c5e-9b7a-1f2e3d4c5b6a",
                Writer::Uuid,
                false,
                r#""a3f1c2d4-0001-4c5e-9b7a-1f2e3d4c5b6a""#,
            ),
            ("bytea", "\\x00ff", Writer::Base64, false, r#""AP8=""#),
            ("jsonb", r#"{"a": [1, "x y"]}"#, Writer::Json, false, r#"{"a":[1,"x y"]}"#),
            ("json", " 12", Writer::Json, false, "invalid"),
            ("json", "[1]", Writer::Json, false, "invalid"),
            ("json", "[ 1 ]", Writer::JsonList, false, "[1]"),
            ("json", "{}", Writer::JsonList, false, "invalid"),
            ("text[]", r#"{a,NULL," ","b c"}"#, Writer::Array(ArrayOf::String), false, r#""a","b c""#),
            ("integer[]", "{1,2}", Writer::Array(ArrayOf::BigInt(true)), false, r#""1","2""#),
            ("integer[]", "{1,2}", Writer::Array(ArrayOf::BigInt(false)), false, "1,2"),
            ("integer[]", "{{1},{2}}", Writer::Array(ArrayOf::BigInt(false)), false, "invalid"),
            ("text[]", "{final,x}", Writer::Array(ArrayOf::Checked(Syntax::Code, Some(0))), false, "invalid"),
            ("date[]", "{2026-03-08}", Writer::Array(ArrayOf::Date), false, r#""2026-03-08""#),
            ("text", "x", Writer::Numeric, false, "invalid"),
            ("integer", "1", Writer::String, false, "invalid"),
        ] {
            let (of, field) = field(kind, value);
            let mut out = Vec::new();
            let written = match leaves().json(&of, writer, quoted, &field, &mut out) {
                Ok(()) => String::from_utf8(out).unwrap(),
                Err(Invalid) => "invalid".to_owned(),
            };
            assert_eq!(written, expected, "{kind} {value} {writer:?}");
        }
    }

    #[test]
    fn adjusted_local_times_are_counted() {
        let mut leaves = leaves();
        let kind = PgKind::Array(Box::new(PgKind::Timestamp));
        let (_, field) = field("timestamp[]", "{2026-03-08 02:30:00,2026-03-08 03:30:00,2026-11-01 01:30:00}");
        leaves.json(&kind, Writer::Array(ArrayOf::Timestamp), false, &field, &mut Vec::new()).unwrap();
        assert_eq!(leaves.take_adjusted(), 2);
        assert_eq!(leaves.take_adjusted(), 0);
    }

    #[test]
    fn text_in_three_forms() {
        let (kind, field) = field("text", "<b> \"x\"");
        for (form, expected) in
            [(Form::Json, r#"<b> \"x\""#), (Form::Html, "&lt;b&gt; &quot;x&quot;"), (Form::Raw, "<b> \"x\"")]
        {
            let mut out = Vec::new();
            leaves().text(&kind, Writer::String, &field, form, &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn what_says_something() {
        for (kind, value, expected) in [
            ("text", " \n", false),
            ("text", "\u{a0}", true),
            ("character", "   ", false),
            ("integer", "0", true),
            ("json", "null", false),
            ("jsonb", "{ }", false),
            ("jsonb", "{\"a\": null}", true),
            ("bytea", "\\x", false),
            ("text[]", "{}", false),
            ("text[]", "{NULL,\" \"}", false),
            ("text[]", "{NULL,x}", true),
            ("integer[]", "{NULL}", false),
        ] {
            let (of, field) = field(kind, value);
            assert_eq!(is_present(&of, &field), expected, "{kind} {value}");
        }
    }

    #[test]
    fn database_text() {
        for (kind, value, expected) in [
            ("boolean", "f", "false"),
            ("integer", "-5", "-5"),
            ("numeric", "1.50", "1.50"),
            ("real", "1e6", "1e+06"),
            ("double precision", "1e6", "1000000"),
            ("character", "ab  ", "ab"),
            ("text", " a ", " a "),
            ("date", "2026-03-08", "2026-03-08"),
            ("timestamp", "2026-03-08 09:30:00.120", "2026-03-08 09:30:00.12"),
            ("timestamptz", "2026-03-08T09:30:00-04:00", "2026-03-08 13:30:00+00"),
            ("uuid", "A3F1C2D4-0001-4c5e-9b7a-1f2e3d4c5b6a", "a3f1c2d4-0001-4c5e-9b7a-1f2e3d4c5b6a"),
            ("bytea", "\\xDEAD", "\\xdead"),
        ] {
            let (of, field) = field(kind, value);
            let mut out = Vec::new();
            database(&of, &field, &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{kind} {value}");
        }
    }
}
