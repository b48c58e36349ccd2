//! What mappings become: trees, written in one line per member.

use super::*;
use crate::mapping::tree::{
    Arg, ColumnRef, Condition, Expr, Item, ItemKind, Leaf, Member, Object, Operand, Over, Pack, Part, Text, Value,
};

fn column(column: &ColumnRef) -> String {
    let json: String = column.json.iter().flat_map(|step| [".", step]).collect();
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
    guards.iter().flat_map(|guard| ["if ".to_owned(), condition(guard), " ".to_owned()]).collect()
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
    let line = |member: &Member| {
        let choice = member.choice.map(|n| format!("#{n} ")).unwrap_or_default();
        format!("{pad}{}{choice}{}: {}", guards(&member.guards), member.name, value(&member.value, pack, indent))
    };
    of.members.iter().map(line).collect::<Vec<_>>().concat()
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

#[test]
fn forms_of_values() {
    insta::assert_snapshot!(lines(
        "Patient",
        r#"active: $a or $b or true
language: $site.oid
_birthDate: {extension: [{url: 'http://x.y/z', valueString: "{{site.oid}}-{{upper b}}"}]}
birthDate: "{{y}}-{{m}}"
implicitRules: mrn
maritalStatus: $m or v3-MaritalStatus#M "Married"
identifier: $ids
name:
  - text: $$money
    given: $given or $others.list
  - $if a > 1 and not (b in ('x', 'it''s') or c is null):
      $if d: {family: $f}
      text: 'O''Brien "{{n}}"'
telecom:
  - $each phones.all:
      value: $value
      use: $../kind
extension:
  - {url: 'http://x.y/a', valueQuantity: {value: $q, unit: x}}
$if e = 'on':
  extension:
    - {url: 'http://x.y/b', valueBoolean: true}
$if f <> 1.5:
  gender: male
$if not f <> 1.5:
  gender: female
text: {status: generated, div: "<div xmlns=\"http://www.w3.org/1999/xhtml\">{{n}}</div>"}
contained: [{resourceType: Organization, id: org, name: $o}]
managingOrganization: {reference: '#org', display: "{{o}} & co"}
photo: [{url: Binary/1}]
deceasedBoolean: $dead
deceasedDateTime: $died"#
    ));
}

#[test]
fn references_repeat_the_id_of_their_target() {
    let target = "table: t\nkey: [a, b]\nresource: {resourceType: Organization, id: \"o-{{a}}{{#if b}}-{{upper b}}{{/if}}\", active: true}";
    let hashed =
        "table: t\nkey: [a, b]\nresource: {resourceType: Practitioner, id: \"{{uuid 'P' a b}}\", active: true}";
    let own = mapping(
        "Patient",
        "managingOrganization: {$ref: \"organization(x, 'lit')\", display: $d}\n\
         generalPractitioner:\n  - practitioner(p.q, site.org)\n  - $each docs:\n      $ref: practitioner(../p, d)\n\
         name: [{text: \"see {{ref 'organization' x y}}\"}]",
    );
    insta::assert_snapshot!(tree(
        &[("mappings/x.yaml", &own), ("mappings/organization.yaml", target), ("mappings/practitioner.yaml", hashed),],
        "x"
    ));
}

#[test]
fn fragments_take_any_argument() {
    let fragment = "type: Extension\nparams: {v: string, w: Coding, c: string}\nvalue:\n  url: http://x.y/f\n  extension:\n    - {url: v, valueString: $v or none}\n    - {url: t, valueString: \"<{{v}}>\"}\n    - {url: w, valueCoding: $w}\n    - {url: m, valueCode: $v via m}\n    - $if c is not null:\n        {url: c, valueString: $c}\n";
    let own = mapping(
        "Patient",
        "extension:\n  - $use f: {v: $a, c: $b}\n  - $use f: {v: text, w: loinc#1-8}\n  - $use f: {v: \"{{a}}!\"}\n  - $use f:\n  - $use f: {v: $a or $b, w: {system: loinc, code: $x}, c: yes}",
    );
    let checked = check_files(&[
        ("mappings/x.yaml", &own),
        ("mappings/fragments/f.yaml", fragment),
        ("mappings/codes/m.csv", "source,code\na,b\n"),
    ]);
    // A constant or template cannot go through a map.
    insta::assert_snapshot!(messages(&checked));
    let without_map = fragment.replace("    - {url: m, valueCode: $v via m}\n", "");
    let own = own.replace("v: $a or $b, w", "w").replace("$use f: {v: \"{{a}}!\"}", "$use f: {v: $d, w: $j}");
    insta::assert_snapshot!(tree(&[("mappings/x.yaml", &own), ("mappings/fragments/f.yaml", &without_map)], "x"));
}
