//! Groups that clients make belong to them, and need scopes.

use serde_json::{Value, json};

use super::{Client, serve_pack};
use crate::support::known::Known;

const GROUP: &str = r#"{"resourceType":"Group","type":"person","actual":true,"name":"Mine","member":[{"entity":{"reference":"Patient/a"}}]}"#;
const RULE: &str = "withhold: [\"*?_security=http://terminology.hl7.org/CodeSystem/v3-Confidentiality|R\"]";

/// A Group of those whom a search finds.
fn found(search: &str) -> String {
    let expression = json!({"language": "application/x-fhir-query", "expression": search});
    let url = "http://hl7.org/fhir/uv/bulkdata/StructureDefinition/member-filter";
    json!({"resourceType": "Group", "type": "person", "actual": false, "name": "Found",
           "modifierExtension": [{"url": url, "valueExpression": expression}]})
    .to_string()
}

// G-01 G-16 K-17 X-03 A-20: of its client alone, and by the letters of its token.
#[tokio::test]
async fn a_group_belongs_to_the_client_that_made_it() {
    let known = Known::new(&[]).await;
    let (lab, other, few) = (Client::new("lab"), Client::new("other"), Client::new("few"));
    let all = "scopes: [system/*.rs, system/Group.cruds]\ngroups: all";
    let some = "scopes: [system/*.rs, system/Group.cruds]\ngroups: [g, mine]";
    let entries = [lab.entry(all), other.entry(all), few.entry(some)];
    let (server, _settings) = serve_pack(&known.database, &known.mappings(), &entries, tempfile::tempdir().unwrap());
    let scope = "system/*.rs system/Group.cruds";
    let [lab_token, other_token, few_token] = [&lab, &other, &few].map(|client| client.token(&server, scope));
    let send = |method: &str, url: &str, token: &str, body: &str| {
        let headers = [("Authorization", token), ("Content-Type", "application/fhir+json")];
        server.send(method, url, &headers, body.as_bytes())
    };
    assert_eq!(send("PUT", "/Group/mine", &lab_token, GROUP).status, 201);
    for (method, url, body) in
        [("GET", "/Group/mine", ""), ("GET", "/Group/mine/$export", ""), ("DELETE", "/Group/mine", "")]
    {
        for (token, status) in [(&other_token, 404), (&few_token, if method == "DELETE" { 403 } else { 404 })] {
            let answer = send(method, url, token, body);
            assert_eq!(answer.status, status, "{method} {url}: {}", answer.text());
        }
    }
    let total = |token: &str| send("GET", "/Group?name=mine", token, "").json()["total"].clone();
    assert_eq!([&lab_token, &other_token, &few_token].map(|token| total(token)), [json!(1), json!(0), json!(0)]);
    // A client of some Groups would reach everybody by one of its own.
    let refused = send("POST", "/Group", &few_token, GROUP);
    assert_eq!((refused.status, refused.issue().as_str()), (403, "forbidden"));
    // Another client may use the id as well.
    assert_eq!(send("PUT", "/Group/mine", &other_token, GROUP).status, 201);
    assert_eq!(send("DELETE", "/Group/mine", &other_token, "").status, 204);
    assert_eq!(send("GET", "/Group/mine", &lab_token, "").status, 200);

    for (scope, allowed) in [
        ("system/*.rs", [false, false, false, true]),
        ("system/Group.cr", [true, false, false, true]),
        ("system/Group.u", [false, true, false, false]),
        ("system/Group.d", [false, false, true, false]),
        ("system/Group.write", [true, true, true, false]),
    ] {
        let token = lab.token(&server, scope);
        let answers = [
            send("POST", "/Group", &token, GROUP),
            send("PUT", "/Group/mine", &token, GROUP),
            send("DELETE", "/Group/nobody", &token, ""),
            send("GET", "/Group/mine", &token, ""),
        ];
        for (answer, allowed) in answers.iter().zip(allowed) {
            assert_eq!(answer.status != 403, allowed, "{scope}: {}", answer.text());
            assert!(
                allowed || answer.header("www-authenticate").is_some_and(|told| told.contains("insufficient_scope"))
            );
        }
    }
    let created = lab.token(&server, "system/Group.u");
    assert_eq!(send("PUT", "/Group/another", &created, GROUP).status, 403, "an update that makes one needs `c`");
}

// G-14 K-16 X-07 X-09: nobody is found by what the client may not see.
#[tokio::test]
async fn members_are_not_found_by_what_is_withheld() {
    let known = Known::new(&[]).await;
    let admin = known.database.client().await;
    // The only final observations of b are restricted.
    admin
        .batch_execute("delete from observations where patient = 'b' and status = 'final' and label = 'N'")
        .await
        .unwrap();
    let (lab, all) = (Client::new("lab"), Client::new("all"));
    let entry = "scopes: [system/*.rs, system/Group.cruds]\ngroups: all";
    let entries = [lab.entry(&format!("{entry}\n{RULE}")), all.entry(entry)];
    let (server, _settings) = serve_pack(&known.database, &known.mappings(), &entries, tempfile::tempdir().unwrap());
    for (client, patients) in [(&lab, 2), (&all, 3)] {
        let token = client.token(&server, "system/*.rs system/Group.cruds");
        let headers = [("Authorization", token.as_str()), ("Content-Type", "application/fhir+json")];
        let made = server.send("PUT", "/Group/found", &headers, found("Observation?status=final").as_bytes());
        assert_eq!(made.status, 201, "{}", made.text());
        let url = "/Group/found/$export?_type=Patient";
        let status = server.get_with(url, &headers[..1]).accepted();
        let manifest: Value = server.ended(&status, &headers[..1]).json();
        assert_eq!(manifest["output"][0]["count"], patients, "{}", client.id);
        // A token that may not read what is searched neither makes nor exports it.
        let narrow = client.token(&server, "system/Patient.rs system/Group.cruds");
        let headers = [("Authorization", narrow.as_str()), ("Content-Type", "application/fhir+json")];
        assert_eq!(server.get_with(url, &headers[..1]).status, 403);
        let made = server.send("PUT", "/Group/more", &headers, found("Observation?status=final").as_bytes());
        assert_eq!(made.status, 403, "{}", made.text());
    }
}
