//! Where search parameters look in a resource, and which mappings write there.

use crate::fhir::elements::{Element, child_type_path, elements, json_member, json_name};
use crate::fhir::path::{self, PathStep};
use crate::fhir::search::{SearchType, search_param};
use crate::mapping::tree::{Expr, ItemKind, Object, Value};

/// One place that a parameter looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// From the resource down.
    pub steps: Vec<Step>,
    /// FHIR type of what is there.
    pub leaf: String,
    /// Only references to this resource type.
    pub resolves: Option<&'static str>,
    /// The value is whether something that is not `false` is there.
    pub presence: bool,
    /// The code systems that the element's codes are from, for a `code` that is bound to a closed list.
    pub systems: Vec<&'static str>,
    /// Of a composite, where each of its parts is below here.
    pub parts: Vec<Vec<Look>>,
}

/// A step into JSON; lists are entered by themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A member by its JSON name.
    Member(String),
    /// Only objects whose member is this text.
    Where(&'static str, &'static str),
}

/// Where a parameter looks; `None` for one whose expression or types cannot be compared.
pub(super) fn looks(resource_type: &str, parameter: &str) -> Option<Vec<Look>> {
    let param = search_param(resource_type, parameter)?;
    let start = Look::at(resource_type);
    if param.kind != SearchType::Composite {
        return start.compared(param.kind, param.expression);
    }
    let mut bases = start.along(param.expression)?;
    for base in &mut bases {
        let below = Look::at(&base.leaf);
        base.parts = param.parts.iter().filter_map(|(kind, expression)| below.compared(*kind, expression)).collect();
    }
    bases.retain(|base| base.parts.len() == param.parts.len());
    (!bases.is_empty()).then_some(bases)
}

/// The types that a kind of parameter compares (R4, search, 3.1.1.4).
fn comparable(kind: SearchType) -> Option<&'static [&'static str]> {
    const TEXTS: &[&str] = &["string", "markdown", "HumanName", "Address"];
    const TOKENS: &[&str] =
        &["CodeableConcept", "Coding", "Identifier", "ContactPoint", "code", "id", "boolean", "string", "uri"];
    const QUANTITIES: &[&str] =
        &["Quantity", "Age", "Count", "Distance", "Duration", "SimpleQuantity", "MoneyQuantity", "Money", "Range"];
    Some(match kind {
        SearchType::Token => TOKENS,
        SearchType::String => TEXTS,
        SearchType::Date => &["date", "dateTime", "instant", "Period", "Timing"],
        SearchType::Number => &["decimal", "integer", "positiveInt", "unsignedInt"],
        SearchType::Quantity => QUANTITIES,
        SearchType::Reference => &["Reference", "canonical", "uri", "url"],
        SearchType::Uri => &["uri", "url", "canonical", "oid", "uuid"],
        SearchType::Composite | SearchType::Special => return None,
    })
}

impl Look {
    fn at(type_path: &str) -> Self {
        Self {
            steps: Vec::new(),
            leaf: type_path.to_owned(),
            resolves: None,
            presence: false,
            systems: Vec::new(),
            parts: Vec::new(),
        }
    }

    /// Where an expression leads from here.
    fn along(&self, expression: &'static str) -> Option<Vec<Self>> {
        let mut all = Vec::new();
        for path in path::paths(&self.leaf, expression)? {
            let mut found = vec![Self { presence: path.presence, ..self.clone() }];
            for step in &path.steps {
                found = found.iter().flat_map(|look| look.below(step)).collect();
            }
            all.extend(found);
        }
        Some(all)
    }

    /// The same for a parameter of a kind, which says nothing about some forms of a choice.
    fn compared(&self, kind: SearchType, expression: &'static str) -> Option<Vec<Self>> {
        let comparable = comparable(kind)?;
        let mut all = self.along(expression)?;
        all.retain(|look| look.presence || comparable.contains(&look.leaf.as_str()));
        (!all.is_empty()).then_some(all)
    }

    /// Whether a mapping may write what is looked at; of a composite each of its parts.
    pub(super) fn is_written(&self, root: &Object) -> bool {
        let below = |part: &Self| writes_in(root, &[&self.steps[..], &part.steps].concat());
        if self.parts.is_empty() {
            writes_in(root, &self.steps)
        } else {
            self.parts.iter().all(|part| part.iter().any(below))
        }
    }

    /// Whether a primitive stands there: a code whose system is not written.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self.leaf.as_str(), "code" | "id" | "boolean" | "string" | "uri")
    }

    /// Where a step leads from here: to each form of a choice, or nowhere.
    fn below(&self, step: &PathStep) -> Vec<Self> {
        let same = |step| Self { steps: [&self.steps[..], &[step]].concat(), ..self.clone() };
        match *step {
            PathStep::Where(member, text) => vec![same(Step::Where(member, text))],
            PathStep::Resolves(target) => vec![Self { resolves: Some(target), ..self.clone() }],
            PathStep::As(ty) => {
                if self.leaf == ty {
                    vec![self.clone()]
                } else {
                    Vec::new()
                }
            }
            // A code is compared with its system, which stands beside it.
            PathStep::Element("code") if self.leaf == "Coding" => vec![self.clone()],
            PathStep::Element(name) => {
                let named = |element: &&Element| element.name == name || element.name.strip_suffix("[x]") == Some(name);
                let Some(element) = elements(&self.leaf).iter().find(named) else { return Vec::new() };
                let form = |ty| Self {
                    leaf: child_type_path(element, ty),
                    systems: systems(element),
                    ..same(Step::Member(json_name(element, ty)))
                };
                element.types.iter().map(form).collect()
            }
        }
    }
}

/// The systems of a closed list of codes.
fn systems(element: &Element) -> Vec<&'static str> {
    let Some(list) = element.required_value_set.and_then(crate::fhir::elements::codes) else { return Vec::new() };
    let mut systems: Vec<&str> = list.iter().map(|(system, _)| system).collect();
    systems.sort_unstable();
    systems.dedup();
    systems
}

/// Whether the mapping may write what `steps` lead to.
fn writes_in(object: &Object, steps: &[Step]) -> bool {
    match steps.split_first() {
        None => true,
        Some((Step::Member(name), rest)) => {
            let typed = json_member(&object.type_path, name).is_some();
            typed && object.members.iter().any(|member| member.name == *name && writes(&member.value, rest))
        }
        Some((Step::Where(member, text), rest)) => {
            let other = |value: &Value| constant(value).is_some_and(|json| json != format!("\"{text}\""));
            let excluded = object.members.iter().any(|one| one.name == *member && other(&one.value));
            !excluded && writes_in(object, rest)
        }
    }
}

fn writes(value: &Value, steps: &[Step]) -> bool {
    match value {
        // A code map or a json column may write any member.
        Value::Leaf(_) => true,
        Value::Object(object) => writes_in(object, steps),
        Value::List(items) => items.iter().any(|item| match &item.kind {
            ItemKind::One(value) => writes(value, steps),
            ItemKind::Each { body, .. } => writes(body, steps),
        }),
    }
}

/// The JSON text of a value that is the same in every resource.
fn constant(value: &Value) -> Option<&str> {
    match value {
        Value::Leaf(leaf) => match &leaf.expr {
            Expr::Constant(json) => Some(json),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::elements::resource_types;
    use crate::fhir::search::search_params;

    fn at(resource_type: &str, parameter: &str) -> String {
        fn step(step: &Step) -> String {
            match step {
                Step::Member(name) => name.clone(),
                Step::Where(member, text) => format!("[{member}={text}]"),
            }
        }
        fn one(look: &Look) -> String {
            let steps = look.steps.iter().map(step).collect::<Vec<_>>().join(".");
            let resolves = look.resolves.map(|target| format!(">{target}")).unwrap_or_default();
            let presence = if look.presence { "?" } else { "" };
            let part = |part: &Vec<Look>| part.iter().map(one).collect::<Vec<_>>().join(" ");
            let parts = look.parts.iter().map(part).collect::<Vec<_>>().join(" $ ");
            let parts = if parts.is_empty() { parts } else { format!("({parts})") };
            format!("{steps}:{}{resolves}{presence}{parts}", look.leaf)
        }
        looks(resource_type, parameter)
            .map_or("none".to_owned(), |looks| looks.iter().map(one).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn where_parameters_look() {
        for (resource_type, parameter, want) in [
            ("Patient", "gender", "gender:code"),
            ("Patient", "birthdate", "birthDate:date"),
            ("Patient", "name", "name:HumanName"),
            ("Patient", "email", "telecom.[system=email]:ContactPoint"),
            ("Patient", "deceased", "deceasedBoolean:boolean? deceasedDateTime:dateTime?"),
            ("Patient", "death-date", "deceasedDateTime:dateTime"),
            ("Patient", "_lastUpdated", "meta.lastUpdated:instant"),
            ("Patient", "_profile", "meta.profile:canonical"),
            ("Observation", "_id", "id:id"),
            ("Observation", "_tag", "meta.tag:Coding"),
            ("Observation", "category", "category:CodeableConcept"),
            ("Observation", "patient", "subject:Reference>Patient"),
            ("Observation", "value-quantity", "valueQuantity:Quantity"),
            (
                "Observation",
                "date",
                "effectiveDateTime:dateTime effectivePeriod:Period effectiveTiming:Timing effectiveInstant:instant",
            ),
            ("Condition", "onset-date", "onsetDateTime:dateTime onsetPeriod:Period"),
            ("Encounter", "class", "class:Coding"),
            (
                "Patient",
                "gender-identity",
                "extension.[url=http://hl7.org/fhir/us/core/StructureDefinition/us-core-genderIdentity]\
                 .valueCodeableConcept.coding:Coding",
            ),
            ("CareTeam", "role", "participant.role:CodeableConcept"),
            ("Goal", "description", "description:CodeableConcept"),
            ("Encounter", "discharge-disposition", "hospitalization.dischargeDisposition:CodeableConcept"),
            (
                "Observation",
                "combo-code-value-quantity",
                ":Observation(code:CodeableConcept $ valueQuantity:Quantity) \
                 component:Observation.component(code:CodeableConcept $ valueQuantity:Quantity)",
            ),
            (
                "Observation",
                "code-value-date",
                ":Observation(code:CodeableConcept $ valueDateTime:dateTime valuePeriod:Period)",
            ),
            ("DocumentReference", "relationship", "none"),
            ("Location", "near", "none"),
            ("Patient", "nope", "none"),
        ] {
            assert_eq!(at(resource_type, parameter), want, "{resource_type}?{parameter}");
        }
    }

    #[test]
    fn extensions_are_found_by_url() {
        let race = "extension.[url=http://hl7.org/fhir/us/core/StructureDefinition/us-core-race].extension.valueCoding";
        assert!(at("Patient", "race").split(' ').any(|look| look == format!("{race}:Coding")));
        let date = "extension.[url=http://hl7.org/fhir/StructureDefinition/condition-assertedDate].value";
        let dates = ["Date:date", "DateTime:dateTime", "Instant:instant", "Period:Period", "Timing:Timing"];
        assert_eq!(at("Condition", "asserted-date"), dates.map(|form| format!("{date}{form}")).join(" "));
    }

    #[test]
    fn every_parameter_but_these_can_be_asked() {
        let mut not = Vec::new();
        for resource_type in resource_types() {
            for param in search_params(resource_type) {
                let described = param.kind != SearchType::Special && !param.expression.is_empty();
                if described && looks(resource_type, param.code).is_none() {
                    not.push(format!("{resource_type}?{}", param.code));
                }
            }
        }
        // The parts of `relationship` stand in the wrong order in R4's definition.
        let want = [
            "Bundle?composition",
            "Bundle?message",
            "DocumentReference?relationship",
            "MolecularSequence?chromosome-variant-coordinate",
            "MolecularSequence?referenceseqid-variant-coordinate",
            "QuestionnaireResponse?item-subject",
        ];
        assert_eq!(not, want);
    }
}
