//! A stretch of YAML text that knows where it stands.

use crate::mapping::source::Span;
use crate::mapping::tree::Name;
use crate::mapping::yaml::Node;

/// A stretch of a scalar or key, with its place.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    /// The characters, after YAML's unquoting.
    pub text: &'a str,
    /// The whole scalar: the place of anything that has none of its own (escapes, folded lines).
    whole: Span,
    /// Offset of `text` in the source, when it stands there byte for byte.
    first: Option<u32>,
}

impl<'a> Piece<'a> {
    /// A scalar's text; `None` for lists and objects.
    pub fn of(node: &'a Node) -> Option<Self> {
        let scalar = node.scalar()?;
        Some(Self { text: &scalar.text, whole: node.span, first: scalar.verbatim })
    }

    /// A key's text.
    pub fn name(name: &'a Name) -> Self {
        let width = (name.span.end - name.span.start) as usize;
        // A key is as long as its text when plain, and two longer when quoted without escapes.
        let first = match width.checked_sub(name.text.len()) {
            Some(0) => Some(name.span.start),
            Some(2) => Some(name.span.start + 1),
            _ => None,
        };
        Self { text: &name.text, whole: name.span, first }
    }

    /// The stretch of bytes `start..end`; empty where that is no range of the text.
    #[must_use]
    pub fn part(self, start: usize, end: usize) -> Self {
        let text = self.text.get(start..end).unwrap_or("");
        Self { text, whole: self.whole, first: self.first.map(|first| first + start as u32) }
    }

    /// Without white space at both ends.
    #[must_use]
    pub fn trim(self) -> Self {
        let start = self.text.len() - self.text.trim_start().len();
        self.part(start, start + self.text.trim().len())
    }

    /// The place of the piece.
    pub fn span(self) -> Span {
        self.at(0, self.text.len())
    }

    /// The place of bytes `start..end`.
    pub fn at(self, start: usize, end: usize) -> Span {
        match self.first {
            Some(first) => Span { source: self.whole.source, start: first + start as u32, end: first + end as u32 },
            None => self.whole,
        }
    }

    /// The piece as a name.
    pub fn to_name(self) -> Name {
        Name { text: self.text.to_owned(), span: self.span() }
    }

    /// True when places inside it are exact, so that edits inside it are possible.
    pub fn exact(self) -> bool {
        self.first.is_some()
    }
}
