use super::*;
use crate::mapping::source::Sources;
use crate::mapping::tree::{
    Header, Mapping, Name, Object, Patient, Policy, Project, RowsKind, Split, SqlText, Text, Unmapped,
};

fn pack(sql: &str) -> Pack {
    let mut sources = Sources::default();
    let source = sources.add("mappings/patient.yaml", "sql: patients.sql\n");
    let span = Span::new(source, 5, 17);
    let statement = SqlText { text: sql.to_owned(), source, line_starts: vec![0] };
    let mapping = Mapping {
        name: "patient".to_owned(),
        source,
        header: Header {
            rows: Rows { kind: RowsKind::Sql(statement), span },
            key: vec![Name { text: "id".to_owned(), span }],
            updated: Vec::new(),
            skew: 0,
            deleted: None,
            lists: Vec::new(),
            patient: Patient::Derived,
            members: None,
            search: Vec::new(),
            split: Split::FirstKey,
            optional: false,
            about: None,
        },
        resource_type: "Patient".to_owned(),
        type_span: span,
        id: Text { parts: Vec::new(), refers: None, html: false, span },
        root: Object { type_path: "Patient".to_owned(), members: Vec::new(), span },
    };
    Pack {
        project: Project {
            name: "demo".to_owned(),
            packages: Vec::new(),
            schema: vec!["ehr".to_owned()],
            timezone: None,
            namespace: [0; 16],
            alias: BTreeMap::new(),
            site: BTreeMap::new(),
            policy: Policy { unmapped: Unmapped::Omit, reject_missing: false, reject_invalid: true },
        },
        mappings: vec![mapping],
        code_maps: Vec::new(),
        digest: String::new(),
    }
}

fn catalog(columns: &[(&str, &str, Option<&str>)]) -> Catalog {
    let columns = columns
        .iter()
        .map(|(name, kind, origin)| Column {
            name: (*name).to_owned(),
            kind: PgKind::from_sql_name(kind),
            origin: origin.map(str::to_owned),
        })
        .collect();
    Catalog { rows: BTreeMap::from([("patient".to_owned(), RowSource { columns })]) }
}

fn read(text: &str) -> (Lock, Vec<Diagnostic>) {
    let mut out = Vec::new();
    (parse(SourceId(0), text, &mut out), out)
}

#[test]
fn a_line_per_column() {
    let text = render(
        &pack("select 1"),
        &catalog(&[
            ("id", "uuid", Some("ehr.patients.id")),
            ("seen_at", "timestamp with time zone", None),
            ("tags", "text[]", Some("ehr.patients.tags")),
        ]),
    );
    insta::assert_snapshot!(text, @r"
    # The columns of this pack's queries, as PostgreSQL describes them. Keep it under version control; it is written by
    #     smelt validate --database URL

    [patient] 5f9c21f94c0fa3d7
    id	uuid	ehr.patients.id
    seen_at	timestamp with time zone
    tags	text[]	ehr.patients.tags
    ");
}

#[test]
fn odd_names_come_back() {
    let names = ["Order Date", "a\tb", "[x] y", "#1", "back\\slash", "line\nbreak", "", "ü", "x\\", "\r"];
    let columns: Vec<_> = names.iter().map(|name| (*name, "my type", Some("s.\"a\tb\".c"))).collect();
    let written = catalog(&columns);
    let (lock, problems) = read(&render(&pack("select 1"), &written));
    assert_eq!(problems, []);
    assert_eq!(lock.catalog, written);
}

#[test]
fn a_changed_query_makes_it_stale() {
    let known = catalog(&[("id", "uuid", None)]);
    let (lock, _) = read(&render(&pack("select id from p"), &known));
    assert_eq!(stale(&pack("select id from p"), &lock), []);

    let changed = stale(&pack("select id, name from p"), &lock);
    assert_eq!(changed.len(), 1);
    assert_eq!((changed[0].code, changed[0].primary.span.start), ("M309", 5));

    let mut elsewhere = pack("select id from p");
    elsewhere.project.schema = vec!["other".to_owned()];
    assert_eq!(stale(&elsewhere, &lock).len(), 1);
    assert_eq!(stale(&pack("select 1"), &Lock::default()).len(), 1);
}

#[test]
fn what_does_not_read_has_a_place() {
    let (lock, problems) = read("[patient] 00\nid\tuuid\n<<<<<<< mine\nname\ttext\ta\tb\r\n\nage\tinteger\r\n");
    let places: Vec<_> =
        problems.iter().map(|problem| (problem.primary.span.start, problem.primary.span.end)).collect();
    assert_eq!(places, [(21, 33), (34, 47)]);
    let names: Vec<_> = lock.catalog.rows["patient"].columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["id", "age"]);
    assert_eq!(read("id\tuuid\n").1.len(), 1, "a column without a section");
}
