//! Why a template cannot be read, in our own words (M306): the crate's parser lists grammar rules instead.

use super::CODE;
use crate::mapping::diagnostic::Diagnostic;
use crate::mapping::syntax::Piece;

/// A tag, `{{…}}`, with its place in the template.
struct Tag<'a> {
    start: usize,
    end: usize,
    /// The characters between the braces, without `~` and white space.
    inner: &'a str,
}

/// Explains why `piece` is no template. `at` is the crate's idea of where (line and column, from 1).
pub(super) fn explain(piece: Piece<'_>, at: Option<(usize, usize)>) -> Diagnostic {
    structure(piece).unwrap_or_else(|| {
        let offset = at.map_or(0, |(line, column)| offset(piece.text, line, column));
        expression(piece, offset)
    })
}

/// Byte offset of a line and column (in characters, both from 1).
pub(super) fn offset(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let rest = text.get(start..).unwrap_or("");
    start + rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(at, _)| at)
}

/// Unclosed tags and blocks.
fn structure(piece: Piece<'_>) -> Option<Diagnostic> {
    let text = piece.text;
    let mut open: Vec<(&str, Tag<'_>)> = Vec::new();
    let mut at = 0;
    while let Some(start) = next_tag(text, at) {
        let Some(tag) = tag(text, start) else {
            let diagnostic = Diagnostic::error(CODE, piece.at(start, text.len()), "`{{` is not closed");
            return Some(diagnostic.label("`}}` expected before the end"));
        };
        at = tag.end;
        let span = piece.at(tag.start, tag.end);
        if tag.inner.is_empty() {
            return Some(Diagnostic::error(CODE, span, "`{{}}` names nothing").label("a column expected"));
        }
        let name = |text| first_word(text);
        if let Some(block) = tag.inner.strip_prefix('#') {
            open.push((name(block), tag));
        } else if let Some(closed) = tag.inner.strip_prefix('/') {
            let closed = closed.trim();
            match open.pop() {
                None => {
                    let message = format!("`{{{{/{closed}}}}}` closes nothing");
                    return Some(Diagnostic::error(CODE, span, message).label("no block is open here"));
                }
                Some((block, opened)) if block != closed => {
                    let message = format!("`{{{{/{closed}}}}}` closes `{{{{#{block}}}}}`");
                    let diagnostic =
                        Diagnostic::error(CODE, span, message).label(format!("`{{{{/{block}}}}}` expected"));
                    return Some(diagnostic.also(piece.at(opened.start, opened.end), "opened here"));
                }
                Some(_) => {}
            }
        } else if first_word(tag.inner) == "else" && open.is_empty() {
            let diagnostic = Diagnostic::error(CODE, span, "`{{else}}` outside a block");
            return Some(diagnostic.label("no `{{#if}}` is open here"));
        }
    }
    let (block, opened) = open.pop()?;
    let end = piece.at(text.len(), text.len());
    let close = format!("`{{{{/{block}}}}}`");
    let diagnostic = Diagnostic::error(CODE, end, format!("template ends before {close}"));
    let diagnostic = diagnostic.label(format!("{close} expected before the end"));
    Some(diagnostic.also(piece.at(opened.start, opened.end), "opened here"))
}

/// A tag whose inside cannot be read: the last one that starts at or before `offset`.
fn expression(piece: Piece<'_>, offset: usize) -> Diagnostic {
    let text = piece.text;
    let mut found = None;
    let mut at = 0;
    while let Some(tag) = next_tag(text, at).filter(|start| *start <= offset).and_then(|start| tag(text, start)) {
        at = tag.end;
        found = Some(tag);
    }
    let Some(tag) = found else {
        return Diagnostic::error(CODE, piece.span(), "this template cannot be read");
    };
    let span = piece.at(tag.start, tag.end);
    let shown = text.get(tag.start..tag.end).unwrap_or("");
    let diagnostic = Diagnostic::error(CODE, span, format!("`{shown}` cannot be read"));
    if tag.inner.contains('$') {
        return diagnostic.label("columns are bare inside `{{ }}`").help("write the name without `$`");
    }
    if tag.inner.contains(" or ") || tag.inner.contains("||") {
        return diagnostic
            .label("no alternatives inside `{{ }}`")
            .help("write `{{#if a}}{{a}}{{else}}{{b}}{{/if}}`, or `$a or $b` outside a template");
    }
    diagnostic
        .label("a column, or a helper and its arguments, expected")
        .help("a column with an odd name is written `{{[Order Date]}}`")
}

/// The next `{{` that is not escaped by a backslash.
fn next_tag(text: &str, from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let start = at + text.get(at..)?.find("{{")?;
        let backslashes = text.get(..start)?.bytes().rev().take_while(|b| *b == b'\\').count();
        if backslashes != 1 {
            return Some(start);
        }
        at = start + 2;
    }
}

fn tag(text: &str, start: usize) -> Option<Tag<'_>> {
    let rest = text.get(start..)?;
    let (open, close) = if rest.starts_with("{{!--") {
        ("{{!--", "--}}")
    } else if rest.starts_with("{{{{") {
        ("{{{{", "}}}}")
    } else if rest.starts_with("{{{") {
        ("{{{", "}}}")
    } else {
        ("{{", "}}")
    };
    let inner = rest.get(open.len()..)?;
    let len = inner.find(close)?;
    let end = start + open.len() + len + close.len();
    let inner = inner.get(..len)?.trim_matches(|c: char| c == '~' || c.is_whitespace());
    // A comment is never empty.
    let inner = if open.ends_with('-') { "!" } else { inner };
    Some(Tag { start, end, inner })
}

fn first_word(text: &str) -> &str {
    text.trim_start_matches(['*', '>', '~', ' ']).split_whitespace().next().unwrap_or("")
}
