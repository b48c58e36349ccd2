//! `$a via map or $b or constant` (§2.4).

use super::cursor::{Cursor, IntoLabel};
use super::{Parsed, Piece};
use crate::mapping::diagnostic::Diagnostic;
use crate::mapping::tree::{ColumnRef, Name};

const CODE: &str = "M310";

/// A column expression as written.
#[derive(Debug, Clone)]
pub struct Columns<'a> {
    /// Tried in order.
    pub terms: Vec<Mapped>,
    /// The constant that may stand last.
    pub fallback: Option<Piece<'a>>,
}

/// `$path` or `$path via map`.
#[derive(Debug, Clone)]
pub struct Mapped {
    /// The column; its place includes the `$`.
    pub column: ColumnRef,
    /// The code map's name.
    pub via: Option<Name>,
}

/// Whether a scalar is a column expression: it starts with `$`, and not with the escape `$$`.
pub fn is_columns(text: &str) -> bool {
    text.starts_with('$') && !text.starts_with("$$")
}

/// Reads a column expression.
pub fn columns(piece: Piece<'_>) -> Parsed<Columns<'_>> {
    let piece = piece.trim();
    let mut cursor = Cursor::new(piece, CODE);
    let mut terms = Vec::new();
    loop {
        terms.push(term(&mut cursor)?);
        if cursor.done() {
            return Ok(Columns { terms, fallback: None });
        }
        or(&mut cursor, piece)?;
        if !is_columns(cursor.rest()) {
            let fallback = piece.part(cursor.at, piece.text.len());
            constant(&cursor, fallback)?;
            return Ok(Columns { terms, fallback: Some(fallback) });
        }
    }
}

/// Reads a bare path, as in `$each phone.numbers` or a reference's argument.
pub fn path(piece: Piece<'_>) -> Parsed<ColumnRef> {
    let mut cursor = Cursor::new(piece, CODE);
    let column = cursor.path(0)?;
    if cursor.done() { Ok(column) } else { Err(cursor.wrong("a column name ends here")) }
}

fn term(cursor: &mut Cursor<'_>) -> Parsed<Mapped> {
    let start = cursor.at;
    cursor.take("$");
    let column = cursor.path(start)?;
    let before = cursor.at;
    let spaced = cursor.spaces();
    if spaced && cursor.keyword("via") {
        if !cursor.spaces() || cursor.done() {
            return Err(cursor.wrong("`via` is followed by the name of a code map").into_label("name expected"));
        }
        let Some(name) = cursor.name() else {
            return Err(cursor.wrong("`via` is followed by the name of a code map").into_label("name expected"));
        };
        cursor.spaces();
        return Ok(Mapped { column, via: Some(name.to_name()) });
    }
    if !spaced && !cursor.done() {
        cursor.at = before;
        return Err(glued(cursor, start));
    }
    Ok(Mapped { column, via: None })
}

/// What follows a path without a space: text that belongs in a template, or a name that needs quotes.
fn glued(cursor: &Cursor<'_>, start: usize) -> Box<Diagnostic> {
    let rest = cursor.piece.text.get(start..).unwrap_or("");
    let name = rest.trim_start_matches('$');
    let odd = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    let wrong = cursor.wrong("a column name ends before this character").into_label("not part of a name");
    if odd && cursor.piece.exact() {
        let span = cursor.piece.at(start, start + rest.len());
        return Box::new((*wrong).edit("if the column is called so, quote its name", span, format!("$\"{name}\"")));
    }
    wrong.into_help("text and columns are joined in a template: `\"{{a}}-{{b}}\"`")
}

fn or(cursor: &mut Cursor<'_>, piece: Piece<'_>) -> Parsed<()> {
    let start = cursor.at;
    if cursor.keyword("or") {
        if cursor.spaces() && !cursor.done() {
            return Ok(());
        }
        let span = piece.at(start, cursor.at);
        return Err(cursor.wrong_at(span, "`or` is followed by a column or a constant").into_label("nothing follows"));
    }
    if cursor.rest().starts_with('|') {
        let wrong = cursor.wrong("a code map follows `via`, an alternative follows `or`");
        return Err(wrong.into_label("not an operator here"));
    }
    let wrong = cursor.wrong(format!("`{}` does not belong in a column expression", next(cursor)));
    Err(wrong.into_label("`via`, `or` or the end expected").into_help(
        "a column expression is `$a`, `$a via map`, `$a or $b` or `$a or constant`; text and columns are joined in a \
         template: `\"{{a}} {{b}}\"`",
    ))
}

fn next(cursor: &Cursor<'_>) -> String {
    let word = cursor.word();
    if word.is_empty() { cursor.peek().map(String::from).unwrap_or_default() } else { word.to_owned() }
}

/// A constant stands last and is no template.
fn constant(cursor: &Cursor<'_>, constant: Piece<'_>) -> Parsed<()> {
    if constant.text.contains("{{") {
        let wrong = cursor.wrong_at(constant.span(), "after `or` stands a column or a constant, not a template");
        return Err(
            wrong.into_help("make the text a column of the query, or the whole value a template with `{{#if}}`")
        );
    }
    let lower = constant.text.to_ascii_lowercase();
    if let Some(or) = lower.find(" or $") {
        let span = constant.at(0, or);
        let wrong = cursor.wrong_at(span, "a constant stands last, since nothing after it is ever used");
        return Err(wrong.into_label("this constant is never empty"));
    }
    Ok(())
}
