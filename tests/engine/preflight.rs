//! What is said of the watermark before anything is exported.

use std::process::Command;

use super::session::drop_role;
use crate::support::database::Database;
use crate::support::eventually;
use crate::support::pack::{export_command, watch, write};

const SCHEMA: &str = "create table t (id int primary key, at timestamptz, dead boolean);
    create table u (id int primary key);";
const LOCATION: &str =
    "table: t\nkey: id\nupdated: at\ndeleted: dead\nresource:\n  resourceType: Location\n  id: \"l-{{id}}\"\n";
const ORGANIZATION: &str =
    "table: u\nkey: id\nresource:\n  resourceType: Organization\n  id: \"o-{{id}}\"\n  name: x\n";
const TOLD: &str =
    "changes told by a column in 1 mappings, by the commit in 0, not in 1; deletions recorded in 1, not in 1";

// M-02
#[tokio::test(flavor = "current_thread")]
async fn it_says_which_watermark_is_in_force_and_how_far_it_lags() {
    let database = Database::new(SCHEMA).await;
    let admin = database.client().await;
    let home = tempfile::tempdir().unwrap();
    write(home.path(), &[("mappings/location.yaml", LOCATION), ("mappings/organization.yaml", ORGANIZATION)]);
    let (code, told, _) = watch(export_command(home.path(), database.dsn(), &home.path().join("out")).spawn().unwrap());
    assert_eq!(code, Some(0), "{told}");
    let line = told.lines().find(|line| line.starts_with("watermark ")).unwrap();
    assert!(line.ends_with(&format!(" s behind the database's clock, exact; {TOLD}")), "{line}");

    // A role that may not see how long others have been open takes the configured margin.
    let role = format!("{}_blind", database.name);
    let grants = format!("create role {role} login; grant select on t, u to {role}");
    admin.batch_execute(&grants).await.unwrap();
    let writer = database.client().await;
    writer.batch_execute("begin; insert into u values (1)").await.unwrap();
    let mut validate = Command::new(env!("CARGO_BIN_EXE_smelt"));
    validate.current_dir(home.path()).env_clear().env("SMELT_OVERLAP", "1h");
    validate.args(["validate", "--database", &database.dsn_with("user", &role)]);
    let output = validate.output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    let line = told.lines().find(|line| line.starts_with("watermark 36")).unwrap_or_else(|| panic!("{told}"));
    assert!(line.contains("with a margin: a transaction of another role is open"), "{line}");
    assert!(line.contains("grant pg_read_all_stats to smelt's role"), "{line}");
    writer.batch_execute("rollback").await.unwrap();
    drop_role(&admin, &role).await;
}

// M-02
#[tokio::test(flavor = "current_thread")]
async fn it_waits_for_open_transactions_as_long_as_it_may() {
    let database = Database::new("create table u (id int primary key)").await;
    let (writer, admin) = (database.client().await, database.client().await);
    let home = tempfile::tempdir().unwrap();
    write(home.path(), &[("mappings/organization.yaml", ORGANIZATION)]);
    let export = |out: &str, wait: &str| {
        let mut command = export_command(home.path(), database.dsn(), &home.path().join(out));
        command.args(["--snapshot-wait", wait]);
        command.spawn().unwrap()
    };
    let organization = |out: &str| std::fs::read_to_string(home.path().join(out).join("Organization.0001.ndjson"));

    writer.batch_execute("begin; insert into u values (1)").await.unwrap();
    assert_eq!(watch(export("at-once", "0s")).0, Some(0));
    assert!(organization("at-once").is_err(), "the writer has not committed");

    let waiting = export("patient", "1h");
    eventually("the export waits", async || {
        let listed = "select count(*) from pg_stat_activity
            where datname = current_database() and query like 'select ''clock%'";
        admin.query_one(listed, &[]).await.unwrap().get::<_, i64>(0) == 1
    })
    .await;
    writer.batch_execute("commit").await.unwrap();
    assert_eq!(watch(waiting).0, Some(0));
    assert!(organization("patient").unwrap().contains("\"o-1\""));
}
