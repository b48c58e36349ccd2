use super::*;
use crate::fhir::alias;
use crate::mapping::diagnostic::Severity;
use crate::mapping::pack::{Layer, PackFiles, load};

mod catalogue;
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
        name.is_some_and(|name| name != "project.yaml" && name.ends_with(".yaml"))
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
    let mut out = String::new();
    for d in &checked.diagnostics {
        let (line, column) = checked.sources.line_column(d.primary.span);
        let path = checked.sources.get(d.primary.span.source).path.rsplit('/').next().unwrap();
        let written = checked.sources.slice(d.primary.span);
        let severity = if d.severity == Severity::Warning { "?" } else { "" };
        out += &format!("{}{severity} {path}:{line}:{column} `{written}` {}", d.code, d.message);
        if !d.primary.text.is_empty() {
            out += &format!(" | {}", d.primary.text);
        }
        out.push('\n');
        for label in &d.secondary {
            out += &format!("  also `{}` {}\n", checked.sources.slice(label.span), label.text);
        }
        for note in &d.notes {
            out += &format!("  note {note}\n");
        }
        for help in &d.helps {
            out += &format!("  help {}", help.text);
            if let Some((span, text)) = &help.edit {
                out += &format!(" `{}` -> `{text}`", checked.sources.slice(*span));
            }
            out.push('\n');
        }
    }
    if out.is_empty() {
        assert!(checked.pack.is_some());
        out = "none".to_owned();
    }
    assert_eq!(checked.pack.is_some(), checked.diagnostics.iter().all(|d| d.severity == Severity::Warning));
    out
}

/// Messages of a pack with one mapping: the lines of its resource, `resourceType` and `id` given.
fn resource(resource_type: &str, lines: &str) -> String {
    messages(&check_files(&[("mappings/x.yaml", &mapping(resource_type, lines))]))
}

fn mapping(resource_type: &str, lines: &str) -> String {
    let indented: String = lines.lines().map(|line| format!("  {line}\n")).collect();
    format!("table: t\nkey: id\npatient: p\nresource:\n  resourceType: {resource_type}\n  id: $id\n{indented}")
}
