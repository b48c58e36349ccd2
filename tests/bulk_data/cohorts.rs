//! Groups that clients make: listed members, searches, and what an export of them holds.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Server, count, demo, types};
use crate::support::eventually;
use crate::support::known::Known;
use crate::support::server::Answer;

const FHIR: (&str, &str) = ("Content-Type", "application/fhir+json");
const FILTER: &str = "http://hl7.org/fhir/uv/bulkdata/StructureDefinition/member-filter";

async fn serve() -> (Known, Server) {
    let known = Known::new(&[]).await;
    let server = start(&known, tempfile::tempdir().unwrap(), &[]);
    (known, server)
}

fn start(known: &Known, home: tempfile::TempDir, args: &[&str]) -> Server {
    let mappings = known.mappings();
    let first = ["--database", known.database.dsn(), "--auth", "none", "--mappings", mappings.to_str().unwrap()];
    Server::start(&first, args, home)
}

/// A Group of listed patients.
fn listed(name: &str, ids: &[&str]) -> Value {
    let members: Vec<Value> = ids.iter().map(|id| json!({"entity": {"reference": format!("Patient/{id}")}})).collect();
    let mut group = json!({"resourceType": "Group", "type": "person", "actual": true, "name": name});
    if !members.is_empty() {
        group["member"] = json!(members);
    }
    group
}

/// A Group of patients that searches find.
fn found(name: &str, searches: &[&str]) -> Value {
    let one = |query: &&str| json!({"url": FILTER, "valueExpression": {"language": "application/x-fhir-query", "expression": query}});
    let filters: Vec<Value> = searches.iter().map(one).collect();
    json!({"resourceType": "Group", "type": "person", "actual": false, "name": name, "modifierExtension": filters})
}

fn post(server: &Server, group: &Value) -> Answer {
    server.send("POST", "/Group", &[FHIR], group.to_string().as_bytes())
}

fn put(server: &Server, id: &str, group: &Value, more: &[(&str, &str)]) -> Answer {
    server.send("PUT", &format!("/Group/{id}"), &[&[FHIR], more].concat(), group.to_string().as_bytes())
}

/// The id of a Group that was made.
fn id(answer: &Answer) -> String {
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// Ids of the resources of a type.
fn ids(server: &Server, manifest: &Value, name: &str) -> BTreeSet<String> {
    let items = manifest["output"].as_array().unwrap().iter().filter(|item| item["type"] == name);
    let texts: Vec<String> = items.map(|item| server.get(item["url"].as_str().unwrap()).text()).collect();
    let resource = |line: &str| serde_json::from_str::<Value>(line).unwrap();
    texts.iter().flat_map(|text| text.lines()).map(|line| resource(line)["id"].as_str().unwrap().to_owned()).collect()
}

/// The patients in an export of a Group.
fn patients(server: &Server, group: &str) -> Vec<String> {
    let manifest = server.manifest(&server.kick_off(&format!("/Group/{group}/$export")));
    ids(server, &manifest, "Patient").into_iter().collect()
}

// G-01 G-02 G-16 K-19 X-07: made, read, found, exported, changed, deleted.
#[tokio::test]
async fn the_life_of_a_group_of_listed_patients() {
    let (_known, server) = serve().await;
    let made = post(&server, &listed("Trial 7", &["b", "a", "b"]));
    let id = id(&made);
    assert_eq!(made.header("location"), Some(format!("{}/Group/{id}", server.base).as_str()));
    assert_eq!(made.header("etag"), Some("W/\"1\""));
    let read = server.get(&format!("/Group/{id}"));
    assert_eq!((read.status, read.header("etag")), (200, Some("W/\"1\"")));
    let group = read.json();
    assert_eq!((&group["name"], &group["quantity"], &group["actual"]), (&json!("Trial 7"), &json!(2), &json!(true)));
    assert_eq!(group["member"][1], json!({"entity": {"reference": "Patient/b"}}));
    let bundle = server.get("/Group?name=trial").json();
    assert_eq!((&bundle["total"], &bundle["entry"][0]["resource"]["id"]), (&json!(1), &json!(id)));
    assert_eq!(server.get("/Group").json()["total"], 4, "beside those of the mapping");

    let manifest = server.manifest(&server.kick_off(&format!("/Group/{id}/$export")));
    assert_eq!((count(&manifest, "Patient"), count(&manifest, "Observation")), (2, 24));
    assert_eq!(count(&manifest, "Condition"), 6);
    // What was read can be sent again.
    let same = put(&server, &id, &group, &[("If-Match", "W/\"1\"")]);
    assert_eq!((same.status, same.header("etag")), (200, Some("W/\"2\"")), "{}", same.text());
    assert_eq!(put(&server, &id, &group, &[("If-Match", "W/\"1\"")]).status, 412);
    assert_eq!(put(&server, &id, &group, &[("If-Match", "x")]).status, 412);
    assert_eq!(put(&server, "other", &group, &[]).status, 400, "another id than the URL's");
    assert_eq!(put(&server, &id, &listed("Trial 7", &["c"]), &[]).status, 200);
    assert_eq!(patients(&server, &id), ["c"]);

    assert_eq!(server.send("DELETE", &format!("/Group/{id}"), &[("If-Match", "W/\"1\"")], &[]).status, 412);
    assert_eq!(server.delete(&format!("/Group/{id}")).status, 204);
    for (method, path) in
        [("GET", format!("/Group/{id}")), ("GET", format!("/Group/{id}/$export")), ("DELETE", format!("/Group/{id}"))]
    {
        assert_eq!(server.send(method, &path, &[], &[]).status, 404, "{method} {path}");
    }
    // which Groups, and how many; never who.
    let lines = server.audit();
    let of = |code: &str| -> Vec<&str> {
        let these = lines.iter().filter(|line| line["subtype"][1]["code"] == code);
        these.map(|line| line["outcomeDesc"].as_str().unwrap()).collect()
    };
    // What is kept elsewhere at the last moment is recorded before and after it was not done.
    assert_eq!(of("group-write"), ["201", "200", "200", "412", "412", "400", "200"]);
    assert_eq!(of("group-delete"), ["204", "412", "204", "404"]);
    let trail: String = lines.iter().map(ToString::to_string).collect();
    assert!(!trail.contains("Patient/"), "{trail}");
}

// K-19 K-50 G-11 G-13: what cannot be kept as it was sent is refused.
#[tokio::test]
async fn groups_that_cannot_be_kept_are_refused() {
    let (_known, server) = serve().await;
    let many: Vec<String> = (0..30).map(|n| format!("x{n:02}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).chain(["a"]).collect();
    let answer = post(&server, &listed("Unknown", &many));
    assert_eq!((answer.status, answer.issue().as_str()), (400, "not-found"));
    let text = answer.json()["issue"][0]["details"]["text"].as_str().unwrap().to_owned();
    assert!(text.contains("Patient/x19 and 10 more") && !text.contains("x20"), "{text}");
    for (group, status) in [
        (json!({"resourceType": "Patient"}), 400),
        (found("Sorted", &["Patient?gender=male&_sort=birthdate"]), 400),
        (found("No type", &["gender=male"]), 400),
        (found("No parameter", &["Patient"]), 400),
        (found("Unsupported", &["Patient?birthdate=2000"]), 400),
        (found("Of nobody", &["Practitioner?active=true"]), 400),
        (found("Not exported", &["Immunization?status=completed"]), 400),
    ] {
        let answer = post(&server, &group);
        assert_eq!(answer.status, status, "{group}: {}", answer.text());
        assert!(!answer.text().contains("_typeFilter"), "{}", answer.text());
    }
    // The mapping's own.
    let taken = put(&server, "g", &listed("Mine", &["a"]), &[]);
    assert_eq!((taken.status, taken.issue().as_str()), (409, "conflict"));
    assert_eq!(server.delete("/Group/g").status, 404);
    assert_eq!(server.send("PUT", "/Group/x", &[("Content-Type", "application/xml")], b"<Group/>").status, 415);
    assert_eq!(server.send("PUT", "/Group/a_b", &[FHIR], b"{}").status, 404, "no id");
    let headers = [FHIR, ("If-None-Exist", "name=x")];
    assert_eq!(server.send("POST", "/Group", &headers, listed("x", &[]).to_string().as_bytes()).status, 400);
    assert_eq!(server.get("/Group").json()["total"], 3, "none of them is kept");
    // A Group of nobody gives nothing of anybody.
    let empty = id(&post(&server, &listed("Empty", &[])));
    let manifest = server.manifest(&server.kick_off(&format!("/Group/{empty}/$export")));
    assert_eq!(manifest["output"], json!([]));
}

// K-49 K-50: `patient` within the Group, be it listed or found.
#[tokio::test]
async fn patients_of_a_group_that_a_client_has_made() {
    let (_known, server) = serve().await;
    let list = id(&post(&server, &listed("List", &["a", "b"])));
    let women = id(&post(&server, &found("Women", &["Patient?gender=female"])));
    let ask = |group: &str, patient: &str| {
        let parameters = json!({"resourceType": "Parameters", "parameter": [
            {"name": "patient", "valueReference": {"reference": format!("Patient/{patient}")}}]});
        server.send("POST", &format!("/Group/{group}/$export"), &[FHIR], parameters.to_string().as_bytes())
    };
    for (group, patient, known) in [
        (&list, "a", true),
        (&list, "c", false),
        (&list, "nobody", false),
        (&women, "c", true),
        (&women, "b", false),
        (&women, "nobody", false),
    ] {
        let answer = ask(group, patient);
        assert_eq!(answer.status, if known { 202 } else { 400 }, "{patient}: {}", answer.text());
        if known {
            let manifest = server.manifest(&answer.accepted());
            assert_eq!(ids(&server, &manifest, "Patient"), BTreeSet::from([patient.to_owned()]));
        }
    }
}

// G-16: a list of ids alone makes a Group, or takes the place of its members.
#[tokio::test]
async fn a_list_of_ids_is_a_group() {
    let (_known, server) = serve().await;
    let send = |media_type: &str, text: &str| {
        server.send("PUT", "/Group/trial-7", &[("Content-Type", media_type)], text.as_bytes())
    };
    assert_eq!(send("text/csv", "patient\na\nPatient/b\n").status, 201);
    assert_eq!(patients(&server, "trial-7"), ["a", "b"]);
    assert_eq!(send("text/plain; charset=utf-8", "c").status, 200);
    assert_eq!(patients(&server, "trial-7"), ["c"]);
    for (media_type, text) in [("text/plain", "patient\na"), ("text/csv", "a,b"), ("text/csv", "a\nnobody")] {
        assert_eq!(send(media_type, text).status, 400, "{text}");
    }
    assert_eq!(patients(&server, "trial-7"), ["c"], "nothing of them was kept");
    // What else a Group says stays.
    let mut women = found("Women", &["Patient?gender=female"]);
    women["identifier"] = json!([{"value": "w"}]);
    assert_eq!(put(&server, "trial-7", &women, &[]).status, 200);
    assert_eq!(patients(&server, "trial-7"), ["a", "c"]);
    assert_eq!(send("text/csv", "a\nb").status, 200);
    let group = server.get("/Group/trial-7").json();
    assert_eq!((&group["identifier"][0]["value"], &group["actual"]), (&json!("w"), &json!(true)));
    assert_eq!(patients(&server, "trial-7"), ["a"], "those of the listed who are found (G-14)");
}

// G-16 S-20: an export has the members it began with, whatever becomes of the Group and of the process.
#[tokio::test]
async fn an_export_keeps_the_members_it_began_with() {
    let (known, server) = serve().await;
    assert_eq!(put(&server, "mine", &listed("Mine", &["a"]), &[]).status, 201);
    assert_eq!(put(&server, "stays", &listed("Stays", &["b"]), &[]).status, 201);
    let admin = known.database.client().await;
    admin.batch_execute("begin; lock table observations in access exclusive mode").await.unwrap();
    let status = server.kick_off("/Group/mine/$export?_type=Patient,Observation");
    let path = status.strip_prefix(&server.base).unwrap().to_owned();
    assert_eq!(put(&server, "mine", &listed("Mine", &["c"]), &[]).status, 200);
    assert_eq!(server.delete("/Group/mine").status, 204);
    let home = server.kill();
    admin.batch_execute("rollback").await.unwrap();
    let server = start(&known, home, &[]);
    assert_eq!(server.get("/Group/mine").status, 404);
    assert_eq!(put(&server, "mine", &listed("Mine", &["c"]), &[]).status, 201, "sweeps what nobody needs");
    let manifest = server.manifest(&path);
    assert_eq!(ids(&server, &manifest, "Patient"), BTreeSet::from(["a".to_owned()]));
    assert_eq!(count(&manifest, "Observation"), 12);
    assert_eq!(patients(&server, "stays"), ["b"], "a Group survives the process");
    // Who was deleted since is told by number.
    admin.batch_execute("delete from patients where id = 'b'").await.unwrap();
    let manifest = server.manifest(&server.kick_off("/Group/stays/$export"));
    assert_eq!(count(&manifest, "Patient"), 0);
    let told = server.get(manifest["error"][0]["url"].as_str().unwrap()).text();
    assert!(told.contains("1 listed members of the Group are not there any more"), "{told}");
}

// G-10 K-07: asked for asynchronously, a Group is there when its status is asked for.
#[tokio::test]
async fn groups_are_made_asynchronously() {
    let (_known, server) = serve().await;
    let headers = [FHIR, ("Prefer", "respond-async")];
    let group = found("Women", &["Patient?gender=female"]).to_string();
    let answer = server.send("POST", "/Group", &headers, group.as_bytes());
    let status = answer.accepted();
    let bundle = server.get(&status);
    assert_eq!((bundle.status, bundle.header("content-type")), (200, Some("application/fhir+json")));
    let bundle = bundle.json();
    assert_eq!((&bundle["resourceType"], &bundle["type"]), (&json!("Bundle"), &json!("batch-response")));
    let response = &bundle["entry"][0]["response"];
    assert_eq!(response["status"], "201 Created");
    let location = response["location"].as_str().unwrap();
    assert_eq!(server.get(location).json()["name"], "Women");
    let id = location.rsplit('/').next().unwrap();
    let answer = server.send("PUT", &format!("/Group/{id}"), &headers, group.as_bytes());
    let updated = server.get(&answer.accepted()).json();
    assert_eq!(updated["entry"][0]["response"]["status"], "200 OK");
    let refused = server.send("POST", "/Group", &headers, b"{}");
    assert_eq!((refused.status, refused.issue().as_str()), (400, "invalid"));
    for path in ["/bulk-status/group/1/nobody", "/bulk-status/group/x/y", "/bulk-status/group/9/"] {
        assert_eq!(server.get(&format!("{path}{}", if path.ends_with('/') { id } else { "" })).status, 404, "{path}");
    }
}

// G-12 G-14 G-15 X-09: members are those whom every search finds when the export runs.
#[tokio::test]
async fn members_are_found_when_an_export_runs() {
    let (known, server) = serve().await;
    let admin = known.database.client().await;
    admin.batch_execute("update observations set status = 'entered-in-error' where patient = 'b'").await.unwrap();
    admin.batch_execute("delete from conditions where patient = 'c'").await.unwrap();
    let condition = "Condition?_lastUpdated=gt2026-01-01";
    for (searches, members) in [
        (&["Patient?gender=female"][..], &["a", "c"][..]),
        (&["Observation?status=final"], &["a", "c"]),
        (&["Observation?status=final", "Patient?gender=female", condition], &["a"]),
        (&["Observation?status=entered-in-error"], &["b"]),
        (&["Observation?status=entered-in-error", "Patient?gender=female"], &[]),
        (&["Patient?gender=male,female", condition], &["a", "b"]),
        (&["Patient?gender=unknown"], &[]),
    ] {
        let group = id(&post(&server, &found("Found", searches)));
        assert_eq!(patients(&server, &group), members, "{searches:?}");
        // Those of the listed (G-14).
        let mut among = found("Among", searches);
        among["actual"] = json!(true);
        among["member"] = listed("", &["b", "c"])["member"].clone();
        let group = id(&post(&server, &among));
        let members: Vec<&str> = members.iter().copied().filter(|id| *id != "a").collect();
        assert_eq!(patients(&server, &group), members, "{searches:?}");
    }
    let women = id(&post(&server, &found("Women", &["Patient?gender=female"])));
    let read = server.get(&format!("/Group/{women}")).json();
    assert_eq!((read.get("member"), read.get("quantity"), read.get("extension")), (None, None, None));
    admin.batch_execute("update patients set sex = 'female'").await.unwrap();
    assert_eq!(patients(&server, &women), ["a", "b", "c"], "computed anew");
}

// K-37: who was listed after `_since` comes whole.
#[tokio::test]
async fn who_is_listed_after_since_comes_whole() {
    let known = Known::new(&[]).await;
    let server = start(&known, tempfile::tempdir().unwrap(), &["--max-running-jobs", "1"]);
    let made = put(&server, "mine", &listed("Mine", &["a"]), &[]).json();
    let made = made["meta"]["lastUpdated"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    // What an export knows lies a little before it.
    let since = loop {
        let manifest = server.manifest(&server.kick_off("/Group/mine/$export?_type=Patient"));
        let since = manifest["transactionTime"].as_str().unwrap().to_owned();
        if since.parse::<jiff::Timestamp>().unwrap() > made {
            break since;
        }
    };
    let next = |server: &Server| {
        let url = format!("/Group/mine/$export?_since={}", since.replace('+', "%2B"));
        let manifest = server.manifest(&server.kick_off(&url));
        (ids(server, &manifest, "Patient").into_iter().collect::<Vec<_>>(), count(&manifest, "Observation"))
    };
    assert_eq!(next(&server), (vec![], 0));
    assert_eq!(put(&server, "mine", &listed("Mine", &["a", "b"]), &[]).status, 200);
    assert_eq!(next(&server), (vec!["b".to_owned()], 12));
    // An export that waits says nothing of the time after it was asked for.
    let admin = known.database.client().await;
    admin.batch_execute("begin; lock table observations in access exclusive mode").await.unwrap();
    let first = server.kick_off("/$export?_type=Observation");
    let waits = server.kick_off("/Group/mine/$export");
    assert_eq!(put(&server, "mine", &listed("Mine", &["a", "b", "c"]), &[]).status, 200);
    admin.batch_execute("rollback").await.unwrap();
    server.manifest(&first);
    let manifest = server.manifest(&waits);
    assert_eq!(count(&manifest, "Patient"), 2);
    let url = format!("/Group/mine/$export?_since={}", manifest["transactionTime"].as_str().unwrap());
    let manifest = server.manifest(&server.kick_off(&url));
    assert!(ids(&server, &manifest, "Patient").contains("c"));
}

// G-12 C-03 G-17: on the shipped pack, a search finds whom an export of what it finds is about.
#[tokio::test]
async fn criteria_on_the_shipped_pack() {
    let server = demo(&[]).await;
    let capability = server.get("/metadata").json();
    let resources = capability["rest"][0]["resource"].as_array().unwrap();
    let group = resources.iter().find(|one| one["type"] == "Group").unwrap();
    assert_eq!(
        group["supportedProfile"],
        json!(["http://hl7.org/fhir/uv/bulkdata/StructureDefinition/bulk-cohort-group"])
    );
    for code in ["create", "read", "update", "delete", "search-type"] {
        assert!(group["interaction"].as_array().unwrap().contains(&json!({"code": code})), "{code}");
    }
    let subjects = |search: &str, name: &str| {
        let escaped = search.replace('?', "%3F").replace('=', "%3D").replace('&', "%26").replace('|', "%7C");
        let url = format!("/Patient/$export?_type={name}&_typeFilter={escaped}");
        let manifest = server.manifest(&server.kick_off(&url));
        let items = manifest["output"].as_array().unwrap();
        let texts: Vec<String> = items.iter().map(|item| server.get(item["url"].as_str().unwrap()).text()).collect();
        let subject = |line: &str| {
            let one: Value = serde_json::from_str(line).unwrap();
            let reference = one["subject"]["reference"].as_str().or(one["id"].as_str()).unwrap().to_owned();
            reference.trim_start_matches("Patient/").to_owned()
        };
        texts.iter().flat_map(|text| text.lines()).map(subject).collect::<BTreeSet<_>>()
    };
    let (women, seen) = ("Patient?gender=female", "Encounter?date=ge2015-01-01&class=AMB");
    let vitals = "Observation?category=vital-signs&code=http://loinc.org|8302-2";
    let of = [subjects(women, "Patient"), subjects(seen, "Encounter"), subjects(vitals, "Observation")];
    let all = &(&of[0] & &of[1]) & &of[2];
    assert!(!all.is_empty() && all.len() < of[0].len().max(of[1].len()), "{:?}", of.map(|one| one.len()));
    let group = id(&post(&server, &found("Women", &[women, seen, vitals])));
    let manifest = server.manifest(&server.kick_off(&format!("/Group/{group}/$export?_type=Patient,Condition")));
    assert_eq!(ids(&server, &manifest, "Patient"), all);
    assert_eq!(types(&manifest), ["Patient", "Condition"]);
    // Their sweep does not wait for an export, nor an export for it.
    eventually("the Group goes", || async { server.delete(&format!("/Group/{group}")).status == 404 }).await;
}
