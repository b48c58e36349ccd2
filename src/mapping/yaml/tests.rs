use proptest::prelude::*;

use super::*;

fn read(text: &str) -> (Option<Node>, Vec<Diagnostic>) {
    let mut out = Vec::new();
    let node = parse(SourceId(0), text, &mut out);
    (node, out)
}

fn good(text: &str) -> Node {
    let (node, out) = read(text);
    assert_eq!(out, [], "{text}");
    node.expect("a tree")
}

fn slice(text: &str, span: Span) -> &str {
    text.get(span.start as usize..span.end as usize).expect("a span on character borders")
}

/// Code, message and the characters pointed at, of every mistake.
fn mistakes(text: &str) -> Vec<String> {
    read(text).1.iter().map(|d| format!("{} {} at `{}`", d.code, d.message, slice(text, d.primary.span))).collect()
}

/// A listing of texts and their mistakes.
fn mistakes_of(texts: &[&str]) -> String {
    let blocks: Vec<_> = texts.iter().map(|text| format!("{text:?}\n  {}", mistakes(text).join("\n  "))).collect();
    blocks.join("\n")
}

#[test]
fn scalars_keep_their_text_and_place() {
    let text = "a: NO\nb: 'it''s'\nc: \"q\\n\"\nd: 'plain'\ne:\nf: 1.50 # x\ng: >\n  fold\n  ed\n";
    let node = good(text);
    let values: Vec<_> =
        node.entries().unwrap().iter().map(|e| (e.value.text().unwrap(), slice(text, e.value.span))).collect();
    assert_eq!(
        values,
        [
            ("NO", "NO"),
            ("it's", "'it''s'"),
            ("q\n", "\"q\\n\""),
            ("plain", "'plain'"),
            ("", ""),
            ("1.50", "1.50"),
            ("fold ed\n", "fold\n  ed"),
        ]
    );
    let d = node.get("d").unwrap();
    assert_eq!(slice(text, d.part(1, 3)), "la");
    let c = node.get("c").unwrap();
    assert_eq!(c.part(0, 1), c.span, "an escaped text has no places of its own");
    let e = node.get("e").unwrap();
    assert!(e.is_absent());
    assert_eq!(slice(text, Span { start: e.span.start - 2, ..e.span }), "e:");
}

#[test]
fn literal_blocks_map_back() {
    for text in [
        "sql: |\n  select 1\n    from x\n\n  where y\nb: c",
        "sql: |2-\n\n    select 1\n  from x",
        "l:\n  - |\n    select 1\n\n    from x\n",
        "a: |\r\n  select 1\r\n  from x\r\nb: c",
    ] {
        let node = good(text);
        let value = &node.entries().unwrap()[0].value;
        let value = value.items().map_or(value, |items| &items[0]);
        let scalar = value.scalar().unwrap();
        assert_eq!(scalar.lines.len(), scalar.text.lines().count(), "{text:?}");
        for (line, &offset) in scalar.text.lines().zip(&scalar.lines) {
            assert!(text[offset as usize..].starts_with(line), "{text:?}: {line:?} at {offset}");
        }
        let from = scalar.text.find("from").unwrap();
        assert_eq!(slice(text, value.part(from, from + 4)), "from");
    }
}

#[test]
fn collections_have_extents() {
    let text = "a:\n  - b: c\n    d: [e, {f: g}]\nh: i\n";
    let node = good(text);
    let a = node.get("a").unwrap();
    assert_eq!(slice(text, a.span), "- b: c\n    d: [e, {f: g}]");
    let item = &a.items().unwrap()[0];
    assert_eq!(slice(text, item.span), "b: c\n    d: [e, {f: g}]");
    assert_eq!(slice(text, item.get("d").unwrap().span), "[e, {f: g}]");
}

#[test]
fn aliases_are_copies() {
    let text = "a: &x {b: c}\nd: *x\ne: [*x]";
    let node = good(text);
    assert_eq!(node.get("d"), node.get("a"));
    assert_eq!(node.get("e").unwrap().items().unwrap()[0], *node.get("a").unwrap());
}

#[test]
fn aliases_are_bounded() {
    let eight = |last: usize| vec![format!("*a{last}"); 8].join(", ");
    let wide: Vec<_> = (1..12).map(|n| format!("a{n}: &a{n} [{}]", eight(n - 1))).collect();
    let wide = format!("a0: &a0 [x, x, x, x, x, x, x, x]\n{}", wide.join("\n"));
    assert_eq!(mistakes(&wide), ["M100 the aliases of this file expand to too much at `*a3`"]);
    let deep: Vec<_> = (1..200).map(|n| format!("a{n}: &a{n} [*a{}]", n - 1)).collect();
    let deep = format!("a0: &a0 x\n{}", deep.join("\n"));
    assert_eq!(mistakes(&deep), ["M100 the aliases of this file expand to too much at `*a98`"]);
}

#[test]
fn what_the_language_leaves_out() {
    let listing = mistakes_of(&[
        "a: 1\nb: {c: 1, c: 2}\na: 3",
        "a: !x y",
        "a: &x {b: c}\n<<: *x",
        "%YAML 1.2\n---\na: b",
        "a: b\n---\nc: d",
        "? [a]\n: b",
        "a: *x",
        "&a [*a]",
    ]);
    insta::assert_snapshot!(listing);
}

#[test]
fn syntax_in_our_words() {
    let listing = mistakes_of(&[
        "a: {b: c\nd: e",
        "a: [b}",
        "a: ]",
        "a: [b",
        "a: b: c",
        "a: b\n c: d",
        "a:\n  b: c\n d: e",
        "a: b\nc\nd: e",
        "a:\n\tb: c",
        "a: 'x\nb: c",
        "a: \"x\" y",
        "a: \"\\n\\q\"",
        "a: @x",
        "a: *",
        "a: | x\n  y",
    ]);
    insta::assert_snapshot!(listing);
}

#[test]
fn templates_without_quotes() {
    let text = "text: {{first}} {{last}} # why\nname: {text: Dr {{x}}, use: a}\nid: {{\"x\"}}\nb: 1\nb: 2\n";
    let (node, out) = read(text);
    let node = node.expect("read as if quoted");
    assert_eq!(node.get("text").unwrap().text(), Some("{{first}} {{last}}"));
    assert_eq!(node.get("name").unwrap().get("text").unwrap().text(), Some("Dr {{x}}"));
    let edits: Vec<_> = out.iter().filter_map(|d| d.helps.first()?.edit.clone()).map(|(_, text)| text).collect();
    assert_eq!(edits, ["\"{{first}} {{last}}\"", "\"Dr {{x}}\"", "'{{\"x\"}}'"]);
    assert_eq!(out.last().map(|d| d.code), Some("M102"), "other mistakes are still found");
}

#[test]
fn json_is_yaml() {
    let node = good("{\"a\": \"\\ud83d\\ude00\\/\",\n\t\"b\":[1,\n\t2], \"c\": null}");
    assert_eq!(node.get("a").unwrap().text(), Some("😀/"));
    assert_eq!(node.get("b").unwrap().items().unwrap().len(), 2);
    assert!(node.get("c").unwrap().is_null());
    assert!(!good("a: 'null'").get("a").unwrap().is_null());
}

#[test]
fn an_empty_file_is_an_absent_value() {
    assert!(good("").is_absent());
    assert!(good("# only this\n").is_absent());
}

/// Every span lies on character borders inside the text, and parts of verbatim scalars are what they say.
fn well_placed(text: &str, node: &Node) {
    slice(text, node.span);
    match &node.kind {
        Kind::Scalar(scalar) => {
            if scalar.verbatim.is_some() {
                assert_eq!(slice(text, node.part(0, scalar.text.len())), scalar.text);
            }
        }
        Kind::Seq(items) => items.iter().for_each(|item| well_placed(text, item)),
        Kind::Map(entries) => entries.iter().for_each(|entry| {
            slice(text, entry.key.span);
            well_placed(text, &entry.value);
        }),
    }
}

proptest! {
    #[test]
    fn any_text_is_survived(text in "\\PC{0,80}|[-a:{}\\[\\]\"'|>&*!%#\\\\ \t\r\n,é]{0,80}") {
        let (node, out) = read(&text);
        prop_assert!(node.is_some() || !out.is_empty());
        for diagnostic in &out {
            slice(&text, diagnostic.primary.span);
        }
        if let Some(node) = node {
            well_placed(&text, &node);
        }
    }
}
