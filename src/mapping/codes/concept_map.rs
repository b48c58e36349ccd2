//! FHIR R4 ConceptMap resources as code maps.

use super::super::diagnostic::Diagnostic;
use super::super::shape;
use super::super::source::SourceId;
use super::super::tree::{CodeMap, Name};
use super::super::yaml::{self, Node};
use super::{Aliases, Builder, Row};

/// Reads the ConceptMap (JSON) called `name`: groups' elements become rows, `unmapped.mode` the `*` row.
pub(in super::super) fn read(
    name: &str,
    source: SourceId,
    text: &str,
    aliases: &Aliases,
    out: &mut Vec<Diagnostic>,
) -> Option<CodeMap> {
    let node = yaml::parse(source, text, out)?;
    shape::object(&node, "ConceptMap", out)?;
    let place = node.get("resourceType").map_or(node.span, |value| value.span);
    if node.get("resourceType").and_then(Node::text) != Some("ConceptMap") {
        let error = Diagnostic::error("M503", place, "a code map in JSON must be a FHIR ConceptMap");
        out.push(error.label("needs `\"resourceType\": \"ConceptMap\"`"));
        return None;
    }
    let before = out.len();
    let mut builder = Builder::new(name, source, aliases);
    for group in node.get("group").and_then(Node::items).unwrap_or_default() {
        let system = group.get("target").and_then(text_of);
        for element in group.get("element").and_then(Node::items).unwrap_or_default() {
            self::element(element, system.as_ref(), &mut builder, out);
        }
        if let Some(unmapped) = group.get("unmapped") {
            self::unmapped(unmapped, system, &mut builder, out);
        }
    }
    if builder.map.rows.is_empty() && builder.map.other.is_none() && out.len() == before {
        out.push(Diagnostic::warning("M503", place, "this ConceptMap maps nothing"));
    }
    Some(builder.map)
}

fn text_of(node: &Node) -> Option<Name> {
    let text = node.text().filter(|text| !text.is_empty() && !node.is_null())?;
    Some(Name { text: text.to_owned(), span: node.part(0, text.len()) })
}

fn element(element: &Node, system: Option<&Name>, builder: &mut Builder<'_>, out: &mut Vec<Diagnostic>) {
    let Some(source) = element.get("code").and_then(text_of) else {
        out.push(Diagnostic::error("M503", element.span, "this element has no code").label("`code` is missing"));
        return;
    };
    let mut mapped = false;
    for target in element.get("target").and_then(Node::items).unwrap_or_default() {
        // These say that the target is not the source's meaning.
        let equivalence = target.get("equivalence").and_then(Node::text);
        if matches!(equivalence, Some("unmatched" | "disjoint")) {
            continue;
        }
        let Some(code) = target.get("code").and_then(text_of) else { continue };
        let display = target.get("display").and_then(text_of).map(|name| name.text);
        mapped = true;
        builder.add(Row { source: source.clone(), system: system.cloned(), code, display }, out);
    }
    if !mapped {
        let warning = Diagnostic::warning("M503", source.span, "this code has no target");
        out.push(warning.label("treated like a code that is not listed"));
    }
}

fn unmapped(unmapped: &Node, system: Option<Name>, builder: &mut Builder<'_>, out: &mut Vec<Diagnostic>) {
    let other = Name { text: "*".to_owned(), span: unmapped.span };
    let mode = unmapped.get("mode");
    match mode.and_then(Node::text) {
        Some("provided") => {
            let place = mode.map_or(unmapped.span, |mode| mode.span);
            let code = Name { text: "!same".to_owned(), span: place };
            builder.add(Row { source: other, system, code, display: None }, out);
        }
        Some("fixed") => match unmapped.get("code").and_then(text_of) {
            Some(code) => {
                let display = unmapped.get("display").and_then(text_of).map(|name| name.text);
                builder.add(Row { source: other, system, code, display }, out);
            }
            None => out.push(Diagnostic::error("M503", unmapped.span, "`fixed` needs a `code`")),
        },
        Some("other-map") => {
            let place = mode.map_or(unmapped.span, |mode| mode.span);
            let error = Diagnostic::error("M503", place, "`other-map` is not supported");
            out.push(error.help("put the codes of the other map into this one"));
        }
        _ => {
            let place = mode.map_or(unmapped.span, |mode| mode.span);
            out.push(Diagnostic::error("M503", place, "`unmapped.mode` must be `provided` or `fixed`"));
        }
    }
}
