//! Whose a mapping's rows are (§2.10). Decided here alone: what `validate` says (M701) is what an export does.

mod report;

pub use self::report::{Belongs, Paths, Use, paths};
use super::check::id_over;
use super::source::Span;
use super::tree::{Arg, ColumnRef, Expr, Header, ItemKind, Mapping, Object, Pack, Part, Patient, Refers, Text, Value};
use crate::fhir::compartment::patient_compartment;

/// What ties the rows of a mapping to patients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tie<'a> {
    /// This column of its rows holds the key of a patient.
    Column {
        /// The column.
        name: &'a str,
        /// The mapping whose key it is; `None` when the header names the column and any Patient mapping may.
        mapping: Option<&'a str>,
    },
    /// FHIR does not put the type into the patient compartment, or the mapping says `patient: none`.
    Outside,
    /// It belongs there, and no column says to whom.
    Missing {
        /// The elements that could say it.
        paths: &'static [&'static str],
        /// The first reference to a patient that is there and does not say it.
        near: Option<Near>,
    },
}

/// A reference to a patient that restricts nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Near {
    /// Where it stands.
    pub span: Span,
    /// Why not.
    pub why: &'static str,
}

const IN_LIST: &str = "a reference inside `$each` belongs to the rows of a list";
const BY_TEXT: &str = "a reference written as text does not say which column holds the key";
const IN_JSON: &str = "the key stands inside a json column";
const IN_KEY: &str = "the key has several columns";
const LITERAL: &str = "the key is a literal";

/// The tie of a mapping that does not make patients. Of several elements of the compartment the first that ties
/// decides, the subject-like one: a record that merely names a patient as its author is somebody else's.
///
/// `makes_patients` says whether a mapping of this name makes Patients.
pub fn tie<'a>(
    resource_type: &str,
    header: &'a Header,
    root: &'a Object,
    makes_patients: impl Fn(&str) -> bool,
) -> Tie<'a> {
    match &header.patient {
        Patient::Column(name) => return Tie::Column { name: &name.text, mapping: None },
        Patient::None(_) => return Tie::Outside,
        Patient::Derived => {}
    }
    let paths: &'static [&'static str] = match (patient_compartment(resource_type), resource_type) {
        // A Group names its members, so R4 puts it into many compartments; it is not one patient's record.
        (_, "Group") => return Tie::Outside,
        (Some(paths), _) => paths,
        // Device is outside R4's compartment, and still a patient's implant belongs to the patient.
        (None, "Device") => &["patient"],
        (None, _) => return Tie::Outside,
    };
    let near = match tying(paths, root, &makes_patients) {
        Ok((_, tie)) => return tie,
        Err(near) => near,
    };
    if resource_type == "Device" && near.is_none() {
        return Tie::Outside;
    }
    Tie::Missing { paths, near }
}

/// The first path that ties, and its tie; else the first reference to a patient that makes none.
fn tying<'a>(
    paths: &'static [&'static str],
    root: &'a Object,
    makes_patients: &impl Fn(&str) -> bool,
) -> Result<(&'static str, Tie<'a>), Option<Near>> {
    let mut near = None;
    for path in paths {
        let steps: Vec<&str> = path.split('.').collect();
        let mut found = Vec::new();
        object(root, &steps, false, &mut found);
        for reference in found {
            match reference.ties(makes_patients) {
                Ok(Some(tie)) => return Ok((path, tie)),
                Ok(None) => {}
                Err(why) => near = near.or(Some(Near { span: reference.span, why })),
            }
        }
    }
    Err(near)
}

/// Whose a mapping's resources are, as the id of a Patient.
#[derive(Debug, Clone)]
pub enum Owner {
    /// This text over the mapping's own columns is the id.
    Id(Text),
    /// They are nobody's: see [`Tie::Outside`].
    Outside,
    /// Nobody can tell, for this reason.
    Unknown(&'static str),
}

/// The owner of what `mapping` makes. It follows from the [`tie`], so a resource stands in the block of the patient in
/// whose compartment it is exported.
pub fn owner(pack: &Pack, mapping: &Mapping) -> Owner {
    if mapping.resource_type == "Patient" {
        return Owner::Id(mapping.id.clone());
    }
    let patients = || pack.mappings.iter().filter(|target| target.resource_type == "Patient");
    let makes_patients = |name: &str| patients().any(|target| target.name == name);
    let (name, target) = match tie(&mapping.resource_type, &mapping.header, &mapping.root, makes_patients) {
        Tie::Column { name, mapping } => (name, mapping),
        Tie::Outside => return Owner::Outside,
        Tie::Missing { .. } => {
            return Owner::Unknown("no column of it holds the key of a patient; name one with `patient:`");
        }
    };
    let mut targets = patients().filter(|one| target.is_none_or(|target| target == one.name));
    let (Some(target), None) = (targets.next(), targets.next()) else {
        return Owner::Unknown(
            "several mappings make patients, and `patient:` does not say whose key its column holds",
        );
    };
    let [key] = target.header.key.as_slice() else { return Owner::Unknown(IN_KEY) };
    let span = mapping.root.span;
    let column = ColumnRef { up: 0, name: name.to_owned(), json: Vec::new(), span };
    let parts = id_over(target.id.parts.clone(), &key.text, &column);
    let refers = Refers { mapping: target.name.clone(), args: vec![Arg::Column(column)] };
    Owner::Id(Text { parts, refers: Some(refers), html: false, span })
}

/// A reference at an element of the compartment.
struct Reference<'a> {
    expr: &'a Expr,
    span: Span,
    in_list: bool,
}

impl<'a> Reference<'a> {
    /// The tie it makes; `None` when it does not lead to a patient, the error says why it makes none though it does.
    fn ties(&self, makes_patients: &impl Fn(&str) -> bool) -> Result<Option<Tie<'a>>, &'static str> {
        let Refers { mapping, args } = match self.expr {
            Expr::Text(Text { refers: Some(refers), .. }) if makes_patients(&refers.mapping) => refers,
            Expr::Text(Text { refers: None, parts, .. }) => {
                return match parts.first() {
                    Some(Part::Literal(text)) if text.starts_with("Patient/") => Err(BY_TEXT),
                    _ => Ok(None),
                };
            }
            Expr::Constant(json) if json.starts_with("\"Patient/") => return Err(LITERAL),
            _ => return Ok(None),
        };
        match args.as_slice() {
            _ if self.in_list => Err(IN_LIST),
            [Arg::Column(ColumnRef { up: 0, name, json, .. })] if json.is_empty() => {
                Ok(Some(Tie::Column { name, mapping: Some(mapping) }))
            }
            [Arg::Column(_)] => Err(IN_JSON),
            [Arg::Literal(_)] => Err(LITERAL),
            _ => Err(IN_KEY),
        }
    }
}

fn object<'a>(object: &'a Object, steps: &[&str], in_list: bool, found: &mut Vec<Reference<'a>>) {
    let Some((first, rest)) = steps.split_first() else {
        for member in object.members.iter().filter(|member| member.name == "reference") {
            if let Value::Leaf(leaf) = &member.value {
                found.push(Reference { expr: &leaf.expr, span: leaf.span, in_list });
            }
        }
        return;
    };
    for member in &object.members {
        // A choice stands in the compartment under its bare name.
        if member.element.trim_end_matches("[x]") == *first {
            value(&member.value, rest, in_list, found);
        }
    }
}

fn value<'a>(of: &'a Value, steps: &[&str], in_list: bool, found: &mut Vec<Reference<'a>>) {
    match of {
        // A json column may hold anything.
        Value::Leaf(_) => {}
        Value::Object(inner) => object(inner, steps, in_list, found),
        Value::List(items) => {
            for item in items {
                match &item.kind {
                    ItemKind::One(one) => value(one, steps, in_list, found),
                    ItemKind::Each { body, .. } => value(body, steps, true, found),
                }
            }
        }
    }
}
