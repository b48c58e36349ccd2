//! Rows as batches: complete, bounded, stoppable.

use std::{
    future::poll_fn,
    pin::pin,
    sync::atomic::Ordering,
    task::Poll,
    time::{Duration, Instant},
};

use smelt::{
    plan::select::{Param, Statement},
    row::RowBatch,
    source::{Rows, Source, SourceError, SourceOptions},
};

use super::sql;
use crate::support::{
    database::{Database, target},
    eventually,
    pooler::{Lend, Pooler},
};

const SERIES: &str = "select i::int4, case when i % 3 = 0 then null else 'row ' || i end \
                      from generate_series(1, 100000) i";

/// Reads to the end and checks every field of [`SERIES`]; the number of batches.
async fn check_series(mut rows: Rows) -> usize {
    let mut batch = RowBatch::new(0);
    let (mut i, mut batches) = (0_i32, 0);
    while rows.next_batch(&mut batch).await.expect("rows") {
        assert!(!batch.is_empty());
        batches += 1;
        for row in 0..batch.len() {
            i += 1;
            assert_eq!(batch.field(row, 0), Some(i.to_be_bytes().as_slice()));
            let text = (i % 3 != 0).then(|| format!("row {i}"));
            assert_eq!(batch.field(row, 1), text.as_deref().map(str::as_bytes));
        }
    }
    assert_eq!(i, 100_000);
    assert!(!rows.next_batch(&mut batch).await.expect("still no more") && batch.is_empty());
    batches
}

#[tokio::test]
async fn all_rows_arrive_in_order() {
    let database = Database::with_options("").await;
    let session = database.source().await.session().await.expect("a session");
    let batches = check_series(session.stream(&sql(SERIES)).await.expect("rows")).await;
    assert!((20..=60).contains(&batches), "{batches} batches of about 32 KiB");
    // The session is free again.
    let small = session.stream(&sql(SERIES)).await.expect("rows").with_batch_bytes(1000);
    assert!(check_series(small).await > 800);
    let batches = check_series(session.portal_stream(&sql(SERIES)).await.expect("rows")).await;
    assert!((190..=230).contains(&batches), "{batches} batches of up to 512 rows");
}

#[tokio::test]
async fn batches_are_bounded_by_bytes_but_hold_a_row() {
    let database = Database::with_options("").await;
    let session = database.source().await.session().await.expect("a session");
    let wide = sql("select repeat('x', 100000) from generate_series(1, 20)");
    let mut rows = session.stream(&wide).await.expect("rows").with_batch_bytes(256 * 1024);
    let (mut batch, mut sizes) = (RowBatch::new(0), Vec::new());
    while rows.next_batch(&mut batch).await.expect("rows") {
        sizes.push(batch.len());
    }
    assert_eq!(sizes, [3, 3, 3, 3, 3, 3, 2]);
    let mut rows = session.stream(&wide).await.expect("rows").with_batch_bytes(1);
    assert!(rows.next_batch(&mut batch).await.expect("rows"));
    assert_eq!((batch.len(), batch.width(), rows.width()), (1, 1, 1));
}

// X-08
#[tokio::test]
async fn parameters_arrive_as_values() {
    let database = Database::with_options("").await;
    let session = database.source().await.session().await.expect("a session");
    let statement = Statement {
        text: "select $1::text, array_length($2::text[], 1)::text, \
               extract(year from $3::text::timestamptz)::int::text, ($2::text[])[2]"
            .to_owned(),
        params: vec![
            Param::Text("'; drop table x; --\\ é".to_owned()),
            Param::TextArray(vec!["a,b".to_owned(), "{\"}".to_owned(), String::new()].into()),
            Param::Text("2026-03-08T14:31:02Z".to_owned()),
        ],
    };
    for portal in [false, true] {
        let rows = if portal { session.portal_stream(&statement).await } else { session.stream(&statement).await };
        let (mut rows, mut batch) = (rows.expect("rows"), RowBatch::new(0));
        assert!(rows.next_batch(&mut batch).await.expect("rows"));
        let texts: Vec<_> = (0..4).map(|n| String::from_utf8_lossy(batch.field(0, n).expect("a value"))).collect();
        assert_eq!(texts, ["'; drop table x; --\\ é", "3", "2026", "{\"}"]);
        assert!(!rows.next_batch(&mut batch).await.expect("the end"));
    }
}

#[tokio::test]
async fn several_portals_share_a_session() {
    let database = Database::with_options("").await;
    let session = database.source().await.session().await.expect("a session");
    let part = |from: i32| sql(&format!("select i::int4 from generate_series({from}, 50000, 3) i"));
    let mut portals = Vec::new();
    for from in 1..=3 {
        portals.push(session.portal_stream(&part(from)).await.expect("rows"));
    }
    let (mut batch, mut seen) = (RowBatch::new(0), Vec::new());
    while !portals.is_empty() {
        // Turn by turn, until each is dry.
        let mut going = Vec::new();
        for mut rows in portals {
            if rows.next_batch(&mut batch).await.expect("rows") {
                let number =
                    |row| i32::from_be_bytes(batch.field(row, 0).expect("a value").try_into().expect("4 bytes"));
                seen.extend((0..batch.len()).map(number));
                going.push(rows);
            }
        }
        portals = going;
    }
    seen.sort_unstable();
    assert_eq!(seen, (1..=50_000).collect::<Vec<_>>());

    // One given up between batches leaves the session usable.
    let mut rows = session.portal_stream(&part(1)).await.expect("rows");
    assert!(rows.next_batch(&mut batch).await.expect("rows"));
    drop(rows);
    check_series(session.stream(&sql(SERIES)).await.expect("rows")).await;
}

#[tokio::test]
async fn a_session_runs_one_statement_at_a_time() {
    let database = Database::with_options("").await;
    let session = database.source().await.session().await.expect("a session");
    let mut portal = session.portal_stream(&sql(SERIES)).await.expect("rows");
    let rows = session.stream(&sql(SERIES)).await.expect("rows");
    assert!(matches!(session.stream(&sql("select 1")).await.err(), Some(SourceError::Busy)));
    assert!(matches!(session.describe("select 1").await, Err(SourceError::Busy)));
    let mut batch = RowBatch::new(0);
    assert!(matches!(portal.next_batch(&mut batch).await, Err(SourceError::Busy)));
    check_series(rows).await;
    // The portal waited.
    check_series(portal).await;
}

/// Number of statements running under this name.
async fn running(admin: &tokio_postgres::Client, name: &str) -> i64 {
    let text = "select count(*) from pg_stat_activity where application_name = $1 and state = 'active'";
    admin.query_one(text, &[&name]).await.expect("a count").get(0)
}

fn named(name: &str) -> SourceOptions {
    SourceOptions { application_name: name.to_owned(), ..SourceOptions::default() }
}

#[tokio::test]
async fn dropped_rows_stop_the_statement() {
    let database = Database::with_options("").await;
    let admin = database.client().await;
    let source = database.source_with(named("dropped")).await;
    let endless = sql("select generate_series(1, 1000000000000), repeat('x', 1000)");
    let mut batch = RowBatch::new(0);

    let session = source.session().await.expect("a session");
    let mut rows = session.stream(&endless).await.expect("rows");
    assert!(rows.next_batch(&mut batch).await.expect("rows"));
    assert_eq!(running(&admin, "dropped").await, 1);
    drop(rows);
    eventually("the statement is gone", async || running(&admin, "dropped").await == 0).await;
    assert!(matches!(session.stream(&sql("select 1")).await.err(), Some(SourceError::Ended)));

    // In the middle of waiting for rows, and of a portal's batch.
    let silent = sql("select pg_sleep(1000)");
    for portal in [false, true] {
        let session = source.session().await.expect("a session");
        let mut work = Box::pin(async {
            let mut rows = if portal { session.portal_stream(&silent).await } else { session.stream(&silent).await }?;
            rows.next_batch(&mut RowBatch::new(0)).await
        });
        let mut look = pin!(eventually("the statement runs", async || running(&admin, "dropped").await == 1));
        poll_fn(|cx| {
            assert!(work.as_mut().poll(cx).is_pending());
            look.as_mut().poll(cx)
        })
        .await;
        drop(work);
        eventually("the statement is gone", async || running(&admin, "dropped").await == 0).await;
    }
}

#[tokio::test]
async fn a_worker_that_goes_away_leaves_nothing_running() {
    let database = Database::with_options("").await;
    let admin = database.client().await;
    let source = database.source_with(named("vanishing")).await;
    let (started, start) = tokio::sync::oneshot::channel();
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let worker = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let session = source.session().await.expect("a session");
            let silent = sql("select pg_sleep(1000)");
            let mut work = pin!(session.stream(&silent));
            assert!(tokio::time::timeout(Duration::from_millis(50), work.as_mut()).await.is_err());
            started.send(()).expect("somebody waits");
            poll_fn(|cx| {
                if gone.try_recv().is_ok() {
                    return Poll::Ready(());
                }
                assert!(work.as_mut().poll(cx).is_pending());
                cx.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
        });
    });
    start.await.expect("the worker started");
    eventually("the statement runs", async || running(&admin, "vanishing").await == 1).await;
    go.send(()).expect("the worker listens");
    worker.join().expect("no panic");
    eventually("the statement is gone", async || running(&admin, "vanishing").await == 0).await;
}

#[tokio::test]
async fn a_statement_can_be_stopped_over_tls() {
    // Cancel requests of a TLS connection are encrypted too; this server accepts them either way, so what is shown
    // is that the request gets through at all.
    let cluster = crate::support::database::cluster();
    let admin = cluster.client().await;
    let dsn = format!("host=127.0.0.1 port={} user=postgres dbname=postgres sslmode=require", cluster.port);
    let source = Source::connect(target(&dsn), named("encrypted")).await.expect("a source");
    let session = source.session().await.expect("a session");
    let mut rows = session.stream(&sql("select generate_series(1, 1000000000000)")).await.expect("rows");
    assert!(rows.next_batch(&mut RowBatch::new(0)).await.expect("rows"));
    drop(rows);
    eventually("the statement is gone", async || running(&admin, "encrypted").await == 0).await;
}

#[tokio::test]
async fn a_stalled_reader_stalls_the_server() {
    // The pooler counts what the server got rid of.
    let pooler = Pooler::start("postgres", Lend::Session, 0);
    let source = Source::connect(target(&pooler.dsn("postgres")), SourceOptions::default()).await.expect("a source");
    let session = source.session().await.expect("a session");
    // 400 MB.
    let statement = sql("select repeat('x', 10000) from generate_series(1, 40000)");
    let mut rows = session.stream(&statement).await.expect("rows");
    let mut batch = RowBatch::new(0);
    assert!(rows.next_batch(&mut batch).await.expect("rows"));

    let mut last = (0, Instant::now());
    eventually("nothing more comes", || {
        let now = pooler.to_clients.load(Ordering::Relaxed);
        if now != last.0 {
            last = (now, Instant::now());
        }
        let still = last.1.elapsed() > Duration::from_millis(300);
        async move { still }
    })
    .await;
    assert!(last.0 < 32_000_000, "{} bytes were taken in without being asked for", last.0);

    let mut count = batch.len();
    while rows.next_batch(&mut batch).await.expect("rows") {
        count += batch.len();
    }
    assert_eq!(count, 40_000);
}

#[tokio::test]
async fn a_killed_backend_is_an_error_never_an_end() {
    let database = Database::with_options("").await;
    let admin = database.client().await;
    let source = database.source().await;
    let session = source.session().await.expect("a session");
    let pid = session.query_text(&sql("select pg_backend_pid()")).await.expect("a pid")[0][0].clone();
    let mut rows = session.stream(&sql("select generate_series(1, 1000000000000)")).await.expect("rows");
    let mut batch = RowBatch::new(0);
    assert!(rows.next_batch(&mut batch).await.expect("rows"));
    let kill = "select pg_terminate_backend($1::text::int)";
    admin.query_one(kill, &[&pid]).await.expect("killed");
    let error = loop {
        match rows.next_batch(&mut batch).await {
            Ok(true) => {}
            Ok(false) => panic!("the rows ended as if they were complete"),
            Err(error) => break error,
        }
    };
    assert!(error.transient(), "{error}");
    assert!(!rows.next_batch(&mut batch).await.expect("over"));
    assert!(matches!(session.describe("select 1").await, Err(SourceError::Ended)));
}

#[tokio::test]
async fn an_error_in_the_middle_is_an_error() {
    let database = Database::with_options("").await;
    let source = database.source().await;
    for portal in [false, true] {
        let session = source.session().await.expect("a session");
        let failing = sql("select 1 / (5000 - i) from generate_series(1, 9999) i");
        let mut rows =
            if portal { session.portal_stream(&failing).await } else { session.stream(&failing).await }.expect("rows");
        let mut batch = RowBatch::new(0);
        let error = loop {
            match rows.next_batch(&mut batch).await {
                Ok(true) => {}
                Ok(false) => panic!("the rows ended as if they were complete"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.to_string(), "the statement failed: division by zero (SQLSTATE 22012)");
        assert!(!error.transient());
    }
}

#[tokio::test]
async fn bytes_of_an_unknown_encoding_pass_untouched() {
    let database = Database::with_options("template template0 encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C'").await;
    let admin = database.client().await;
    admin
        .batch_execute(r"create table t as select e'M\xfcller \xff\x80'::text as v, 'plain' as w")
        .await
        .expect("a table");
    let session = database.source().await.session().await.expect("a session");
    let mut rows = session.stream(&sql("select v, w from t")).await.expect("rows");
    let mut batch = RowBatch::new(0);
    assert!(rows.next_batch(&mut batch).await.expect("rows"));
    assert_eq!(batch.field(0, 0), Some(b"M\xfcller \xff\x80".as_slice()));
    assert_eq!(batch.field(0, 1), Some(b"plain".as_slice()));
    assert!(!rows.next_batch(&mut batch).await.expect("the end"));
    // Shown as text it would not be what is stored.
    assert!(matches!(session.query_text(&sql("select v from t")).await, Err(SourceError::NotText { .. })));
}

#[tokio::test]
async fn a_statement_without_columns_is_refused() {
    let database = Database::with_options("").await;
    let session = database.source().await.session().await.expect("a session");
    assert!(matches!(session.stream(&sql("select")).await.err(), Some(SourceError::Unexpected(_))));
}

#[tokio::test]
async fn enums_do_not_block_a_long_stream() {
    let database = Database::new("create type colour as enum ('red', 'blue'); create domain paint as colour").await;
    let session = database.source().await.session().await.expect("a session");
    let text = "select 'red'::paint, array['blue'::colour] from generate_series(1, 200000)";
    let mut rows = session.stream(&sql(text)).await.expect("rows");
    let (mut batch, mut count) = (RowBatch::new(0), 0);
    while rows.next_batch(&mut batch).await.expect("rows") {
        assert_eq!(batch.field(0, 0), Some(b"red".as_slice()));
        count += batch.len();
    }
    assert_eq!(count, 200_000);
}
