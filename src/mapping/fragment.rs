//! Fragments (§2.12): named pieces of a resource, expanded by `$use` at compile time.

use super::diagnostic::Diagnostic;
use super::shape;
use super::source::SourceId;
use super::tree::Name;
use super::yaml::{Entry, Node};

/// One fragment, unexpanded.
#[derive(Debug, Clone)]
pub struct Fragment {
    /// Name, as used by `$use`: the file's stem.
    pub name: String,
    /// FHIR type its members belong to: `Extension`, `Quantity`.
    pub fhir_type: Name,
    /// Parameters and their FHIR types, in file order.
    pub params: Vec<(Name, Name)>,
    /// The map under `value:`; its members are inserted where `$use` stands.
    pub value: Node,
    /// Its file.
    pub source: SourceId,
}

/// The fragments every pack has, unless it has a file of the same name: name and text.
pub const SHIPPED: [(&str, &str); 7] = [
    ("data-absent-reason", include_str!("fragments/data-absent-reason.yaml")),
    ("mmhg", include_str!("fragments/mmhg.yaml")),
    ("us-core-birthsex", include_str!("fragments/us-core-birthsex.yaml")),
    ("us-core-ethnicity", include_str!("fragments/us-core-ethnicity.yaml")),
    ("us-core-gender-identity", include_str!("fragments/us-core-gender-identity.yaml")),
    ("us-core-race", include_str!("fragments/us-core-race.yaml")),
    ("us-core-tribal-affiliation", include_str!("fragments/us-core-tribal-affiliation.yaml")),
];

/// Reads the fragment called `name`. Whether its types exist and its value fits them is checked with FHIR at hand.
pub(super) fn read(name: &str, source: SourceId, node: &Node, out: &mut Vec<Diagnostic>) -> Option<Fragment> {
    let entries = shape::object(node, "fragment", out)?;
    shape::known_keys(entries, "a fragment", &["type", "params", "value", "about"], out);
    let fhir_type = node.get("type").and_then(|value| shape::text(value, "type", "a FHIR type, like `Extension`", out));
    if node.get("type").is_none() {
        missing(entries, node, "type", "name the FHIR type its members belong to: `type: Extension`", out);
    }
    let params = node.get("params").map(|value| params(value, out)).unwrap_or_default();
    let value = node.get("value").filter(|value| shape::object(value, "value", out).is_some()).cloned();
    if node.get("value").is_none() {
        missing(entries, node, "value", "write the members it inserts below `value:`", out);
    }
    Some(Fragment { name: name.to_owned(), fhir_type: fhir_type?, params, value: value?, source })
}

fn missing(entries: &[Entry], node: &Node, key: &str, help: &str, out: &mut Vec<Diagnostic>) {
    let place = entries.first().map_or(node.span, |entry| entry.key.span);
    let error = Diagnostic::error("M108", place, format!("a fragment needs `{key}`"));
    out.push(error.label(format!("`{key}` is missing")).help(help));
}

fn params(value: &Node, out: &mut Vec<Diagnostic>) -> Vec<(Name, Name)> {
    let mut params = Vec::new();
    for Entry { key, value } in shape::object(value, "params", out).unwrap_or_default() {
        let starts = key.text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !starts || !key.text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            let error = Diagnostic::error("M105", key.span, format!("`{}` cannot name a parameter", key.text));
            out.push(error.label("a letter or `_`, then letters, digits and `_`"));
            continue;
        }
        if let Some(fhir_type) = shape::text(value, &key.text, "a FHIR type, like `Coding`", out) {
            params.push((key.clone(), fhir_type));
        }
    }
    params
}

#[cfg(test)]
mod tests {
    use super::super::render;
    use super::super::source::Sources;
    use super::super::yaml;
    use super::*;

    fn read_text(name: &str, text: &str) -> (Option<Fragment>, String) {
        let (mut sources, mut out) = (Sources::default(), Vec::new());
        let source = sources.add("mappings/fragments/f.yaml", text);
        let node = yaml::parse(source, text, &mut out);
        let fragment = node.and_then(|node| read(name, source, &node, &mut out));
        (fragment, render::text(&out, &sources, false))
    }

    #[test]
    fn shipped_fragments_are_right() {
        for (name, text) in SHIPPED {
            let (fragment, report) = read_text(name, text);
            assert_eq!(report, "", "{name}");
            let fragment = fragment.expect("a fragment");
            let value = format!("{:?}", fragment.value);
            for (param, _) in &fragment.params {
                assert!(value.contains(&format!("\"${}\"", param.text)), "{name} uses {}", param.text);
            }
        }
    }

    #[test]
    fn mistakes() {
        let reports: Vec<String> = [
            "typ: Extension\nvalue: {url: x}",
            "type: [Extension]\nparams: {a b: code, c: {}}\nvalue: text",
            "type: Quantity\nparams: [a]",
            "text",
        ]
        .iter()
        .map(|text| read_text("f", text).1)
        .collect();
        insta::assert_snapshot!(reports.join("--------\n"));
    }
}
