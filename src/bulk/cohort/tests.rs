use serde_json::{Value, json};

use super::*;
use crate::bulk::Roster;

const BASE: &str = "https://ehr.example.org/fhir";

fn read(group: &Value) -> Result<SentGroup, CohortError> {
    read_group(group.to_string().as_bytes(), BASE)
}

/// A Group of listed patients, with these members of it replaced or added; `null` takes one away.
#[expect(clippy::needless_pass_by_value, reason = "calls are tables of literals")]
fn listed(change: Value) -> Value {
    let mut group = json!({"resourceType": "Group", "type": "person", "actual": true, "name": "x",
                           "member": [{"entity": {"reference": "Patient/b"}}, {"entity": {"reference": "Patient/a"}}]});
    for (name, value) in change.as_object().unwrap() {
        if value.is_null() { _ = group.as_object_mut().unwrap().remove(name) } else { group[name] = value.clone() }
    }
    group
}

fn filter(query: &str) -> Value {
    json!({"url": MEMBER_FILTER, "valueExpression": {"language": "application/x-fhir-query", "expression": query}})
}

/// The same by criteria.
#[expect(clippy::needless_pass_by_value, reason = "calls are tables of literals")]
fn found(change: Value) -> Value {
    let mut group =
        listed(json!({"actual": false, "member": null, "modifierExtension": [filter("Patient?gender=male")]}));
    for (name, value) in change.as_object().unwrap() {
        if value.is_null() { _ = group.as_object_mut().unwrap().remove(name) } else { group[name] = value.clone() }
    }
    group
}

fn ids(sent: SentGroup) -> Vec<String> {
    let roster: Roster = sent.members.unwrap().finish(0).unwrap();
    roster.iter().map(|(id, _)| id.to_owned()).collect()
}

// G-16
#[test]
fn a_group_of_listed_patients() {
    let identifier = json!([{"system": "urn:x", "value": "1"}]);
    let sent = read(&listed(json!({"id": "g", "identifier": identifier, "quantity": 7, "active": true,
                                   "meta": {"versionId": "3"}})))
    .unwrap();
    assert_eq!((sent.id.as_deref(), sent.filters.len()), (Some("g"), 0));
    assert_eq!(sent.content["identifier"], identifier);
    assert!(!sent.content.contains_key("quantity") && !sent.content.contains_key("member"));
    assert_eq!(ids(sent), ["a", "b"]);
    let everyone = json!([
        {"entity": {"reference": format!("{BASE}/Patient/1"), "type": "Patient", "display": "somebody"}},
        {"entity": {"reference": "/Patient/2"}, "inactive": false, "id": "x"},
        {"entity": {"reference": "Patient\u{2f}3"}},
    ]);
    assert_eq!(ids(read(&listed(json!({"member": everyone}))).unwrap()), ["1", "2", "3"]);
    assert_eq!(ids(read(&listed(json!({"member": null}))).unwrap()), [""; 0], "a Group of nobody");
}

// G-11 G-12
#[test]
fn a_group_of_found_patients() {
    let sent = read(&found(json!({}))).unwrap();
    assert!(sent.members.is_none());
    assert_eq!(sent.filters, ["Patient?gender=male"]);
    assert_eq!(sent.content["modifierExtension"], json!([filter("Patient?gender=male")]));
    let both = listed(json!({"modifierExtension": [filter("Patient?gender=male"), filter("Condition?code=x")]}));
    let sent = read(&both).unwrap();
    assert_eq!(sent.filters, ["Patient?gender=male", "Condition?code=x"]);
    assert_eq!(ids(sent), ["a", "b"]);
}

// G-11 G-15 K-23
#[test]
fn what_a_group_must_be() {
    for (group, told) in [
        (json!([]), "The body is not a Group in FHIR JSON"),
        (listed(json!({"resourceType": "Patient"})), "The body is not a Group in FHIR JSON"),
        (listed(json!({"member": []})), "The body is not a Group in FHIR JSON"),
        (listed(json!({"type": "device"})), "`type` must be `person`: Groups of others are not kept"),
        (listed(json!({"type": null})), "`type` must be `person`: Groups of others are not kept"),
        (listed(json!({"actual": null})), "`actual` must be `true` or `false`"),
        (listed(json!({"actual": false})), "`actual` is `false`, and no `member-filter` says who is in it"),
        (listed(json!({"active": false})), "`active` must be `true`: delete a Group that is not in use"),
        (listed(json!({"characteristic": []})), "`characteristic` of a Group is not supported"),
        (listed(json!({"colour": 1})), "`colour` of a Group is not supported"),
        (listed(json!({"name": ""})), "`name` is no text"),
        (listed(json!({"identifier": {}})), "`identifier` is no list of identifiers"),
        (
            listed(json!({"meta": {"tag": [{"code": "SUBSETTED"}]}})),
            "`meta` says that members are missing: send the Group whole",
        ),
        (found(json!({"name": null})), "`name` is required beside a `member-filter`"),
        (found(json!({"actual": true})), "`actual` is `true` beside a `member-filter`, and there is no `member`"),
        (found(json!({"member": [{"entity": {"reference": "Patient/a"}}]})), "`actual` is `false` beside `member`"),
        (
            found(json!({"modifierExtension": [{"url": "urn:x"}]})),
            "`modifierExtension` has another extension than `member-filter`",
        ),
        (found(json!({"modifierExtension": []})), "`modifierExtension` is empty"),
        (
            found(json!({"extension": [{"url": MEMBERS_REFRESHED, "valueDateTime": "2026-01-01"}]})),
            "`extension` says when members were found: they are found by each export",
        ),
    ] {
        assert_eq!(read(&group).unwrap_err().to_string(), told, "{group}");
    }
    let mut other = filter("Patient?gender=male");
    other["valueExpression"]["language"] = json!("text/cql");
    let error = read(&found(json!({"modifierExtension": [other]}))).unwrap_err();
    assert!(error.to_string().contains("application/x-fhir-query"), "{error}");
    let large = listed(json!({"text": {"div": "x".repeat(CONTENT_BYTES)}}));
    assert_eq!(read(&large).unwrap_err(), CohortError::TooLarge);
    let twice = br#"{"resourceType":"Group","type":"person","actual":true,"member":[{"entity":{"reference":"Patient/a"}}],"member":[]}"#;
    assert_eq!(read_group(twice, BASE).unwrap_err(), CohortError::NotAGroup);
}

// K-51 X-06: a member is told by its number, never by its id.
#[test]
fn members_are_patients_of_this_server() {
    for (member, problem) in [
        (json!({"entity": {"reference": "Group/secret"}}), "is not a reference to a Patient of this server"),
        (json!({"entity": {"reference": "secret"}}), "is not a reference to a Patient of this server"),
        (json!({"entity": {"reference": "https://other.example.org/Patient/secret"}}), "is not a reference"),
        (json!({"entity": {"reference": "Patient/secret/_history/1"}}), "is not a reference"),
        (json!({"entity": {"reference": "Patient/secret", "type": "Group"}}), "is not a reference"),
        (json!({"entity": {"identifier": {"value": "secret"}}}), "has not the form"),
        (json!({"entity": {"reference": "Patient/secret"}, "period": {"end": "2020"}}), "has not the form"),
        (json!({"entity": {"reference": "Patient/secret"}, "inactive": true}), "is inactive: leave out who has left"),
        (json!("secret"), "has not the form"),
    ] {
        let error = read(&listed(json!({"member": [{"entity": {"reference": "Patient/a"}}, member]}))).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with(&format!("`member` number 2 {problem}")) && !text.contains("secret"), "{text}");
    }
}

#[test]
fn lists_of_ids_arrive_in_pieces() {
    let text = "\u{feff}id\r\nb\r\n\"Patient/a\"\n\n https://ehr.example.org/fhir/Patient/c \nb";
    for size in [1, 2, 3, 7, 1000] {
        let mut reader = RosterReader::new(BASE, true);
        for part in text.as_bytes().chunks(size) {
            reader.take(part).unwrap();
        }
        let roster = reader.finish().unwrap().finish(0).unwrap();
        assert_eq!(roster.iter().map(|(id, _)| id).collect::<Vec<_>>(), ["a", "b", "c"], "{size}");
    }
    for (text, csv, told) in [
        ("a\nsecret,x\n", true, "line 2 is not the id of a Patient, alone on its line"),
        ("a\nb\nGroup/secret", false, "line 3 is not the id of a Patient, alone on its line"),
        ("name\n", true, ""),
        ("a_b\n", false, "line 1 is not the id of a Patient, alone on its line"),
        ("a\n\u{1}\n", false, "line 2 is not the id of a Patient, alone on its line"),
    ] {
        let mut reader = RosterReader::new(BASE, csv);
        let done = reader.take(text.as_bytes()).and_then(|()| reader.finish().map(drop));
        assert_eq!(done.err().map(|error| error.to_string()).unwrap_or_default(), told, "{text}");
    }
    let mut reader = RosterReader::new(BASE, false);
    assert_eq!(reader.take(&[b'a'; 2000]).unwrap_err().to_string(), "line 1 is too long");
    let mut reader = RosterReader::new(BASE, false);
    assert_eq!(reader.take(b"\xff\n").unwrap_err().to_string(), "line 1 is no UTF-8 text");
}

#[test]
fn a_group_without_its_members_says_so() {
    let mut group = json!({"meta": {"tag": [{"code": "x"}]}}).as_object().unwrap().clone();
    subsetted(&mut group);
    assert_eq!(group["meta"]["tag"][1]["code"], "SUBSETTED");
    let mut bare = Map::new();
    subsetted(&mut bare);
    assert_eq!(bare["meta"]["tag"][0]["code"], "SUBSETTED");
}
