//! M206: what FHIR requires and the mapping does not give.

use super::Checker;
use super::object::Builder;
use crate::fhir::elements::{Element, codes, elements, json_name};
use crate::mapping::diagnostic::Diagnostic;
use crate::mapping::source::Span;

impl Checker<'_> {
    /// Reports every required element that an object does not mention. One under `$if` is mentioned.
    pub(super) fn required(&mut self, builder: &Builder<'_>, at: Span) {
        for element in elements(&builder.type_path).iter().filter(|element| element.min > 0) {
            if builder.met.iter().any(|(name, ..)| *name == element.name) {
                continue;
            }
            let max = element.max.map_or_else(|| "*".to_owned(), |max| max.to_string());
            let message = format!("{} is required and is missing", element.path);
            let diagnostic = Diagnostic::error("M206", at, message);
            let diagnostic = diagnostic.label(format!("needs `{}` ({}..{max})", element.name, element.min));
            self.report.add(diagnostic.help(self.advice(element)));
        }
    }

    /// What could be written.
    fn advice(&self, element: &Element) -> String {
        let Some(ty) = element.types.first() else { return format!("add `{}`", element.name) };
        let name = json_name(element, ty);
        let set = element.required_value_set.and_then(codes);
        let (open, close) = if element.is_list() { ("[", "]") } else { ("", "") };
        match (ty.code, set) {
            ("code", Some(list)) => {
                let usual = ["final", "active", "finished", "completed", "current", "unknown"];
                let known = usual.into_iter().find(|code| list.contains(code));
                let code = known.or_else(|| list.iter().next().map(|(_, code)| code)).unwrap_or_default();
                let map = list.name();
                format!("add `{name}: {open}{code}{close}`, or `{name}: {open}${name} via {map}{close}`")
            }
            ("CodeableConcept" | "Coding", _) => {
                format!("add `{name}: {open}system#code \"display\"{close}`, or `{name}: {open}$column via map{close}`")
            }
            ("Reference", _) => {
                let any = ty.targets.is_empty() || ty.targets.contains(&"Resource");
                let fits = |target: &str| any || ty.targets.contains(&target);
                let head = self.heads.iter().find(|head| head.resource_type.is_some_and(fits));
                let mapping = head.map_or("mapping", |head| head.name.as_str());
                format!("add `{name}: {open}{mapping}(column){close}`")
            }
            (code, _) if code.starts_with(|c: char| c.is_ascii_uppercase()) => {
                format!("add `{name}: {open}{{…: …}}{close}` ({code})")
            }
            _ => format!("add `{name}: {open}$column{close}`"),
        }
    }
}
