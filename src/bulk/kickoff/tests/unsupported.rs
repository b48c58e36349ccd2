//! What is not honoured, and what is not repeated.

use super::*;

// M-03: what a URL keeps when its patients are left out.
#[test]
fn urls_without_patients() {
    for (query, kept) in [
        ("", ""),
        ("_type=Patient&_since=2024", "_type=Patient&_since=2024"),
        ("patient=Patient/p-1", ""),
        ("patient", ""),
        ("patient=a&_type=Patient&patient=b", "_type=Patient"),
        ("_type=Patient&p%61tien%74=a,b&_foo=%2C", "_type=Patient&_foo=%2C"),
        // Other names are other parameters, and refused as such; what is no text is kept out.
        ("Patient=a&patients=b", "Patient=a&patients=b"),
        ("%FF=a&_type=x", "_type=x"),
    ] {
        assert_eq!(without_patients(query), kept, "{query}");
    }
}

const NOT_ORGANIZABLE: &str = "organizeOutputBy: `organizeOutputBy` names a type that output is not organized by";

// K-66: at every level, by GET and POST; types that no patient has are refused as they are for patients.
#[test]
fn output_is_organized_by_patient() {
    let parameter = |kind: &str| post(json!([{"name": "organizeOutputBy", kind: "Patient"}]));
    for ask in [
        get("organizeOutputBy=Patient"),
        get("organizeOutputBy=%20Patient"),
        get("organizeOutputBy=Patient&organizeOutputBy=Patient"),
        parameter("valueString"),
        parameter("valueCode"),
        parameter("valueString").v4(),
    ] {
        let request = ask.fine();
        assert!(request.by_patient, "{:?}", ask.query);
        assert_eq!(request.kick_off_url("http://h"), "http://h/$export?organizeOutputBy=Patient");
    }
    assert!(!get("").fine().by_patient);
    let outside = "_type: No type in `_type` belongs to patients";
    assert_eq!(get("organizeOutputBy=Patient&_type=Organization").refused(), [outside]);
}

// K-09 K-33 K-66 T-41
#[test]
fn what_nobody_honours_is_refused_or_told() {
    for (query, want) in [
        ("_foo=1", "_foo: parameter `_foo` is not known"),
        ("_Type=Patient", "_Type: parameter `_Type` is not known"),
        (
            "_elements=Patient.gender,Patient.name.family",
            "_elements: `_elements` names `Patient.name.family`, which is not an element of a resource itself",
        ),
        ("organizeOutputBy=Group", NOT_ORGANIZABLE),
        ("organizeOutputBy=patient", NOT_ORGANIZABLE),
        ("organizeOutputBy=", NOT_ORGANIZABLE),
        (
            "organizeOutputBy=Patient&organizeOutputBy=Group",
            "organizeOutputBy: `organizeOutputBy` is given twice with different values",
        ),
        (
            "organizeOutputBy=Patient&includeAssociatedData=LatestProvenanceResources",
            "includeAssociatedData: Provenance by `includeAssociatedData` does not come in output that is organized by \
             patient",
        ),
        ("allowPartialManifests=1", "allowPartialManifests: `allowPartialManifests` is neither `true` nor `false`"),
        ("_outputFormat=parquet", "_outputFormat: the `_outputFormat` is not supported"),
        ("_outputFormat=", "_outputFormat: the `_outputFormat` is not supported"),
        ("_since=soon", "_since: `_since` is not an instant"),
        ("_since=2024&_until=2024", "_until: `_until` is not after `_since`"),
        ("_since=2024&_since=2025", "_since: `_since` is given twice with different values"),
        ("_type=Patient,Nope,patient", "_type: `_type` names `Nope`, `patient`, which no mapping makes"),
    ] {
        let (name, text) = want.split_once(": ").expect("name: text");
        let mut first = text.chars();
        let sentence: String = first.next().into_iter().flat_map(char::to_uppercase).chain(first).collect();
        assert_eq!(get(query).refused(), [format!("{name}: {sentence}")], "{query}");
        let kick_off = get(query).lenient().read().expect(query);
        assert_eq!(kick_off.ignored.len(), 1, "{query}");
        assert_eq!(told(&kick_off.ignored[0], "warning"), [format!("{name}: Ignored: {text}")]);
        let request = kick_off.request;
        let types = if query.starts_with("_type") { 1 } else { MAPPED.len() };
        let by_patient = query.starts_with("organizeOutputBy=Patient&include");
        assert_eq!((request.types.len(), request.until, request.by_patient), (types, None, by_patient), "{query}");
    }
    for silent in ["_format=json&_pretty=true", "allowPartialManifests=FALSE", "_outputFormat=NDJSON"] {
        assert_eq!(get(silent).fine(), get("").fine());
    }
    // Every mistake is told at once.
    assert_eq!(get("_foo=1&_since=x&_bar=2&_foo=3").refused().len(), 3);
}
