//! Whatever a mapping file says, checking it ends with messages.

use proptest::prelude::*;

use super::*;

const PIECES: &[&str] = &[
    "$",
    "$$",
    "{{",
    "}}",
    "{{#if a}}",
    "{{/if}}",
    "{{else}}",
    "#",
    "\"",
    "'",
    " via ",
    " or ",
    "../",
    "(",
    ")",
    ",",
    ":",
    "- ",
    "\n",
    "  ",
    "$if ",
    "$each ",
    "$use ",
    "_",
    "{",
    "}",
    "[",
    "]",
    "null",
    "é",
    "\\",
    "site.",
    "{{~",
    "!",
    "uuid ",
    "ref ",
    "each ",
    "|",
    ".",
    "0",
];

/// Files, which of them, how many characters go, from where, and the pieces that come.
type Mutant = (&'static [(&'static str, &'static str)], usize, usize, usize, Vec<usize>);

/// One file of an example with a stretch replaced.
fn mutant() -> impl Strategy<Value = Mutant> {
    let pack = prop_oneof![Just(examples::SYNTHEA), Just(examples::OMOP)];
    (
        pack,
        any::<prop::sample::Index>(),
        0..4_usize,
        any::<prop::sample::Index>(),
        prop::collection::vec(0..PIECES.len(), 0..4),
    )
        .prop_map(|(pack, file, length, at, pieces)| {
            let file = file.index(pack.len());
            (pack, file, length, at.index(pack[file].1.chars().count()), pieces)
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_mapping_text_panics((pack, file, length, at, pieces) in mutant()) {
        let (path, text) = pack[file];
        let inserted: String = pieces.iter().map(|n| PIECES[*n]).collect();
        let head: String = text.chars().take(at).collect();
        let tail: String = text.chars().skip(at + length).collect();
        let mutated = format!("{head}{inserted}{tail}");
        let files: Vec<(&str, &str)> =
            pack.iter().map(|(other, text)| (*other, if *other == path { mutated.as_str() } else { *text })).collect();
        messages(&check_files(&files));
    }

    #[test]
    fn no_scalar_panics(pieces in prop::collection::vec(0..PIECES.len(), 1..12)) {
        let text: String = pieces.iter().map(|n| PIECES[*n]).collect();
        let quoted = serde_json::Value::String(text);
        let lines = format!("birthDate: {quoted}\nmaritalStatus: {quoted}\nmanagingOrganization: {quoted}\nname: [{{text: {quoted}, given: {quoted}}}]\n{quoted}: {{active: true}}");
        resource("Patient", &lines);
    }
}
