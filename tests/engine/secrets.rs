//! No cell value in an error: whatever fails while a statement runs, the text of the error does not hold it.

use std::error::Error;

use smelt::{row::RowBatch, source::SourceError};

use super::sql;
use crate::support::database::Database;

const SECRET: &str = "Geheim4711";

const SCHEMA: &str = "
create table t as select 'Geheim4711'::text as v;
create domain short as text check (length(value) < 3);
create type sex as enum ('f', 'm');
create function loud(v text, state text) returns int language plpgsql as $$
begin raise exception 'message %', v using detail = 'detail ' || v, hint = 'hint ' || v, errcode = state,
  column = v, constraint = v, datatype = v, table = v, schema = v; end $$;
create function chatty(v text) returns int language plpgsql as $$
begin raise warning 'warning %', v; raise notice 'notice %', v; return 1 / 0; end $$;";

/// Expressions over `v` that fail when they run, most with a message that quotes it.
const FAILING: &[&str] = &[
    "v::int",
    "v::bigint",
    "v::numeric",
    "v::float8",
    "v::date",
    "v::timestamptz",
    "v::time",
    "v::interval",
    "v::uuid",
    "v::boolean",
    "v::json",
    "('{\"a\": ' || v || '}')::jsonb",
    "('<' || v)::xml",
    "v::inet",
    "v::macaddr",
    "v::point",
    "v::short",
    "v::sex",
    "v::int[]",
    "('{' || v)::text[]",
    "v::tsquery || ('a ' || v || ' b')::tsquery",
    "v::regclass",
    "v::regtype",
    "v::regproc",
    "v::bytea || ('\\x' || v)::bytea",
    "v::bit(3)",
    "('[' || v || ',')::int4range",
    "to_date(v, 'YYYY-MM-DD')",
    "to_timestamp(v, 'YYYY Mon')",
    "'x' ~ ('(' || v)",
    "v::char(2)::int",
    "encode(convert_to(v, v), 'hex')",
    "convert_from('\\x00ff'::bytea, v)",
    "extract(epoch from now() at time zone v)",
    "current_setting(v)",
    "format('%' || v, 1)",
    "jsonb_path_query(to_jsonb(v), '$.double()')",
    "loud(v, 'P0001')",
    "loud(v, '22P02')",
    "loud(v, '42501')",
    "loud(v, '57014')",
    "loud(v, '40001')",
    "chatty(v)",
    "(select v from t union all select v || 'x' from t)::text",
    "lo_get(v::oid)",
    "chr(length(v) * 1000000)",
];

fn tell_all(error: &SourceError) -> String {
    let mut text = format!("{error} {error:?} {error:#?} {:?}", error.sqlstate());
    let mut source = error.source();
    while let Some(next) = source {
        text = format!("{text} {next} {next:?}");
        source = next.source();
    }
    text
}

// O-02, X-06
#[tokio::test]
async fn errors_do_not_repeat_values() {
    let database = Database::new(SCHEMA).await;
    let source = database.source().await;
    for expression in FAILING {
        for way in ["stream", "portal", "text"] {
            let session = source.session().await.expect("a session");
            let statement = sql(&format!("select ({expression})::text from t"));
            let read = async {
                let mut rows = match way {
                    "stream" => session.stream(&statement).await?,
                    "portal" => session.portal_stream(&statement).await?,
                    _ => return session.query_text(&statement).await.map(drop),
                };
                while rows.next_batch(&mut RowBatch::new(0)).await? {}
                Ok(())
            };
            let Err(error) = read.await else { panic!("{expression} does not fail") };
            assert!(matches!(error, SourceError::Statement(_)), "{expression}: {error}");
            let told = tell_all(&error);
            assert!(!told.contains(SECRET) && !told.contains("geheim"), "{expression}, {way}: {told}");
            assert!(told.contains("SQLSTATE"), "{told}");
        }
    }
}

#[tokio::test]
async fn a_denied_table_is_named() {
    let database = Database::new(SCHEMA).await;
    let admin = database.client().await;
    let role = format!("{}_nobody", database.name);
    admin.batch_execute(&format!("create role {role} login")).await.expect("a role");
    let target = crate::support::database::target(&database.dsn_with("user", &role));
    let source =
        smelt::source::Source::connect(target, smelt::source::SourceOptions::default()).await.expect("a source");
    let session = source.session().await.expect("a session");
    let error = session.query_text(&sql("select v from t")).await.expect_err("denied");
    assert_eq!(error.to_string(), "the statement failed: permission denied for table t (SQLSTATE 42501)");
    super::session::drop_role(&admin, &role).await;
}
