use super::*;
use crate::fhir::alias;
use crate::mapping::check::check;
use crate::mapping::pack::{Layer, PackFiles, load};
use crate::mapping::render;
use crate::plan::catalog::{Column, RowSource};
use crate::plan::compile::compile;
use crate::plan::program::Op;
use crate::plan::select::StreamPlan;
use crate::row::PgKind;

const OBSERVATION: &str = "\
table: labs
key: id
lists:
  parts: {table: parts, parent: lab, order: n}
resource:
  resourceType: Observation
  id: $id
  META
  status: $status
  code: {text: $name}
  $if kind = 'q': {valueQuantity: {value: $number}}
  $if kind = 's': {valueString: $words}
  issued: $issued
  note:
    - {text: $note}
  component:
    - $each parts:
        code: {text: $part}
";

const COLUMNS: &[(&str, &[(&str, &str)])] = &[
    (
        "observation",
        &[
            ("id", "bigint"),
            ("status", "text"),
            ("name", "text"),
            ("kind", "text"),
            ("number", "numeric"),
            ("words", "text"),
            ("issued", "timestamp with time zone"),
            ("note", "text"),
            ("label", "text"),
            ("document", "jsonb"),
        ],
    ),
    ("observation/parts", &[("lab", "bigint"), ("n", "integer"), ("part", "text")]),
];

/// The columns that the reduced mapping reads, by stream; and what it writes that is constant.
fn reads(meta: &str, wanted: &[&str], searched: &[&str]) -> Result<(Vec<String>, String), NotReducible> {
    let text = OBSERVATION.replace("META\n", &format!("{meta}\n"));
    let files = [("mappings/project.yaml", "format: 1\ntimezone: UTC\n"), ("mappings/observation.yaml", &text)];
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    let checked = check(load(&PackFiles { layers: vec![Layer { name: "demo".to_owned(), files }] }, alias::builtins()));
    let pack =
        checked.pack.unwrap_or_else(|| panic!("{}", render::text(&checked.diagnostics, &checked.sources, false)));
    let rows = COLUMNS.iter().map(|(name, columns)| {
        let column = |(name, kind): &(&str, &str)| Column {
            name: (*name).to_owned(),
            kind: PgKind::from_sql_name(kind),
            origin: None,
        };
        ((*name).to_owned(), RowSource { columns: columns.iter().map(column).collect() })
    });
    let catalog = Catalog { rows: rows.collect() };
    let (whole, problems) = compile(&pack, &checked.sources, &catalog);
    assert_eq!(problems, []);
    assert_eq!(
        (whole[0].streams.len(), whole[0].streams[0].columns.len()),
        (2, if meta.contains('$') { 10 } else { 9 })
    );
    let (wanted, searched) = (wanted.iter().copied().collect(), searched.iter().copied().collect());
    let reduced = reduced(&pack, &pack.mappings[0], &wanted, &searched)?;
    let found = compiled(&pack, &reduced, &checked.sources, &catalog)?;
    let columns = |read: &StreamPlan| {
        let mut names: Vec<String> = read.columns.iter().map(|one| one.replace("q.", "").replace('"', "")).collect();
        names.sort();
        names.join(" ")
    };
    let program = &found.program;
    let literals = program.ops.iter().filter_map(|op| match op {
        Op::Literal(lit) => Some(&program.literals[lit.start as usize..][..lit.len as usize]),
        _ => None,
    });
    let written = literals.map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ");
    Ok((found.streams.iter().map(columns).collect(), written))
}

// K-46 K-47: columns and lists that nobody wants are not in the SELECT.
#[test]
fn only_what_is_wanted_is_read() {
    let columns = |wanted: &[&str], searched: &[&str]| reads("language: en", wanted, searched).unwrap().0;
    assert_eq!(columns(&[], &[]), ["id name status"]);
    assert_eq!(columns(&["issued"], &[]), ["id issued name status"]);
    assert_eq!(columns(&["value"], &[]), ["id kind name number status words"]);
    assert_eq!(columns(&["component"], &[]).len(), 2);
    // K-69: what a search looks at is read, of a choice every form.
    assert_eq!(columns(&["issued"], &["note"]), ["id issued name note status"]);
    assert_eq!(columns(&[], &["valueString"]), ["id kind name number status words"]);
    assert_eq!(columns(&[], &["status", "id"]), ["id name status"]);
}

// K-48: whatever `meta` the mapping makes, the tag is in it; a search sees it without.
#[test]
fn the_tag_joins_meta() {
    let tag = SUBSETTED;
    for (meta, searched, want) in [
        ("language: en", &[][..], format!(r#","meta":{{"tag":[{tag}]}},"status":"#)),
        ("meta: {source: 'https://x'}", &[], format!(r#","meta":{{"source":"https://x","tag":[{tag}]}},"status":"#)),
        ("meta: {tag: [{code: own}]}", &[], format!(r#","meta":{{"tag":[{{"code":"own"}},{tag}]}},"status":"#)),
        ("meta: {tag: [{code: own}]}", &["note"], format!(r#","meta":{{"tag":[{{"code":"own"}},{tag}]}},"status":"#)),
        ("meta: {tag: [{code: own}]}", &["meta"], r#","":<0,"meta":{"tag":[{"code":"own"}]}}"#.to_owned()),
        (
            "$if label = 'x': {meta: {tag: [{code: own}]}}",
            &[],
            format!(r#""meta":{{"tag":[{{"code":"own"}},{tag}]}}, "#),
        ),
        ("$if label = 'x': {meta: {tag: [{code: own}]}}", &[], format!(r#""meta":{{"tag":[{tag}]}}, "#)),
        ("meta: {tag: [{code: $label}]}", &[], format!(r#"{{"code": }}, {tag}]}},"status":"#)),
    ] {
        let written = reads(meta, &[], searched).unwrap().1.replace('\t', "<");
        assert!(written.contains(&want), "{meta}: {written}");
    }
    for (document, why) in
        [("meta: $document", "its `meta` is a document"), ("meta: {tag: $document}", "its `meta.tag` is a document")]
    {
        assert_eq!(reads(document, &[], &[]).unwrap_err().why, why);
    }
}
