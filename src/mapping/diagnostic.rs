//! Messages to a mapping author: a code, a place, what to do. They are collected, never the first alone, and no
//! cell value enters one.

use super::source::Span;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The pack cannot run.
    Error,
    /// The pack runs; the author should look.
    Warning,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Catalogue code, `M202`; its page is `docs/src/reference/diagnostics/M202.md`.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// One line, lower case unless it starts with a name.
    pub message: String,
    /// The offending characters, and what the place wants.
    pub primary: Label,
    /// Places that explain.
    pub secondary: Vec<Label>,
    /// Facts.
    pub notes: Vec<String>,
    /// What to do.
    pub helps: Vec<Help>,
}

/// A place and a word about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What the place is or wants; may be empty.
    pub text: String,
}

/// Advice, with the edit when it is certain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Help {
    /// The advice.
    pub text: String,
    /// Replace what stands at the span by this text.
    pub edit: Option<(Span, String)>,
}

impl Diagnostic {
    /// An error at `span`.
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Error, span, message)
    }

    /// A warning at `span`.
    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Warning, span, message)
    }

    fn new(code: &'static str, severity: Severity, span: Span, message: impl Into<String>) -> Self {
        let primary = Label { span, text: String::new() };
        Self {
            code,
            severity,
            message: message.into(),
            primary,
            secondary: Vec::new(),
            notes: Vec::new(),
            helps: Vec::new(),
        }
    }

    /// True when the pack cannot run.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Says what the offending place wants.
    #[must_use]
    pub fn label(mut self, text: impl Into<String>) -> Self {
        self.primary.text = text.into();
        self
    }

    /// Adds a place that explains.
    #[must_use]
    pub fn also(mut self, span: Span, text: impl Into<String>) -> Self {
        self.secondary.push(Label { span, text: text.into() });
        self
    }

    /// Adds a fact.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    /// Adds advice.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.helps.push(Help { text: text.into(), edit: None });
        self
    }

    /// Adds advice with an edit.
    #[must_use]
    pub fn edit(mut self, text: impl Into<String>, span: Span, replacement: impl Into<String>) -> Self {
        self.helps.push(Help { text: text.into(), edit: Some((span, replacement.into())) });
        self
    }
}

/// The candidate that `word` was most likely meant to be: close, and closer than any other.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let allowed = (lower.chars().count() / 3).max(1);
    let mut best: Option<(f64, &str)> = None;
    let mut tie = false;
    for candidate in candidates {
        let other = candidate.to_lowercase();
        let likeness = strsim::jaro_winkler(&lower, &other);
        let near = likeness >= 0.88 || (strsim::damerau_levenshtein(&lower, &other) <= allowed && likeness > 0.6);
        match best {
            _ if !near || best.is_some_and(|(_, before)| before == candidate) => {}
            Some((highest, _)) if likeness < highest - 0.01 => {}
            Some((highest, _)) => {
                tie = likeness <= highest + 0.01;
                best = Some((likeness.max(highest), candidate));
            }
            None => best = Some((likeness, candidate)),
        }
    }
    best.filter(|_| !tie).map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses() {
        let check = |word: &str, candidates: &[&str], expected: Option<&str>| {
            assert_eq!(nearest(word, candidates.iter().copied()), expected, "{word}");
        };
        check("pateint", &["patient", "encounter"], Some("patient"));
        check("birthdate", &["birthDate", "deceasedDateTime"], Some("birthDate"));
        check("lastname", &["id", "first", "middle", "last", "marital"], Some("last"));
        check("txt", &["omb", "detailed", "text"], Some("text"));
        check("femal", &["male", "female", "other", "unknown"], Some("female"));
        check("ky", &["key", "sql"], Some("key"));
        check("zip", &["city", "state", "lat"], None);
        check("F", &["male", "female", "other", "unknown"], None);
        check("code1", &["code2", "code3"], None);
        check("x", &[], None);
    }
}
