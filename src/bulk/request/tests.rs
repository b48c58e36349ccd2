//! Requests from their parameters, and back to a URL.

use super::*;

const MAPPED: &[&str] = &["Patient", "Observation", "Encounter", "Observation"];

fn check(given: &Parameters) -> Result<ExportRequest, ParameterError> {
    ExportRequest::new(given, MAPPED)
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn nothing_asked_is_everything_mapped() {
    let request = check(&Parameters::default()).unwrap();
    assert_eq!(request.types, ["Encounter", "Observation", "Patient"]);
    assert_eq!(request.kick_off_url("http://localhost"), "http://localhost/$export");
    assert_eq!(ExportRequest::new(&Parameters::default(), &[]), Err(ParameterError::NothingMapped));
}

#[test]
fn lists_may_be_commas_or_repeats() {
    for types in [&["Patient,Observation"][..], &["Observation", "Patient", "Patient"], &[" Patient, ,Observation,"]] {
        let request = check(&Parameters { types: texts(types), ..Default::default() }).unwrap();
        assert_eq!(request.types, ["Observation", "Patient"], "{types:?}");
    }
}

#[test]
fn a_restriction_never_becomes_empty() {
    for empty in ["", ",", " "] {
        let given = Parameters { types: texts(&[empty]), ..Default::default() };
        assert_eq!(check(&given), Err(ParameterError::Empty { parameter: "_type" }));
        let given = Parameters { patients: texts(&[empty]), ..Default::default() };
        assert_eq!(check(&given), Err(ParameterError::Empty { parameter: "patient" }));
    }
}

#[test]
fn an_unknown_type_is_named_with_the_known_ones() {
    let error = check(&Parameters { types: texts(&["Patient,patient"]), ..Default::default() }).unwrap_err();
    assert_eq!(error.to_string(), "`_type` names `patient`, which no mapping makes");
    assert_eq!(error.help(), "Mapped types: Encounter, Observation, Patient.");
}

#[test]
fn the_period_is_open_at_both_ends() {
    let given = |since: &str, until: &str| Parameters {
        since: Some(since.to_owned()),
        until: Some(until.to_owned()),
        ..Default::default()
    };
    let request = check(&given("1970-01-01T00:00:00.0000015Z", "1970-01-01T00:00:00.0000025Z")).unwrap();
    assert_eq!((request.since, request.until), (Some(1), Some(3)));
    for until in ["2025-01-01", "2024-12-31", "2025-01-01T01:00:00+01:00"] {
        assert_eq!(check(&given("2025-01-01", until)), Err(ParameterError::UntilNotAfterSince), "{until}");
    }
    assert_eq!(check(&given("2025-01-01", "soon")), Err(ParameterError::NotAnInstant { parameter: "_until" }));
    assert_eq!(
        check(&given("2025-01-01", "2025-02-01T10:00:00.5Z")).unwrap().kick_off_url("http://localhost"),
        "http://localhost/$export?_since=2025-01-01T00%3A00%3A00Z&_until=2025-02-01T10%3A00%3A00.5Z"
    );
}

#[test]
fn patients_are_ids_or_references_and_never_repeated_in_words() {
    let given = Parameters { patients: texts(&["Patient/b", "/Patient/a,c", "b"]), ..Default::default() };
    let request = check(&given).unwrap();
    assert_eq!(request.patients, ["a", "b", "c"]);
    assert_eq!(request.kick_off_url("http://localhost"), "http://localhost/Patient/$export");
    for wrong in ["Group/secret", "Patient/secret/_history/1", "Patient/", "secret_1", &"s".repeat(65)] {
        let error = check(&Parameters { patients: texts(&["a", wrong]), ..Default::default() }).unwrap_err();
        assert_eq!(error, ParameterError::NotAPatient { number: 2, more: 0 }, "{wrong}");
        assert!(!format!("{error} {}", error.help()).contains("secret"));
    }
}
