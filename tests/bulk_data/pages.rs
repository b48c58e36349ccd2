//! Pages of a manifest while the export runs: a lock in the database decides how long it does.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_postgres::Client;

use super::Server;
use crate::support::database::Database;
use crate::support::eventually;
use crate::support::pack::write;
use crate::support::server::Answer;

const PATIENTS: usize = 300;
const OBSERVATIONS: usize = 20;

const ASK: &str = "/$export?allowPartialManifests=true&_maximumFileSize=4000";

/// A database of patients, which come at once, and of observations, which come when the lock is given back.
struct Slow {
    database: Database,
    pack: TempDir,
    admin: Client,
}

impl Slow {
    async fn new() -> Self {
        let schema = format!(
            "create table patients (id int primary key);
             insert into patients select generate_series(1, {PATIENTS});
             create table numbers (id int primary key);
             insert into numbers select generate_series(1, {OBSERVATIONS});
             create function held(int) returns int language plpgsql stable as $$
             begin
               perform pg_advisory_lock_shared(7);
               perform pg_advisory_unlock_shared(7);
               return $1;
             end $$;
             create view observations as select id, held(id) as number from numbers;
             analyze"
        );
        let database = Database::new(&schema).await;
        let pack = tempfile::tempdir().unwrap();
        let observation = "table: observations\nkey: id\npatient: none\nresource:\n  resourceType: Observation\n  \
                           id: \"{{id}}\"\n  status: final\n  code: {text: note}\n  valueInteger: $number\n";
        let files = [
            ("mappings/project.yaml", "format: 1\nfhir: 4.0.1\ntimezone: UTC\n"),
            (
                "mappings/patient.yaml",
                "table: patients\nkey: id\nresource:\n  resourceType: Patient\n  id: \"{{id}}\"\n",
            ),
            ("mappings/observation.yaml", observation),
        ];
        write(pack.path(), &files);
        let admin = database.client().await;
        let slow = Self { database, pack, admin };
        slow.hold().await;
        slow
    }

    async fn hold(&self) {
        self.admin.batch_execute("select pg_advisory_lock(7)").await.unwrap();
    }

    async fn release(&self) {
        self.admin.batch_execute("select pg_advisory_unlock(7)").await.unwrap();
    }

    fn serve(&self, home: TempDir, args: &[&str]) -> Server {
        let pack = self.pack.path().join("mappings");
        let first = ["--database", self.database.dsn(), "--auth", "none", "--mappings", pack.to_str().unwrap()];
        let more = ["--workers", "1", "--page-interval", "0s", "--status-hold", "1s", "--polls-per-minute", "6000"];
        Server::start(&[first.as_slice(), &more].concat(), args, home)
    }

    fn server(&self, args: &[&str]) -> Server {
        self.serve(tempfile::tempdir().unwrap(), args)
    }
}

/// Where the next page is.
fn next(page: &Answer) -> String {
    let json = page.json();
    assert_eq!(json["link"][0]["relation"], "next", "{json}");
    json["link"][0]["url"].as_str().expect("a URL").to_owned()
}

/// Ids of a page's resources; every file is fetched, and has what the page says.
fn ids(server: &Server, page: &Value) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for item in page["output"].as_array().expect("a list") {
        let file = server.get(item["url"].as_str().expect("a URL"));
        assert_eq!((file.status, file.body.len() as u64), (200, item["fileSize"].as_u64().expect("a size")));
        let text = file.text();
        assert_eq!(text.lines().count() as u64, item["count"].as_u64().expect("a number"));
        for line in text.lines() {
            let resource: Value = serde_json::from_str(line).expect("JSON");
            assert_eq!(resource["resourceType"], item["type"]);
            assert!(ids.insert(format!("{}/{}", item["type"].as_str().unwrap(), resource["id"])), "{line}");
        }
    }
    ids
}

/// A page that is there, once it is.
async fn page(server: &Server, url: &str) -> Answer {
    eventually("a page", || async { !server.get(url).body.is_empty() }).await;
    server.get(url)
}

/// All pages from this one on, or the failure in place of the last one.
async fn rest(server: &Server, url: &str) -> Vec<Answer> {
    let mut pages = vec![page(server, url).await];
    while let Some(last) = pages.last().filter(|last| last.json().get("link").is_some()) {
        let url = next(last);
        pages.push(page(server, &url).await);
    }
    pages
}

/// The pages that come before the lock is given back, with their URLs, and the URL of the one that does not.
async fn pages(server: &Server, status: &str) -> (Vec<(String, Answer)>, String) {
    let (mut pages, mut url, mut seen) = (Vec::new(), status.to_owned(), 0);
    while seen < PATIENTS {
        let found = page(server, &url).await;
        seen += super::count(&found.json(), "Patient") as usize;
        let next = next(&found);
        pages.push((std::mem::replace(&mut url, next), found));
    }
    (pages, url)
}

// K-67 K-68 S-01 S-03 S-13 S-14 S-15 S-17 S-20 M-06 M-12 M-20 T-04 X-06
#[tokio::test]
async fn files_are_told_while_the_export_runs() {
    let slow = Slow::new().await;
    let server = slow.server(&[]);
    let status = server.kick_off(ASK);
    let (pages, last) = pages(&server, &status).await;
    assert!(pages.len() > 1, "{}", pages.len());
    assert_eq!(pages[1].0, format!("{status}/page/2"));
    let mut all = BTreeSet::new();
    for (url, page) in &pages {
        let json = page.json();
        assert_eq!((page.status, page.header("content-type")), (202, Some("application/json")));
        assert!(page.header("x-progress").is_some() && page.header("retry-after") == Some("1"));
        assert_eq!((page.header("expires"), json.get("deleted")), (None, None));
        assert_eq!((&json["error"], &json["outcome"]), (&json!([]), &json!([])));
        let files = json["output"].as_array().unwrap();
        assert!(!files.is_empty() && files.iter().all(|file| file["fileSize"].as_u64().unwrap() <= 4000), "{url}");
        for name in ["transactionTime", "request", "requiresAccessToken", "outputFormat", "manifestType"] {
            assert_eq!(json[name], pages[0].1.json()[name], "{name}");
        }
        let found = ids(&server, &json);
        assert!(all.is_disjoint(&found), "{url}");
        all.extend(found);
    }
    let waits = server.get(&last);
    assert_eq!((waits.status, waits.body.len()), (202, 0));
    assert!(waits.header("x-progress").is_some() && waits.header("retry-after").is_some());
    // A page has one URL, and is a page.
    let beyond = format!("{status}/page/{}", pages.len() + 2);
    for nowhere in [beyond.as_str(), &format!("{status}/page/1"), &format!("{status}/page/x")] {
        assert_eq!(server.get(nowhere).status, 404, "{nowhere}");
    }
    assert_eq!(server.delete(&last).status, 405);

    slow.release().await;
    let rest = rest(&server, &last).await;
    for page in &rest {
        all.extend(ids(&server, &page.json()));
    }
    let end = rest.last().expect("a last page");
    assert_eq!((end.status, end.header("expires").is_some()), (200, true));
    for (url, page) in &pages {
        let again = server.get(url);
        assert_eq!((again.status, &again.body), (202, &page.body), "{url} is as it was");
        ids(&server, &again.json());
    }
    // The same as without pages.
    let whole = server.manifest(&server.kick_off("/$export"));
    assert_eq!(whole.get("link"), None);
    assert_eq!(ids(&server, &whole), all);
    let fetched = server.audit().iter().filter(|event| event.to_string().contains("manifest")).count();
    assert!(fetched > 2 * pages.len(), "every page is in the trail");
    assert_eq!(server.delete(&status).status, 202);
    for (url, page) in &pages {
        let file = page.json()["output"][0]["url"].as_str().unwrap().to_owned();
        assert_eq!((server.get(url).status, server.get(&file).status), (404, 404));
    }
}

// K-67 S-10 S-13, open point 9
#[tokio::test]
async fn who_does_not_ask_gets_one_manifest_and_a_separate_status_is_told() {
    let slow = Slow::new().await;
    let server = slow.server(&[]);
    let separate = server.get_with(ASK, &[("Prefer", "separate-export-status")]).accepted();
    let plain = server.kick_off("/$export?allowPartialManifests=false&_maximumFileSize=4000");
    let (pages, last) = pages(&server, &separate).await;
    for (_, page) in &pages {
        assert_eq!((page.status, page.header("x-export-status")), (200, Some("202 Accepted")));
    }
    let waits = server.get(&last);
    assert_eq!((waits.status, waits.header("x-export-status"), waits.body.len()), (200, Some("202 Accepted"), 0));
    // The other one is as far, and says nothing of it.
    eventually("progress", || async {
        server.get(&plain).header("x-progress").is_some_and(|told| told.ends_with("Patient 300 rows"))
    })
    .await;
    assert!(server.get(&plain).body.is_empty());
    slow.release().await;
    let manifest = server.manifest(&plain);
    assert_eq!((manifest.get("link"), super::count(&manifest, "Patient")), (None, PATIENTS as u64));
    let rest = rest(&server, &last).await;
    let end = rest.last().expect("a last page");
    assert_eq!((end.status, end.header("x-export-status")), (200, Some("200 OK")));
}

// S-05 S-14 S-16 D-02
#[tokio::test]
async fn a_job_that_dies_says_so_on_the_next_page() {
    let slow = Slow::new().await;
    let server = slow.server(&[]);
    let status = server.kick_off(ASK);
    let (pages, last) = pages(&server, &status).await;
    let kill = "select pg_terminate_backend(pid) from pg_stat_activity \
                where datname = current_database() and application_name = 'smelt'";
    slow.admin.batch_execute(kill).await.unwrap();
    let failed = server.ended(&last, &[]);
    assert_eq!((failed.status, failed.issue().as_str()), (500, "processing"));
    assert_eq!(server.get(&last).json()["issue"][0]["details"], failed.json()["issue"][0]["details"]);
    for (url, page) in &pages {
        let again = server.get(url);
        assert_eq!((again.status, &again.body), (202, &page.body), "{url} is as it was");
        assert!(!ids(&server, &again.json()).is_empty());
    }
    assert_eq!(server.delete(&status).status, 202);
    assert_eq!((server.get(&last).status, server.get(&status).status), (404, 404));
    assert_eq!(super::held::directories(server.home.path()), 0);
}

// S-16 S-20 M-20: after kill -9 what was published is there, and is not made again under another snapshot.
#[tokio::test]
async fn a_killed_server_goes_on_only_with_what_nobody_has_seen() {
    let slow = Slow::new().await;
    let server = slow.server(&["--max-running-jobs", "2"]);
    let status = server.kick_off(ASK);
    let (pages, last) = pages(&server, &status).await;
    let unseen = server.kick_off("/$export?allowPartialManifests=true&_type=Observation");
    let base = server.base.clone();
    let server = slow.serve(server.kill(), &["--max-running-jobs", "2"]);
    let moved = |url: &str| url.replace(&base, &server.base);
    let failed = server.ended(&moved(&last), &[]);
    assert_eq!((failed.status, failed.issue().as_str()), (500, "processing"));
    for (url, page) in &pages {
        let again = server.get(&moved(url));
        // The kick-off was where the server was then.
        assert_eq!((again.status, moved(&again.text())), (202, moved(&page.text())));
        assert!(!ids(&server, &again.json()).is_empty());
    }
    slow.release().await;
    let rest = rest(&server, &moved(&unseen)).await;
    let end = rest.last().expect("a last page");
    assert_eq!(end.status, 200, "{}", end.text());
}
