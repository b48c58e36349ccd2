//! Strings built per row: templates, references, generated ids.

use super::leaf::{Form, Leaves};
use super::render::Template;
use super::scope::Rows;
use super::{EncodeError, Invalid, hash, leaf, syntax, text};
use crate::plan::program::Function;
use crate::plan::program::{SlotRef, TextArg, TextArgText, TextPart, TextProgram, TextTest, Writer};
use crate::row::PgKind;

/// A [`TextProgram`] made ready.
#[derive(Debug)]
pub(super) struct Text {
    parts: Vec<Part>,
    /// The form in which it stands in JSON.
    form: Form,
    /// It is a resource id whatever the row.
    is_id: bool,
    /// Bytes before the id: those of `Type/` in the URL of a deletion. A literal of an id itself has no slash.
    before_id: usize,
}

#[derive(Debug)]
enum Part {
    Literal { raw: String, json: Vec<u8> },
    Slot(SlotRef, Writer),
    Uuid([u8; 16], Vec<TextArg>),
    Sha256(Vec<TextArg>),
    Apply(Function, SlotRef, Writer),
    When(TextTest, Vec<Part>, Vec<Part>),
    Render(Box<Template>),
}

impl Text {
    pub(super) fn new(program: &TextProgram) -> Result<Self, EncodeError> {
        Ok(Self {
            parts: parts(&program.parts, program.html)?,
            form: if program.html { Form::Html } else { Form::Json },
            before_id: match program.parts.first() {
                Some(TextPart::Literal(text)) if text.ends_with('/') => text.len(),
                _ => 0,
            },
            is_id: program.parts.iter().map(id_len).sum::<Option<usize>>().is_some_and(|len| (1..=64).contains(&len)),
        })
    }

    /// Appends the text as a JSON string.
    #[inline]
    pub(super) fn json(
        &self,
        rows: &Rows,
        scope: usize,
        leaves: &mut Leaves,
        out: &mut Vec<u8>,
    ) -> Result<(), Invalid> {
        out.push(b'"');
        write(&self.parts, rows, scope, leaves, self.form, out)?;
        out.push(b'"');
        Ok(())
    }

    /// The same for a text that is to be a resource id, or `Type/` and one.
    #[inline]
    pub(super) fn json_id(
        &self,
        rows: &Rows,
        scope: usize,
        leaves: &mut Leaves,
        out: &mut Vec<u8>,
    ) -> Result<(), Invalid> {
        let start = out.len() + 1 + self.before_id;
        self.json(rows, scope, leaves, out)?;
        // An id has nothing that JSON escapes, so what is written can be looked at.
        let written = out.get(start..out.len() - 1).unwrap_or_default();
        if self.is_id || syntax::is_id(written) { Ok(()) } else { Err(Invalid) }
    }

    /// True when there is more than blanks in it, and when it cannot be written, which is for the writing to find out.
    pub(super) fn says_something(&self, rows: &Rows, scope: usize, leaves: &mut Leaves) -> bool {
        let mut trial = Vec::new();
        let written = write(&self.parts, rows, scope, leaves, Form::Raw, &mut trial);
        leaves.take_adjusted();
        written.is_err() || !text::is_blank(&trial)
    }

    /// The text of the current row if it is a resource id.
    pub(super) fn id(&self, rows: &Rows, leaves: &mut Leaves) -> Option<String> {
        let mut id = Vec::new();
        if !self.parts.iter().all(|part| part.is_complete(rows, 0)) {
            return None;
        }
        write(&self.parts, rows, 0, leaves, Form::Raw, &mut id).ok()?;
        if syntax::is_id(&id) { String::from_utf8(id).ok() } else { None }
    }
}

/// The greatest length of a part that writes only what ids may have; `None` when that is not known beforehand.
fn id_len(part: &TextPart) -> Option<usize> {
    match part {
        TextPart::Literal(text) => (text.is_empty() || syntax::is_id(text.as_bytes())).then_some(text.len()),
        TextPart::Uuid(..) | TextPart::Slot(_, Writer::Uuid) => Some(36),
        TextPart::Sha256(_) => Some(64),
        TextPart::Slot(_, Writer::BigInt | Writer::Int { .. }) => Some(20),
        _ => None,
    }
}

fn parts(programs: &[TextPart], html: bool) -> Result<Vec<Part>, EncodeError> {
    programs
        .iter()
        .map(|part| {
            Ok(match part {
                TextPart::Literal(raw) => {
                    let mut json = Vec::new();
                    text::escape(raw.as_bytes(), &mut json)
                        .map_err(|Invalid| EncodeError::Program("a literal is not text"))?;
                    Part::Literal { raw: raw.clone(), json }
                }
                TextPart::Slot(slot, writer) => Part::Slot(*slot, *writer),
                TextPart::Uuid(namespace, args) => Part::Uuid(*namespace, args.clone()),
                TextPart::Sha256(args) => Part::Sha256(args.clone()),
                TextPart::Apply(function, slot, writer) => Part::Apply(*function, *slot, *writer),
                TextPart::When(test, then, otherwise) => {
                    Part::When(test.clone(), parts(then, html)?, parts(otherwise, html)?)
                }
                TextPart::Render(source, columns) => Part::Render(Box::new(Template::new(source, columns, html)?)),
            })
        })
        .collect()
}

impl Part {
    /// True when no column that it cannot do without is empty.
    fn is_complete(&self, rows: &Rows, scope: usize) -> bool {
        let present = |slot: &SlotRef| rows.present(scope, *slot).is_some();
        match self {
            Self::Slot(slot, _) | Self::Apply(_, slot, _) => present(slot),
            Self::Uuid(_, args) | Self::Sha256(args) => args.iter().all(|arg| match arg {
                TextArg::Slot(slot) => present(slot),
                TextArg::Literal(_) => true,
            }),
            Self::Literal { .. } | Self::When(..) | Self::Render(_) => true,
        }
    }
}

/// Appends the parts; a column that is empty writes nothing.
fn write(
    parts: &[Part],
    rows: &Rows,
    scope: usize,
    leaves: &mut Leaves,
    form: Form,
    out: &mut Vec<u8>,
) -> Result<(), Invalid> {
    for part in parts {
        match part {
            Part::Literal { raw, .. } if form == Form::Raw => out.extend_from_slice(raw.as_bytes()),
            Part::Literal { json, .. } => out.extend_from_slice(json),
            Part::Slot(slot, writer) => {
                if let Some((kind, field)) = rows.present(scope, *slot) {
                    leaves.text(kind, *writer, field, form, out)?;
                }
            }
            Part::Uuid(namespace, args) => {
                let name = joined(args, rows, scope, leaves)?;
                let done = hash::uuid5(*namespace, &name, out);
                leaves.scratch = name;
                done?;
            }
            Part::Sha256(args) => {
                let name = joined(args, rows, scope, leaves)?;
                hash::sha256(&name, out);
                leaves.scratch = name;
            }
            Part::Apply(function, slot, writer) => {
                if let Some((kind, field)) = rows.present(scope, *slot) {
                    let mut raw = Vec::new();
                    leaves.text(kind, *writer, field, Form::Raw, &mut raw)?;
                    leaves.put_text(apply(*function, text::utf8(&raw)?).as_bytes(), form, out)?;
                }
            }
            Part::When(test, then, otherwise) => {
                let chosen = if holds(test, rows, scope, leaves)? { then } else { otherwise };
                write(chosen, rows, scope, leaves, form, out)?;
            }
            Part::Render(template) => {
                let rendered = template.render(rows, scope, leaves)?;
                // What is to be HTML is so already.
                let form = if form == Form::Html { Form::Json } else { form };
                leaves.put_text(rendered.as_bytes(), form, out)?;
            }
        }
    }
    Ok(())
}

/// The arguments of a hash in database text form, joined by `-`, in the scratch buffer.
fn joined(args: &[TextArg], rows: &Rows, scope: usize, leaves: &mut Leaves) -> Result<Vec<u8>, Invalid> {
    let mut name = std::mem::take(&mut leaves.scratch);
    name.clear();
    for (nth, arg) in args.iter().enumerate() {
        if nth > 0 {
            name.push(b'-');
        }
        match arg {
            TextArg::Literal(text) => name.extend_from_slice(text.as_bytes()),
            TextArg::Slot(slot) => {
                let (kind, field) = rows.present(scope, *slot).ok_or(Invalid)?;
                leaf::database(kind, field, &mut name)?;
            }
        }
    }
    Ok(name)
}

fn holds(test: &TextTest, rows: &Rows, scope: usize, leaves: &mut Leaves) -> Result<bool, Invalid> {
    Ok(match test {
        TextTest::Truthy(slot) => match rows.present(scope, *slot) {
            None => false,
            Some((PgKind::Bool, field)) => leaf::boolean(field)?,
            Some((PgKind::Int2 | PgKind::Int4 | PgKind::Int8, field)) => leaf::int(field)? != 0,
            Some(_) => true,
        },
        TextTest::Not(test) => !holds(test, rows, scope, leaves)?,
        TextTest::And(tests) => {
            for test in tests {
                if !holds(test, rows, scope, leaves)? {
                    return Ok(false);
                }
            }
            true
        }
        TextTest::Or(tests) => {
            for test in tests {
                if holds(test, rows, scope, leaves)? {
                    return Ok(true);
                }
            }
            false
        }
        TextTest::Eq(left, right) => {
            let (mut left_text, mut right_text) = (Vec::new(), Vec::new());
            side(left, rows, scope, leaves, &mut left_text)?
                && side(right, rows, scope, leaves, &mut right_text)?
                && left_text == right_text
        }
    })
}

/// Appends a side of a comparison; false when it is an empty column.
fn side(
    side: &TextArgText,
    rows: &Rows,
    scope: usize,
    leaves: &mut Leaves,
    out: &mut Vec<u8>,
) -> Result<bool, Invalid> {
    match side {
        TextArgText::Literal(text) => out.extend_from_slice(text.as_bytes()),
        TextArgText::Slot(slot, writer) => {
            let Some((kind, field)) = rows.present(scope, *slot) else { return Ok(false) };
            leaves.text(kind, *writer, field, Form::Raw, out)?;
        }
    }
    Ok(true)
}

/// A function of a text.
pub(super) fn apply(function: Function, text: &str) -> String {
    match function {
        Function::Upper => text.to_uppercase(),
        Function::Lower => text.to_lowercase(),
        Function::Trim => text.trim().to_owned(),
        Function::Len => text.chars().count().to_string(),
        Function::UrlEncode => {
            let mut encoded = String::with_capacity(text.len());
            for byte in text.bytes() {
                if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                    encoded.push(char::from(byte));
                } else {
                    let digit =
                        |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0').to_ascii_uppercase();
                    encoded.extend(['%', digit(byte >> 4), digit(byte & 15)]);
                }
            }
            encoded
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions() {
        for (function, text, expected) in [
            (Function::Upper, "straße", "STRASSE"),
            (Function::Lower, "ÄB", "äb"),
            (Function::Trim, " \u{a0}a b\n", "a b"),
            (Function::Len, "über", "4"),
            (Function::UrlEncode, "a b/ü~", "a%20b%2F%C3%BC~"),
        ] {
            assert_eq!(apply(function, text), expected);
        }
    }

    #[test]
    fn ids_known_beforehand() {
        let slot = SlotRef { up: 0, slot: 0 };
        let literal = |text: &str| TextPart::Literal(text.to_owned());
        for (parts, expected) in [
            (vec![literal("cond-"), TextPart::Slot(slot, Writer::BigInt)], true),
            (vec![TextPart::Uuid([0; 16], vec![])], true),
            (vec![TextPart::Sha256(vec![])], true),
            (vec![literal("a"), TextPart::Sha256(vec![])], false),
            (vec![literal("")], false),
            (vec![literal("a_"), TextPart::Slot(slot, Writer::BigInt)], false),
            (vec![TextPart::Slot(slot, Writer::String)], false),
        ] {
            assert_eq!(Text::new(&TextProgram { parts, html: false }).unwrap().is_id, expected);
        }
    }
}
