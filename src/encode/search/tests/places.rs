//! Searches that look at extensions, and at several parts of one place.

use serde_json::json;

use super::check;

#[test]
fn extensions() {
    let report = json!({"resourceType": "DiagnosticReport", "extension": [
        {"url": "http://x", "valueReference": {"reference": "Condition/c0"}},
        {"url": "http://hl7.org/fhir/StructureDefinition/DiagnosticReport-geneticsAssessedCondition",
         "valueReference": {"reference": "Condition/c1"}}]});
    check(&report, &["assessed-condition=Condition/c1"], &["assessed-condition=Condition/c0"]);
}

// K-63: US Core's own parameters.
#[test]
fn us_core() {
    let us = |name: &str| format!("http://hl7.org/fhir/us/core/StructureDefinition/us-core-{name}");
    let omb = "urn:oid:2.16.840.1.113883.6.238";
    let patient = json!({"resourceType": "Patient", "extension": [
        {"url": us("race"), "extension": [
            {"url": "ombCategory", "valueCoding": {"system": omb, "code": "2106-3"}},
            {"url": "detailed", "valueCoding": {"system": omb, "code": "2114-7"}},
            {"url": "text", "valueString": "2076-8"}]},
        {"url": us("ethnicity"), "extension": [{"url": "text", "valueString": "none"}]},
        {"url": us("genderIdentity"), "valueCodeableConcept": {"coding": [{"code": "446141000124107"}]}}]});
    check(
        &patient,
        &[
            "race=2106-3",
            "race=x,2114-7",
            "race=urn:oid:2.16.840.1.113883.6.238|2106-3",
            "race:not=2076-8",
            "ethnicity:missing=true",
            "gender-identity=446141000124107",
        ],
        &["race=2076-8", "race=x|2106-3", "race:not=2106-3", "ethnicity=2106-3", "gender-identity=2106-3"],
    );
    let condition = json!({"resourceType": "Condition", "extension": [
        {"url": "http://hl7.org/fhir/StructureDefinition/condition-assertedDate", "valueDateTime": "2024-05-01"}]});
    check(&condition, &["asserted-date=2024", "asserted-date=ge2024-05"], &["asserted-date=2023"]);
}

// K-63: both parts in one place.
#[test]
fn composites() {
    let quantity = |value: u32| json!({"value": value, "code": "mm[Hg]", "unit": "mm Hg"});
    let part = |code: &str, value: u32| json!({"code": {"coding": [{"system": "l", "code": code}]}, "valueQuantity": quantity(value)});
    let pressure = json!({"resourceType": "Observation", "code": {"coding": [{"system": "l", "code": "85354-9"}]},
        "component": [part("8480-6", 140), part("8462-4", 90)]});
    check(
        &pressure,
        &[
            "component-code-value-quantity=8480-6$140",
            "component-code-value-quantity=l|8480-6$gt139||mm[Hg]",
            "component-code-value-quantity=x$1,8462-4$lt91",
            "combo-code-value-quantity=8462-4$90",
        ],
        &[
            "component-code-value-quantity=8480-6$90",
            "component-code-value-quantity=8462-4$140",
            "component-code-value-quantity=x|8480-6$140",
            "component-code-value-quantity=85354-9$140",
            "code-value-quantity=8480-6$140",
            "combo-code-value-quantity=85354-9$140",
        ],
    );
    let mut whole = part("8480-6", 7);
    whole["resourceType"] = json!("Observation");
    check(
        &whole,
        &["code-value-quantity=8480-6$7", "combo-code-value-quantity=8480-6$ge7||mm Hg"],
        &["code-value-quantity=8480-6$8", "component-code-value-quantity=8480-6$7", "code-value-concept=8480-6$7"],
    );
    let text = json!({"resourceType": "Observation", "code": {"coding": [{"code": "c"}]}, "valueString": "Wie, groß?"});
    check(&text, &["code-value-string=c$wie", "code-value-string=c$Wie\\, g"], &["code-value-string=c$groß"]);
    let group = json!({"resourceType": "Group", "characteristic": [
        {"code": {"coding": [{"code": "a"}]}, "valueBoolean": true},
        {"code": {"coding": [{"code": "b"}]}, "valueCodeableConcept": {"coding": [{"code": "x"}]}}]});
    check(
        &group,
        &["characteristic-value=a$true", "characteristic-value=b$x"],
        &["characteristic-value=a$x", "characteristic-value=b$true"],
    );
}
