//! Reads tokens from a [`Piece`], left to right. What the grammars of §2.15 share: paths, literals, words.

use super::{Parsed, Piece};
use crate::mapping::diagnostic::Diagnostic;
use crate::mapping::source::Span;
use crate::mapping::tree::ColumnRef;

/// A position in a piece, and the code its mistakes are reported under.
pub(super) struct Cursor<'a> {
    pub(super) piece: Piece<'a>,
    pub(super) at: usize,
    code: &'static str,
}

/// `'text'`, `12.5`, `true`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Literal {
    Text(String),
    Number(String),
    Bool(bool),
}

impl<'a> Cursor<'a> {
    pub(super) fn new(piece: Piece<'a>, code: &'static str) -> Self {
        Self { piece, at: 0, code }
    }

    pub(super) fn rest(&self) -> &'a str {
        self.piece.text.get(self.at..).unwrap_or("")
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn done(&self) -> bool {
        self.rest().is_empty()
    }

    /// Skips white space; true if there was some.
    pub(super) fn spaces(&mut self) -> bool {
        let rest = self.rest();
        let skipped = rest.len() - rest.trim_start().len();
        self.at += skipped;
        skipped > 0
    }

    /// Takes `text` if it comes next.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    /// The word (letters, digits, `_`) that comes next, not taken.
    pub(super) fn word(&self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        rest.get(..end).unwrap_or("")
    }

    /// Takes `keyword`, in lower or upper case, if it is the next word.
    pub(super) fn keyword(&mut self, keyword: &str) -> bool {
        let found = self.word().eq_ignore_ascii_case(keyword);
        if found {
            self.at += keyword.len();
        }
        found
    }

    /// Takes a name: a letter, then letters, digits, `-`, `_`.
    pub(super) fn name(&mut self) -> Option<Piece<'a>> {
        let rest = self.rest();
        if !rest.chars().next()?.is_alphabetic() {
            return None;
        }
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '-' || c == '_')).unwrap_or(rest.len());
        let piece = self.piece.part(self.at, self.at + end);
        self.at += end;
        Some(piece)
    }

    /// The place from `start` to here.
    pub(super) fn since(&self, start: usize) -> Span {
        self.piece.at(start, self.at)
    }

    /// The place of what comes next: a word, a character, or the end.
    pub(super) fn next_span(&self) -> Span {
        let len = match self.word().len() {
            0 => self.peek().map_or(0, char::len_utf8),
            word => word,
        };
        self.piece.at(self.at, self.at + len)
    }

    /// A mistake at what comes next.
    pub(super) fn wrong(&self, message: impl Into<String>) -> Box<Diagnostic> {
        Box::new(Diagnostic::error(self.code, self.next_span(), message))
    }

    /// A mistake at `span`.
    pub(super) fn wrong_at(&self, span: Span, message: impl Into<String>) -> Box<Diagnostic> {
        Box::new(Diagnostic::error(self.code, span, message))
    }

    /// `{ "../" } ident { "." ident }`; the place starts at `start` (where a `$` may stand before the path).
    pub(super) fn path(&mut self, start: usize) -> Parsed<ColumnRef> {
        let mut up: u8 = 0;
        while self.take("../") {
            up = up.saturating_add(1);
        }
        let name = self.ident()?;
        let mut json = Vec::new();
        while self.take(".") {
            json.push(self.ident()?);
        }
        Ok(ColumnRef { up, name, json, span: self.since(start) })
    }

    fn ident(&mut self) -> Parsed<String> {
        let start = self.at;
        if self.take("\"") {
            let Some(len) = self.rest().find('"').filter(|len| *len > 0) else {
                let end = self.piece.text.len();
                let span = self.piece.at(start, end);
                return Err(self.wrong_at(span, "this quoted column name does not end").into_label("`\"` expected"));
            };
            let name = self.rest().get(..len).unwrap_or("").to_owned();
            self.at += len + 1;
            return Ok(name);
        }
        let word = self.word();
        if word.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            self.at += word.len();
            return Ok(word.to_owned());
        }
        Err(self
            .wrong("a column name is expected here")
            .into_label("a letter or `_` starts a name; an odd name is written `\"Order Date\"`"))
    }

    /// `'text'`, a number, `true`, `false`; `None` when something else comes next.
    pub(super) fn literal(&mut self) -> Parsed<Option<Literal>> {
        match self.peek() {
            Some('\'') => self.text_literal().map(Some),
            Some(c) if c.is_ascii_digit() || c == '-' || c == '+' || c == '.' && !self.rest().starts_with("..") => {
                self.number().map(Some)
            }
            _ if self.keyword("true") => Ok(Some(Literal::Bool(true))),
            _ if self.keyword("false") => Ok(Some(Literal::Bool(false))),
            _ => Ok(None),
        }
    }

    fn text_literal(&mut self) -> Parsed<Literal> {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            let Some(len) = self.rest().find('\'') else {
                let span = self.piece.at(start, self.piece.text.len());
                return Err(self.wrong_at(span, "this text does not end").into_label("`'` expected"));
            };
            text.push_str(self.rest().get(..len).unwrap_or(""));
            self.at += len + 1;
            if !self.take("'") {
                return Ok(Literal::Text(text));
            }
            text.push('\'');
        }
    }

    fn number(&mut self) -> Parsed<Literal> {
        let start = self.at;
        let rest = self.rest();
        let len = rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '+' | '-'))).unwrap_or(rest.len());
        let text = rest.get(..len).unwrap_or("");
        self.at += len;
        if is_number(text) {
            Ok(Literal::Number(text.to_owned()))
        } else {
            Err(self.wrong_at(self.since(start), format!("`{text}` is not a number")))
        }
    }
}

/// `-12.50`, `.5`, `1e-3`.
fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    !(whole.is_empty() && fraction.is_empty())
        && digits(whole)
        && digits(fraction)
        && !exponent.is_empty()
        && digits(exponent)
}

/// Labels a boxed diagnostic.
pub(super) trait IntoLabel {
    /// Says what the place wants.
    fn into_label(self, text: &str) -> Self;
    /// Adds advice.
    fn into_help(self, text: impl Into<String>) -> Self;
}

impl IntoLabel for Box<Diagnostic> {
    fn into_label(mut self, text: &str) -> Self {
        text.clone_into(&mut self.primary.text);
        self
    }

    fn into_help(self, text: impl Into<String>) -> Self {
        Box::new((*self).help(text))
    }
}
