//! What a session is told, and what it tells about the database.

use std::time::Duration;

use smelt::{
    plan::select::{Param, Statement},
    row::PgKind,
    source::{SourceError, SourceOptions},
};

use super::sql;
use crate::support::database::{Database, target};

const SCHEMA: &str = "
create schema hosp;
create schema \"Odd \"\"Name\";
create sequence hosp.numbers;
create type hosp.sex as enum ('f', 'm', 'u');
create domain hosp.mrn as text check (value ~ '^[0-9]+$');
create domain hosp.short_mrn as hosp.mrn;
create table hosp.patients (
  id uuid primary key default gen_random_uuid(), mrn hosp.short_mrn not null unique, sex hosp.sex, born date,
  seen timestamptz, weight numeric(6, 2), code char(3), tags text[], marks hosp.sex[], note jsonb, flag \"char\",
  place point, n int);
insert into hosp.patients (mrn, sex, n) select i::text, 'f', i from generate_series(1, 1000) i;
create view hosp.people as select id, mrn, sex from hosp.patients;
create table hosp.keys (a int not null, b int, c int unique deferrable, d int);
create unique index on hosp.keys (a, b) include (d);
create unique index on hosp.keys (d) where d > 0;
create unique index on hosp.keys (abs(d));
analyze;";

fn options() -> SourceOptions {
    SourceOptions { search_path: vec!["hosp".to_owned(), "Odd \"Name".to_owned()], ..SourceOptions::default() }
}

// R-03
#[tokio::test]
async fn every_connection_is_set_up() {
    let database = Database::new(SCHEMA).await;
    let source = database
        .source_with(SourceOptions {
            application_name: "smelt nightly".to_owned(),
            statement_timeout: Some(Duration::from_secs(90)),
            lock_timeout: Some(Duration::from_millis(1500)),
            idle_in_transaction_timeout: Some(Duration::from_mins(5)),
            ..options()
        })
        .await;
    assert!(source.version() >= 140_000);
    let snapshot = source.snapshot(Duration::ZERO).await.expect("a snapshot");
    for session in [source.session().await.expect("a session"), snapshot.session().await.expect("a session")] {
        for (name, expected) in [
            ("client_encoding", "UTF8"),
            ("timezone", "UTC"),
            ("datestyle", "ISO, YMD"),
            ("intervalstyle", "iso_8601"),
            ("extra_float_digits", "1"),
            ("search_path", r#"hosp, "Odd ""Name""#),
            ("default_transaction_read_only", "on"),
            ("transaction_read_only", "on"),
            ("transaction_isolation", "repeatable read"),
            ("statement_timeout", "90s"),
            ("lock_timeout", "1500ms"),
            ("idle_in_transaction_session_timeout", "5min"),
            ("idle_session_timeout", "0"),
            ("client_connection_check_interval", "5s"),
            ("jit", "off"),
            ("synchronize_seqscans", "off"),
            ("max_parallel_workers_per_gather", "0"),
            ("application_name", "smelt nightly"),
        ] {
            let rows = session.query_text(&sql(&format!("select current_setting('{name}')"))).await.expect(name);
            assert_eq!(rows[0][0].as_deref(), Some(expected), "{name}");
        }
    }
}

#[tokio::test]
async fn the_snapshot_may_be_quiet_for_longer_than_a_session() {
    let database = Database::with_options("").await;
    let options =
        SourceOptions { idle_in_transaction_timeout: Some(Duration::from_millis(100)), ..SourceOptions::default() };
    let source = database.source_with(options).await;
    let snapshot = source.snapshot(Duration::ZERO).await.expect("a snapshot");
    let session = snapshot.session().await.expect("a session");
    database.client().await.batch_execute("select pg_sleep(0.4)").await.expect("time passes");
    let error = session.query_text(&sql("select 1")).await.expect_err("timed out");
    assert!(matches!(error.sqlstate(), Some("25P03")) || matches!(error, SourceError::Lost(_)), "{error}");
    assert!(matches!(session.query_text(&sql("select 1")).await, Err(SourceError::Ended)));
    snapshot.session().await.expect("the snapshot is still there");
}

#[tokio::test]
async fn the_connection_settings_name_the_application() {
    let database = Database::with_options("").await;
    let named = target(&database.dsn_with("application_name", "theirs"));
    let source = smelt::source::Source::connect(named, SourceOptions::default()).await.expect("a source");
    let session = source.session().await.expect("a session");
    let rows = session.query_text(&sql("select current_setting('application_name')")).await.expect("a row");
    assert_eq!(rows[0][0].as_deref(), Some("theirs"));
}

// R-03
#[tokio::test]
async fn writing_is_refused() {
    let database = Database::new(SCHEMA).await;
    let source = database.source_with(options()).await;
    for write in [
        "with gone as (delete from patients returning id) select count(*) from gone",
        "insert into patients (mrn) values ('7777') returning id",
        "select nextval('hosp.numbers')",
        "create table more (n int)",
        "set transaction read write",
    ] {
        let session = source.session().await.expect("a session");
        let error = session.query_text(&sql(write)).await.expect_err(write);
        assert!(matches!(error.sqlstate(), Some("25006" | "25001")), "{write}: {error}");
    }
    let admin = database.client().await;
    let count = admin.query_one("select count(*) from hosp.patients", &[]).await.expect("a count");
    assert_eq!(count.get::<_, i64>(0), 1000);
}

#[tokio::test]
async fn statements_are_described() {
    let database = Database::new(SCHEMA).await;
    let session = database.source_with(options()).await.session().await.expect("a session");
    let text = "select p.id, p.mrn, p.sex, born as birth_date, seen, weight, code, tags, marks, note, flag, place, \
                n + 1 as next, 'lit' as lit, v.sex as vsex from patients p join people v using (id)";
    let columns = session.describe(text).await.expect("columns");
    let array = |of| PgKind::Array(Box::new(of));
    let expected = [
        ("id", PgKind::Uuid, Some("hosp.patients.id")),
        ("mrn", PgKind::Text, Some("hosp.patients.mrn")),
        ("birth_date", PgKind::Date, Some("hosp.patients.born")),
        ("seen", PgKind::TimestampTz, Some("hosp.patients.seen")),
        ("weight", PgKind::Numeric, Some("hosp.patients.weight")),
        ("code", PgKind::Char, Some("hosp.patients.code")),
        ("tags", array(PgKind::Text), Some("hosp.patients.tags")),
        ("marks", array(PgKind::Text), Some("hosp.patients.marks")),
        ("note", PgKind::Jsonb, Some("hosp.patients.note")),
        ("flag", PgKind::Other("\"char\"".to_owned()), Some("hosp.patients.flag")),
        ("place", PgKind::Other("point".to_owned()), Some("hosp.patients.place")),
        ("next", PgKind::Int4, None),
        ("lit", PgKind::Text, None),
        ("vsex", PgKind::Text, Some("hosp.people.sex")),
    ];
    for (name, kind, origin) in expected {
        let column = columns.iter().find(|column| column.name == name).unwrap_or_else(|| panic!("{name} is missing"));
        assert_eq!((&column.kind, column.origin.as_deref()), (&kind, origin), "{name}");
    }
}

#[tokio::test]
async fn a_rejected_statement_is_explained_and_the_session_goes_on() {
    let database = Database::new(SCHEMA).await;
    let session = database.source_with(options()).await.session().await.expect("a session");
    let text = "select 'ä', patients.mrm from patients";
    let Err(SourceError::Rejected(rejection)) = session.describe(text).await else { panic!("accepted") };
    assert_eq!(rejection.sqlstate, "42703");
    assert_eq!(rejection.message, "column patients.mrm does not exist");
    assert!(rejection.hint.as_deref().is_some_and(|hint| hint.contains("patients.mrn")), "{rejection:?}");
    let at = rejection.position.expect("a position");
    assert_eq!(text.chars().skip(at).collect::<String>(), "patients.mrm from patients");

    for wrong in ["selec 1", "select 1; select 2", "select * from nowhere"] {
        assert!(matches!(session.describe(wrong).await, Err(SourceError::Rejected(_))), "{wrong}");
    }
    assert_eq!(session.describe("select 1 as one").await.expect("columns").len(), 1);
}

#[tokio::test]
async fn questions_are_answered_in_text() {
    let database = Database::new(SCHEMA).await;
    let session = database.source_with(options()).await.session().await.expect("a session");
    let statement = Statement {
        text: "select n, mrn, sex, n = 2, n / 4.0::float8, to_json(n), tags from patients \
               where n between $1::text::int and $2::text::int and mrn = any($3::text[]) order by n"
            .to_owned(),
        params: vec![
            Param::Text("1".to_owned()),
            Param::Text("9".to_owned()),
            Param::TextArray(vec!["1".to_owned(), "2".to_owned(), "50".to_owned()].into()),
        ],
    };
    let rows = session.query_text(&statement).await;
    assert_eq!(
        rows.expect_err("an array").to_string(),
        "column tags has type _text, which cannot be read as text; cast it in SQL"
    );
    let castable = Statement { text: statement.text.replace("tags from", "tags::text from"), ..statement };
    let rows = session.query_text(&castable).await.expect("rows");
    let texts: Vec<Vec<&str>> =
        rows.iter().map(|row| row.iter().map(|field| field.as_deref().unwrap_or("NULL")).collect()).collect();
    assert_eq!(texts, [["1", "1", "f", "false", "0.25", "1", "NULL"], ["2", "2", "f", "true", "0.5", "2", "NULL"]]);
}

#[tokio::test]
async fn the_planner_is_asked() {
    let database = Database::new(SCHEMA).await;
    let session = database.source_with(options()).await.session().await.expect("a session");
    let statement = Statement {
        text: "select n from patients where n <= $1::text::int".to_owned(),
        params: vec![Param::Text("100".to_owned())],
    };
    let estimate = session.explain_rows(&statement).await.expect("an estimate");
    assert!(estimate.rows > 50.0 && estimate.rows < 1000.0, "{estimate:?}");
    assert!(estimate.width > 0.0 && estimate.cost > 0.0 && estimate.plan.contains("Seq Scan"), "{estimate:?}");
    assert!(matches!(session.explain_rows(&sql("selec")).await, Err(SourceError::Rejected(_))));
    session.explain_rows(&sql("select 1")).await.expect("the session goes on");
}

#[tokio::test]
async fn tables_are_known() {
    let database = Database::new(SCHEMA).await;
    let session = database.source_with(options()).await.session().await.expect("a session");
    for (table, expected) in [
        ("patients", vec![("id", true), ("mrn", true)]),
        ("hosp.\"keys\"", vec![("a,b", false)]),
        ("people", vec![]),
        ("nowhere", vec![]),
    ] {
        let keys = session.unique_keys(table).await.expect("an answer");
        let keys: Vec<_> = keys.iter().map(|key| (key.columns.join(","), key.not_null)).collect();
        let keys: Vec<_> = keys.iter().map(|(columns, not_null)| (columns.as_str(), *not_null)).collect();
        assert_eq!(keys, expected, "{table}");
    }

    let stats = session.column_stats("hosp.patients.n").await.expect("an answer").expect("statistics");
    assert!(stats.correlation.is_some_and(|correlation| correlation > 0.99));
    assert_eq!((stats.bounds.first().map(String::as_str), stats.bounds.len()), (Some("1"), 101));
    assert!(session.column_stats("hosp.patients.seen").await.expect("an answer").is_some_and(|s| s.bounds.is_empty()));
    assert!(session.column_stats("hosp.patients.nope").await.expect("an answer").is_none());
}

#[tokio::test]
async fn the_role_is_known() {
    let database = Database::new(SCHEMA).await;
    let source = database.source_with(options()).await;
    let facts = source.check_read_only().await.expect("facts");
    assert!(facts.superuser && facts.can_write && facts.sees_sessions && !facts.replica, "{facts:?}");

    let admin = database.client().await;
    let reader = format!("{}_reader", database.name);
    let role = format!(
        "create role {reader} login; grant connect on database {0} to {reader}; \
         grant usage on schema hosp to {reader}; grant select on all tables in schema hosp to {reader}",
        database.name
    );
    admin.batch_execute(&role).await.expect("a role");
    let own = target(&database.dsn_with("user", &reader));
    let facts = smelt::source::Source::connect(own, options()).await.expect("a source").check_read_only().await;
    let facts = facts.expect("facts");
    assert!(!facts.superuser && !facts.can_write && !facts.sees_sessions, "{facts:?}");
    assert_eq!(facts.name, reader);
    drop_role(&admin, &reader).await;
}

/// Roles belong to the cluster; a given server is left as it was.
pub async fn drop_role(admin: &tokio_postgres::Client, role: &str) {
    admin.batch_execute(&format!("drop owned by {role}; drop role {role}")).await.expect("the role is dropped");
}

#[tokio::test]
async fn the_shipped_role_reads_and_cannot_write() {
    let cluster = crate::support::database::cluster();
    let admin = cluster.client().await;
    let made = "create database shipped";
    admin.batch_execute(made).await.expect("a database");
    let (owner, connection) =
        tokio_postgres::connect(&cluster.dsn("shipped"), tokio_postgres::NoTls).await.expect("in");
    tokio::spawn(connection);
    owner.batch_execute("create schema ehr; create table ehr.t as select 1 as n").await.expect("a table");
    // Twice: it may be run again.
    for _ in 0..2 {
        let output = std::process::Command::new("psql")
            .args(["-X", "-d", &cluster.dsn("shipped"), "-v", "role=smelt ro", "-v", "schema=ehr"])
            .args(["-Atqf", concat!(env!("CARGO_MANIFEST_DIR"), "/sql/read_only_role.sql")])
            .output()
            .expect("psql runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "nothing is writable");
    }
    let own = target(&format!("{} user='smelt ro'", cluster.dsn("shipped")));
    let source = smelt::source::Source::connect(own, SourceOptions::default()).await.expect("a source");
    let facts = source.check_read_only().await.expect("facts");
    assert!(!facts.superuser && !facts.can_write && facts.sees_sessions, "{facts:?}");
    let session = source.session().await.expect("a session");
    assert_eq!(session.query_text(&sql("select n from ehr.t")).await.expect("a row").len(), 1);
    let limits = sql("select current_setting('lock_timeout'), current_setting('statement_timeout')");
    assert_eq!(session.query_text(&limits).await.expect("a row")[0], [Some("10s".to_owned()), Some("8h".to_owned())]);
}
