//! Uses of code maps (§2.8): their targets checked against the place, in the map's own lines.

use super::Checker;
use super::constant::{allowed, is_uri_type, primitive, shown};
use super::value::Place;
use crate::fhir::elements::{CodeList, codes};
use crate::fhir::id::is_absolute_uri;
use crate::mapping::diagnostic::{Diagnostic, nearest};
use crate::mapping::source::Span;
use crate::mapping::tree::{CodeMap, CodeMapId, Fallback, Name, Target, Unmapped};

/// The code maps a pack uses. One map used both as codes and as URIs is two of them.
#[derive(Default)]
pub(super) struct MapUses {
    /// Position in the pack's maps, whether codes are URIs, and the map in that form.
    used: Vec<(usize, bool, CodeMap)>,
}

impl MapUses {
    pub(super) fn take(&mut self) -> Vec<CodeMap> {
        std::mem::take(&mut self.used).into_iter().map(|(_, _, map)| map).collect()
    }
}

impl Checker<'_> {
    /// A map used at a place; `None` when it does not fit there (and reported).
    pub(super) fn map(&mut self, name: &Name, place: &Place) -> Option<CodeMapId> {
        let Some(at) = self.code_maps.iter().position(|map| map.name == name.text) else {
            let message = format!("no code map named `{}`", name.text);
            let diagnostic = Diagnostic::error("M504", name.span, message);
            let known = self.code_maps.iter().map(|map| map.name.as_str());
            self.report.add(match nearest(&name.text, known) {
                Some(near) => diagnostic.edit("did you mean", name.span, near),
                None => diagnostic.help(format!("a code map is a file: `codes/{}.csv`", name.text)),
            });
            return None;
        };
        if !Self::takes_codes(place) {
            let message = format!("a code map gives codes, and {} is a {}", place.subject(), place.ty.code);
            self.report.add(Diagnostic::error("M204", name.span, message).label(format!("code -> {}", place.ty.code)));
            return None;
        }
        let map = self.code_maps.get(at)?;
        let fits = self.targets_fit(map, name.span, place);
        let uris = is_uri_type(place.ty.code);
        if !fits {
            return None;
        }
        let known = self.maps.used.iter().position(|(other, form, _)| *other == at && *form == uris);
        let id = known.unwrap_or_else(|| {
            let mut map = map.clone();
            if uris {
                resolve_aliases(&mut map, |alias| self.project.alias.get(alias).cloned());
            }
            self.maps.used.push((at, uris, map));
            self.maps.used.len() - 1
        });
        Some(CodeMapId(id))
    }

    fn targets_fit(&mut self, map: &CodeMap, used: Span, place: &Place) -> bool {
        let lists = map.rows.iter().map(|row| row.targets.as_slice());
        let fallbacks: Vec<&Fallback> = map.empty.iter().chain(&map.other).collect();
        let targets = lists.chain(fallbacks.iter().filter_map(|fallback| match fallback {
            Fallback::Targets(targets) => Some(targets.as_slice()),
            Fallback::Special(..) => None,
        }));
        let mut fits = true;
        for targets in targets {
            if let (Some(second), true) = (targets.get(1), place.ty.code != "CodeableConcept") {
                let message = format!("`{}` has a second target, and {} takes one", map.name, place.subject());
                let diagnostic = Diagnostic::error("M502", second.span, message).label("second row of one source");
                self.report.add(self.reached(diagnostic, used));
                fits = false;
            }
            for target in targets {
                if let Some(diagnostic) = self.target_misfit(target, place) {
                    self.report.add(self.reached(diagnostic, used));
                    fits = false;
                }
            }
        }
        for fallback in fallbacks {
            let Fallback::Special(special, _) = fallback else { continue };
            let wrong = match special {
                Unmapped::Text => (place.ty.code != "CodeableConcept").then_some("`!text` needs a CodeableConcept"),
                Unmapped::Same => {
                    let coded = matches!(place.ty.code, "boolean" | "integer" | "positiveInt");
                    coded.then_some("`!same` writes text")
                }
                Unmapped::Omit | Unmapped::Absent | Unmapped::Error => None,
            };
            if let Some(wrong) = wrong {
                let message = format!("{wrong}, and {} is a {}", place.subject(), place.ty.code);
                let diagnostic = Diagnostic::error("M505", used, message);
                self.report.add(diagnostic.label(format!("codes/{} says so", file_name(self, map))));
                fits = false;
            }
        }
        fits
    }

    fn target_misfit(&self, target: &Target, place: &Place) -> Option<Diagnostic> {
        let code = target.code.as_str();
        if let Some(list) = place.binding.and_then(codes) {
            let known = match &target.system {
                Some(system) if !place.is_primitive() => list.contains_in(system, code),
                _ => list.contains(code),
            };
            return (!known).then(|| not_in(list, target, place));
        }
        if is_uri_type(place.ty.code) {
            let known = self.project.alias.contains_key(code) || is_absolute_uri(code);
            return (!known).then(|| self.not_uri(code, target.span));
        }
        if !place.is_primitive() {
            return None;
        }
        let wanted = primitive(place.ty.code, code).err()?;
        let message = format!("`{}` is no value of {}", shown(code), place.subject());
        Some(Diagnostic::error("M501", target.span, message).label(format!("{}: {wanted}", place.ty.code)))
    }

    /// Says which line of a mapping uses the map.
    fn reached(&self, diagnostic: Diagnostic, used: Span) -> Diagnostic {
        let source = self.sources.get(used.source);
        let (line, _) = self.sources.line_column(used);
        let text = source.text.lines().nth(line.saturating_sub(1)).unwrap_or_default().trim();
        diagnostic.note(format!("reached from {}:{line} `{text}`", source.path))
    }
}

fn not_in(list: &CodeList, target: &Target, place: &Place) -> Diagnostic {
    let code = &target.code;
    let message = format!("`{}` is not allowed in {}", shown(code), place.subject());
    let diagnostic = Diagnostic::error("M501", target.span, message);
    let diagnostic = diagnostic.label(format!("required value set {}", list.name()));
    if let Some((system, _)) = list.iter().find(|(_, known)| known == code) {
        return diagnostic.note(format!("the code is allowed with system {system}"));
    }
    match nearest(code, list.iter().map(|(_, code)| code)) {
        Some(near) => diagnostic.edit("did you mean", target.span, near),
        None => diagnostic.note(allowed(list)),
    }
}

fn file_name<'s>(checker: &'s Checker<'_>, map: &CodeMap) -> &'s str {
    checker.sources.get(map.source).path.rsplit('/').next().unwrap_or_default()
}

fn resolve_aliases(map: &mut CodeMap, alias: impl Fn(&str) -> Option<String>) {
    let rows = map.rows.iter_mut().flat_map(|row| &mut row.targets);
    let fallbacks = [&mut map.empty, &mut map.other].into_iter().flatten();
    let others = fallbacks.filter_map(|fallback| match fallback {
        Fallback::Targets(targets) => Some(targets),
        Fallback::Special(..) => None,
    });
    for target in rows.chain(others.flatten()) {
        if let Some(uri) = alias(&target.code) {
            target.code = uri;
        }
    }
}
