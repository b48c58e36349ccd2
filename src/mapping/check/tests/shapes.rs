//! What mappings become: trees, written in one line per member.

use super::*;
use crate::mapping::tree::{
    Arg, ColumnRef, Condition, Expr, Item, ItemKind, Leaf, Object, Operand, Over, Pack, Part, Text, Value,
};

fn column(column: &ColumnRef) -> String {
    let json: String = column.json.iter().map(|step| format!(".{step}")).collect();
    format!("{}{}{json}", "../".repeat(column.up.into()), column.name)
}

fn operand(operand: &Operand) -> String {
    match operand {
        Operand::Column(name) => column(name),
        Operand::Text(text) => format!("'{text}'"),
        Operand::Number(number) => number.clone(),
        Operand::Bool(value) => value.to_string(),
    }
}

fn condition(test: &Condition) -> String {
    let all = |all: &[Condition], joint: &str| all.iter().map(condition).collect::<Vec<_>>().join(joint);
    match test {
        Condition::And(tests) => format!("({})", all(tests, " and ")),
        Condition::Or(tests) => format!("({})", all(tests, " or ")),
        Condition::Not(inner) => format!("not {}", condition(inner)),
        Condition::IsNull { operand: what, negated } => {
            format!("{} is {}null", operand(what), if *negated { "not " } else { "" })
        }
        Condition::In { operand: what, list, negated } => {
            let list: Vec<String> = list.iter().map(operand).collect();
            format!("{}{} in ({})", operand(what), if *negated { " not" } else { "" }, list.join(", "))
        }
        Condition::Compare { left, op, right } => format!("{} {op:?} {}", operand(left), operand(right)),
        Condition::Truthy(name) => column(name),
    }
}

fn guards(guards: &[Condition]) -> String {
    guards.iter().map(|guard| format!("if {} ", condition(guard))).collect()
}

fn text(text: &Text) -> String {
    let arg = |arg: &Arg| match arg {
        Arg::Column(name) => column(name),
        Arg::Literal(text) => format!("'{text}'"),
    };
    let args = |args: &[Arg]| args.iter().map(arg).collect::<Vec<_>>().join(", ");
    let part = |part: &Part| match part {
        Part::Literal(text) => format!("{text:?}"),
        Part::Column(name) => column(name),
        Part::Uuid { args: list, .. } => format!("uuid({})", args(list)),
        Part::Sha256(list) => format!("sha256({})", args(list)),
        Part::Apply(function, name) => format!("{function:?}({})", column(name)),
        Part::When { .. } => "when".to_owned(),
        Part::Render { .. } => "render".to_owned(),
    };
    let parts: Vec<String> = text.parts.iter().map(part).collect();
    format!("<{}{}>", if text.html { "html " } else { "" }, parts.join(" "))
}

fn leaf(leaf: &Leaf, pack: &Pack) -> String {
    let expr = match &leaf.expr {
        Expr::Constant(json) => json.clone(),
        Expr::Text(parts) => text(parts),
        Expr::Column(columns) => {
            let mut terms: Vec<String> = columns
                .terms
                .iter()
                .map(|term| {
                    let via = term.via.map(|id| format!(" via {}", pack.code_maps[id.0].name)).unwrap_or_default();
                    format!("${}{via}", column(&term.column))
                })
                .collect();
            terms.extend(columns.fallback.clone());
            terms.join(" or ")
        }
    };
    let bound = if leaf.required_binding.is_some() { "!" } else { "" };
    let list = if leaf.list { "[]" } else { "" };
    format!("{expr} : {}{bound}{list}", leaf.fhir_type)
}

fn value(of: &Value, pack: &Pack, indent: usize) -> String {
    match of {
        Value::Leaf(scalar) => format!("{}\n", leaf(scalar, pack)),
        Value::Object(inner) => format!("{}\n{}", inner.type_path, object(inner, pack, indent + 2)),
        Value::List(items) => {
            let item = |item: &Item| {
                let (each, inner) = match &item.kind {
                    ItemKind::One(inner) => (String::new(), inner),
                    ItemKind::Each { over: Over::List(at), body, .. } => (format!("each {at:?} "), &**body),
                    ItemKind::Each { over: Over::Column(name), body, .. } => {
                        (format!("each {} ", column(name)), &**body)
                    }
                };
                let pad = " ".repeat(indent + 2);
                format!("{pad}- {}{each}{}", guards(&item.guards), value(inner, pack, indent + 2))
            };
            format!("list\n{}", items.iter().map(item).collect::<String>())
        }
    }
}

fn object(of: &Object, pack: &Pack, indent: usize) -> String {
    let pad = " ".repeat(indent);
    of.members
        .iter()
        .map(|member| {
            let choice = member.choice.map(|n| format!("#{n} ")).unwrap_or_default();
            format!("{pad}{}{choice}{}: {}", guards(&member.guards), member.name, value(&member.value, pack, indent))
        })
        .collect()
}

/// The tree of the mapping of this name.
pub(super) fn tree(files: &[(&str, &str)], name: &str) -> String {
    let checked = check_files(files);
    let Some(pack) = &checked.pack else { panic!("{}", messages(&checked)) };
    let mapping = pack.mappings.iter().find(|mapping| mapping.name == name).unwrap();
    format!("id {}\n{}", text(&mapping.id), object(&mapping.root, pack, 0))
}

fn lines(resource_type: &str, lines: &str) -> String {
    tree(&[("mappings/x.yaml", &mapping(resource_type, lines))], "x")
}

#[test]
fn patient_of_the_reference() {
    insta::assert_snapshot!(tree(examples::SYNTHEA, "patient"));
}

#[test]
fn observation_of_the_reference() {
    insta::assert_snapshot!(tree(examples::SYNTHEA, "observation"));
}

#[test]
fn condition_of_the_reference() {
    insta::assert_snapshot!(tree(examples::OMOP, "condition"));
}
