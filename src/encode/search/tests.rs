//! Searches against resources. What a search means is taken from R4's page on it, 3.1.1.4.

mod places;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::Search;
use crate::bulk::kickoff::add_filter;
use crate::bulk::{ExportRequest, Known, Parameters, TypeFilter};
use crate::plan::search::{Test, Wanted};

/// Whether `search` (`Observation?status=final`, parameters joined by `&`) finds a resource.
fn finds(search: &str, resource: &Value) -> bool {
    finds_in("Europe/Berlin", &[search], resource)
}

fn finds_in(zone: &str, searches: &[&str], resource: &Value) -> bool {
    Search::new(&wanted(searches), zone).expect("a search").wants(resource.to_string().as_bytes())
}

fn wanted(searches: &[&str]) -> Wanted {
    let resource_type = searches[0].split_once('?').expect("a type").0;
    let known = Known {
        mapped: &[resource_type],
        base_url: "https://bulk.example.org/fhir",
        compartment: &|_| true,
        searchable: &|_, _| true,
        strict_filters: true,
    };
    let mut request = ExportRequest::new(&Parameters::default(), known.mapped).expect("a request");
    for search in searches {
        add_filter(&mut request, search, &known).unwrap_or_else(|error| panic!("{search}: {error}"));
    }
    let tests = |filter: &TypeFilter| -> Vec<Test> {
        let test = |parameter| Test::new(resource_type, parameter, &|_| true).expect("a test");
        filter.parameters.iter().map(test).collect()
    };
    Wanted { any: request.filters.iter().map(tests).collect(), none: Vec::new() }
}

/// Searches that find a resource, and searches that do not.
fn check(resource: &Value, found: &[&str], not_found: &[&str]) {
    let resource_type = resource["resourceType"].as_str().expect("a type");
    for (searches, want) in [(found, true), (not_found, false)] {
        for search in searches {
            assert_eq!(finds(&format!("{resource_type}?{search}"), resource), want, "{resource_type}?{search}");
        }
    }
}

fn observation() -> Value {
    json!({
        "resourceType": "Observation", "id": "a", "status": "final",
        "meta": {"lastUpdated": "2024-05-01T10:00:00.123Z", "profile": ["http://p/one"],
                 "tag": [{"system": "t", "code": "x"}], "security": [{"code": "R"}], "source": "urn:lab"},
        "category": [{"coding": [{"system": "s", "code": "x"}, {"system": "t", "code": "y", "display": "Why not"}]},
                     {"text": "none"}],
        "identifier": [{"system": "m", "value": "17"}, {"value": "18"}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}], "text": "Blutdruck, größer"},
        "subject": {"reference": "Patient/p1", "identifier": {"system": "mrn", "value": "9"}},
        "focus": [{"reference": "Group/g1"}, {"reference": "https://other.org/fhir/Device/d1"}],
        "effectiveDateTime": "2024-03-05T23:30:00Z",
        "valueQuantity": {"value": 5.40, "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"},
    })
}

// K-57 K-63
#[test]
fn tokens() {
    check(
        &observation(),
        &[
            "status=final",
            "status=amended,final",
            "status=http://hl7.org/fhir/observation-status|final",
            "status:not=amended",
            "status:missing=false",
            "method:missing=true",
            "method:not=x",
            "category=y",
            "category=s|x",
            "category=t|",
            "category=x&category=y",
            "category:text=WHY",
            "category:text=no",
            "code:text=blutdruck",
            "identifier=m|17",
            "identifier=|18",
            "identifier=17,99",
            "_id=a",
            "_tag=t|x",
            "_security=R",
            "_security=|R",
        ],
        &[
            "status=Final",
            "status:not=final",
            "status:not=amended,final",
            "status:missing=true",
            "method=x",
            "method:missing=false",
            "category=s|y",
            "category=none",
            "category=|x",
            "category=x&category=z",
            "category:not=y",
            "category:text=not",
            "identifier=|17",
            "identifier=m|18",
            "_tag=x|t",
            "_security=s|R",
        ],
    );
    let patient = |more: Value| {
        let mut patient = json!({"resourceType": "Patient", "active": true, "telecom": [
            {"system": "phone", "value": "030 1"}, {"system": "email", "value": "a@b.c"}]});
        patient.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        patient
    };
    check(
        &patient(json!({})),
        &["active=true", "email=a@b.c", "phone=030 1", "telecom=a@b.c", "deceased=false", "deceased:missing=true"],
        &["active=false", "email=030 1", "phone=a@b.c", "deceased=true", "email=a@b"],
    );
    check(&patient(json!({"deceasedBoolean": false})), &["deceased=false"], &["deceased=true"]);
    check(&patient(json!({"deceasedDateTime": "2020"})), &["deceased=true"], &["deceased=false", "deceased:not=true"]);
}

// K-57 K-63
#[test]
fn dates() {
    // In Berlin it is the 6th, half past midnight.
    check(
        &observation(),
        &[
            "date=2024",
            "date=2024-03",
            "date=2024-03-06",
            "date=eq2024-03-05T23:30Z",
            "date=2024-03-06T00:30:00",
            "date=2024-03-06T00:30:00+01:00",
            "date=ge2024-03-06&date=lt2024-03-07",
            "date=gt2024-03-05",
            "date=gt2024-03-05T23:29:59Z",
            "date=le2024-03-06",
            "date=lt2024-03-07",
            "date=sa2024-03-05",
            "date=eb2024-03-07",
            "date=ne2024-03-05",
            "date=2020,2024",
            "_lastUpdated=gt2024-05-01T10:00:00.122Z",
            "_lastUpdated=2024-05-01T10:00:00.123Z",
        ],
        &[
            "date=2023",
            "date=2024-03-05",
            "date=2024-03-06T00:30:00Z",
            "date=ge2024-03-07",
            "date=gt2024-03-06",
            "date=lt2024-03-06",
            "date=sa2024-03-06",
            "date=eb2024-03-06",
            "date=ne2024-03-06",
            "date=ge2024-03-06&date=lt2024-03-06",
            "_lastUpdated=gt2024-05-01T10:00:00.123Z",
            "value-date=2024",
            "value-date=ne2024",
        ],
    );
    let period = |period: Value| json!({"resourceType": "Encounter", "period": period});
    check(
        &period(json!({"start": "2024-03-01", "end": "2024-03-10"})),
        &[
            "date=2024-03",
            "date=gt2024-03-05",
            "date=lt2024-03-05",
            "date=ge2024-03-09",
            "date=ne2024-03-05",
            "date=sa2024-02",
            "date=eb2024-04",
        ],
        &["date=2024-03-05", "date=gt2024-03-10", "date=lt2024-03-01", "date=sa2024-03-05", "date=eb2024-03-05"],
    );
    check(
        &period(json!({"start": "2024-03-01"})),
        &["date=gt2030", "date=lt2024-03-02", "date=sa2024-02"],
        &["date=2024", "date=lt2024-03-01", "date=eb2030"],
    );
    check(&period(json!({"end": "2024-03-01"})), &["date=lt1900"], &["date=gt2024-03-01", "date=sa1900"]);
    let timing = json!({"resourceType": "Observation",
        "effectiveTiming": {"event": ["2024-01-01", "2025-01-01"], "repeat": {"boundsPeriod": {"start": "2026"}}}});
    check(&timing, &["date=2024-01-01", "date=2025-01-01", "date=sa2025-06"], &["date=2026", "date=2023"]);
    let birth = json!({"resourceType": "Patient", "birthDate": "1970-05"});
    check(&birth, &["birthdate=1970", "birthdate=1970-05", "birthdate=ge1970-05-01"], &["birthdate=1970-05-01"]);
    assert!(finds_in("UTC", &["Observation?date=2024-03-05"], &observation()));
}

// K-63
#[test]
fn numbers_and_quantities() {
    check(
        &observation(),
        &[
            "value-quantity=5.4",
            "value-quantity=5.40|http://unitsofmeasure.org|mg",
            "value-quantity=5.4||mg",
            "value-quantity=gt5.39",
            "value-quantity=ge5.4&value-quantity=le5.4",
            "value-quantity=ne5.5",
            "value-quantity=5",
            "value-quantity=1,5.4",
        ],
        &[
            "value-quantity=5.5",
            "value-quantity=5.4||kg",
            "value-quantity=5.4|http://other|mg",
            "value-quantity=gt5.4",
            "value-quantity=lt5.4",
            "value-quantity=ne5.4",
            "value-quantity=ne5",
        ],
    );
    let risk = json!({"resourceType": "RiskAssessment", "prediction": [{"probabilityDecimal": 0.8}]});
    check(&risk, &["probability=0.8", "probability=gt0.75"], &["probability=0.75", "probability=lt0.8"]);
    let range = json!({"resourceType": "Condition", "onsetRange": {"low": {"value": 50}, "high": {"value": 60}}});
    check(&range, &["onset-age=gt55", "onset-age=lt55"], &["onset-age=gt60", "onset-age=lt50", "onset-age=55"]);
}

// K-63
#[test]
fn texts_and_uris() {
    let patient = json!({"resourceType": "Patient",
        "name": [{"family": "Müller-Lüdenscheidt", "given": ["Åsa", "Eva Maria"]}],
        "address": [{"line": ["Weg 1"], "city": "Wien", "postalCode": "1010"}]});
    check(
        &patient,
        &[
            "name=muller",
            "name=MÜLLER",
            "name=asa",
            "name:contains=maria",
            "name:exact=Eva Maria",
            "family=mul",
            "family:contains=ludens",
            "given=eva",
            "address=wie",
            "address=1010",
            "address-city=Wien",
            "family=x,mul",
        ],
        &["name=maria", "name:exact=eva maria", "family=asa", "given:exact=Eva", "address=ien", "family:contains=eva"],
    );
    check(
        &observation(),
        &["_profile=http://p/one", "_source=urn:lab"],
        &["_profile=http://p/on", "_profile=http://p", "_source=urn"],
    );
}

// K-63
#[test]
fn references() {
    check(
        &observation(),
        &[
            "subject=Patient/p1",
            "subject=p1",
            "subject=https://bulk.example.org/fhir/Patient/p1",
            "subject:Patient=p1",
            "subject:Patient=Patient/p1",
            "subject:identifier=mrn|9",
            "patient=p1",
            "focus=Group/g1",
            "focus=https://other.org/fhir/Device/d1",
            "subject=x,p1",
            "encounter:missing=true",
            "patient:missing=false",
        ],
        &[
            "subject=Patient/p2",
            "subject=Group/p1",
            "subject:Group=p1",
            "subject:identifier=mrn|8",
            "patient=Group/p1",
            "focus=d1",
            "focus=Device/d1",
            "encounter=e1",
            "patient:missing=true",
        ],
    );
    // Only what points to a patient has a value of `patient`.
    for subject in [json!({"display": "somebody"}), json!({"reference": "Group/g1"})] {
        let mut observation = observation();
        observation["subject"] = subject;
        check(&observation, &["patient:missing=true", "subject:missing=false"], &["patient:missing=false"]);
    }
}

// K-57
#[test]
fn searches_are_alternatives_and_their_parameters_are_not() {
    let found = |searches: &[&str]| finds_in("UTC", searches, &observation());
    assert!(found(&["Observation?status=final&_id=a"]));
    assert!(!found(&["Observation?status=final&_id=b"]));
    assert!(found(&["Observation?_id=b", "Observation?_id=a"]));
}

//
#[test]
fn what_is_withheld_is_not_wanted() {
    let asks = |any: &[&str], none: &[&str]| {
        let searches = |all: &[&str]| if all.is_empty() { Vec::new() } else { wanted(all).any };
        let wanted = Wanted { any: searches(any), none: searches(none) };
        Search::new(&wanted, "UTC").expect("a search").wants(observation().to_string().as_bytes())
    };
    let (this, other) = ("Observation?_id=a", "Observation?_id=b");
    assert!(asks(&[], &[other]), "everything else is wanted");
    assert!(!asks(&[], &[this]));
    assert!(!asks(&[], &[other, "Observation?category=y"]), "one rule is enough");
    assert!(asks(&[], &["Observation?_id=a&category=z"]), "all of a rule must hold");
    assert!(!asks(&[this], &[this]), "a client cannot ask for it");
    let rule = Search::new(&Wanted { any: vec![], none: wanted(&[other]).any }, "UTC").expect("a search");
    for broken in [&b"[1]"[..], b"", b"{", b"{\"id\":\"a\""] {
        assert!(!rule.wants(broken), "what cannot be read is withheld");
    }
}

proptest! {
    // Numbers longer than any machine's.
    #[test]
    fn long_numbers(digits in "[1-9][0-9]{40,99}", fraction in "[0-9]{1,40}") {
        let resource: Value = json!({"resourceType": "Observation"});
        let line = resource.to_string().replace('}', &format!(",\"valueQuantity\":{{\"value\":{digits}.{fraction}}}}}"));
        let asks = |search: &str| {
            Search::new(&wanted(&[search]), "UTC").expect("a search").wants(line.as_bytes())
        };
        let exact = format!("Observation?value-quantity={digits}.{fraction}");
        let above = format!("Observation?value-quantity=gt{digits}.{fraction}");
        let less = format!("Observation?value-quantity=gt{digits}.{fraction}0");
        let shorter = format!("Observation?value-quantity=ge{digits}");
        prop_assert!(asks(&exact) && asks(&shorter) && !asks(&above) && !asks(&less));
    }
}
