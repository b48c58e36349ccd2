//! Metadata, the page, health, metrics, the audit trail, TLS, browsers.

use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::{Server, demo, url};
use crate::packs::store;
use crate::support::database::cluster;
use crate::support::eventually;
use crate::support::judge::Judge;
use crate::support::server::Answer;

// C-01 C-02 C-03 C-04 C-09 T-10 T-11 T-32
#[tokio::test]
async fn metadata_lists_what_can_be_exported() {
    let server = demo(&[]).await;
    let answer = server.get("/metadata");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/fhir+json")));
    let json = answer.json();
    assert_eq!(json["implementation"]["url"], server.base);
    let rest = &json["rest"][0];
    let resources = rest["resource"].as_array().unwrap();
    let exported = server.manifest(&server.kick_off("/$export"));
    for name in super::types(&exported) {
        assert!(resources.iter().any(|one| one["type"] == name), "{name}");
    }
    assert_eq!(rest["operation"][0]["name"], "export");
    for operation in rest["operation"].as_array().unwrap() {
        let own = operation["documentation"].as_str().unwrap();
        assert_eq!(server.get(own).json()["resourceType"], "OperationDefinition", "{own}");
    }
    assert_eq!(server.get("/OperationDefinition/nope").status, 404);
    assert_eq!(server.get_with("/metadata", &[("Accept", "application/fhir+xml")]).status, 406);
    assert_eq!(server.get("/.well-known/smart-configuration").status, 404, "nobody is asked for a token");
}

// C-01 O-01 G-01 G-02 X-06: what the server says itself is FHIR, too.
#[tokio::test]
async fn every_answer_is_a_sound_resource() {
    let server = demo(&["--polls-per-minute", "10"]).await;
    let mut judge = Judge::default();
    let mut look = |url: &str| {
        let answer = server.get(url);
        assert_eq!(answer.header("content-type"), Some("application/fhir+json"), "{url}");
        judge.resource(url, &answer.json());
        answer.json()
    };
    look("/metadata");
    for name in ["export", "patient-export", "group-export", "export-v4", "patient-export-v4", "group-export-v4"] {
        look(&format!("/OperationDefinition/{name}"));
    }
    look("/Group");
    look("/Group?_count=1");
    look("/Group?_id=nope");
    look("/Group/diabetes");
    for wrong in [
        "/nope",
        "/Group/nope",
        "/Group?x=1",
        "/$export?_type=Nope&_foo=1&_elements=nope",
        "/bulk-status/x",
        "/$export-v4",
    ] {
        look(wrong);
    }
    // G-10: what a client has made is as sound, and so is what tells it.
    let group = br#"{"resourceType":"Group","type":"person","actual":false,"name":"x","modifierExtension":[{
        "url":"http://hl7.org/fhir/uv/bulkdata/StructureDefinition/member-filter","valueExpression":
        {"language":"application/x-fhir-query","expression":"Patient?gender=female"}}]}"#;
    let headers = [("Content-Type", "application/fhir+json"), ("Prefer", "respond-async")];
    let bundle = look(&server.send("POST", "/Group", &headers, group).accepted());
    look(bundle["entry"][0]["response"]["location"].as_str().unwrap());
    look("/Group?name=x");
    let lenient = [("Prefer", "handling=lenient")];
    let manifest =
        server.manifest(&server.get_with("/Patient/$export?_foo=1&_type=Patient,Practitioner", &lenient).accepted());
    let messages = server.get(manifest["error"][0]["url"].as_str().unwrap()).text();
    for line in messages.lines().map(|line| serde_json::from_str(line).unwrap()).chain(server.audit()) {
        judge.resource(line["resourceType"].as_str().unwrap(), &line);
    }
    assert!(judge.wrong.is_empty(), "{:#?}", judge.wrong);
}

// C-05 K-56 K-63 T-25: what is advertised works.
#[tokio::test]
async fn filters_that_are_listed_work() {
    let server = demo(&[]).await;
    let metadata = server.get("/metadata").json();
    let patient = metadata["rest"][0]["resource"].as_array().unwrap().iter().find(|one| one["type"] == "Patient");
    let listed = patient.unwrap()["searchParam"].as_array().unwrap();
    assert!(listed.iter().any(|one| one["name"] == "gender"), "{listed:?}");
    let filtered = |value: &str| {
        let manifest = server
            .manifest(&server.kick_off(&format!("/$export?_type=Patient&_typeFilter=Patient%3Fgender%3D{value}")));
        super::count(&manifest, "Patient")
    };
    let (women, men) = (filtered("female"), filtered("male"));
    assert!(women > 0 && men > 0 && women + men == 295, "{women} {men}");
    assert_eq!(filtered("female%252Cmale"), 295);
    assert_eq!(server.get("/$export?_type=Patient&_typeFilter=Patient%3Fnothing%3D2000").status, 400);
}

// G-01 G-02
#[tokio::test]
async fn groups_are_found_and_read() {
    let server = demo(&[]).await;
    let all = server.get("/Group").json();
    assert_eq!((&all["type"], &all["resourceType"]), (&"searchset".into(), &"Bundle".into()));
    assert!(all["total"].as_u64().unwrap() > 2);
    let one = server.get("/Group?identifier=diabetes").json();
    assert_eq!(one["total"], 1);
    let found = &one["entry"][0];
    assert_eq!(found["resource"]["member"], serde_json::Value::Null, "members come with a read");
    let read = server.get(found["fullUrl"].as_str().unwrap()).json();
    assert_eq!(read["id"], "diabetes");
    assert_eq!(read["member"].as_array().unwrap().len() as u64, read["quantity"].as_u64().unwrap());
    let missing = server.get("/Group/nope");
    assert_eq!((missing.status, missing.issue().as_str()), (404, "not-found"));
    assert_eq!(server.get("/Group?_sort=name").status, 400);
}

#[tokio::test]
async fn a_page_for_people() {
    let server = demo(&["--contact", "Ada <ada@example.org>"]).await;
    let page = server.raw("GET", "/", &[], &[]);
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    let text = page.text();
    for part in [server.base.as_str(), "Observation", "Group/ID/$export", "Ada &lt;ada@example.org&gt;", "asks nobody"]
    {
        assert!(text.contains(part), "{part}\n{text}");
    }
    for outside in ["<script", "src=", "@import", "url(", "<link"] {
        assert!(!text.contains(outside), "{outside}");
    }
}

#[tokio::test]
async fn health_and_metrics() {
    let server = demo(&["--metrics-listen", "127.0.0.1:0"]).await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(server.raw("GET", path, &[], &[]).text(), "ok\n");
    }
    assert_eq!(server.raw("GET", "/metrics", &[], &[]).status, 404, "it has an address of its own");
    let server = demo(&[]).await;
    let status = server.kick_off("/$export?_type=Patient");
    let manifest = server.manifest(&status);
    let bytes = server.get(&url(&manifest, "Patient")).body.len();
    let text = server.raw("GET", "/metrics", &[], &[]).text();
    for line in [
        "smelt_export_steps_total{step=\"completed\"} 1".to_owned(),
        "smelt_exports{state=\"ended\"} 1".to_owned(),
        "smelt_resources_total 295".to_owned(),
        format!("smelt_file_bytes_total {bytes}"),
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(!text.contains("anonymous"), "no client is a label");
}

// X-06 A-31
#[tokio::test]
async fn the_audit_trail_tells_who_did_what_and_no_more() {
    let server = demo(&["--trusted-proxies", "127.0.0.0/8"]).await;
    let manifest = server.manifest(&server.kick_off("/$export?_type=Patient"));
    let patients = server.get(&url(&manifest, "Patient")).text();
    let first: serde_json::Value = serde_json::from_str(patients.lines().next().unwrap()).unwrap();
    let id = first["id"].as_str().unwrap().to_owned();
    let body = format!(
        "{{\"resourceType\":\"Parameters\",\"parameter\":[{{\"name\":\"patient\",\"valueString\":\"Patient/{id}\"}}]}}"
    );
    let headers = [("Content-Type", "application/fhir+json"), ("X-Forwarded-For", "198.51.100.7")];
    let status = server.send("POST", "/Group/hypertension/$export", &headers, body.as_bytes());
    let status = if status.status == 202 {
        status.accepted()
    } else {
        // Not a member: any patient does.
        server.send("POST", "/Patient/$export", &headers, body.as_bytes()).accepted()
    };
    let manifest = server.manifest(&status);
    let file = url(&manifest, "Patient");
    assert_eq!(server.get(&file).text().lines().count(), 1);
    assert_eq!(server.delete(&status).status, 202);
    let job = status.rsplit('/').next().unwrap();
    let trail: Vec<_> =
        server.audit().into_iter().filter(|line| line["entity"][0]["what"]["identifier"]["value"] == job).collect();
    let deeds = trail.iter().map(|line| line["subtype"][1]["code"].as_str().unwrap());
    // Whether its end or the poll that waited for it is told first is up to them.
    let deeds: Vec<&str> = deeds.filter(|deed| *deed != "completed").collect();
    assert_eq!(deeds, ["kick-off", "manifest", "file", "delete"]);
    let kick_off = &trail[0];
    assert_eq!(kick_off["agent"][0]["network"]["address"], "198.51.100.7");
    let detail = |name: &str| {
        let details = kick_off["entity"][0]["detail"].as_array().unwrap();
        details.iter().find(|one| one["type"] == name).map(|one| one["valueString"].as_str().unwrap().to_owned())
    };
    assert_eq!(detail("patients").as_deref(), Some("1"));
    assert!(trail.iter().all(|line| line["resourceType"] == "AuditEvent" && line["recorded"].is_string()));
    // No id and no name of a person is in any record of the server.
    let name = first["name"][0]["family"].as_str().unwrap();
    let records = [server.log(), server.audit().iter().map(ToString::to_string).collect()];
    for text in records {
        assert!(!text.contains(&id) && !text.contains(name), "{text}");
    }
}

// A-32 K-26
#[tokio::test]
async fn browsers_of_known_origins_may_call() {
    let server = demo(&["--cors-origins", "https://app.example.org"]).await;
    let preflight = |url: &str, origin: &str| {
        let headers = [
            ("Origin", origin),
            ("Access-Control-Request-Method", "GET"),
            ("Access-Control-Request-Headers", "authorization, prefer"),
        ];
        server.send("OPTIONS", url, &headers, &[]).header("access-control-allow-origin").map(str::to_owned)
    };
    let known = Some("https://app.example.org".to_owned());
    assert_eq!(preflight("/$export", "https://app.example.org"), known);
    assert_eq!(preflight("/$export", "https://evil.example"), None);
    assert!(preflight("/metadata", "https://anybody.example").is_some());
    let answer = server.get_with("/$export?_type=Patient", &[("Origin", "https://app.example.org")]);
    let exposed = answer.header("access-control-expose-headers").unwrap().to_ascii_lowercase();
    for name in ["content-location", "retry-after", "x-progress", "x-export-status", "etag"] {
        assert!(exposed.contains(name), "{exposed}");
    }
    assert_eq!(server.send("OPTIONS", "/$export", &[], &[]).header("allow"), Some("GET, POST, OPTIONS"));
}

/// Asks over TLS, trusting one authority; the error of the handshake where there is one.
fn over_tls(
    server: &Server,
    authority: &str,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> Result<Answer, String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let port = server.authority().rsplit(':').next().unwrap().to_owned();
    let mut stream = StreamOwned::new(connection, TcpStream::connect(format!("127.0.0.1:{port}")).unwrap());
    let request = "GET /fhir/metadata HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    std::io::Write::write_all(&mut stream, request.as_bytes()).map_err(|error| error.to_string())?;
    Ok(Answer::read(&mut stream, false))
}

// X-01 A-30
#[tokio::test]
async fn tls_with_a_certificate_that_changes() {
    let home = tempfile::tempdir().unwrap();
    let (chain, key) = (home.path().join("chain.pem"), home.path().join("key.pem"));
    let copy = |from: &str, to: &std::path::Path| {
        std::fs::copy(cluster().file(from), to).unwrap();
    };
    copy("server.crt", &chain);
    copy("server.key", &key);
    let tls = ["--tls-cert", chain.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    let server = Server::open(store::demo().await.dsn(), &tls);
    assert!(server.base.starts_with("https://"), "{}", server.base);
    let (ours, stranger) = (cluster().file("authority.crt"), cluster().file("stranger.crt"));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let answer = over_tls(&server, &ours, &[version]).unwrap();
        assert_eq!(answer.json()["implementation"]["url"], server.base);
        assert_eq!(answer.header("strict-transport-security"), Some("max-age=31536000"));
    }
    over_tls(&server, &stranger, rustls::ALL_VERSIONS).unwrap_err();

    // A broken file leaves what is in force; a good one takes its place.
    std::fs::write(&chain, "nonsense").unwrap();
    server.signal("-HUP");
    eventually("it is told", || async { server.log().contains("the old certificate stays in force") }).await;
    over_tls(&server, &ours, rustls::ALL_VERSIONS).unwrap();
    copy("stranger.crt", &chain);
    copy("stranger.key", &key);
    server.signal("-HUP");
    eventually("the new one is shown", || async { over_tls(&server, &ours, rustls::ALL_VERSIONS).is_err() }).await;
}

// A-01 A-30 X-01
#[tokio::test]
async fn settings_that_do_not_fit_are_told_before_anything_happens() {
    let dsn = store::demo().await.dsn();
    let run = |args: &[&str]| {
        let home = tempfile::tempdir().unwrap();
        let done = std::process::Command::new(env!("CARGO_BIN_EXE_smelt"))
            .current_dir(home.path())
            .env_clear()
            .args(args)
            .args(["--database", dsn, "--mappings"])
            .arg(crate::rust_text::root().join("mappings/synthea"))
            .output()
            .unwrap();
        let left = std::fs::read_dir(home.path()).unwrap().count();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (done.status.code(), text(done.stdout), text(done.stderr), left)
    };
    for (args, told) in [
        (&[][..], "`clients` is needed for `auth: smart`"),
        (&["--clients", "nowhere.yaml"], "failed to read nowhere.yaml"),
        (&["--auth", "external"], "`issuer` is needed for `auth: external`"),
        (&["--auth", "none", "--issuer", "https://id.example.org"], "`issuer` is about another authorization server"),
        (&["--clients", "nowhere.yaml", "--audience", "x"], "`audience` is about another authorization server"),
        (&["--auth", "none", "--clients", "nowhere.yaml"], "what `clients` says of them would have no effect"),
        (&["--auth", "none", "--listen", "0.0.0.0:0"], "would open every record"),
        (&["--auth", "none", "--base-url", "http://ehr.example.org/fhir"], "plain http"),
        (&["--auth", "none", "--tls-cert", "x.pem"], "`tls-key` is needed with `tls-cert`"),
        (&["--auth", "none", "--tls-cert", "x.pem", "--tls-key", "y.pem"], "failed to read a certificate from x.pem"),
        (&["--auth", "none", "--listen", "192.0.2.1:80", "--open-to-network", "true"], "192.0.2.1:80"),
    ] {
        for command in [&["serve"][..], &["config", "check"]] {
            // Whether an address can be had is known to who takes it.
            if command.len() == 2 && told.starts_with("192") {
                continue;
            }
            let (code, _, err, left) = run(&[command, args].concat());
            assert_eq!(code, Some(2), "{command:?} {args:?}: {err}");
            assert!(err.contains(told), "{command:?} {args:?}: {err}");
            assert_eq!(left, 0, "{args:?}");
        }
    }
    let (code, out, err, left) = run(&["config", "check", "--auth", "none", "--job-ttl", "2h"]);
    assert_eq!((code, left), (Some(0), 0), "{err}");
    assert!(out.contains("job-ttl") && out.contains("2h  (--job-ttl)") && out.contains("(not shown)"), "{out}");
    assert!(out.contains("pack synthea"), "{out}");
}
