//! One state for all sessions, and a transaction time that loses nothing.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use smelt::{
    plan::select::{Param, Statement},
    source::{MarginReason, Session, Snapshot, Source, SourceError, SourceOptions, Watermark},
};
use tokio_postgres::Client;

use super::{session::drop_role, sql};
use crate::support::{
    database::{Database, cluster, target},
    eventually,
};

/// Rows are stamped as a trigger would: with the start of their transaction.
const SCHEMA: &str = "create table t (id bigint generated always as identity, at timestamptz not null default now())";

const NOW: &str = "(extract(epoch from clock_timestamp()) * 1000000)::bigint";

async fn count(session: &Session) -> String {
    session.query_text(&sql("select count(*) from t")).await.expect("a count")[0][0].clone().expect("not null")
}

async fn micros(client: &Client, expression: &str) -> i64 {
    client.query_one(&format!("select {expression}"), &[]).await.expect("a time").get(0)
}

/// More than the moment that a snapshot allows for transactions it cannot see yet.
async fn pass_time(client: &Client) {
    client.batch_execute("select pg_sleep(0.2)").await.expect("time passes");
}

/// Ids of the rows that an increment since `since` finds.
async fn changed(snapshot: &Snapshot, since: i64) -> BTreeSet<i64> {
    let session = snapshot.session().await.expect("a session");
    let statement = Statement {
        text: "select id from t where at > timestamptz 'epoch' + $1::text::bigint * interval '1 microsecond'"
            .to_owned(),
        params: vec![Param::Text(since.to_string())],
    };
    let rows = session.query_text(&statement).await.expect("ids");
    rows.into_iter().flatten().flatten().map(|id| id.parse().expect("a number")).collect()
}

// M-02, T-33
#[tokio::test]
async fn all_sessions_see_the_same() {
    let database = Database::new(SCHEMA).await;
    let writer = database.client().await;
    writer.batch_execute("insert into t default values").await.expect("a row");
    let source = database.source().await;
    let snapshot = source.snapshot(Duration::ZERO).await.expect("a snapshot");
    let early = snapshot.session().await.expect("a session");
    for _ in 0..3 {
        writer.batch_execute("insert into t default values").await.expect("a row");
        // On another thread with its own runtime, as an export's worker.
        let clone = snapshot.clone();
        let worker = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async { count(&clone.session().await.expect("a session")).await })
        });
        assert_eq!(worker.join().expect("no panic"), "1");
        assert_eq!(count(&early).await, "1");
    }
    assert_eq!(count(&source.session().await.expect("a session")).await, "4");

    // The session keeps what it reads, even when nobody else does.
    drop(snapshot);
    writer.batch_execute("insert into t default values").await.expect("a row");
    assert_eq!(count(&early).await, "1");
}

#[tokio::test]
async fn a_snapshot_whose_holder_died_cannot_be_joined() {
    let database = Database::new(SCHEMA).await;
    let admin = database.client().await;
    let source =
        database.source_with(SourceOptions { application_name: "holder".to_owned(), ..Default::default() }).await;
    let snapshot = source.snapshot(Duration::ZERO).await.expect("a snapshot");
    let kill = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'holder'";
    assert!(admin.query_one(kill, &[]).await.expect("killed").get::<_, i64>(0) >= 1);
    eventually("the holder is gone", async || {
        let text = "select count(*) from pg_stat_activity where application_name = 'holder'";
        admin.query_one(text, &[]).await.expect("a count").get::<_, i64>(0) == 0
    })
    .await;
    let error = snapshot.session().await.err().expect("too late");
    assert!(matches!(error, SourceError::SnapshotGone) && error.transient(), "{error}");
}

// M-01, M-02
#[tokio::test]
async fn the_transaction_time_is_below_everything_open() {
    let database = Database::new(SCHEMA).await;
    let source = database.source().await;
    let quiet = source.snapshot(Duration::ZERO).await.expect("a snapshot");
    assert_eq!(quiet.watermark(), Watermark::Exact);
    drop(quiet);

    // One that wrote, one that has not yet, one that only began.
    let (wrote, will_write, began) = (database.client().await, database.client().await, database.client().await);
    began.batch_execute("begin").await.expect("begun");
    let first = micros(&began, "(extract(epoch from now()) * 1000000)::bigint").await;
    will_write.batch_execute("begin; select 1").await.expect("begun");
    wrote.batch_execute("begin; insert into t default values").await.expect("a row");
    pass_time(&database.client().await).await;

    let snapshot = source.snapshot(Duration::ZERO).await.expect("a snapshot");
    assert_eq!(snapshot.watermark(), Watermark::Exact);
    assert_eq!(snapshot.transaction_time(), first - 1);
    for client in [&wrote, &will_write, &began] {
        client.batch_execute("insert into t default values; commit").await.expect("committed");
    }
    let next = source.snapshot(Duration::ZERO).await.expect("a snapshot");
    assert_eq!(changed(&snapshot, 0).await.len(), 0);
    assert_eq!(changed(&next, snapshot.transaction_time()).await.len(), 4);
    assert!(next.transaction_time() > snapshot.transaction_time());
}

// M-02
#[tokio::test]
async fn a_prepared_transaction_is_not_forgotten() {
    let database = Database::new(SCHEMA).await;
    let overlap = Duration::from_mins(1);
    let source = database.source_with(SourceOptions { overlap, ..SourceOptions::default() }).await;
    let writer = database.client().await;
    writer.batch_execute("begin; insert into t default values").await.expect("a row");
    let began = micros(&writer, "(extract(epoch from now()) * 1000000)::bigint").await;
    writer.batch_execute(&format!("prepare transaction '{}'", database.name)).await.expect("prepared");

    let snapshot = source.snapshot(Duration::from_millis(20)).await.expect("a snapshot");
    assert_eq!(snapshot.watermark(), Watermark::Margin { reason: MarginReason::PreparedTransaction });
    assert!(snapshot.transaction_time() < began);
    writer.batch_execute(&format!("commit prepared '{}'", database.name)).await.expect("committed");
    let next = source.snapshot(Duration::ZERO).await.expect("a snapshot");
    assert_eq!(next.watermark(), Watermark::Exact);
    assert_eq!(changed(&next, snapshot.transaction_time()).await.len(), 1);
}

// M-02
#[tokio::test]
async fn waiting_brings_the_writer_in() {
    let database = Database::new(SCHEMA).await;
    let source =
        database.source_with(SourceOptions { application_name: "waiter".to_owned(), ..Default::default() }).await;
    let (writer, admin) = (database.client().await, database.client().await);
    writer.batch_execute("begin; insert into t default values").await.expect("a row");
    let began = Instant::now();
    let taking = tokio::spawn(async move { source.snapshot(Duration::from_mins(1)).await });
    eventually("the snapshot waits", async || {
        let text =
            "select count(*) from pg_stat_activity where application_name = 'waiter' and query like 'select ''clock%'";
        admin.query_one(text, &[]).await.expect("a count").get::<_, i64>(0) == 1
    })
    .await;
    assert!(!taking.is_finished());
    let before_commit = micros(&writer, NOW).await;
    writer.batch_execute("commit").await.expect("committed");
    let snapshot = taking.await.expect("no panic").expect("a snapshot");
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(snapshot.watermark(), Watermark::Exact);
    assert_eq!(changed(&snapshot, 0).await.len(), 1);
    // Its start no longer counts.
    assert!(snapshot.transaction_time() > before_commit - 1_000_000);
}

#[tokio::test]
async fn exports_do_not_hold_each_other_back() {
    let database = Database::new(SCHEMA).await;
    let admin = database.client().await;
    let (one, two) = (database.source().await, database.source().await);
    let first = one.snapshot(Duration::ZERO).await.expect("a snapshot");
    let _reader = first.session().await.expect("a session");
    pass_time(&admin).await;
    let now = micros(&admin, NOW).await;
    let began = Instant::now();
    let second = two.snapshot(Duration::from_mins(1)).await.expect("a snapshot");
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(second.watermark(), Watermark::Exact);
    assert!(second.transaction_time() >= now - 100_000, "{} {now}", second.transaction_time());
}

#[tokio::test]
async fn hidden_sessions_cost_a_margin_only_while_they_are_open() {
    let database = Database::new(SCHEMA).await;
    let admin = database.client().await;
    let role = format!("{}_blind", database.name);
    let grants = format!("create role {role} login; grant select on t to {role}");
    admin.batch_execute(&grants).await.expect("a role");
    let overlap = Duration::from_mins(1);
    let options = SourceOptions { overlap, ..SourceOptions::default() };
    let source = Source::connect(target(&database.dsn_with("user", &role)), options).await.expect("a source");

    let writer = database.client().await;
    writer.batch_execute("begin; insert into t default values").await.expect("a row");
    let now = micros(&admin, NOW).await;
    let snapshot = source.snapshot(Duration::from_millis(20)).await.expect("a snapshot");
    assert_eq!(snapshot.watermark(), Watermark::Margin { reason: MarginReason::HiddenSessions });
    assert!((now - 61_000_000..now - 50_000_000).contains(&snapshot.transaction_time()));
    writer.batch_execute("commit").await.expect("committed");

    // Idle strangers do no harm, and what began meanwhile began after the clock.
    let snapshot = source.snapshot(Duration::ZERO).await.expect("a snapshot");
    assert_eq!(snapshot.watermark(), Watermark::Exact);
    assert!(snapshot.transaction_time() > now - 1_000_000);

    // With the grant, the start is seen.
    admin.batch_execute(&format!("grant pg_read_all_stats to {role}")).await.expect("granted");
    writer.batch_execute("begin; insert into t default values").await.expect("a row");
    let began = micros(&writer, "(extract(epoch from now()) * 1000000)::bigint").await;
    pass_time(&admin).await;
    let snapshot = source.snapshot(Duration::ZERO).await.expect("a snapshot");
    assert_eq!((snapshot.transaction_time(), snapshot.watermark()), (began - 1, Watermark::Exact));
    drop(source);
    writer.batch_execute("rollback").await.expect("rolled back");
    drop_role(&admin, &role).await;
}

#[tokio::test]
async fn a_subscriber_costs_a_margin() {
    let database = Database::new(SCHEMA).await;
    let admin = database.client().await;
    let overlap = Duration::from_mins(1);
    let source = database.source_with(SourceOptions { overlap, ..SourceOptions::default() }).await;
    let subscribe = format!(
        "create subscription {0} connection 'dbname=nowhere' publication p with (connect = false); \
         update pg_subscription set subenabled = true where subname = '{0}'",
        database.name
    );
    admin.batch_execute(&subscribe).await.expect("a subscription");
    let now = micros(&admin, NOW).await;
    let snapshot = source.snapshot(Duration::ZERO).await.expect("a snapshot");
    assert_eq!(snapshot.watermark(), Watermark::Margin { reason: MarginReason::Subscription });
    assert!(snapshot.transaction_time() < now - 50_000_000);
    let end = format!("alter subscription {0} disable; alter subscription {0} set (slot_name = none)", database.name);
    admin.batch_execute(&end).await.expect("disabled");
    admin.batch_execute(&format!("drop subscription {}", database.name)).await.expect("dropped");
}

// M-01, M-02, K-35
#[tokio::test]
async fn a_chain_of_increments_loses_nothing() {
    let database = Database::new(SCHEMA).await;
    let source = database.source().await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for pause in ["0", "0.001", "0.03", "0.25"] {
        let client = database.client().await;
        let stop = Arc::clone(&stop);
        writers.push(tokio::spawn(async move {
            let mut written = BTreeSet::new();
            while !stop.load(Ordering::Relaxed) {
                // The stamp is the start; the row becomes visible later, here by up to a quarter of a second.
                client.batch_execute("begin").await.expect("begun");
                let row = client.query_one("insert into t default values returning id", &[]).await.expect("a row");
                client.batch_execute(&format!("select pg_sleep({pause}); commit")).await.expect("committed");
                written.insert(row.get::<_, i64>(0));
            }
            written
        }));
    }

    let admin = database.client().await;
    let (mut found, mut since) = (BTreeSet::new(), 0);
    let (mut naive_found, mut naive_since) = (BTreeSet::new(), 0);
    for round in 0..14 {
        let naive_now = micros(&admin, NOW).await;
        let wait = Duration::from_millis(if round % 2 == 0 { 0 } else { 40 });
        let snapshot = source.snapshot(wait).await.expect("a snapshot");
        assert_eq!(snapshot.watermark(), Watermark::Exact);
        found.extend(changed(&snapshot, since).await);
        naive_found.extend(changed(&snapshot, naive_since).await);
        (since, naive_since) = (snapshot.transaction_time(), naive_now);
    }
    stop.store(true, Ordering::Relaxed);
    let mut written = BTreeSet::new();
    for writer in writers {
        written.extend(writer.await.expect("no panic"));
    }
    let last = source.snapshot(Duration::ZERO).await.expect("a snapshot");
    found.extend(changed(&last, since).await);
    naive_found.extend(changed(&last, naive_since).await);

    assert!(written.len() > 50, "{} rows are too few to show anything", written.len());
    assert_eq!(found, written);
    // The test can fail: with the clock as transaction time, rows are lost.
    assert_ne!(naive_found, written);
}

// M-02, R-03
#[tokio::test]
async fn a_replica_is_read_with_a_margin() {
    let cluster = cluster();
    let admin = cluster.client().await;
    admin
        .batch_execute("create table if not exists on_replica (n int); insert into on_replica values (1)")
        .await
        .expect("a row");
    let port = cluster.standby();
    let dsn = format!("host={} port={port} user=postgres dbname=postgres", cluster.dir.display());
    let overlap = Duration::from_mins(1);
    let options = SourceOptions { overlap, ..SourceOptions::default() };
    let source = Source::connect(target(&dsn), options).await.expect("a source");
    assert!(source.check_read_only().await.expect("facts").replica);

    admin.batch_execute("insert into on_replica values (2)").await.expect("a row");
    let replica = tokio_postgres::connect(&dsn, tokio_postgres::NoTls).await.expect("the replica answers");
    tokio::spawn(replica.1);
    eventually("the row is replayed", async || {
        replica.0.query_one("select count(*) from on_replica", &[]).await.expect("a count").get::<_, i64>(0) == 2
    })
    .await;
    let replayed = "(extract(epoch from pg_last_xact_replay_timestamp()) * 1000000)::bigint";
    let before = micros(&replica.0, replayed).await;
    let snapshot = source.snapshot(Duration::ZERO).await.expect("a snapshot");
    let after = micros(&replica.0, replayed).await;
    assert_eq!(snapshot.watermark(), Watermark::Margin { reason: MarginReason::Replica });
    let bound = snapshot.transaction_time() + 60_000_000;
    assert!(bound <= after, "not later than the last replayed commit");
    assert!(bound >= before - 100_000, "and not earlier than need be");
    let session = snapshot.session().await.expect("a session");
    let rows = session.query_text(&sql("select count(*) from on_replica")).await.expect("a count");
    assert_eq!(rows[0][0].as_deref(), Some("2"));
}
