//! Requests that mean no good: whatever comes, there is one answer, and the next request is served.

use std::io::{Read as _, Write as _};

use super::{Server, demo};

/// Sends bytes and reads until the server closes the connection.
fn converse(server: &Server, bytes: &[u8]) -> String {
    let mut stream = server.connect();
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn requests_that_could_be_read_in_two_ways() {
    let server = demo(&[]).await;
    let path = format!("{}/$export", server.prefix());
    let hidden = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    for headers in [
        format!("Content-Length: 0\r\nContent-Length: {}\r\n\r\n{hidden}", hidden.len()),
        format!("Content-Length: 0, {}\r\n\r\n{hidden}", hidden.len()),
        format!("Content-Length: +{}\r\n\r\n{hidden}", hidden.len()),
        format!("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("Transfer-Encoding: identity, chunked, identity\r\n\r\n0\r\n\r\n{hidden}"),
        format!("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n{hidden}"),
        format!("X: a\r\n Content-Length: {}\r\n\r\n{hidden}", hidden.len()),
    ] {
        let sent = format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}");
        let answer = converse(&server, sent.as_bytes());
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{sent:?}\n{answer}");
        assert!(!answer.contains("smelt_http_requests"), "{sent:?}\n{answer}");
    }
    assert_eq!(server.get("/metadata").status, 200);
}

// X-04 X-08
#[tokio::test]
async fn no_sign_of_a_request_becomes_a_header_or_a_path() {
    let server = demo(&["--max-running-per-client", "1000"]).await;
    for target in [
        "/fhir/$export?_type=Patient%0d%0aX-Evil:%201",
        "/fhir/Group/a%0d%0aX-Evil:%201/$export",
        "/fhir/bulk-files/..%2f..%2fstate.redb/x",
        "/fhir/bulk-files/AAAAAAAAAAAAAAAAAAAAAA/..%2f..%2f..%2fstate%2fstate.redb",
        "/fhir/../state.redb",
        "/fhir/./metadata/../../etc/passwd",
        "/fhir/bulk-files/AAAAAAAAAAAAAAAAAAAAAA/%252e%252e/x",
        "/fhir//metadata",
    ] {
        let answer = server.raw("GET", target, &[], &[]);
        assert!((400..500).contains(&answer.status), "{target}: {}", answer.status);
        assert_eq!(answer.header("x-evil"), None);
        answer.issue();
    }
    for text in ["'; drop table patients; --", "1) or (1=1", "${jndi:ldap://x}", "<script>", "\u{0}"] {
        let encoded = text.bytes().fold(String::new(), |encoded, byte| encoded + &format!("%{byte:02X}"));
        for url in [
            format!("/$export?_type={encoded}"),
            format!("/$export?_since={encoded}"),
            format!("/Group/{encoded}/$export"),
            format!("/Patient/$export?_typeFilter=Patient%3Fgender%3D{encoded}"),
            format!("/Group?name={encoded}"),
            format!("/{encoded}"),
        ] {
            let answer = server.get(&url);
            assert!(answer.status < 500, "{url}: {}", answer.text());
            assert!(!answer.text().contains("SQL"), "{url}: {}", answer.text());
        }
    }
    assert_eq!(server.manifest(&server.kick_off("/$export?_type=Patient"))["output"][0]["count"], 295);
}

// K-13 X-04
#[tokio::test]
async fn deep_and_long_things() {
    let server = demo(&[]).await;
    let json = [("Content-Type", "application/fhir+json")];
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let nested = format!("{{\"resourceType\":\"Parameters\",\"parameter\":{deep}}}");
    let wide = format!("/$export?_type={}", vec!["Patient"; 3_000].join(","));
    for answer in [
        server.send("POST", "/$export", &json, deep.as_bytes()),
        server.send("POST", "/$export", &json, nested.as_bytes()),
        server.send("POST", "/$export", &json, &[0xff; 100]),
    ] {
        assert_eq!(answer.status, 400);
        answer.issue();
    }
    assert_eq!(server.get(&wide).status, 202);
    // Heads beyond every limit get an answer of their own or none, and the connection ends.
    let long = format!("GET /fhir/metadata HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "y".repeat(200_000));
    let answer = converse(&server, long.as_bytes());
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    let many = format!("GET /fhir/metadata HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(2_000));
    let answer = converse(&server, many.as_bytes());
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    for nonsense in
        ["\r\n\r\n", "GET\r\n\r\n", "\u{16}\u{3}\u{1}", "GET / HTTP/9.9\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    {
        let answer = converse(&server, nonsense.as_bytes());
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{nonsense:?}: {answer}");
    }
    assert_eq!(server.get("/metadata").status, 200);
    assert!(!server.log().contains("panicked"), "{}", server.log());
}
