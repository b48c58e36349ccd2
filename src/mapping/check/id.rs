//! `resourceType` and `id` of every mapping, read before anything else since references need them (§2.9).

use super::scope::{Resolved, Scope};
use super::value::Made;
use super::{Checker, Head};
use crate::fhir::id::{MAX_ID_LENGTH, is_id_byte};
use crate::mapping::diagnostic::{Diagnostic, nearest};
use crate::mapping::pack::RawMapping;
use crate::mapping::source::Span;
use crate::mapping::syntax::{Piece, column, template};
use crate::mapping::tree::{Arg, ColumnRef, Part, Test, Text};
use crate::mapping::yaml::Node;

impl<'a> Checker<'a> {
    /// Reads the heads of all mappings.
    pub(super) fn heads(&mut self, resources: &'a [Node]) {
        for (mapping, node) in self.mappings.iter().zip(resources) {
            let head = self.head(mapping, node);
            self.heads.push(head);
        }
    }

    fn head(&mut self, mapping: &'a RawMapping, node: &'a Node) -> Head {
        let name = mapping.name.clone();
        let at = self.first_line(node);
        if node.entries().is_none() {
            let diagnostic = Diagnostic::error("M105", at, "`resource` is an object");
            self.report.add(diagnostic.label("`resourceType: Patient`, `id: …` and so on expected"));
            return Head { name, resource_type: None, type_span: at, id: None };
        }
        let known = if let Some(value) = node.get("resourceType") {
            self.resource_type(value)
        } else {
            let diagnostic = Diagnostic::error("M206", at, "the resource does not say its `resourceType`");
            self.report.add(diagnostic.help("write `resourceType: Patient` (or another type) first"));
            None
        };
        let (resource_type, type_span) = known.map_or((None, at), |(ty, span)| (Some(ty), span));
        let Some(value) = node.get("id") else {
            let subject = resource_type.unwrap_or("resource");
            let diagnostic = Diagnostic::error("M206", type_span, format!("{subject}.id is required and is missing"));
            let key: Vec<&str> = mapping.header.key.iter().map(|name| name.text.as_str()).collect();
            self.report.add(diagnostic.label("needs `id`").help(match key.as_slice() {
                [only] => format!("add `id: ${only}`"),
                key => format!("add `id: \"{{{{uuid '{subject}' {}}}}}\"`", key.join(" ")),
            }));
            return Head { name, resource_type, type_span, id: None };
        };
        let id = self.id(mapping, value);
        Head { name, resource_type, type_span, id }
    }

    fn id(&mut self, mapping: &'a RawMapping, node: &'a Node) -> Option<Text> {
        let Some(piece) = Piece::of(node).filter(|piece| !piece.text.trim().is_empty()) else {
            let diagnostic = Diagnostic::error("M105", self.first_line(node), "`id` is a column or a template");
            self.report.add(diagnostic.label("one scalar expected"));
            return None;
        };
        let scope = Scope::root(mapping);
        let text = if column::is_columns(piece.text) {
            self.id_column(&scope, piece)?
        } else {
            let piece = super::constant::unescaped(piece);
            match self.text(&scope, piece, false, true) {
                Made::Value(text) => text,
                Made::Absent | Made::Wrong => return None,
            }
        };
        let mut fits = self.id_columns(mapping, &text.parts);
        fits &= self.id_characters(piece, &text);
        fits.then_some(text)
    }

    fn id_column(&mut self, scope: &Scope<'a>, piece: Piece<'a>) -> Option<Text> {
        let span = piece.span();
        let columns = match column::columns(piece) {
            Ok(columns) => columns,
            Err(diagnostic) => {
                self.report.add(*diagnostic);
                return None;
            }
        };
        let ([term], None) = (columns.terms.as_slice(), columns.fallback) else {
            let diagnostic = Diagnostic::error("M404", span, "an id is one column or a template");
            self.report.add(diagnostic.label("no alternatives here"));
            return None;
        };
        if let Some(via) = &term.via {
            let diagnostic = Diagnostic::error("M404", via.span, "an id does not go through a code map");
            self.report.add(diagnostic.help("two rows of one code would get the same id"));
            return None;
        }
        let part = match self.resolve(scope, term.column.clone()) {
            Resolved::Column(column) => Part::Column(column),
            Resolved::Constant(text) => Part::Literal(text),
            _ => return None,
        };
        Some(Text { parts: vec![part], refers: None, html: false, span })
    }

    /// M404: only key columns make an id.
    fn id_columns(&mut self, mapping: &RawMapping, parts: &[Part]) -> bool {
        let mut columns = Vec::new();
        let mut rendered = false;
        for part in parts {
            collect(part, &mut columns, &mut rendered);
        }
        let key: Vec<&str> = mapping.header.key.iter().map(|name| name.text.as_str()).collect();
        let mut fits = true;
        for column in columns {
            if key.contains(&column.name.as_str()) && column.json.is_empty() {
                continue;
            }
            fits = false;
            let shown = self.sources.slice(column.span).trim_start_matches('$');
            let message = format!("`id` uses `{shown}`, which is not in the key");
            let diagnostic = Diagnostic::error("M404", column.span, message).label("not a key column");
            let diagnostic = diagnostic.note(format!("key: {}", key.join(", ")));
            self.report.add(match nearest(&column.name, key.iter().copied()) {
                Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                None => diagnostic
                    .help("references repeat the id from the key alone; add the column to `key:`, or drop it here"),
            });
        }
        if rendered && fits {
            fits = false;
            let span = parts_span(parts).unwrap_or(mapping.header.rows.span);
            let message = "an id uses no `{{#each}}`, `{{#with}}`, `lookup` or comparison by size";
            self.report.add(Diagnostic::error("M404", span, message));
        }
        fits
    }

    /// M405: FHIR's characters, and a length that can fit.
    fn id_characters(&mut self, piece: Piece<'_>, text: &Text) -> bool {
        let is_bad = |c: char| !(c.is_ascii() && is_id_byte(c as u8));
        let literals: Vec<&str> = literals(&text.parts);
        let bad = literals.iter().flat_map(|text| text.chars()).find(|c| is_bad(*c));
        if let Some(bad) = bad {
            let span = outside_tags(piece.text, bad).map_or(text.span, |at| piece.at(at, at + bad.len_utf8()));
            let diagnostic = Diagnostic::error("M405", span, format!("`{bad}` is not allowed in a FHIR id"));
            let diagnostic = diagnostic.label("ids may hold A-Z a-z 0-9 - . and at most 64 characters");
            self.report.add(match bad {
                '_' | ' ' | '/' | ':' | '|' | '#' if piece.exact() && span != text.span => {
                    diagnostic.edit("use", span, "-")
                }
                _ => diagnostic,
            });
            return false;
        }
        let length = least(&text.parts);
        if length > MAX_ID_LENGTH {
            let message = format!("this id has at least {length} characters");
            let diagnostic = Diagnostic::error("M405", text.span, message);
            self.report.add(diagnostic.label(format!("a FHIR id has at most {MAX_ID_LENGTH}")));
            return false;
        }
        true
    }
}

/// The byte where `wanted` first stands outside `{{…}}`.
fn outside_tags(text: &str, wanted: char) -> Option<usize> {
    let mut at = 0;
    while let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) {
        let rest = text.get(at..)?;
        if template::is_template(rest) && rest.starts_with("{{") {
            at += rest.find("}}")? + 2;
        } else if c == wanted {
            return Some(at);
        } else {
            at += c.len_utf8();
        }
    }
    None
}

fn literals(parts: &[Part]) -> Vec<&str> {
    let mut all = Vec::new();
    for part in parts {
        match part {
            Part::Literal(text) => all.push(text.as_str()),
            Part::When { then, otherwise, .. } => all.extend([literals(then), literals(otherwise)].concat()),
            _ => {}
        }
    }
    all
}

/// The fewest characters a text has when it is not empty.
fn least(parts: &[Part]) -> usize {
    let of = |part: &Part| match part {
        Part::Literal(text) => text.chars().count(),
        Part::Uuid { .. } => 36,
        Part::Sha256(_) => 64,
        Part::Column(_) => 1,
        Part::When { then, otherwise, .. } => least(then).min(least(otherwise)),
        Part::Apply(..) | Part::Render { .. } => 0,
    };
    parts.iter().map(of).sum()
}

fn collect<'p>(part: &'p Part, columns: &mut Vec<&'p ColumnRef>, rendered: &mut bool) {
    let mut args = |args: &'p [Arg]| {
        columns.extend(args.iter().filter_map(|arg| match arg {
            Arg::Column(column) => Some(column),
            Arg::Literal(_) => None,
        }));
    };
    match part {
        Part::Literal(_) => {}
        Part::Column(column) | Part::Apply(_, column) => columns.push(column),
        Part::Uuid { args: list, .. } | Part::Sha256(list) => args(list),
        Part::When { test, then, otherwise } => {
            test_columns(test, columns);
            for part in then.iter().chain(otherwise) {
                collect(part, columns, rendered);
            }
        }
        Part::Render { columns: named, .. } => {
            columns.extend(named);
            *rendered = true;
        }
    }
}

fn test_columns<'p>(test: &'p Test, columns: &mut Vec<&'p ColumnRef>) {
    match test {
        Test::Truthy(column) => columns.push(column),
        Test::Not(inner) => test_columns(inner, columns),
        Test::And(all) | Test::Or(all) => all.iter().for_each(|test| test_columns(test, columns)),
        Test::Eq(left, right) => columns.extend([left, right].into_iter().filter_map(|arg| match arg {
            Arg::Column(column) => Some(column),
            Arg::Literal(_) => None,
        })),
    }
}

/// A place inside the text that is rendered.
fn parts_span(parts: &[Part]) -> Option<Span> {
    parts.iter().find_map(|part| match part {
        Part::Render { columns, .. } => columns.first().map(|column| column.span),
        Part::When { then, otherwise, .. } => parts_span(then).or_else(|| parts_span(otherwise)),
        _ => None,
    })
}
