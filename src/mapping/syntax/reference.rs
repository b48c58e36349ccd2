//! `patient(patient_id)` (§2.9).

use super::cursor::{Cursor, IntoLabel, Literal};
use super::{Parsed, Piece};
use crate::mapping::source::Span;
use crate::mapping::tree::{ColumnRef, Name};

const CODE: &str = "M407";

/// A reference as written.
#[derive(Debug, Clone)]
pub struct Reference {
    /// The mapping referred to.
    pub mapping: Name,
    /// In the order of its key.
    pub args: Vec<ReferenceArg>,
    /// The parentheses and what stands in them.
    pub args_span: Span,
}

/// An argument of a reference.
#[derive(Debug, Clone)]
pub enum ReferenceArg {
    /// A column.
    Column(ColumnRef),
    /// A literal's text.
    Literal(String),
}

/// Reads a reference.
pub fn reference(piece: Piece<'_>) -> Parsed<Reference> {
    let piece = piece.trim();
    let mut cursor = Cursor::new(piece, CODE);
    let Some(mapping) = cursor.name().filter(|_| cursor.rest().starts_with('(')) else {
        let wrong = cursor.wrong_at(piece.span(), "this is no reference").into_label("`mapping(key column)` expected");
        let help = "any other reference is written as FHIR has it: `{reference: …}` or `{identifier: {…}}`";
        return Err(wrong.into_help(help));
    };
    let open = cursor.at;
    cursor.take("(");
    let mut args = Vec::new();
    loop {
        cursor.spaces();
        let start = cursor.at;
        if cursor.peek() == Some('$') {
            let span = piece.at(start, start + 1);
            let wrong = cursor.wrong_at(span, "arguments of a reference are bare column names");
            return Err(if piece.exact() { Box::new((*wrong).edit("write it without `$`", span, "")) } else { wrong });
        }
        args.push(match cursor.literal()? {
            Some(Literal::Text(text) | Literal::Number(text)) => ReferenceArg::Literal(text),
            Some(Literal::Bool(value)) => ReferenceArg::Literal(value.to_string()),
            None => ReferenceArg::Column(cursor.path(start)?),
        });
        cursor.spaces();
        if cursor.take(")") {
            break;
        }
        if !cursor.take(",") {
            let wrong = cursor.wrong("`,` or `)` is expected here");
            return Err(if cursor.done() {
                wrong.into_help("inside `{ }` and `[ ]` a comma ends a plain value: put the reference in quotes")
            } else {
                wrong
            });
        }
    }
    let args_span = cursor.since(open);
    cursor.spaces();
    if !cursor.done() {
        return Err(cursor.wrong("a reference ends at its `)`").into_label("not part of it"));
    }
    Ok(Reference { mapping: mapping.to_name(), args, args_span })
}
