//! What is derived from a whole resource and can be missed: patients (M701) and search parameters (M702).

use super::Checker;
use crate::fhir::compartment::patient_compartment;
use crate::fhir::search::{search_param, search_params};
use crate::mapping::compartment::{Tie, tie};
use crate::mapping::diagnostic::{Diagnostic, nearest};
use crate::mapping::pack::RawMapping;
use crate::mapping::source::Span;
use crate::mapping::tree::{Object, Patient};

impl Checker<'_> {
    /// M701: a type of the patient compartment from whose rows no patient can be reached.
    pub(super) fn compartment(&mut self, mapping: &RawMapping, resource_type: &str, type_span: Span, root: &Object) {
        if resource_type == "Patient" {
            return;
        }
        if let Patient::None(span) = &mapping.header.patient
            && patient_compartment(resource_type).is_some()
        {
            let message = format!(
                "{resource_type} is in the patient compartment, and `patient: none` keeps it out of Patient and Group exports"
            );
            self.report.add(Diagnostic::warning("M701", *span, message));
            return;
        }
        let makes_patients =
            |name: &str| self.heads.iter().any(|head| head.name == name && head.resource_type == Some("Patient"));
        let Tie::Missing { paths, near } = tie(resource_type, &mapping.header, root, makes_patients) else { return };
        let refused = "exports of patients leave it out";
        self.report.add(match near {
            None => {
                let message =
                    format!("{resource_type} is in the patient compartment, and no path of it leads to a patient");
                Diagnostic::warning("M701", type_span, message)
                    .label(refused)
                    .note(format!("paths that count: {}", paths.join(", ")))
                    .help("refer to a patient there, or name its column: `patient: column`")
            }
            Some(near) => {
                let message = format!("this reference does not tell whose the rows of {resource_type} are");
                Diagnostic::warning("M701", near.span, message)
                    .label(format!("{refused}: {}", near.why))
                    .help("name the column of the rows that holds the patient's key: `patient: column`")
            }
        });
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
