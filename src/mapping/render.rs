//! Diagnostics as text for people, as JSON for programs, as SARIF for code hosts and editors.
//!
//! All three are sorted by file and place. Lines and columns count from 1, columns in characters; ends are exclusive.

use std::cmp::Reverse;
use std::fmt::Write as _;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Patch, Renderer, Snippet};
use serde_json::{Value, json};

use super::catalogue;
use super::compartment::{Belongs, Paths, Use};
use super::diagnostic::{Diagnostic, Help, Label, Severity};
use super::source::{SourceId, Sources, Span};

/// Each diagnostic with its place in the text, then one line that counts them; nothing for no diagnostics.
pub fn text(diagnostics: &[Diagnostic], sources: &Sources, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut page = String::new();
    for diagnostic in sorted(diagnostics, sources) {
        page += &renderer.render(&groups(diagnostic, sources));
        page += "\n\n";
    }
    if !diagnostics.is_empty() {
        page += &summary(diagnostics);
        page.push('\n');
    }
    page
}

/// `3 errors, 1 warning`.
pub fn summary(diagnostics: &[Diagnostic]) -> String {
    let (errors, warnings) = counts(diagnostics);
    let count = |number: usize, word: &str| format!("{number} {word}{}", if number == 1 { "" } else { "s" });
    match (errors, warnings) {
        (errors, 0) => count(errors, "error"),
        (0, warnings) => count(warnings, "warning"),
        (errors, warnings) => format!("{}, {}", count(errors, "error"), count(warnings, "warning")),
    }
}

/// One JSON document: `diagnostics` (each with its code, message, place, label, notes and helps), `errors`,
/// `warnings`, and as `compartment` what mappings make of the patient compartment.
pub fn json(diagnostics: &[Diagnostic], sources: &Sources, compartment: &[Paths<'_>]) -> String {
    let (errors, warnings) = counts(diagnostics);
    let all: Vec<Value> = sorted(diagnostics, sources).into_iter().map(|one| json_one(one, sources)).collect();
    let compartment: Vec<Value> = compartment.iter().map(json_paths).collect();
    pretty(&json!({ "diagnostics": all, "errors": errors, "warnings": warnings, "compartment": compartment }))
}

fn json_paths(of: &Paths<'_>) -> Value {
    let (by, column) = match of.belongs {
        Belongs::Itself => ("id", None),
        Belongs::Column(name) => ("column", Some(name)),
        Belongs::Nobody => ("none", None),
    };
    let paths = of.paths.iter().map(|(path, used)| json!({"path": path, "use": used.name()}));
    json!({
        "mapping": of.mapping, "resourceType": of.resource_type, "by": by, "column": column,
        "paths": paths.collect::<Vec<_>>(),
    })
}

/// What mappings make of the patient compartment: a line each, under a heading; nothing when there are none.
pub fn compartment(all: &[Paths<'_>]) -> String {
    let width = |of: &dyn Fn(&Paths<'_>) -> usize| all.iter().map(of).max().unwrap_or_default();
    let (name, kind) = (width(&|one| one.mapping.len()), width(&|one| one.resource_type.len()));
    let mut text = if all.is_empty() { String::new() } else { "patient compartment:\n".to_owned() };
    for of in all {
        let listed = |wanted: Use| -> Vec<&str> {
            of.paths.iter().filter(|(_, used)| *used == wanted).map(|(path, _)| *path).collect()
        };
        let mut said = vec![match (of.belongs, listed(Use::Tie).first()) {
            (Belongs::Itself, _) => "by its id".to_owned(),
            (Belongs::Column(column), Some(path)) => format!("by {path}, column {column}"),
            (Belongs::Column(column), None) => format!("by column {column}"),
            (Belongs::Nobody, _) => "of nobody, left out of exports of patients".to_owned(),
        }];
        for (used, word) in [(Use::Written, "written"), (Use::Unmapped, "unmapped")] {
            let paths = listed(used);
            said.extend((!paths.is_empty()).then(|| format!("{word}: {}", paths.join(", "))));
        }
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {:name$}  {:kind$}  {}", of.mapping, of.resource_type, said.join("; "));
    }
    text
}

/// A SARIF 2.1.0 log with one run; edits become fixes.
pub fn sarif(diagnostics: &[Diagnostic], sources: &Sources) -> String {
    let diagnostics = sorted(diagnostics, sources);
    let mut codes: Vec<&str> = diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
    codes.sort_unstable();
    codes.dedup();
    let rules: Vec<Value> = codes.into_iter().map(sarif_rule).collect();
    let results: Vec<Value> = diagnostics.into_iter().map(|one| sarif_result(one, sources)).collect();
    pretty(&json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "smelt", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    }))
}

fn sorted<'a>(diagnostics: &'a [Diagnostic], sources: &Sources) -> Vec<&'a Diagnostic> {
    let mut sorted: Vec<&Diagnostic> = diagnostics.iter().collect();
    sorted.sort_by_key(|one| {
        let span = one.primary.span;
        (sources.get(span.source).path.as_str(), span.start, Reverse(span.end), one.severity, one.code)
    });
    sorted
}

fn counts(diagnostics: &[Diagnostic]) -> (usize, usize) {
    let errors = diagnostics.iter().filter(|one| one.severity == Severity::Error).count();
    (errors, diagnostics.len() - errors)
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn groups<'a>(diagnostic: &'a Diagnostic, sources: &'a Sources) -> Vec<Group<'a>> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut main = Group::with_title(level.primary_title(&*diagnostic.message).id(diagnostic.code));
    let home = diagnostic.primary.span.source;
    let here: Vec<&Label> = diagnostic.secondary.iter().filter(|label| label.span.source == home).collect();
    main = main.element(snippet(sources, &diagnostic.primary, AnnotationKind::Primary, &here));
    for label in diagnostic.secondary.iter().filter(|label| label.span.source != home) {
        main = main.element(snippet(sources, label, AnnotationKind::Context, &[]));
    }
    main = main.elements(diagnostic.notes.iter().map(|note| Level::NOTE.message(&**note)));
    let advice = diagnostic.helps.iter().filter(|help| help.edit.is_none());
    main = main.elements(advice.map(|help| Level::HELP.message(&*help.text)));
    let mut groups = vec![main];
    groups.extend(diagnostic.helps.iter().filter_map(|help| edit(help, home, sources)));
    groups
}

fn snippet<'a>(
    sources: &'a Sources,
    first: &'a Label,
    kind: AnnotationKind,
    others: &[&'a Label],
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let spans = others.iter().map(|label| label.span).chain([first.span]);
    let window = Window::around(sources, first.span.source, spans);
    let annotate = |kind: AnnotationKind, label: &'a Label| {
        let annotation = kind.span(window.within(label.span));
        if label.text.is_empty() { annotation } else { annotation.label(&*label.text) }
    };
    Snippet::source(window.text)
        .line_start(window.line)
        .path(&*sources.get(first.span.source).path)
        .annotation(annotate(kind, first))
        .annotations(others.iter().map(|label| annotate(AnnotationKind::Context, label)))
}

fn edit<'a>(help: &'a Help, home: SourceId, sources: &'a Sources) -> Option<Group<'a>> {
    let (span, replacement) = help.edit.as_ref()?;
    let window = Window::around(sources, span.source, [*span]);
    let mut snippet = Snippet::source(window.text).line_start(window.line);
    if span.source != home {
        snippet = snippet.path(&*sources.get(span.source).path);
    }
    let snippet = snippet.patch(Patch::new(window.within(*span), &**replacement));
    Some(Group::with_title(Level::HELP.secondary_title(&*help.text)).element(snippet))
}

/// The whole lines of a text that some spans touch, so that a big file is not rendered for one line of it.
struct Window<'a> {
    text: &'a str,
    /// Byte of the source where `text` starts.
    offset: usize,
    /// Line number of its first line.
    line: usize,
}

impl<'a> Window<'a> {
    fn around(sources: &'a Sources, source: SourceId, spans: impl IntoIterator<Item = Span>) -> Self {
        let whole = &*sources.get(source).text;
        let (mut start, mut end) = (whole.len(), 0);
        for span in spans {
            start = start.min(span.start as usize);
            end = end.max(span.end as usize);
        }
        let start = whole.floor_char_boundary(start);
        let end = whole.floor_char_boundary(end.max(start));
        let before = whole.get(..start).unwrap_or("");
        let offset = before.rfind('\n').map_or(0, |newline| newline + 1);
        let end = whole.get(end..).and_then(|rest| rest.find('\n')).map_or(whole.len(), |newline| end + newline);
        let text = whole.get(offset..end).unwrap_or("");
        Self { text: text.strip_suffix('\r').unwrap_or(text), offset, line: before.matches('\n').count() + 1 }
    }

    fn within(&self, span: Span) -> Range<usize> {
        let place = |offset: u32| {
            let place = (offset as usize).saturating_sub(self.offset);
            self.text.floor_char_boundary(place.min(self.text.len()))
        };
        place(span.start)..place(span.end).max(place(span.start))
    }
}

fn json_one(diagnostic: &Diagnostic, sources: &Sources) -> Value {
    let helps: Vec<Value> = diagnostic
        .helps
        .iter()
        .map(|help| {
            let edit = help.edit.as_ref().map(|(span, replacement)| {
                let mut edit = json_place(*span, sources);
                insert(&mut edit, "replacement", json!(replacement));
                edit
            });
            json!({ "text": help.text, "edit": edit })
        })
        .collect();
    let mut one = json_place(diagnostic.primary.span, sources);
    insert(&mut one, "code", json!(diagnostic.code));
    insert(&mut one, "severity", json!(severity(diagnostic.severity)));
    insert(&mut one, "message", json!(diagnostic.message));
    insert(&mut one, "label", json!(diagnostic.primary.text));
    let secondary = diagnostic.secondary.iter().map(|label| {
        let mut place = json_place(label.span, sources);
        insert(&mut place, "label", json!(label.text));
        place
    });
    insert(&mut one, "secondary", secondary.collect());
    insert(&mut one, "notes", json!(diagnostic.notes));
    insert(&mut one, "helps", json!(helps));
    one
}

fn json_place(span: Span, sources: &Sources) -> Value {
    let (line, column) = sources.line_column(span);
    let (end_line, end_column) = sources.line_column(Span { start: span.end, ..span });
    json!({
        "file": sources.get(span.source).path,
        "line": line, "column": column, "endLine": end_line, "endColumn": end_column,
    })
}

fn insert(object: &mut Value, key: &str, value: Value) {
    if let Some(members) = object.as_object_mut() {
        members.insert(key.to_owned(), value);
    }
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn sarif_rule(code: &str) -> Value {
    match catalogue::info(code) {
        Some(info) => json!({
            "id": code,
            "name": info.slug,
            "shortDescription": { "text": info.meaning },
            "defaultConfiguration": { "level": severity(info.severity) },
        }),
        None => json!({ "id": code }),
    }
}

fn sarif_result(diagnostic: &Diagnostic, sources: &Sources) -> Value {
    let mut message = diagnostic.message.clone();
    if !diagnostic.primary.text.is_empty() {
        let _ = write!(message, " ({})", diagnostic.primary.text);
    }
    for note in &diagnostic.notes {
        let _ = write!(message, "\nnote: {note}");
    }
    for help in &diagnostic.helps {
        let _ = write!(message, "\nhelp: {}", help.text);
        if let Some((_, replacement)) = help.edit.as_ref().filter(|(_, text)| !text.is_empty()) {
            let _ = write!(message, " (write `{replacement}`)");
        }
    }
    let fixes: Vec<Value> = diagnostic
        .helps
        .iter()
        .filter_map(|help| help.edit.as_ref().map(|edit| (help, edit)))
        .map(|(help, (span, replacement))| {
            let replacements = json!([{
                "deletedRegion": sarif_region(*span, sources),
                "insertedContent": { "text": replacement },
            }]);
            let change = json!({ "artifactLocation": artifact(*span, sources), "replacements": replacements });
            json!({ "description": { "text": help.text }, "artifactChanges": [change] })
        })
        .collect();
    let mut result = json!({
        "ruleId": diagnostic.code,
        "level": severity(diagnostic.severity),
        "message": { "text": message },
        "locations": [{ "physicalLocation": sarif_location(diagnostic.primary.span, sources) }],
    });
    if !diagnostic.secondary.is_empty() {
        let related = diagnostic.secondary.iter().map(|label| {
            let location = sarif_location(label.span, sources);
            json!({ "physicalLocation": location, "message": { "text": label.text } })
        });
        insert(&mut result, "relatedLocations", related.collect());
    }
    if !fixes.is_empty() {
        insert(&mut result, "fixes", json!(fixes));
    }
    result
}

fn sarif_location(span: Span, sources: &Sources) -> Value {
    json!({ "artifactLocation": artifact(span, sources), "region": sarif_region(span, sources) })
}

fn sarif_region(span: Span, sources: &Sources) -> Value {
    let (line, column) = sources.line_column(span);
    let (end_line, end_column) = sources.line_column(Span { start: span.end, ..span });
    json!({ "startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column })
}

/// The path as a URI reference.
fn artifact(span: Span, sources: &Sources) -> Value {
    let mut uri = String::new();
    for byte in sources.get(span.source).path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(byte as char);
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    json!({ "uri": uri })
}

#[cfg(test)]
mod tests;
