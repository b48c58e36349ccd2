//! What mappings make of the paths of R4's patient compartment, for `validate`.

use super::{Tie, tie, tying};
use crate::fhir::compartment::patient_compartment;
use crate::mapping::tree::{ItemKind, Mapping, Object, Pack, Patient, Value};

/// One mapping of a type that R4 puts into the patient compartment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths<'a> {
    /// The mapping.
    pub mapping: &'a str,
    /// Its type.
    pub resource_type: &'a str,
    /// How its rows belong to patients.
    pub belongs: Belongs<'a>,
    /// The paths of the definition, in its order.
    pub paths: Vec<(&'static str, Use)>,
}

/// How rows belong to patients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Belongs<'a> {
    /// A Patient is in its own compartment.
    Itself,
    /// By this column.
    Column(&'a str),
    /// To nobody: exports of patients leave them out.
    Nobody,
}

/// What a mapping makes of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It says whose the rows are.
    Tie,
    /// It is written, and decides nothing.
    Written,
    /// It is not mapped.
    Unmapped,
}

impl Use {
    /// `tie`, `written`, `unmapped`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tie => "tie",
            Self::Written => "written",
            Self::Unmapped => "unmapped",
        }
    }
}

/// The mappings of a pack whose types are in the compartment. A Group is in many, and is left out.
pub fn paths(pack: &Pack) -> Vec<Paths<'_>> {
    let of =
        |mapping: &'_ Mapping| patient_compartment(&mapping.resource_type).filter(|_| mapping.resource_type != "Group");
    pack.mappings.iter().filter_map(|mapping| Some(of_mapping(pack, mapping, of(mapping)?))).collect()
}

fn of_mapping<'a>(pack: &'a Pack, mapping: &'a Mapping, all: &'static [&'static str]) -> Paths<'a> {
    let makes_patients =
        |name: &str| pack.mappings.iter().any(|one| one.name == name && one.resource_type == "Patient");
    let belongs = match tie(&mapping.resource_type, &mapping.header, &mapping.root, makes_patients) {
        _ if mapping.resource_type == "Patient" => Belongs::Itself,
        Tie::Column { name, .. } => Belongs::Column(name),
        Tie::Outside | Tie::Missing { .. } => Belongs::Nobody,
    };
    let derived = matches!(mapping.header.patient, Patient::Derived) && belongs != Belongs::Itself;
    let by = tying(all, &mapping.root, &makes_patients).ok().map(|(path, _)| path).filter(|_| derived);
    let used = |path: &&'static str| {
        let written = || writes(&mapping.root, &path.split('.').collect::<Vec<_>>());
        let used = if by == Some(*path) {
            Use::Tie
        } else if written() {
            Use::Written
        } else {
            Use::Unmapped
        };
        (*path, used)
    };
    Paths {
        mapping: &mapping.name,
        resource_type: &mapping.resource_type,
        belongs,
        paths: all.iter().map(used).collect(),
    }
}

/// Whether an object may have what `steps` lead to.
fn writes(object: &Object, steps: &[&str]) -> bool {
    let Some((first, rest)) = steps.split_first() else { return true };
    // A choice stands in the compartment under its bare name.
    let mut named = object.members.iter().filter(|member| member.element.trim_end_matches("[x]") == *first);
    named.any(|member| writes_below(&member.value, rest))
}

fn writes_below(value: &Value, steps: &[&str]) -> bool {
    match value {
        // A json column may hold anything.
        Value::Leaf(_) => true,
        Value::Object(object) => writes(object, steps),
        Value::List(items) => items.iter().any(|item| match &item.kind {
            ItemKind::One(one) => writes_below(one, steps),
            ItemKind::Each { body, .. } => writes_below(body, steps),
        }),
    }
}
