//! Files: forms, ranges, conditions, and clients that take their time.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;

use super::{count, demo, url};

/// A settings file that says how files are stored.
fn config_of(codec: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("smelt.yaml"), format!("compression: {codec}\n")).unwrap();
    home
}

// F-01 F-02 F-06 F-12 M-09 M-17 T-26 T-40 X-10
#[tokio::test]
async fn as_stored_or_unpacked_on_the_way() {
    for (stored, suffix) in [("gzip", ".gz"), ("zstd", ".zst"), ("none", "")] {
        let home = config_of(stored);
        let server = demo(&["--config", home.path().join("smelt.yaml").to_str().unwrap()]).await;
        let manifest = server.manifest(&server.kick_off("/$export?_type=Patient"));
        let file = url(&manifest, "Patient");
        assert!(file.ends_with("/Patient.0001.ndjson"), "{file}");
        let plain = server.get(&file);
        assert_eq!((plain.status, plain.header("content-encoding")), (200, None), "never packed unasked");
        assert_eq!(plain.header("content-type"), Some("application/fhir+ndjson"));
        assert_eq!(plain.header("content-disposition"), Some("attachment; filename=\"Patient.0001.ndjson\""));
        assert_eq!(plain.header("cache-control"), Some("private, no-store"));
        assert!(plain.header("vary").is_some_and(|vary| vary.contains("Accept-Encoding")));
        assert_eq!(Some(plain.body.len() as u64), manifest["output"][0]["fileSize"].as_u64());
        let text = plain.text();
        assert!(text.ends_with("}\n") && text.lines().all(|line| line.starts_with("{\"resourceType\":\"Patient\"")));
        assert_eq!(text.lines().count() as u64, count(&manifest, "Patient"));

        for (accepted, coding) in [
            ("gzip, deflate, br, identity", "gzip"),
            ("zstd, gzip;q=0.5", "zstd"),
            ("*", ""),
            ("gzip;q=0, zstd;q=0", ""),
            ("br", ""),
        ] {
            let packed = server.get_with(&file, &[("Accept-Encoding", accepted)]);
            let coding = if coding == stored { coding } else { "" };
            // What is not stored that way is not packed for it.
            if !(accepted.starts_with("zstd") && stored == "gzip") {
                assert_eq!(packed.header("content-encoding").unwrap_or_default(), coding, "{stored}: {accepted}");
            }
            let body = match packed.header("content-encoding") {
                Some("gzip") => {
                    let mut text = Vec::new();
                    GzDecoder::new(&packed.body[..]).read_to_end(&mut text).unwrap();
                    text
                }
                Some("zstd") => zstd::decode_all(&packed.body[..]).unwrap(),
                _ => packed.body.clone(),
            };
            assert!(body == plain.body, "{stored}: {accepted}");
            let same = packed.header("content-encoding").is_none();
            assert_eq!(packed.header("etag") == plain.header("etag"), same, "a form has a tag of its own");
        }
        assert_eq!(server.get(&format!("{file}{suffix}")).status, if suffix.is_empty() { 200 } else { 404 });
    }
}

// F-10 F-12 K-26 T-21 X-04
#[tokio::test]
async fn ranges_and_conditions() {
    let server = demo(&[]).await;
    let manifest = server.manifest(&server.kick_off("/$export?_type=Patient"));
    let file = url(&manifest, "Patient");
    let whole = server.get(&file);
    let (tag, modified) = (whole.header("etag").unwrap(), whole.header("last-modified").unwrap());
    let size = whole.body.len();
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));

    let half = format!("bytes={}-", size / 2);
    let part = server.get_with(&file, &[("Range", &half)]);
    assert_eq!((part.status, part.body.as_slice()), (206, &whole.body[size / 2..]));
    let range = format!("bytes {}-{}/{size}", size / 2, size - 1);
    assert_eq!(part.header("content-range"), Some(range.as_str()));
    let last = server.get_with(&file, &[("Range", "bytes=-7")]);
    assert_eq!((last.status, last.body.as_slice()), (206, &whole.body[size - 7..]));
    assert_eq!(server.get_with(&file, &[("Range", "bytes=0-1,4-5")]).status, 200);
    let outside = server.get_with(&file, &[("Range", &format!("bytes={size}-"))]);
    assert_eq!((outside.status, outside.header("content-range")), (416, Some(format!("bytes */{size}").as_str())));
    outside.issue();

    // A range of the packed form is one of the packed bytes.
    let packed = server.get_with(&file, &[("Accept-Encoding", "gzip")]);
    let part = server.get_with(&file, &[("Accept-Encoding", "gzip"), ("Range", "bytes=10-19")]);
    assert_eq!((part.status, part.body.as_slice()), (206, &packed.body[10..20]));

    for (name, value, status) in [
        ("If-None-Match", tag, 304),
        ("If-None-Match", "\"other\"", 200),
        ("If-Modified-Since", modified, 304),
        ("If-Match", tag, 200),
        ("If-Match", "\"other\"", 412),
    ] {
        assert_eq!(server.get_with(&file, &[(name, value)]).status, status, "{name}: {value}");
    }
    let resumed = server.get_with(&file, &[("Range", "bytes=5-"), ("If-Range", tag)]);
    let changed = server.get_with(&file, &[("Range", "bytes=5-"), ("If-Range", "\"other\"")]);
    assert_eq!((resumed.status, changed.status), (206, 200));

    let head = server.send("HEAD", &file, &[], &[]);
    assert_eq!((head.status, head.header("content-length")), (200, Some(size.to_string().as_str())));
    let directory = file.rsplit_once('/').unwrap().0;
    for name in
        ["nothing.ndjson", "..", ".smelt-export", "manifest.json", "report.json", "%2e%2e%2f", "Patient.0001.ndjson%00"]
    {
        let answer = server.get(&format!("{directory}/{name}"));
        assert_eq!((answer.status, answer.issue().as_str()), (404, "not-found"), "{name}");
    }
}

/// Resident bytes of a process.
fn resident(server: &super::Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

// F-11 D-03
#[tokio::test]
async fn slow_readers_hold_little_and_keep_what_they_read() {
    let server = demo(&[]).await;
    let status = server.kick_off("/$export?_type=Observation");
    let manifest = server.manifest(&status);
    let file = url(&manifest, "Observation");
    let size = manifest["output"][0]["fileSize"].as_u64().unwrap();
    assert!(size > 30_000_000, "{size}");
    let path = file.strip_prefix(&format!("http://{}", server.authority())).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let before = resident(&server);
    let mut readers: Vec<_> = (0..40)
        .map(|_| {
            let mut stream = server.connect();
            stream.write_all(request.as_bytes()).unwrap();
            let mut start = [0; 1000];
            stream.read_exact(&mut start).unwrap();
            stream
        })
        .collect();
    // The job goes away; what is being read stays readable.
    assert_eq!(server.delete(&status).status, 202);
    assert_eq!(server.get(&file).status, 404);
    for stream in &mut readers {
        let mut some = [0; 1000];
        stream.read_exact(&mut some).unwrap();
    }
    let grown = resident(&server).saturating_sub(before);
    assert!(grown < 40 * 1_000_000, "{grown} bytes for 40 readers of {size}");
    let mut rest = Vec::new();
    readers.swap_remove(0).read_to_end(&mut rest).unwrap();
    assert!(rest.len() as u64 > size - 5000 && rest.ends_with(b"}\n"));
}

// R-02: a client that sends nothing is not waited for.
#[tokio::test]
async fn heads_that_do_not_come() {
    let server = demo(&[]).await;
    let mut stream = server.connect();
    stream.write_all(b"GET /fhir/meta").unwrap();
    let began = Instant::now();
    let mut answer = Vec::new();
    // An answer 408 or a closed connection: either way it ends.
    let _ = stream.read_to_end(&mut answer);
    assert!(began.elapsed() < Duration::from_secs(30), "{}", String::from_utf8_lossy(&answer));
}
