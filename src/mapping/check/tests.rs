use super::*;
use crate::fhir::alias;
use crate::mapping::diagnostic::Severity;
use crate::mapping::pack::{Layer, PackFiles, load};

mod catalogue;
mod compartment;
mod examples;
mod mutants;
mod shapes;

/// A pack of these files, checked. A project.yaml is added where there is none.
fn check_files(files: &[(&str, &str)]) -> Checked {
    let mut files: Vec<(String, String)> =
        files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    if !files.iter().any(|(path, _)| path.ends_with("project.yaml")) {
        let project = "format: 1\nalias: {mrn: 'https://mercy.example.org/id/mrn'}\nsite: {oid: 1.2.3, org: '77'}\n";
        files.push(("mappings/project.yaml".to_owned(), project.to_owned()));
    }
    let is_mapping = |path: &str| {
        let name = path.strip_prefix("mappings/").filter(|name| !name.contains('/'));
        name.and_then(|name| name.strip_suffix(".yaml")).is_some_and(|name| name != "project")
    };
    let mapping_count = files.iter().filter(|(path, _)| is_mapping(path)).count();
    let files = PackFiles { layers: vec![Layer { name: "pack".to_owned(), files }] };
    let checked = check(load(&files, alias::builtins()));
    // No mapping is lost without a word.
    assert!(checked.pack.as_ref().is_none_or(|pack| pack.mappings.len() == mapping_count));
    checked
}

/// One line per message: code, file, place, the characters pointed at, message, label; then notes, helps and edits.
fn messages(checked: &Checked) -> String {
    assert_eq!(checked.pack.is_some(), checked.diagnostics.iter().all(|d| d.severity == Severity::Warning));
    if checked.diagnostics.is_empty() {
        return "none".to_owned();
    }
    checked.diagnostics.iter().flat_map(|diagnostic| message(diagnostic, &checked.sources)).collect()
}

fn message(d: &Diagnostic, sources: &Sources) -> Vec<String> {
    let (line, column) = sources.line_column(d.primary.span);
    let path = sources.get(d.primary.span.source).path.rsplit('/').next().unwrap();
    let written = sources.slice(d.primary.span);
    let severity = if d.severity == Severity::Warning { "?" } else { "" };
    let label = if d.primary.text.is_empty() { String::new() } else { format!(" | {}", d.primary.text) };
    let mut out = vec![format!("{}{severity} {path}:{line}:{column} `{written}` {}{label}\n", d.code, d.message)];
    out.extend(d.secondary.iter().map(|label| format!("  also `{}` {}\n", sources.slice(label.span), label.text)));
    out.extend(d.notes.iter().map(|note| format!("  note {note}\n")));
    out.extend(d.helps.iter().map(|help| match &help.edit {
        Some((span, text)) => format!("  help {} `{}` -> `{text}`\n", help.text, sources.slice(*span)),
        None => format!("  help {}\n", help.text),
    }));
    out
}

/// Messages of a pack with one mapping: the lines of its resource, `resourceType` and `id` given.
fn resource(resource_type: &str, lines: &str) -> String {
    messages(&check_files(&[("mappings/x.yaml", &mapping(resource_type, lines))]))
}

fn mapping(resource_type: &str, lines: &str) -> String {
    let lines = indented(lines);
    format!("table: t\nkey: id\npatient: p\nresource:\n  resourceType: {resource_type}\n  id: $id\n{lines}")
}

fn indented(lines: &str) -> String {
    lines.lines().flat_map(|line| ["  ", line, "\n"]).collect()
}
