//! `$use` (§2.12): a fragment's members in place, its parameters bound to what the caller gives.

use std::rc::Rc;

use super::Checker;
use super::object::Builder;
use super::scope::{Params, RowScope, Scope};
use super::value::Place;
use crate::fhir::elements::{elements, type_kind};
use crate::mapping::diagnostic::{Diagnostic, nearest};
use crate::mapping::fragment::Fragment;
use crate::mapping::syntax::Piece;
use crate::mapping::tree::{ColumnRef, Name};
use crate::mapping::yaml::{Entry, Node};

/// Uses within uses deeper than this are a circle.
const DEPTH: usize = 16;

impl<'a> Checker<'a> {
    /// The members a `$use` inserts, and the scope to read them in; `None` when it is wrong (and reported).
    pub(super) fn use_fragment(
        &mut self,
        scope: &Scope<'a>,
        key: &'a Name,
        value: &'a Node,
        type_path: &str,
    ) -> Option<(Vec<&'a Entry>, Scope<'a>)> {
        let key = Piece::name(key);
        let name = key.part("$use".len(), key.text.len()).trim();
        let Some(fragment) = self.fragments.get(name.text) else {
            let message = match name.text {
                "" => "`$use` names a fragment".to_owned(),
                name => format!("no fragment named `{name}`"),
            };
            let span = if name.text.is_empty() { key.span() } else { name.span() };
            let diagnostic = Diagnostic::error("M604", span, message);
            self.report.add(match nearest(name.text, self.fragments.keys().map(String::as_str)) {
                Some(near) if key.exact() => diagnostic.edit("did you mean", span, near),
                _ => diagnostic.help("`smelt show` lists the shipped fragments; own ones are files in `fragments/`"),
            });
            return None;
        };
        let depth = scope.params.as_ref().map_or(0, |params| params.depth + 1);
        if depth > DEPTH {
            let message = format!("fragment `{}` uses itself", name.text);
            self.report.add(Diagnostic::error("M605", name.span(), message));
            return None;
        }
        if !fits(&fragment.fhir_type.text, type_path) {
            let message = format!("fragment `{}` makes {}, not {type_path}", name.text, fragment.fhir_type.text);
            let diagnostic = Diagnostic::error("M603", name.span(), message).label(format!("{type_path} expected"));
            self.report.add(diagnostic.also(fragment.fhir_type.span, "its type"));
            return None;
        }
        let args = self.arguments(fragment, value)?;
        let entries = fragment.value.entries()?;
        let params = Params { fragment, args: Some(args), outer: scope.clone(), depth };
        let inner = Scope { rows: scope.rows.clone(), params: Some(Rc::new(params)), in_extension: scope.in_extension };
        Some((entries.iter().collect(), inner))
    }

    fn arguments(&mut self, fragment: &Fragment, value: &'a Node) -> Option<Vec<(&'a str, &'a Node)>> {
        let names = || fragment.params.iter().map(|(name, _)| name.text.as_str());
        if value.is_absent() {
            return Some(Vec::new());
        }
        let Some(entries) = value.entries() else {
            let diagnostic = Diagnostic::error("M105", self.first_line(value), "`$use` takes named arguments");
            let example = names().next().unwrap_or("name");
            self.report.add(diagnostic.label(format!("`{{{example}: …}}` expected")));
            return None;
        };
        let mut right = true;
        for entry in entries.iter().filter(|entry| names().all(|name| name != entry.key.text)) {
            right = false;
            let message = format!("fragment `{}` has no parameter `{}`", fragment.name, entry.key.text);
            let diagnostic = Diagnostic::error("M601", entry.key.span, message);
            let diagnostic = diagnostic.label(match fragment.params.len() {
                0 => "it has no parameters".to_owned(),
                _ => format!("parameters: {}", names().collect::<Vec<_>>().join(", ")),
            });
            self.report.add(match nearest(&entry.key.text, names()) {
                Some(near) => diagnostic.edit("did you mean", entry.key.span, near),
                None => diagnostic,
            });
        }
        right.then(|| entries.iter().map(|entry| (entry.key.text.as_str(), &entry.value)).collect())
    }

    /// Checks every fragment once, alone.
    pub(super) fn fragments_alone(&mut self) {
        for fragment in self.fragments.values() {
            let type_path = &fragment.fhir_type.text;
            if elements(type_path).is_empty() {
                let message = format!("`{type_path}` is no type of FHIR R4");
                self.report.add(Diagnostic::error("M603", fragment.fhir_type.span, message));
                continue;
            }
            let mut known = true;
            for (_, ty) in fragment.params.iter().filter(|(_, ty)| type_kind(&ty.text).is_none()) {
                known = false;
                let message = format!("`{}` is no type of FHIR R4", ty.text);
                self.report.add(Diagnostic::error("M603", ty.span, message));
            }
            let Some(entries) = fragment.value.entries().filter(|_| known) else { continue };
            let outer = Scope { rows: vec![RowScope::Nothing], params: None, in_extension: false };
            let params = Params { fragment, args: None, outer: outer.clone(), depth: 0 };
            let scope = Scope { params: Some(Rc::new(params)), ..outer };
            let mut builder = Builder::new(type_path, type_path, None);
            let entries: Vec<&'a Entry> = entries.iter().collect();
            self.members(&mut builder, &scope, &entries, &[]);
            // It may be a part of an object, so nothing is required of it.
            self.finish(builder, fragment.value.span, fragment.fhir_type.span, false);
        }
    }

    /// M603: a fragment checked alone puts a parameter where its type does not fit.
    pub(super) fn parameter_type(&mut self, scope: &Scope<'a>, place: &Place, column: &ColumnRef) {
        let Some(params) = scope.params.as_ref().filter(|params| params.args.is_none()) else { return };
        let declared = params.fragment.params.iter().find(|(name, _)| name.text == column.name);
        let Some((_, ty)) = declared.filter(|_| column.json.is_empty()) else { return };
        let (given, wanted) = (ty.text.as_str(), place.ty.code);
        if given == wanted || is_text(given) && is_text(wanted) || is_whole(given) && is_number(wanted) {
            return;
        }
        let message = format!("`{}` is a {given}, and {} is a {wanted}", column.name, place.subject());
        let diagnostic = Diagnostic::error("M603", column.span, message).label(format!("{given} -> {wanted}"));
        self.report.add(diagnostic.also(ty.span, "declared here"));
    }
}

/// Whether a fragment of type `given` may stand where `wanted` is built.
fn fits(given: &str, wanted: &str) -> bool {
    let quantities = ["Age", "Count", "Distance", "Duration", "SimpleQuantity", "MoneyQuantity"];
    given == wanted || given == "Quantity" && quantities.contains(&wanted)
}

fn is_text(ty: &str) -> bool {
    matches!(ty, "string" | "markdown" | "code" | "id" | "uri" | "url" | "canonical" | "oid" | "uuid")
}

fn is_whole(ty: &str) -> bool {
    matches!(ty, "integer" | "positiveInt" | "unsignedInt")
}

fn is_number(ty: &str) -> bool {
    is_whole(ty) || ty == "decimal"
}
