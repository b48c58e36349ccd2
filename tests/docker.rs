//! The container files, without a container: the seed, the server with the variables of the compose file, and its health
//! check run as plain processes; the rest is read.
#![expect(clippy::unwrap_used, reason = "a test ends where the files cannot be read")]

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use smelt::config::table;

use crate::rust_text::root;
use crate::support::database::{Database, cluster};
use crate::support::server::Server;

fn text(name: &str) -> String {
    fs::read_to_string(root().join("docker").join(name)).unwrap()
}

/// `NAME: value` lines of the compose file whose names are settings.
fn variables() -> Vec<(String, String)> {
    let compose = text("compose.yaml");
    let pairs = compose.lines().filter_map(|line| line.trim().split_once(": "));
    pairs
        .filter(|(name, _)| name.starts_with("SMELT_"))
        .map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()))
        .collect()
}

#[test]
fn the_image_is_plain_and_without_rights() {
    let file = text("Dockerfile");
    let lines: Vec<&str> = file.lines().map(str::trim).filter(|line| !line.starts_with('#')).collect();
    let images: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("FROM ")).collect();
    assert_eq!(images.len(), 2);
    assert!(images.iter().all(|image| image.contains(':') && !image.contains(":latest")), "{images:?}");
    let after = lines.iter().skip_while(|line| !line.starts_with(&format!("FROM {}", images[1])));
    let last: Vec<&&str> = after.collect();
    assert!(last.iter().any(|line| **line == "USER 65532:65532"));
    assert!(!last.iter().any(|line| line.starts_with("RUN ") || line.starts_with("ADD ")), "there is no shell");
    for word in ["ENTRYPOINT", "CMD", "HEALTHCHECK"] {
        let line = last.iter().find(|line| line.starts_with(word)).unwrap();
        assert!(line.contains("[\"") && line.ends_with(']'), "{line}");
    }
    // The toolchain is the project's.
    let channel = fs::read_to_string(root().join("rust-toolchain.toml")).unwrap();
    let version = images[0].strip_prefix("rust:").unwrap().split('-').next().unwrap();
    assert!(channel.contains(&format!("\"{version}")), "{version}");
    // Every variable is a setting, and every file that is copied exists.
    let known: BTreeSet<&str> = table::all().map(|setting| setting.env).collect();
    let set = file.split_whitespace().filter_map(|word| word.split_once('=')).map(|(name, _)| name.to_owned());
    let names: Vec<String> = set.chain(variables().into_iter().map(|(name, _)| name)).collect();
    for name in names.iter().filter(|name| name.starts_with("SMELT_")) {
        assert!(known.contains(name.as_str()), "{name}");
    }
    for path in text("Dockerfile.dockerignore").lines().filter_map(|line| line.strip_prefix('!')) {
        assert!(root().join(path).exists(), "{path}");
    }
}

#[tokio::test]
async fn seed_server_and_health_check_work_as_plain_processes() {
    let database = Database::with_options("").await;
    let cluster = cluster();
    // Roles are shared by the whole cluster.
    let role = format!("reader_{}", database.name);
    let seed = text("seed.sh").replace("smelt_reader", &role);
    let done = Command::new("sh")
        .args(["-c", &seed])
        .env("PGHOST", &cluster.dir)
        .env("PGPORT", cluster.port.to_string())
        .env("POSTGRES_USER", "postgres")
        .env("POSTGRES_DB", &database.name)
        .env("READER_PASSWORD", "it's \"one\"")
        .env("SEED_DIRECTORY", root().join("sql/demo"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));

    let variables = variables();
    let value = |name: &str| variables.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
    let dsn = format!("host={} port={} user={role} dbname={}", cluster.dir.display(), cluster.port, database.name);
    let mut args = vec!["--listen".to_owned(), "0.0.0.0:0".to_owned()];
    for (name, flag) in
        [("SMELT_BASE_URL", "--base-url"), ("SMELT_AUTH", "--auth"), ("SMELT_OPEN_TO_NETWORK", "--open-to-network")]
    {
        args.extend([flag.to_owned(), value(name).unwrap().to_owned()]);
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let server = Server::start(&["--database", &dsn], &args, tempfile::tempdir().unwrap());
    let port = server.authority().rsplit(':').next().unwrap().to_owned();
    let ready = |listen: &str| {
        Command::new(env!("CARGO_BIN_EXE_smelt")).env_clear().args(["ready", "--listen", listen]).output().unwrap()
    };
    let healthy = ready(&format!("0.0.0.0:{port}"));
    assert_eq!(
        (healthy.status.code(), healthy.stdout.len()),
        (Some(0), 0),
        "{}",
        String::from_utf8_lossy(&healthy.stderr)
    );
    let answer = server.raw("GET", "/fhir/$export?_type=Patient", &[], &[]);
    let location = answer.accepted();
    let path = location.strip_prefix("http://localhost:8080").unwrap();
    let manifest = loop {
        let answer = server.raw("GET", path, &[], &[]);
        if answer.status != 202 {
            break answer.json();
        }
    };
    assert_eq!(manifest["output"][0]["count"], 295);
    drop(server);
    assert_eq!(ready(&format!("127.0.0.1:{port}")).status.code(), Some(6));
    let sql = format!("drop owned by {role}; drop role {role}");
    database.client().await.batch_execute(&sql).await.unwrap();
}
