//! Code maps in the form one use of them needs: pre-rendered JSON.

use super::lower::Lower;
use super::program::{MapOther, MapTable};
use crate::mapping::tree::{CodeMapId, Fallback, Target, Unmapped};

/// What a mapped code is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Form {
    /// A JSON string of the code.
    Code,
    /// The same, with an alias written as the URI it stands for.
    Uri,
    /// `true` / `false`.
    Bare,
    /// `{"system":…,"code":…,"display":…}`
    Coding,
    /// `{"coding":[…]}`
    Concept,
}

impl Form {
    fn of(fhir_type: &str) -> Self {
        match fhir_type {
            "CodeableConcept" => Self::Concept,
            "Coding" => Self::Coding,
            "boolean" | "integer" | "positiveInt" | "unsignedInt" | "decimal" => Self::Bare,
            "uri" | "url" | "canonical" => Self::Uri,
            _ => Self::Code,
        }
    }
}

impl Lower<'_> {
    /// The number of the map's table for this FHIR type.
    pub(super) fn map_table(&mut self, id: CodeMapId, fhir_type: &str) -> u16 {
        let form = Form::of(fhir_type);
        if let Some(number) = self.map_numbers.get(&(id, form)) {
            return *number;
        }
        let map = &self.pack.code_maps[id.0];
        let other = match &map.other {
            None => special(form, self.pack.project.policy.unmapped, None),
            Some(fallback) => self.fallback(form, fallback),
        };
        let table = MapTable {
            name: map.name.clone(),
            entries: map.rows.iter().map(|row| (row.source.clone(), self.render(form, &row.targets))).collect(),
            empty: map.empty.as_ref().map_or(MapOther::Omit, |fallback| self.fallback(form, fallback)),
            other,
            counted: !matches!(map.other, Some(Fallback::Targets(_))),
        };
        self.maps.push(table);
        let number = (self.maps.len() - 1) as u16;
        self.map_numbers.insert((id, form), number);
        number
    }

    fn fallback(&self, form: Form, fallback: &Fallback) -> MapOther {
        match fallback {
            Fallback::Targets(targets) => MapOther::Json(self.render(form, targets)),
            Fallback::Special(kind, system) => special(form, *kind, system.as_deref()),
        }
    }

    fn render(&self, form: Form, targets: &[Target]) -> Vec<u8> {
        let coding = |target: &Target| {
            let system = target.system.as_ref().map(|system| format!("\"system\":{},", json(system)));
            let display = target.display.as_ref().map(|display| format!(",\"display\":{}", json(display)));
            let code = json(&target.code);
            format!("{{{}\"code\":{code}{}}}", system.unwrap_or_default(), display.unwrap_or_default())
        };
        let first = targets.first();
        let text = match form {
            Form::Code => first.map(|target| json(&target.code)),
            Form::Uri => first.map(|target| json(self.pack.project.alias.get(&target.code).unwrap_or(&target.code))),
            Form::Bare => first.map(|target| target.code.clone()),
            Form::Coding => first.map(coding),
            Form::Concept => {
                Some(format!("{{\"coding\":[{}]}}", targets.iter().map(coding).collect::<Vec<_>>().join(",")))
            }
        };
        text.unwrap_or_default().into_bytes()
    }
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn special(form: Form, special: Unmapped, system: Option<&str>) -> MapOther {
    let system = system.map(|system| format!("\"system\":{},", json(system))).unwrap_or_default();
    let around = |before: String, after: &str| MapOther::Around(before.into_bytes(), after.as_bytes().to_vec());
    match (special, form) {
        (Unmapped::Absent, _) => MapOther::Absent,
        (Unmapped::Error, _) => MapOther::Reject,
        (Unmapped::Text, Form::Concept) => around("{\"text\":".to_owned(), "}"),
        (Unmapped::Same, Form::Code | Form::Uri) => around(String::new(), ""),
        (Unmapped::Same, Form::Coding) => around(format!("{{{system}\"code\":"), "}"),
        (Unmapped::Same, Form::Concept) => around(format!("{{\"coding\":[{{{system}\"code\":"), "}]}"),
        (Unmapped::Omit | Unmapped::Text, _) | (Unmapped::Same, Form::Bare) => MapOther::Omit,
    }
}
