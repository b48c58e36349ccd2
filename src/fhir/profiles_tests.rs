use super::*;
use crate::fhir::elements::{child_type_path, element, elements, type_kind};

const US_CORE: &str = "http://hl7.org/fhir/us/core/StructureDefinition/";

fn named(name: &str) -> &'static Profile {
    profile(&format!("{US_CORE}{name}")).expect(name)
}

fn all() -> impl Iterator<Item = &'static Profile> {
    PACKAGES.iter().flat_map(|package| package.canonicals().map(|url| package.profile(url).expect(url)))
}

#[test]
fn packages_are_whole() {
    let counts: Vec<_> = packages().iter().map(|package| package.canonicals().count()).collect();
    assert_eq!(counts, [59, 63, 67]);
    assert!(packages().iter().all(|package| package.canonicals().is_sorted()));
    assert_eq!(package("hl7.fhir.us.core#7.0.0").map(|package| package.version), Some("7.0.0"));
    assert!(package("hl7.fhir.us.core#5.0.0").is_none());
    assert!(package("hl7.fhir.us.core").is_none());
}

#[test]
fn every_constraint_is_about_an_element() {
    for profile in all() {
        assert!(type_kind(profile.base).is_some(), "{}", profile.canonical);
        for constraint in &profile.constraints {
            let mut places = vec![profile.base.to_owned()];
            for name in constraint.element_path().split('.') {
                let found: Vec<_> = places.iter().filter_map(|place| element(place, name)).collect();
                assert!(!found.is_empty(), "{} {}", profile.canonical, constraint.path);
                let next = found.iter().flat_map(|found| found.types.iter().map(|ty| child_type_path(found, ty)));
                places = next.filter(|place| !elements(place).is_empty()).collect();
            }
            if let Some(Expected::Fixed(json) | Expected::Pattern(json)) = constraint.value {
                serde_json::from_str::<serde_json::Value>(json).expect(constraint.path);
            }
        }
    }
}

#[test]
fn slices_can_be_told() {
    for profile in all() {
        for slice in &profile.slices {
            assert!(!slice.tests.is_empty(), "{} {} {}", profile.canonical, profile.version, slice.path);
            for test in &slice.tests {
                assert_ne!(test.rule, SliceRule::Types(Vec::new()), "{} {}", profile.canonical, slice.path);
            }
        }
    }
}

#[test]
fn blood_pressure() {
    let profile = named("us-core-blood-pressure");
    assert_eq!((profile.base, profile.name, profile.version), ("Observation", "us-core-blood-pressure", "6.1.0"));
    let needed: Vec<_> = profile.slices.iter().filter(|slice| slice.min > 0).map(|slice| slice.path).collect();
    assert_eq!(needed, ["category:VSCat", "component:systolic", "component:diastolic"]);
    let tests = |path: &str| profile.slices.iter().find(|slice| slice.path == path).map(|slice| slice.tests.clone());
    let value = |path, value| SliceTest { path, rule: SliceRule::Value(value) };
    assert_eq!(
        tests("category:VSCat"),
        Some(vec![
            value("coding.code", Expected::Fixed("\"vital-signs\"")),
            value("coding.system", Expected::Fixed("\"http://terminology.hl7.org/CodeSystem/observation-category\"")),
        ])
    );
    let systolic = Expected::Pattern(r#"{"coding":[{"system":"http://loinc.org","code":"8480-6"}]}"#);
    assert_eq!(tests("component:systolic"), Some(vec![value("code", systolic)]));
    let mandatory: Vec<_> = profile.mandatory().map(|constraint| constraint.path).collect();
    assert!(mandatory.contains(&"effective[x]") && mandatory.contains(&"subject"));
    assert!(!mandatory.contains(&"status"), "base R4 says so already");
    assert_eq!(profile.at("component").map(|constraint| constraint.min), Some(2));
}

#[test]
fn patient_and_race() {
    let patient = named("us-core-patient");
    let mandatory: Vec<_> = patient.mandatory().map(|constraint| constraint.path).collect();
    assert_eq!(mandatory, MANDATORY_OF_PATIENT);
    assert_eq!(
        patient.at("extension:race").map(|race| race.profiles.clone()),
        Some(vec![named("us-core-race").canonical])
    );
    let race = named("us-core-race");
    assert_eq!(race.base, "Extension");
    assert!(race.at("value[x]").is_some_and(Constraint::is_prohibited));
    let text = race.slices.iter().find(|slice| slice.name == "text").expect("text");
    assert_eq!((text.min, text.list), (1, "extension"));
}

const MANDATORY_OF_PATIENT: [&str; 7] =
    ["identifier", "identifier.system", "identifier.value", "name", "telecom.system", "telecom.value", "gender"];

#[test]
fn versions() {
    let name = format!("{US_CORE}us-core-patient");
    for version in ["6.1.0", "7.0.0", "8.0.0"] {
        assert_eq!(profile(&format!("{name}|{version}")).map(|profile| profile.version), Some(version));
    }
    assert_eq!(profile(&format!("{name}|3.1.1")), None);
    assert_eq!(profile("http://hl7.org/fhir/StructureDefinition/Patient"), None);
    let newer = profile(&format!("{US_CORE}us-core-average-blood-pressure")).map(|profile| profile.version);
    assert_ne!(newer, Some("6.1.0"));
}

#[test]
fn a_choice_is_sliced_by_type() {
    let heart_rate = named("us-core-heart-rate");
    let quantity = heart_rate.slices.iter().find(|slice| slice.list == "value[x]").expect("a slice of value[x]");
    assert_eq!(quantity.tests, [SliceTest { path: "", rule: SliceRule::Types(vec!["Quantity"]) }]);
}

#[test]
fn required_codes() {
    let status = named("us-core-smokingstatus").at("status").and_then(|status| status.codes).expect("closed");
    assert_eq!(status.iter().map(|(_, code)| code).collect::<Vec<_>>(), ["final", "entered-in-error"]);
}
