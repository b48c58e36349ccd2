//! Databases for tests: one throw-away cluster per test process, one fresh database per test.
//!
//! `TEST_DATABASE_URL` (a superuser's) names a server to use instead; tests of TLS, passwords and replicas start
//! their own cluster all the same, because they need its files.

use std::{
    collections::HashMap,
    env,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use smelt::source::{Source, SourceOptions, Target};
use tokio_postgres::{Client, NoTls};

pub(crate) use super::cluster::Cluster;

/// The cluster of this test process.
pub(crate) fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::start)
}

impl Cluster {
    /// A superuser's connection to database `postgres`.
    pub async fn client(&self) -> Client {
        client(&self.dsn("postgres")).await
    }
}

/// A database of its own, gone with this value.
pub struct Database {
    /// Its name, also a good name for what is shared by the whole cluster, as roles are.
    pub name: String,
    dsn: String,
}

/// Connection settings of the server in use, for a database.
fn server_dsn(dbname: &str) -> String {
    let Ok(url) = env::var("TEST_DATABASE_URL") else { return cluster().dsn(dbname) };
    let Some((scheme, rest)) = url.split_once("://") else { return format!("{url} dbname={dbname}") };
    let (rest, query) = rest.split_once('?').map_or((rest, String::new()), |(rest, query)| (rest, format!("?{query}")));
    let authority = rest.split('/').next().unwrap_or_default();
    format!("{scheme}://{authority}/{dbname}{query}")
}

async fn client(dsn: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(dsn, NoTls).await.expect("the server answers");
    tokio::spawn(connection);
    client
}

impl Database {
    /// A fresh database made by `schema`. The schema is run once per test process, then copied.
    pub async fn new(schema: &str) -> Self {
        static TEMPLATES: tokio::sync::Mutex<Option<HashMap<String, String>>> = tokio::sync::Mutex::const_new(None);
        let admin = client(&server_dsn("postgres")).await;
        let template = {
            let mut templates = TEMPLATES.lock().await;
            let templates = templates.get_or_insert_default();
            if let Some(name) = templates.get(schema) {
                name.clone()
            } else {
                let name = unique("template");
                admin.batch_execute(&format!("create database {name} template template0")).await.expect("a template");
                client(&server_dsn(&name)).await.batch_execute(schema).await.expect("the schema is right");
                templates.insert(schema.to_owned(), name.clone());
                name
            }
        };
        Self::create(&admin, &format!("template {template}")).await
    }

    /// An empty database, with options of `create database`.
    pub async fn with_options(options: &str) -> Self {
        Self::create(&client(&server_dsn("postgres")).await, options).await
    }

    async fn create(admin: &Client, options: &str) -> Self {
        let name = unique("db");
        // The connection that filled the template may still be on its way out.
        let sql = format!("create database {name} {options}");
        super::eventually("the database can be created", || async {
            match admin.batch_execute(&sql).await {
                Ok(()) => true,
                Err(error) if error.code().is_some_and(|code| code.code() == "55006") => false,
                Err(error) => panic!("{error:?}"),
            }
        })
        .await;
        Self { dsn: server_dsn(&name), name }
    }

    /// Connection settings of a superuser.
    pub fn dsn(&self) -> &str {
        &self.dsn
    }

    /// The same with one setting more, or another one.
    pub fn dsn_with(&self, key: &str, value: &str) -> String {
        match (self.dsn.contains("://"), self.dsn.contains('?')) {
            (false, _) => format!("{} {key}='{value}'", self.dsn),
            (true, false) => format!("{}?{key}={value}", self.dsn),
            (true, true) => format!("{}&{key}={value}", self.dsn),
        }
    }

    /// A superuser's connection, to arrange and look.
    pub async fn client(&self) -> Client {
        client(&self.dsn).await
    }

    /// The database as smelt sees it.
    pub async fn source(&self) -> Source {
        self.source_with(SourceOptions::default()).await
    }

    /// The database as smelt sees it.
    pub async fn source_with(&self, options: SourceOptions) -> Source {
        Source::connect(target(&self.dsn), options).await.expect("the source connects")
    }
}

/// Connection settings without the environment of whoever runs the tests.
pub fn target(dsn: &str) -> Target {
    Target::resolve(Some(dsn), &|_| None).expect("good settings")
}

impl Drop for Database {
    fn drop(&mut self) {
        let sql = format!("drop database if exists {} with (force)", self.name);
        // Not on the test's own runtime, which cannot wait here.
        let done = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async { client(&server_dsn("postgres")).await.batch_execute(&sql).await })
        });
        drop(done.join());
    }
}

fn unique(kind: &str) -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("smelt_test_{kind}_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}
