//! Members that FHIR does not have: misspelt (M201) or in the wrong object (M202).

use super::Checker;
use super::object::Builder;
use crate::fhir::elements::{Element, child_type_path, element, elements, json_member, json_name};
use crate::mapping::diagnostic::{Diagnostic, nearest};
use crate::mapping::source::Span;
use crate::mapping::tree::Name;

impl Checker<'_> {
    /// Reports a member that its object does not have; gives the element it was likely meant to be.
    pub(super) fn unknown_member(&mut self, builder: &Builder<'_>, key: &Name) -> Option<&'static str> {
        let type_path = builder.type_path.as_str();
        let name = key.text.strip_prefix('_').unwrap_or(&key.text);
        let message = format!("{type_path} has no element `{}`", key.text);
        let diagnostic = Diagnostic::error("M201", key.span, message).label("not in FHIR R4");
        let own = json_names(elements(type_path));
        if let Some(same) = own.iter().find(|other| other.eq_ignore_ascii_case(name)) {
            let help = format!("names are case-sensitive; did you mean `{same}`?");
            self.report.add(diagnostic.edit(help, tail(key), same.as_str()));
            return json_member(type_path, same).map(|(element, _)| element.name);
        }
        if let Some(choice) = element(type_path, &format!("{name}[x]")) {
            let names: Vec<String> =
                choice.types.iter().take(6).map(|ty| format!("`{}`", json_name(choice, ty))).collect();
            let more = if choice.types.len() > 6 { ", …" } else { "" };
            self.report.add(diagnostic.help(format!("it is written with its type: {}{more}", names.join(", "))));
            return Some(choice.name);
        }
        if let Some(misplaced) = Self::misplaced(builder, key, name) {
            self.report.add(misplaced);
            return None;
        }
        let near = nearest(name, own.iter().map(String::as_str));
        self.report.add(if let Some(near) = near {
            diagnostic.edit(format!("did you mean `{near}`?"), tail(key), near)
        } else {
            let own: Vec<&str> =
                elements(type_path).iter().map(|element| element.name).filter(|name| !common(name)).collect();
            let shown = own.get(..16).unwrap_or(&own);
            let more = if own.len() > 16 { format!(", … {} more", own.len() - 16) } else { String::new() };
            diagnostic.note(format!("elements of {type_path}: {}{more}", shown.join(", ")))
        });
        near.and_then(|near| json_member(type_path, near)).map(|(element, _)| element.name)
    }

    /// M202: the name is an element of something that stands, or could stand, in this object.
    fn misplaced(builder: &Builder<'_>, key: &Name, name: &str) -> Option<Diagnostic> {
        let type_path = builder.type_path.as_str();
        let has = |element: &Element| {
            element.types.iter().find_map(|ty| {
                let path = child_type_path(element, ty);
                (!common(name) && json_member(&path, name).is_some()).then_some(path)
            })
        };
        // The member written last above is the likeliest.
        let above = builder.met.iter().rev().find_map(|(met, _, span)| {
            let element = element(type_path, met)?;
            has(element).map(|path| (element, path, Some(*span)))
        });
        let (owner, path, span) = if let Some(found) = above {
            found
        } else {
            let mut owners = elements(type_path).iter().filter_map(|element| Some((element, has(element)?)));
            let (element, path) = owners.next()?;
            // Several owners, or a datatype's common member, say too little.
            if owners.next().is_some() {
                return None;
            }
            (element, path, None)
        };
        let message = format!("{type_path} has no element `{}`", key.text);
        let diagnostic = Diagnostic::error("M202", key.span, message);
        let diagnostic = diagnostic.label(format!("`{name}` is an element of {path}"));
        let Some(span) = span else {
            let example = if owner.is_list() {
                format!("{}: [{{{name}: …}}]", owner.name)
            } else {
                format!("{}: {{{name}: …}}", owner.name)
            };
            return Some(diagnostic.help(format!("it belongs in `{example}`")));
        };
        let what = if owner.is_list() { format!("this is a list of {path}") } else { format!("this is a {path}") };
        let diagnostic = diagnostic.also(span, what);
        let spaces = if owner.is_list() { 4 } else { 2 };
        let place = if owner.is_list() { "the item of " } else { "" };
        Some(
            diagnostic
                .help(format!("indent it by {spaces} more spaces to put it inside {place}`{}` above", owner.name)),
        )
    }
}

/// What every element has.
fn common(name: &str) -> bool {
    matches!(name, "id" | "extension" | "modifierExtension" | "implicitRules" | "language" | "contained" | "meta")
}

fn json_names(elements: &[Element]) -> Vec<String> {
    elements.iter().flat_map(|element| element.types.iter().map(|ty| json_name(element, ty))).collect()
}

/// The key without a leading `_`.
fn tail(key: &Name) -> Span {
    let skip = u32::from(key.text.starts_with('_'));
    Span { start: key.span.start + skip, ..key.span }
}
