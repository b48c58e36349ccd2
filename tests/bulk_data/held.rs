//! Exports that are held up: a lock on their table decides how long.

use std::path::Path;

use tempfile::TempDir;
use tokio_postgres::Client;

use super::Server;
use crate::support::database::Database;
use crate::support::pack::write;

/// A database whose only table can be locked, and a pack on it.
pub(super) struct Held {
    pub(super) database: Database,
    pub(super) pack: TempDir,
    pub(super) admin: Client,
    /// Looks on: inside the transaction that holds the lock, statistics stand still.
    pub(super) watch: Client,
}

impl Held {
    pub(super) async fn new() -> Self {
        let database = Database::new(
            "create table t (id int primary key); insert into t select generate_series(1, 1000); analyze t",
        )
        .await;
        let pack = tempfile::tempdir().unwrap();
        let mapping = "table: t\nkey: id\nresource:\n  resourceType: Patient\n  id: \"p-{{id}}\"\n";
        let project = "format: 1\nfhir: 4.0.1\ntimezone: UTC\n";
        write(pack.path(), &[("mappings/project.yaml", project), ("mappings/patient.yaml", mapping)]);
        let admin = database.client().await;
        let watch = database.client().await;
        Self { database, pack, admin, watch }
    }

    pub(super) fn serve(&self, args: &[&str]) -> Server {
        self.serve_in(tempfile::tempdir().unwrap(), args)
    }

    pub(super) fn serve_in(&self, home: TempDir, args: &[&str]) -> Server {
        let pack = self.pack.path().join("mappings");
        let first = ["--database", self.database.dsn(), "--auth", "none", "--mappings", pack.to_str().unwrap()];
        Server::start(&first, args, home)
    }

    pub(super) async fn lock(&self) {
        self.admin.batch_execute("begin; lock table t in access exclusive mode").await.unwrap();
    }

    pub(super) async fn unlock(&self) {
        self.admin.batch_execute("rollback").await.unwrap();
    }

    /// Sessions of exports.
    pub(super) async fn sessions(&self) -> i64 {
        let sql = "select count(*) from pg_stat_activity
                   where datname = current_database() and application_name = 'smelt'";
        self.watch.query_one(sql, &[]).await.unwrap().get(0)
    }
}

/// Directories of jobs.
pub(super) fn directories(home: &Path) -> usize {
    std::fs::read_dir(home.join("state/jobs")).map_or(0, Iterator::count)
}
