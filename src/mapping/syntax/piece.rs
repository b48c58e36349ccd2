//! A stretch of YAML text that knows where it stands.

use crate::mapping::source::Span;
use crate::mapping::tree::Name;
use crate::mapping::yaml::Node;

/// A stretch of a scalar or key, with its place.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    /// The characters, after YAML's unquoting.
    pub text: &'a str,
    home: Home<'a>,
    /// Offset of `text` in the whole scalar or key.
    start: usize,
}

#[derive(Debug, Clone, Copy)]
enum Home<'a> {
    Scalar(&'a Node),
    /// A key, and where its text starts in the source when it stands there byte for byte.
    Key(&'a Name, Option<u32>),
}

impl<'a> Piece<'a> {
    /// A scalar's text; `None` for lists and objects.
    pub fn of(node: &'a Node) -> Option<Self> {
        let scalar = node.scalar()?;
        Some(Self { text: &scalar.text, home: Home::Scalar(node), start: 0 })
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
        Self { text: &name.text, home: Home::Key(name, first), start: 0 }
    }

    /// The stretch of bytes `start..end`; empty where that is no range of the text.
    #[must_use]
    pub fn part(self, start: usize, end: usize) -> Self {
        Self { text: self.text.get(start..end).unwrap_or(""), start: self.start + start, ..self }
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

    /// The place of bytes `start..end`; the whole scalar or key when they have none of their own.
    pub fn at(self, start: usize, end: usize) -> Span {
        let (start, end) = (self.start + start, self.start + end);
        match self.home {
            Home::Scalar(node) => node.part(start, end),
            Home::Key(name, None) => name.span,
            Home::Key(name, Some(first)) => {
                Span { source: name.span.source, start: first + start as u32, end: first + end as u32 }
            }
        }
    }

    /// The piece as a name.
    pub fn to_name(self) -> Name {
        Name { text: self.text.to_owned(), span: self.span() }
    }

    /// True when places inside it are exact, so that edits inside it are possible.
    pub fn exact(self) -> bool {
        match self.home {
            Home::Scalar(node) => node.scalar().is_some_and(|scalar| scalar.verbatim.is_some()),
            Home::Key(_, first) => first.is_some(),
        }
    }
}
