//! How a site's pack changes its base (§2.13): JSON merge patch (RFC 7396) over YAML nodes.

use super::yaml::{Entry, Kind, Node};

/// `base` changed by `patch`: objects merge, lists and scalars replace, an unquoted `null` or `~` removes.
///
/// Every part keeps the place it was written at, so a message points into whichever file the line came from. New
/// members come after those of the base.
#[must_use]
pub fn merge(base: Node, patch: &Node) -> Node {
    let Kind::Map(changes) = &patch.kind else { return patch.clone() };
    let mut entries = match base.kind {
        Kind::Map(entries) => entries,
        // A patch in place of something else is a new object; what it removes was never there.
        _ => Vec::new(),
    };
    for change in changes {
        let place = entries.iter().position(|entry| entry.key.text == change.key.text);
        match (place, change.value.is_null()) {
            (Some(place), true) => drop(entries.remove(place)),
            (None, true) => {}
            (Some(place), false) => {
                let old = entries.remove(place);
                entries.insert(place, Entry { key: change.key.clone(), value: merge(old.value, &change.value) });
            }
            (None, false) => {
                let nothing = Node { span: change.value.span, kind: Kind::Map(Vec::new()) };
                entries.push(Entry { key: change.key.clone(), value: merge(nothing, &change.value) });
            }
        }
    }
    Node { span: patch.span, kind: Kind::Map(entries) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::source::SourceId;
    use super::super::yaml;
    use super::*;

    fn node(text: &str) -> Node {
        let mut out = Vec::new();
        let node = yaml::parse(SourceId(0), text, &mut out).expect("a tree");
        assert_eq!(out, [], "{text}");
        node
    }

    /// The node as JSON text, places left out.
    fn show(node: &Node) -> String {
        match &node.kind {
            Kind::Scalar(_) if node.is_null() => "null".to_owned(),
            Kind::Scalar(scalar) => format!("\"{}\"", scalar.text),
            Kind::Seq(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(",")),
            Kind::Map(entries) => {
                let members = entries.iter().map(|entry| format!("\"{}\":{}", entry.key.text, show(&entry.value)));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }
        }
    }

    #[test]
    fn examples_of_rfc_7396() {
        for (base, patch, merged) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, r"{}"),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":["1"]}"#, r#"{"a":["1"]}"#),
            (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
            (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
            (r#"{"e":null}"#, r#"{"a":"1"}"#, r#"{"e":null,"a":"1"}"#),
            (r#"["1","2"]"#, r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
            (r"{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        ] {
            assert_eq!(show(&merge(node(base), &node(patch))), merged, "{base} + {patch}");
        }
    }

    #[test]
    fn parts_keep_their_places() {
        let mut out = Vec::new();
        let base = yaml::parse(SourceId(0), "a: {b: 1, c: 2}", &mut out).expect("a tree");
        let patch = yaml::parse(SourceId(1), "a: {c: 3}", &mut out).expect("a tree");
        let merged = merge(base, &patch);
        let a = merged.get("a").expect("a");
        assert_eq!(a.get("b").map(|node| node.span.source), Some(SourceId(0)));
        assert_eq!(a.get("c").map(|node| node.span.source), Some(SourceId(1)));
    }

    fn tree() -> impl Strategy<Value = String> {
        let leaf = prop_oneof!["[xyz]".prop_map(|text| format!("\"{text}\"")), Just("null".to_owned())];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(|items| format!("[{}]", items.join(","))),
                prop::collection::btree_map("[a-d]", inner, 0..4).prop_map(|members| {
                    let members = members.iter().map(|(key, value)| format!("\"{key}\":{value}"));
                    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_patch_applied_twice_changes_nothing_more(base in tree(), patch in tree()) {
            let once = merge(node(&base), &node(&patch));
            prop_assert_eq!(show(&merge(once.clone(), &node(&patch))), show(&once));
        }

        #[test]
        fn an_empty_patch_keeps_an_object(base in tree()) {
            let base = node(&base);
            prop_assume!(base.entries().is_some());
            prop_assert_eq!(show(&merge(base.clone(), &node("{}"))), show(&base));
        }

        #[test]
        fn what_is_removed_is_gone(base in tree(), key in "[a-d]") {
            let merged = merge(node(&base), &node(&format!("{{\"{key}\": null}}")));
            prop_assert!(merged.get(&key).is_none());
        }
    }
}
