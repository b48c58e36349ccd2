//! Getting in: TLS modes, passwords, poolers, limits.

use std::{os::unix::fs::PermissionsExt as _, time::Duration};

use smelt::source::{Source, SourceError, SourceOptions, Target, TargetError, TlsMode};
use tokio_postgres::SimpleQueryMessage::Row;

use crate::support::{
    database::{Database, cluster, target},
    pooler::{Lend, Pooler},
};

/// Connects by TCP with these settings added, and says whether the session is encrypted.
async fn tls(settings: &str) -> Result<bool, SourceError> {
    let dsn = format!("port={} user=postgres dbname=postgres {settings}", cluster().port);
    let target = Target::resolve(Some(&dsn), &|_| None)?;
    let source = Source::connect(target, SourceOptions::default()).await?;
    let session = source.session().await?;
    let statement = super::sql("select ssl from pg_stat_ssl where pid = pg_backend_pid()");
    Ok(session.query_text(&statement).await?[0][0].as_deref() == Some("true"))
}

async fn refused(settings: &str, why: &str) {
    let error = tls(settings).await.expect_err(settings);
    assert!(error.to_string().contains(why), "{settings}: {error}");
    assert!(!error.transient(), "{settings}: {error}");
}

#[tokio::test]
async fn tls_modes() {
    let (own, stranger) = (cluster().file("authority.crt"), cluster().file("stranger.crt"));
    assert!(!tls("host=localhost sslmode=disable").await.expect("plain"));
    // Without an authority to check against, any certificate will do, under any name.
    assert!(tls("host=127.0.0.1 sslmode=prefer").await.expect("TLS"));
    assert!(tls("host=127.0.0.1 sslmode=require").await.expect("TLS"));
    // With one, it is checked.
    assert!(tls(&format!("host=127.0.0.1 sslmode=require sslrootcert={own}")).await.expect("TLS"));
    refused(&format!("host=127.0.0.1 sslmode=require sslrootcert={stranger}"), "UnknownIssuer").await;
    refused(&format!("host=127.0.0.1 sslmode=prefer sslrootcert={stranger}"), "UnknownIssuer").await;
    // verify-ca does not look at the name, verify-full does.
    assert!(tls(&format!("host=127.0.0.1 sslmode=verify-ca sslrootcert={own}")).await.expect("TLS"));
    refused(&format!("host=localhost sslmode=verify-ca sslrootcert={stranger}"), "UnknownIssuer").await;
    assert!(tls(&format!("host=localhost sslmode=verify-full sslrootcert={own}")).await.expect("TLS"));
    refused(&format!("host=127.0.0.1 sslmode=verify-full sslrootcert={own}"), "not valid for name").await;
    refused(&format!("host=localhost sslmode=verify-full sslrootcert={stranger}"), "UnknownIssuer").await;
    // Neither trusts whom the system does not know.
    refused("host=localhost sslmode=verify-ca", "").await;
    refused("host=localhost sslmode=verify-full sslrootcert=system", "").await;
}

#[tokio::test]
async fn certificates_that_cannot_be_read_are_named() {
    for (settings, key) in
        [("sslrootcert=/nowhere", "sslrootcert /nowhere"), ("sslcert=/nowhere sslkey=/n", "sslcert /nowhere")]
    {
        let error = tls(&format!("host=localhost sslmode=require {settings}")).await.expect_err(settings);
        assert!(matches!(error, SourceError::Target(TargetError::Certificate { .. })), "{error:?}");
        assert!(error.to_string().starts_with(key), "{error}");
    }
}

#[tokio::test]
async fn a_client_certificate_lets_in() {
    let cluster = cluster();
    cluster.client().await.batch_execute("create role smelt_client login").await.expect("a role");
    let base = format!("host=localhost port={} user=smelt_client dbname=postgres sslmode=require", cluster.port);
    let with = format!("{base} sslcert={} sslkey={}", cluster.file("client.crt"), cluster.file("client.key"));
    Source::connect(target(&with), SourceOptions::default()).await.expect("let in");
    let error = Source::connect(target(&base), SourceOptions::default()).await.err().expect("not let in");
    assert_eq!(error.sqlstate(), Some("28000"), "{error}");
}

#[tokio::test]
async fn a_server_without_tls() {
    let pooler = Pooler::start("postgres", Lend::ForSession, 0);
    let dsn = pooler.dsn("postgres");
    Source::connect(target(&format!("{dsn} sslmode=prefer")), SourceOptions::default()).await.expect("plain text");
    let required = target(&format!("{dsn} sslmode=require"));
    assert_eq!(required.tls_mode(), TlsMode::Require);
    let error = Source::connect(required, SourceOptions::default()).await.err().expect("refused");
    assert!(error.to_string().contains("server does not support TLS"), "{error}");
}

#[tokio::test]
async fn passwords_come_from_files_and_the_environment() {
    let cluster = cluster();
    let role = "create role smelt_password login password 'Pa:ss\\word'";
    cluster.client().await.batch_execute(role).await.expect("a role");
    let dir = tempfile::tempdir().expect("a directory");
    let file = |name: &str, text: String| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("a file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("permissions");
        path.display().to_string()
    };
    let port = cluster.port;
    let right = file("right", format!("#comment\nother:*:*:*:no\n127.0.0.1:{port}:*:smelt_password:Pa\\:ss\\\\word\n"));
    let wrong = file("wrong", "*:*:*:*:Geheim\n".to_owned());
    let services =
        file("services", format!("[ehr]\nhost=127.0.0.1\nport={port}\nuser=smelt_password\ndbname=postgres\n"));

    let connect = async |dsn: &str, env: &[(&str, &str)]| {
        let lookup = |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Source::connect(Target::resolve(Some(dsn), &lookup)?, SourceOptions::default()).await.map(drop)
    };
    let dsn = format!("host=127.0.0.1 port={port} user=smelt_password dbname=postgres");
    connect(&format!("{dsn} passfile={right}"), &[]).await.expect("let in");
    connect(&dsn, &[("PGPASSWORD", "Pa:ss\\word")]).await.expect("let in");
    connect("service=ehr", &[("PGSERVICEFILE", &services), ("PGPASSFILE", &right)]).await.expect("let in");
    connect(&format!("postgresql://smelt_password:Pa%3Ass%5Cword@127.0.0.1:{port}/postgres"), &[])
        .await
        .expect("let in");

    let error = connect(&format!("{dsn} passfile={wrong}"), &[]).await.expect_err("refused");
    assert_eq!(error.sqlstate(), Some("28P01"));
    assert!(!format!("{error} {error:?}").contains("Geheim"), "{error:?}");
    std::fs::set_permissions(&right, std::fs::Permissions::from_mode(0o640)).expect("permissions");
    let error = connect(&format!("{dsn} passfile={right}"), &[]).await.expect_err("refused");
    assert!(error.to_string().contains("password missing; password file"), "{error}");
    assert!(error.to_string().contains("chmod 0600"), "{error}");
}

#[tokio::test]
async fn a_missing_server_or_database_is_told() {
    let error = Source::connect(target("host=/nowhere user=etl dbname=ehr"), SourceOptions::default()).await.err();
    let error = error.expect("nobody there");
    assert!(error.to_string().starts_with("failed to connect to etl@/nowhere:5432/ehr: error connecting"), "{error}");
    assert!(error.transient());
    let missing = Source::connect(target(&cluster().dsn("no_such_db")), SourceOptions::default()).await.err();
    let error = missing.expect("no such database");
    assert!(error.to_string().ends_with("database \"no_such_db\" does not exist"), "{error}");
    assert!(!error.transient());
}

#[tokio::test]
async fn transaction_poolers_are_refused_and_left_clean() {
    for lend in [Lend::ForTransactionLastFirst, Lend::ForTransactionInTurns] {
        for sessions in 0..5 {
            let pooler = Pooler::start("postgres", lend, sessions);
            let found = Source::connect(target(&pooler.dsn("postgres")), SourceOptions::default()).await;
            let error = found.err().unwrap_or_else(|| panic!("{lend:?} with {sessions} sessions was not recognised"));
            assert!(matches!(error, SourceError::Pooler { .. }), "{lend:?} {sessions}: {error}");
            assert!(error.to_string().contains("pool_mode = session"), "{error}");
            // What the probe did is not left behind for the pooler's next client.
            let (next, connection) = tokio_postgres::connect(&pooler.dsn("postgres"), tokio_postgres::NoTls)
                .await
                .expect("the pooler answers");
            tokio::spawn(connection);
            for _ in 0..6 {
                let shown = next.simple_query("show default_transaction_read_only").await.expect("a row");
                assert!(shown.iter().any(|message| matches!(message, Row(row) if row.get(0) == Some("off"))));
            }
        }
    }
}

#[tokio::test]
async fn session_poolers_are_fine() {
    let pooler = Pooler::start("postgres", Lend::ForSession, 2);
    let source = Source::connect(target(&pooler.dsn("postgres")), SourceOptions::default()).await.expect("let in");
    let session = source.session().await.expect("a session");
    assert_eq!(session.query_text(&super::sql("select 1")).await.expect("a row"), [[Some("1".to_owned())]]);
}

#[tokio::test]
async fn the_limit_on_connections_holds_across_threads() {
    let database = Database::with_options("").await;
    let options = SourceOptions {
        max_connections: 2,
        connection_wait: Duration::from_millis(50),
        application_name: "limited".to_owned(),
        ..SourceOptions::default()
    };
    let source = database.source_with(options.clone()).await;
    let snapshot = source.snapshot(Duration::ZERO).await.expect("a snapshot");
    let session = snapshot.session().await.expect("a session");
    let error = snapshot.session().await.err().expect("a third connection");
    assert!(matches!(error, SourceError::Exhausted { max: 2, .. }), "{error}");
    assert!(error.transient());
    drop(session);

    // Sessions of threads that come and go, each with its own runtime.
    let admin = database.client().await;
    let patient = SourceOptions { connection_wait: Duration::from_secs(20), ..options };
    let source = database.source_with(patient).await;
    drop(snapshot);
    let threads: Vec<_> = (0..6)
        .map(|_| {
            let source = source.clone();
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(async {
                    let session = source.session().await.expect("a session");
                    let counted = super::sql(
                        "select count(*) from pg_stat_activity where application_name = 'limited' and state = 'active'",
                    );
                    session.query_text(&counted).await.expect("a count")[0][0].clone().expect("not null")
                })
            })
        })
        .collect();
    for thread in threads {
        let open: i32 = thread.join().expect("no panic").parse().expect("a number");
        assert!((1..=2).contains(&open), "{open} at once");
    }
    crate::support::eventually("all connections are closed", || async {
        let row = admin.query_one("select count(*) from pg_stat_activity where application_name = 'limited'", &[]);
        row.await.expect("a count").get::<_, i64>(0) == 0
    })
    .await;

    let few = SourceOptions { max_connections: 1, ..SourceOptions::default() };
    let error = Source::connect(target(database.dsn()), few).await.err().expect("too few");
    assert!(matches!(error, SourceError::TooFewConnections(1)), "{error}");
}
