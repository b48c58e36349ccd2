//! `patient` as clients write it.

use serde_json::{Value, json};

use super::*;

// K-49 K-50 K-51 K-21
#[test]
fn patients_by_every_form_of_a_reference() {
    let group = Level::Group("g1".to_owned());
    let patient = |value: Value| post(json!([{"name": "patient", "valueReference": {"reference": value}}]));
    for ask in [
        patient(json!("Patient/p-1")),
        patient(json!("/Patient/p-1")),
        patient(json!("https://bulk.example.org/r4/Patient/p-1")),
        post(json!([{"name": "patient", "valueString": "Patient/p-1"}])),
        post(json!([{"name": "patient", "valueString": " p-1, Patient/p-1,"}])),
        Ask { query: Some("patient=Patient/p-1".to_owned()), ..raw(b"") },
    ] {
        let request = ask.clone().at(group.clone()).fine();
        assert_eq!((request.patients, request.level), (vec!["p-1".to_owned()], group.clone()));
        let want = "patient: `patient` does not apply to an export of the whole system";
        assert_eq!(ask.clone().refused(), [want]);
        assert_eq!(ask.lenient().refused(), [want]);
    }
    for secret in [
        "Patient/SECRET/_history/1",
        "Group/SECRET",
        "https://other.example.org/r4/Patient/SECRET",
        "https://bulk.example.org/r4/SECRET",
        "https://bulk.example.org/r4Patient/SECRET",
        "Patient?identifier=SECRET",
        "urn:uuid:SECRET",
    ] {
        let wrong = patient(json!(secret)).at(Level::Patient);
        assert_eq!(wrong.refused(), ["patient: `patient` number 1 is not a reference to a Patient"], "{secret}");
        assert_eq!(wrong.clone().lenient().refused(), wrong.refused(), "nothing would be left");
        assert!(!wrong.read().expect_err(secret).outcome.to_json().contains("SECRET"));
        let entry = |value: &str| json!({"name": "patient", "valueString": value});
        let some = post(json!([entry("p-1"), entry(secret), entry("p-2"), entry(secret)])).at(Level::Patient);
        assert_eq!(some.refused(), ["patient: `patient` number 2 is not a reference to a Patient and 1 more"]);
        let kick_off = some.lenient().read().expect("lenient");
        assert_eq!((kick_off.request.patients, kick_off.ignored.len()), (vec!["p-1".to_owned(), "p-2".to_owned()], 1));
    }
    let by_get = get("patient=Patient/p-1").at(Level::Patient);
    for ask in [by_get.clone(), by_get.lenient()] {
        assert_eq!(ask.refused(), ["patient: `patient` is accepted by POST only"]);
    }
    let nothing = post(json!([{"name": "patient", "valueReference": {"display": "x"}}])).at(Level::Patient);
    assert_eq!(nothing.lenient().refused(), ["patient: `patient` has no value of a kind it can be read from"]);
    let listed = post(json!([{"name": "patient", "valueString": "p-1,p-2"}])).at(Level::Patient).v4();
    assert_eq!(listed.refused(), ["patient: `patient` has a comma"]);
    let many = (0..20_000)
        .map(|number| json!({"name": "patient", "valueReference": {"reference": format!("Patient/{number}")}}));
    assert_eq!(post(many.collect()).at(Level::Patient).fine().patients.len(), 20_000);
}
