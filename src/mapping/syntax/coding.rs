//! `system#code "display"` (§2.4). Each part may hold `{{…}}`.

use super::{Parsed, Piece};
use crate::mapping::diagnostic::Diagnostic;

const CODE: &str = "M214";

/// The parts of a coding as written.
#[derive(Debug, Clone, Copy)]
pub struct Coding<'a> {
    /// Alias or URI.
    pub system: Piece<'a>,
    /// Code.
    pub code: Piece<'a>,
    /// Display, without its quotes.
    pub display: Option<Piece<'a>>,
}

/// Reads a coding.
pub fn coding(piece: Piece<'_>) -> Parsed<Coding<'_>> {
    let piece = piece.trim();
    let wrong = |start, end, message: &str| Diagnostic::error(CODE, piece.at(start, end), message);
    let Some(hash) = find_outside(piece.text, 0, |c| c == '#') else {
        let label = "`system#code` or `system#code \"display\"` expected";
        let diagnostic = wrong(0, piece.text.len(), "this is no coding").label(label);
        return Err(Box::new(diagnostic.help("a code from a column goes through a code map: `$column via map`")));
    };
    let end = find_outside(piece.text, hash + 1, char::is_whitespace).unwrap_or(piece.text.len());
    if let Some(second) = find_outside(piece.text, hash + 1, |c| c == '#').filter(|second| *second < end) {
        let diagnostic = wrong(second, second + 1, "a second `#` in a coding");
        return Err(Box::new(diagnostic.help("write it in the long form: `{system: …, code: …}`")));
    }
    let system = piece.part(0, hash).trim();
    if system.text.is_empty() {
        return Err(Box::new(
            wrong(0, hash + 1, "a coding starts with its system").label("alias or URI expected before"),
        ));
    }
    if let Some(space) = find_outside(system.text, 0, char::is_whitespace) {
        let span = system.at(space, system.text.len());
        let diagnostic = Diagnostic::error(CODE, span, "a coding's system holds no spaces");
        return Err(Box::new(diagnostic.help("write it in the long form: `{system: …, code: …}`")));
    }
    let code = piece.part(hash + 1, end);
    if code.text.is_empty() {
        return Err(Box::new(wrong(hash, hash + 1, "a coding needs a code").label("code expected after `#`")));
    }
    let display = piece.part(end, piece.text.len()).trim();
    Ok(Coding { system, code, display: quoted(display)? })
}

fn quoted(display: Piece<'_>) -> Parsed<Option<Piece<'_>>> {
    let text = display.text;
    if text.is_empty() {
        return Ok(None);
    }
    if !text.starts_with('"') {
        let diagnostic = Diagnostic::error(CODE, display.span(), "a coding's display stands in double quotes");
        let edit = format!("\"{}\"", text.trim_matches('"'));
        let plain = display.exact() && !text.contains('"');
        let diagnostic = diagnostic.label("the code ends at the first space");
        return Err(Box::new(if plain { diagnostic.edit("write", display.span(), edit) } else { diagnostic }));
    }
    if text.len() < 2 || !text.ends_with('"') {
        let diagnostic = Diagnostic::error(CODE, display.span(), "this display does not end");
        return Err(Box::new(diagnostic.label("`\"` expected at the end")));
    }
    let inner = display.part(1, text.len() - 1);
    Ok((!inner.text.is_empty()).then_some(inner))
}

/// The first character from `from` on that `wanted` holds for, outside `{{…}}`.
fn find_outside(text: &str, from: usize, wanted: impl Fn(char) -> bool) -> Option<usize> {
    let mut at = from;
    loop {
        let rest = text.get(at..)?;
        if rest.starts_with("{{") {
            at += rest.find("}}")? + 2;
            continue;
        }
        let c = rest.chars().next()?;
        if wanted(c) {
            return Some(at);
        }
        at += c.len_utf8();
    }
}
