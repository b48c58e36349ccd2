use super::*;

fn all() -> impl Iterator<Item = (&'static str, &'static Element)> {
    R4.iter().flat_map(|block| elements(block.key).iter().map(move |element| (block.key, element)))
}

fn types(element: &Element) -> Vec<&str> {
    element.types.iter().map(|ty| ty.code).collect()
}

#[test]
fn the_table_is_whole() {
    assert_eq!(resource_types().count(), 146);
    assert!(resource_types().is_sorted());
    assert!(R4.iter().map(|block| block.key).is_sorted());
    // 7675 snapshot rows of the package, less one root per type (209) and the value of each primitive (20).
    assert_eq!(all().count(), 7675 - 209 - 20);
    let kind = |wanted| R4.iter().filter(|block| type_kind(block.key) == Some(wanted)).count();
    assert_eq!((kind(TypeKind::Resource), kind(TypeKind::Complex), kind(TypeKind::Primitive)), (148, 41, 20));
}

#[test]
fn every_row_leads_somewhere() {
    for (parent, element) in all() {
        let path = element.path;
        assert_eq!(path, format!("{parent}.{}", element.name));
        assert!(element.max.is_none_or(|max| max >= element.min), "{path}");
        assert!(!element.types.is_empty(), "{path}");
        assert!(element.types.len() == 1 || element.is_choice(), "{path}");
        for ty in &element.types {
            assert!(type_kind(ty.code).is_some(), "{path}: {}", ty.code);
            assert!(ty.targets.iter().all(|target| type_kind(target) == Some(TypeKind::Resource)), "{path}");
            assert!(!elements(&child_type_path(element, ty)).is_empty(), "{path}");
            assert_eq!(json_member(parent, &json_name(element, ty)), Some((element, ty)), "{path}");
        }
    }
}

#[test]
fn required_value_sets_are_closed_or_known_to_be_open() {
    let mut open: Vec<_> = all().filter_map(|(_, e)| e.required_value_set).filter(|set| codes(set).is_none()).collect();
    open.sort_unstable();
    open.dedup();
    assert_eq!(open, OPEN);
}

/// Sets R4 binds as required without a list of their own: whole external vocabularies.
const OPEN: [&str; 4] = [
    "http://hl7.org/fhir/ValueSet/currencies",
    "http://hl7.org/fhir/ValueSet/mimetypes",
    "http://hl7.org/fhir/ValueSet/ucum-units",
    "http://loinc.org/vs/LL379-9",
];

#[test]
fn members_by_json_name() {
    let found = |path, json| json_member(path, json).map(|(element, ty)| (element.name, ty.code));
    assert_eq!(found("Observation", "valueQuantity"), Some(("value[x]", "Quantity")));
    assert_eq!(found("Observation", "valueString"), Some(("value[x]", "string")));
    assert_eq!(found("Observation", "valueDateTime"), Some(("value[x]", "dateTime")));
    assert_eq!(found("Patient", "birthDate"), Some(("birthDate", "date")));
    assert_eq!(found("Extension", "valueBase64Binary"), Some(("value[x]", "base64Binary")));
    assert_eq!(found("Narrative", "div"), Some(("div", "xhtml")));
    assert_eq!(found("Observation.component", "valueQuantity"), Some(("value[x]", "Quantity")));
    for (path, json) in [
        ("Observation", "value"),
        ("Observation", "value[x]"),
        ("Observation", "valuequantity"),
        ("Observation", "valueAddress"),
        ("Observation", "valué"),
        ("Observation", ""),
        ("Patient", "_birthDate"),
        ("Patient", "resourceType"),
        ("string", "value"),
        ("Nonsense", "id"),
    ] {
        assert_eq!(found(path, json), None, "{path} {json}");
    }
}

#[test]
fn what_elements_say() {
    let get = |path: &str, name: &str| element(path, name).expect(name);
    let status = get("Observation", "status");
    assert_eq!((status.min, status.max, types(status)), (1, Some(1), vec!["code"]));
    assert_eq!(status.required_value_set, Some("http://hl7.org/fhir/ValueSet/observation-status"));
    assert!(status.summary && status.is_modifier && !status.is_list());
    let subject = &get("Observation", "subject").types;
    assert_eq!(subject[0].targets, ["Patient", "Group", "Device", "Location"]);
    assert!(get("Observation", "focus").types[0].targets.is_empty());
    assert_eq!(types(get("Patient", "id")), ["id"]);
    assert_eq!(types(get("HumanName", "id")), ["string"]);
    assert_eq!(types(get("Extension", "url")), ["uri"]);
    assert_eq!(get("Extension", "value[x]").types.len(), 50);
    assert_eq!(get("Patient", "name").max, None);
    assert_eq!(elements("Patient")[0].name, "id");
    assert_eq!(elements("date").iter().map(|element| element.name).collect::<Vec<_>>(), ["id", "extension"]);
}

#[test]
fn where_objects_continue() {
    let next = |path: &str, json: &str| {
        let (element, ty) = json_member(path, json).expect(json);
        child_type_path(element, ty)
    };
    assert_eq!(next("Observation", "component"), "Observation.component");
    assert_eq!(next("Observation.component", "referenceRange"), "Observation.referenceRange");
    assert_eq!(next("Questionnaire.item", "item"), "Questionnaire.item");
    assert_eq!(next("Timing", "repeat"), "Timing.repeat");
    assert_eq!(next("Dosage", "doseAndRate"), "Dosage.doseAndRate");
    assert_eq!(next("Dosage.doseAndRate", "doseQuantity"), "Quantity");
    assert_eq!(next("Patient", "contained"), "Resource");
}

#[test]
fn kinds() {
    for (name, kind) in [
        ("Patient", Some(TypeKind::Resource)),
        ("DomainResource", Some(TypeKind::Resource)),
        ("BackboneElement", Some(TypeKind::Complex)),
        ("code", Some(TypeKind::Primitive)),
        ("xhtml", Some(TypeKind::Primitive)),
        ("Observation.component", None),
        ("patient", None),
    ] {
        assert_eq!(type_kind(name), kind, "{name}");
    }
}
