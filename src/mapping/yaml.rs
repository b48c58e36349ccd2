//! YAML as the mapping language reads it: raw scalars and places, no types.

use super::source::Span;
use super::tree::Name;

/// A YAML node.
#[derive(Debug, Clone)]
pub struct Node {
    /// The node's characters (for a quoted scalar the quotes included).
    pub span: Span,
    /// What it is.
    pub kind: Kind,
}

/// The three kinds of node.
#[derive(Debug, Clone)]
pub enum Kind {
    /// Any scalar, as text after YAML's unquoting and folding. An absent value (`key:`) is the empty text, plain.
    Scalar(Scalar),
    /// A sequence, block or flow.
    Seq(Vec<Node>),
    /// A mapping, in file order, keys unique.
    Map(Vec<Entry>),
}

/// A scalar.
#[derive(Debug, Clone)]
pub struct Scalar {
    /// The text.
    pub text: String,
    /// Where `text` starts in the source when it stands there byte for byte (plain or quoted without escapes
    /// or folding), so that a part of it has a place of its own.
    pub verbatim: Option<u32>,
}

/// A key and its value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key.
    pub key: Name,
    /// The value.
    pub value: Node,
}

impl Node {
    /// The scalar, if it is one.
    pub fn scalar(&self) -> Option<&Scalar> {
        match &self.kind {
            Kind::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// The place of bytes `start..end` of the scalar's text; the whole node when they have none of their own.
    pub fn part(&self, start: usize, end: usize) -> Span {
        match &self.kind {
            Kind::Scalar(Scalar { verbatim: Some(first), .. }) => {
                Span { source: self.span.source, start: first + start as u32, end: first + end as u32 }
            }
            _ => self.span,
        }
    }
}
