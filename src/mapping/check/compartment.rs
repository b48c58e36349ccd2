//! What is derived from a whole resource and can be missed: patients (M701) and search parameters (M702).

use super::Checker;
use crate::fhir::compartment::patient_compartment;
use crate::fhir::search::{search_param, search_params};
use crate::mapping::diagnostic::{Diagnostic, nearest};
use crate::mapping::pack::RawMapping;
use crate::mapping::source::Span;
use crate::mapping::tree::{Expr, ItemKind, Object, Part, Patient, Value};

impl Checker<'_> {
    /// M701: a type of the patient compartment from which no patient can be reached.
    pub(super) fn compartment(&mut self, mapping: &RawMapping, resource_type: &str, type_span: Span, root: &Object) {
        let Some(paths) = patient_compartment(resource_type).filter(|_| resource_type != "Patient") else { return };
        let what = format!("{resource_type} is in the patient compartment");
        match &mapping.header.patient {
            Patient::Column(_) => {}
            Patient::None(span) => {
                let message = format!("{what}, and `patient: none` keeps it out of Patient and Group exports");
                self.report.add(Diagnostic::warning("M701", *span, message));
            }
            Patient::Derived => {
                let reached = paths.iter().any(|path| {
                    let steps: Vec<&str> = path.split('.').collect();
                    reaches_patient(root, &steps)
                });
                if !reached {
                    let message = format!("{what}, and no path of it leads to a patient");
                    let diagnostic = Diagnostic::warning("M701", type_span, message);
                    let diagnostic = diagnostic.label("left out of Patient and Group exports");
                    let diagnostic = diagnostic.note(format!("paths that count: {}", paths.join(", ")));
                    self.report.add(diagnostic.help("refer to a patient there, or name its column: `patient: column`"));
                }
            }
        }
    }

    /// M702: `search:` names a parameter the type does not have.
    pub(super) fn search_names(&mut self, mapping: &RawMapping, resource_type: &str) {
        for (name, _) in &mapping.header.search {
            if search_param(resource_type, &name.text).is_some() {
                continue;
            }
            let message = format!("{resource_type} has no search parameter `{}`", name.text);
            let diagnostic = Diagnostic::error("M702", name.span, message);
            self.report.add(match nearest(&name.text, search_params(resource_type).map(|param| param.code)) {
                Some(near) => diagnostic.edit("did you mean", name.span, near),
                None => diagnostic,
            });
        }
    }
}

/// Whether a reference at `steps` may be to a patient.
fn reaches_patient(object: &Object, steps: &[&str]) -> bool {
    let Some((step, rest)) = steps.split_first() else { return to_patient(object) };
    object
        .members
        .iter()
        .filter(|member| member.element.trim_end_matches("[x]") == *step)
        .any(|member| value_reaches(&member.value, rest))
}

fn value_reaches(value: &Value, rest: &[&str]) -> bool {
    match value {
        // A json column may hold anything.
        Value::Leaf(_) => false,
        Value::Object(object) => reaches_patient(object, rest),
        Value::List(items) => items.iter().any(|item| match &item.kind {
            ItemKind::One(value) => value_reaches(value, rest),
            ItemKind::Each { body, .. } => value_reaches(body, rest),
        }),
    }
}

fn to_patient(reference: &Object) -> bool {
    reference.members.iter().filter(|member| member.name == "reference").any(|member| match &member.value {
        Value::Leaf(leaf) => match &leaf.expr {
            Expr::Text(text) => matches!(text.parts.first(), Some(Part::Literal(text)) if text.starts_with("Patient/")),
            Expr::Constant(json) => json.starts_with("\"Patient/"),
            Expr::Column(_) => false,
        },
        _ => false,
    })
}
