use super::super::render;
use super::super::source::Sources;
use super::super::tree::Deleted;
use super::super::yaml;
use super::*;

/// Header and diagnostics of a mapping, beside the SQL files `a.sql` (good) and `b.sql` (as given).
fn read_with(text: &str, b: &str) -> (Option<Header>, String) {
    let mut sources = Sources::default();
    let mapping = sources.add("mappings/m.yaml", text);
    let good = "\u{feff}-- rows\r\nselect id\nfrom t; -- end\n";
    let files = SqlFiles::from([
        ("a.sql", (sources.add("sql/a.sql", good), good)),
        ("b.sql", (sources.add("sql/b.sql", b), b)),
    ]);
    let mut out = Vec::new();
    let header = yaml::parse(mapping, text, &mut out).and_then(|node| read(&node, &files, &mut out));
    (header, render::text(&out, &sources, false))
}

fn good(text: &str) -> Header {
    let (header, report) = read_with(text, "select 1");
    assert_eq!(report, "", "{text}");
    header.expect("a header")
}

/// The report on each of several mappings.
fn reports(mappings: &[&str]) -> String {
    mappings.iter().map(|text| read_with(text, "select 1").1).collect::<Vec<_>>().join("--------\n")
}

fn texts(names: &[Name]) -> Vec<&str> {
    names.iter().map(|name| &*name.text).collect()
}

#[test]
fn everything_a_header_says() {
    let header = good(
        "table: ehr.\"Order Lines\"
key: [encounter, seq]
updated: updated_at
deleted: {table: audit.deletes, key: [enc, seq], at: deleted_at}
lists:
  notes:
    sql: a.sql
    parent: [encounter, seq]
    order: written_at
    key: note
    lists:
      lines: {table: lines, parent: note, order: [n, m]}
patient: none
search: {code: loinc, date: none}
split: none
optional: true
about: |
  what it is
resource: {resourceType: Observation}
",
    );
    let RowsKind::Table { schema, name } = &header.rows.kind else { panic!("a table") };
    assert_eq!((schema.as_deref(), &**name), (Some("ehr"), "Order Lines"));
    assert_eq!(texts(&header.key), ["encounter", "seq"]);
    assert_eq!(texts(&header.updated), ["updated_at"]);
    assert!(
        matches!(&header.deleted, Some(Deleted::Rows { key, at, .. }) if key.len() == 2 && at.text == "deleted_at")
    );
    let notes = &header.lists[0];
    assert_eq!((texts(&notes.parent), texts(&notes.order)), (vec!["encounter", "seq"], vec!["written_at"]));
    assert_eq!((notes.lists[0].name.text.as_str(), texts(&notes.lists[0].order)), ("lines", vec!["n", "m"]));
    assert!(matches!(header.patient, Patient::None(_)));
    assert!(matches!(header.split, Split::None));
    let search: Vec<_> =
        header.search.iter().map(|(param, column)| (&*param.text, column.as_ref().map(|c| &*c.text))).collect();
    assert_eq!(search, [("code", Some("loinc")), ("date", None)]);
    assert!(header.optional);
    assert_eq!(header.about.as_deref(), Some("what it is"));
}

#[test]
fn defaults() {
    let header = good("table: Patients\nkey: '\"Order Date\"'\nresource: {}");
    assert!(matches!(header.rows.kind, RowsKind::Table { schema: None, name } if name == "patients"));
    assert_eq!(texts(&header.key), ["Order Date"]);
    assert!(matches!(header.patient, Patient::Derived));
    assert!(matches!(header.split, Split::FirstKey));
    assert!(!header.optional && header.deleted.is_none() && header.members.is_none());
}

#[test]
fn a_sql_file_without_its_end() {
    let header = good("sql: a.sql\nkey: id\nresource: {}");
    let RowsKind::Sql(sql) = header.rows.kind else { panic!("sql") };
    assert_eq!(sql.text, "-- rows\r\nselect id\nfrom t");
    assert_eq!((sql.source, sql.line_starts), (SourceId(1), vec![3, 12, 22]));
}

#[test]
fn inline_sql_knows_its_lines() {
    let text = "sql: |\n  select id\n  from t;\nkey: id\nresource: {}";
    let RowsKind::Sql(sql) = good(text).rows.kind else { panic!("sql") };
    assert_eq!(sql.text, "select id\nfrom t");
    assert_eq!(sql.line_starts, [9, 21]);
    assert!(text[21..].starts_with("from t"));
}

#[test]
fn a_group_with_members() {
    let header = good(
        "table: programs
key: id
members: {table: enrolments, parent: program, patient: patient_id, joined: since}
resource: {resourceType: Group}",
    );
    let members = header.members.expect("members");
    assert_eq!((texts(&members.parent), &*members.patient.text), (vec!["program"], "patient_id"));
    assert_eq!(members.joined.map(|name| name.text).as_deref(), Some("since"));
}

#[test]
fn mistakes_in_where_rows_come_from() {
    insta::assert_snapshot!(reports(&[
        "key: id\nresource: {}",
        "sql: a.sql\ntable: t\nkey: id",
        "table: [a]\nkey: id",
        "table: a.b.c\nkey: id",
        "sql: sql/a.sql\nkey: id",
        "sql: aa.sql\nkey: id",
        "sql: select 1\nkey: id",
        "sql: {a: b}\nkey: id",
        "sql: |\n  select 1;\n  select 2\nkey: id",
        "sql: |\n  -- none\nkey: id",
        "sql: |\n  select 'a\nkey: id",
        "sql: |\n  select *\n  from t where id = $1\nkey: id",
        "sql: |\n  delete from t\nkey: id",
    ]));
    insta::assert_snapshot!("a_bad_sql_file", read_with("sql: b.sql\nkey: id", "select 1;\nselect 2").1);
}

#[test]
fn mistakes_in_the_rest() {
    insta::assert_snapshot!(reports(&[
        "table: t",
        "table: t\nkey: []\nupdate: x\nlist: {}",
        "table: t\nkey: id, seq",
        "table: t\nkey: [id, id]\nupdated: $at\nsplit: order date",
        "table: t\nkey: id\noptional: yes\nabout: [a]\nsearch: x\npatient: {a: b}",
        "table: t\nkey: [a, b]\ndeleted: {table: d, key: a, when: at}",
        "table: t\nkey: a\nmembers: {table: m, parent: p}\nresource: {resourceType: Patient}",
    ]));
}

#[test]
fn skew_is_a_time_of_stamps() {
    let header = good("table: t\nkey: id\nupdated: [a, b]\nskew: 5 min\nresource: {}");
    assert_eq!((texts(&header.updated), header.skew), (vec!["a", "b"], 300));
    for (text, want) in [
        ("table: t\nkey: id\nskew: 5s", "M108"),
        ("table: t\nkey: id\nupdated: a\nskew: 5", "M105"),
        ("table: t\nkey: id\nupdated: a\nskew: 25h", "M105"),
        ("table: t\nkey: id\nupdated: [a, a]", "M102"),
    ] {
        let report = reports(&[text]);
        assert!(report.contains(want), "{text}: {report}");
    }
}

#[test]
fn mistakes_in_lists() {
    insta::assert_snapshot!(reports(&[
        "table: t\nkey: [a, b]\nlists:\n  x y: {parent: a, order: n}\n  z: {table: z}",
        "table: t\nkey: a\nlists:\n  z:\n    table: z\n    parent: a\n    order: n\n    lists:\n      y: {table: y, parents: b}",
        "table: t\nkey: a\nlists: [z]",
    ]));
}

#[test]
fn names_of_tables() {
    let check = |text: &str, expected: Option<&[&str]>| {
        assert_eq!(
            table_parts(text).as_deref(),
            expected.map(|parts| parts.iter().map(|&p| p.to_owned()).collect::<Vec<_>>()).as_deref(),
            "{text}"
        );
    };
    check("A_b", Some(&["a_b"]));
    check("\"A.b\".\"c\"\"d\"", Some(&["A.b", "c\"d"]));
    check("a.", None);
    check("1a", None);
    check("\"a", None);
    check("\"\"", None);
    check("a b", None);
}
