//! Collects messages: each mistake once, however often its line is used.

use std::collections::HashSet;

use crate::mapping::diagnostic::{Diagnostic, Severity};
use crate::mapping::source::Span;

/// The messages of a pack.
pub(super) struct Report {
    all: Vec<Diagnostic>,
    /// A fragment's or `every:`'s line is met once per use; it is reported once.
    seen: HashSet<(&'static str, Span, String)>,
    places: HashSet<(&'static str, Span)>,
}

impl Report {
    pub(super) fn new(all: Vec<Diagnostic>) -> Self {
        let mut report = Self { all: Vec::new(), seen: HashSet::new(), places: HashSet::new() };
        for diagnostic in all {
            report.add(diagnostic);
        }
        report
    }

    pub(super) fn add(&mut self, diagnostic: Diagnostic) {
        let place = (diagnostic.code, diagnostic.primary.span);
        // Several elements may be missing at one place; any other mistake is one per place.
        let several = matches!(diagnostic.code, "M206" | "M208");
        if !self.places.insert(place) && !several {
            return;
        }
        if self.seen.insert((diagnostic.code, diagnostic.primary.span, diagnostic.message.clone())) {
            self.all.push(diagnostic);
        }
    }

    pub(super) fn has_errors(&self) -> bool {
        self.all.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// All messages, by file and place.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        self.all.sort_by_key(|diagnostic| (diagnostic.primary.span.source, diagnostic.primary.span.start));
        self.all
    }
}
