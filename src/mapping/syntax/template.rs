//! Handlebars templates → [`Text`] (§2.4, §6): parsed by the handlebars crate, its tree walked here.
//!
//! What has a compiled form becomes parts; the rest becomes [`Part::Render`], which the crate renders per row.

mod mistake;
mod path;
mod render;
mod walk;

pub(crate) use walk::apply;

use super::Piece;
use super::reference::Reference;
use crate::mapping::diagnostic::Diagnostic;
use crate::mapping::tree::{ColumnRef, Part, Text};

/// Code of every mistake of form.
const CODE: &str = "M306";
/// Deepest nesting of a template.
const DEPTH: usize = 50;

/// Every helper a template may name; a column of such a name is written `this.name` (M305).
pub const HELPERS: [&str; 25] = [
    "and",
    "each",
    "else",
    "eq",
    "gt",
    "gte",
    "if",
    "len",
    "log",
    "lookup",
    "lower",
    "lt",
    "lte",
    "ne",
    "not",
    "or",
    "raw",
    "ref",
    "sha256",
    "trim",
    "unless",
    "upper",
    "urlencode",
    "uuid",
    "with",
];

/// What a name in a template stands for.
#[derive(Debug, Clone)]
pub enum Named {
    /// A column.
    Column(ColumnRef),
    /// A constant, or the parts of another template.
    Parts(Vec<Part>),
    /// Nothing: a fragment's parameter without an argument.
    Empty,
}

/// What a template needs to know about the place it stands in.
pub trait Names {
    /// What a name stands for.
    fn named(&mut self, column: ColumnRef) -> Named;
    /// The text of a reference, `Patient/…`; `None` when it is wrong (and reported).
    fn reference(&mut self, reference: Reference) -> Option<Vec<Part>>;
    /// The namespace UUID of `{{uuid 'space' …}}`.
    fn namespace(&self) -> [u8; 16];
    /// Takes a message.
    fn report(&mut self, diagnostic: Diagnostic);
}

/// A compiled template.
#[derive(Debug, Clone)]
pub enum Compiled {
    /// A text.
    Text(Text),
    /// A name outside every guard stands for nothing, so the template is always empty.
    Empty,
}

/// Whether a scalar is a template.
pub fn is_template(text: &str) -> bool {
    text.contains("{{")
}

/// Compiles a template. `html` is true in `Narrative.div`. `None` when it is wrong (and reported).
pub fn compile(piece: Piece<'_>, html: bool, names: &mut dyn Names) -> Option<Compiled> {
    if depth(piece.text) > DEPTH {
        names.report(Diagnostic::error(CODE, piece.span(), "this template is nested too deeply"));
        return None;
    }
    let template = match handlebars::Template::compile(piece.text) {
        Ok(template) => template,
        Err(error) => {
            names.report(mistake::explain(piece, error.pos()));
            return None;
        }
    };
    let mut walk = walk::Walk::new(piece, html, names);
    let parts = walk.template(&template, false);
    let (wrong, empty) = (walk.wrong, walk.empty);
    if wrong {
        return None;
    }
    if empty {
        return Some(Compiled::Empty);
    }
    Some(Compiled::Text(Text { parts: join(parts), refers: None, html, span: piece.span() }))
}

/// Blocks and parentheses that are open at once, at most. The crate's parser recurses for each.
fn depth(text: &str) -> usize {
    let (mut open, mut most) = (0_usize, 0);
    for (at, c) in text.char_indices() {
        let opens = matches!(c, '(' | '[') || text.get(at..).is_some_and(|rest| rest.starts_with("{{#"));
        if opens {
            open += 1;
            most = most.max(open);
        } else if matches!(c, ')' | ']') || text.get(at..).is_some_and(|rest| rest.starts_with("{{/")) {
            open = open.saturating_sub(1);
        }
    }
    most
}

/// Joins neighbouring literals.
pub fn join(parts: Vec<Part>) -> Vec<Part> {
    let mut joined: Vec<Part> = Vec::with_capacity(parts.len());
    for part in parts {
        match (joined.last_mut(), part) {
            (Some(Part::Literal(before)), Part::Literal(text)) => before.push_str(&text),
            (_, Part::Literal(text)) if text.is_empty() => {}
            (_, part) => joined.push(part),
        }
    }
    joined
}

#[cfg(test)]
mod tests;
