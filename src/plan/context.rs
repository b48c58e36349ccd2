//! Which mappings make resources that are nobody's record, and may come along with what points to them (K-44, §6.3).

use super::catalog::Catalog;
use super::patients::{Compartment, compartment};
use crate::bulk::associated::may_be_context;
use crate::fhir::compartment::patient_compartment;
use crate::mapping::tree::{Expr, ItemKind, Mapping, Object, Pack, Part, Text, Value};

/// Whether the resources of a mapping may come along: its type is outside of the patient compartment, and nothing in
/// them leads into one. A Task or a Device of a patient would be somebody's who was not asked for.
pub fn is_context(pack: &Pack, mapping: &Mapping, catalog: &Catalog) -> bool {
    may_be_context(&mapping.resource_type)
        && compartment(pack, mapping, catalog) == Compartment::Outside
        && !object(pack, &mapping.root)
}

/// Whether something in it points to a type of the patient compartment.
fn object(pack: &Pack, object: &Object) -> bool {
    object.members.iter().any(|member| value(pack, &member.value))
}

fn value(pack: &Pack, of: &Value) -> bool {
    match of {
        Value::Leaf(leaf) => expr(pack, &leaf.expr),
        Value::Object(inner) => object(pack, inner),
        Value::List(items) => items.iter().any(|item| match &item.kind {
            ItemKind::One(one) => value(pack, one),
            ItemKind::Each { body, .. } => value(pack, body),
        }),
    }
}

fn expr(pack: &Pack, of: &Expr) -> bool {
    let of_patients = |name: &str| patient_compartment(name).is_some();
    match of {
        Expr::Text(Text { refers: Some(refers), .. }) => {
            pack.mappings.iter().any(|one| one.name == refers.mapping && of_patients(&one.resource_type))
        }
        Expr::Text(Text { parts, .. }) => match parts.first() {
            Some(Part::Literal(text)) => text.split_once('/').is_some_and(|(name, _)| of_patients(name)),
            _ => false,
        },
        Expr::Constant(json) => {
            json.strip_prefix('"').and_then(|text| text.split_once('/')).is_some_and(|(name, _)| of_patients(name))
        }
        Expr::Column(_) => false,
    }
}
