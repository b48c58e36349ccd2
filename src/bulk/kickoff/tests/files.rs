//! What is asked for about files.

use super::*;
use crate::bulk::files::Files;

fn files(minimum: impl Into<Option<u64>>, maximum: impl Into<Option<u64>>) -> Files {
    Files { minimum: minimum.into(), maximum: maximum.into(), early: false }
}

// K-68
#[test]
fn sizes_are_positive_numbers_of_bytes() {
    for (query, want) in [
        ("", files(None, None)),
        ("_maximumFileSize=1", files(None, 1)),
        ("_minimumFileSize=1", files(1, None)),
        ("_minimumFileSize=10&_maximumFileSize=11", files(10, 11)),
        ("_maximumFileSize=%20104857600&_maximumFileSize= 104857600", files(None, 104_857_600)),
        ("_maximumFileSize=18446744073709551615", files(None, u64::MAX)),
    ] {
        assert_eq!(get(query).fine().files, want, "{query}");
    }
    let body = |name: &str, kind: &str, value: Value| post(json!([{"name": name, kind: value}]));
    for (kind, value) in [
        ("valuePositiveInt", json!(5)),
        ("valueInteger", json!(5)),
        ("valueInteger64", json!("5")),
        ("valueUnsignedInt", json!(5)),
        ("valueString", json!("5")),
        ("valueDecimal", json!(5.0)),
    ] {
        assert_eq!(body("_maximumFileSize", kind, value.clone()).fine().files, files(None, 5), "{kind}");
        assert_eq!(body("_minimumFileSize", kind, value).v4().fine().files, files(5, None), "{kind}");
    }
    let url = get("_maximumFileSize=20&_minimumFileSize=10").fine().kick_off_url(BASE);
    assert_eq!(url, format!("{BASE}/$export?_minimumFileSize=10&_maximumFileSize=20"));
}

// K-67
#[test]
fn early_manifests_are_asked_for_in_plain_words() {
    for (query, want) in [("true", true), ("True", true), ("TRUE ", true), ("false", false), ("False", false)] {
        let request = get(&format!("allowPartialManifests={query}")).fine();
        assert_eq!(request.files.early, want, "{query}");
    }
    for (kind, value) in [("valueBoolean", json!(true)), ("valueString", json!("true"))] {
        assert!(post(json!([{"name": "allowPartialManifests", kind: value}])).v4().fine().files.early, "{kind}");
    }
    for wrong in ["1", "yes", ""] {
        let ask = get(&format!("allowPartialManifests={wrong}"));
        let want = "allowPartialManifests: `allowPartialManifests` is neither `true` nor `false`";
        assert_eq!(ask.refused(), [want], "{wrong}");
        assert!(!ask.lenient().read().expect("lenient").request.files.early, "{wrong}");
    }
    let twice = get("allowPartialManifests=true&allowPartialManifests=false");
    assert!(!twice.lenient().read().expect("lenient").request.files.early);
    let url = get("allowPartialManifests=true").fine().kick_off_url(BASE);
    assert_eq!(url, format!("{BASE}/$export?allowPartialManifests=true"));
}

// K-09 K-33 K-68
#[test]
fn other_sizes_are_refused_or_told() {
    for wrong in ["0", "-1", "+1", "1.5", "1e6", "", "x", "64KiB", "18446744073709551616"] {
        for name in ["_minimumFileSize", "_maximumFileSize"] {
            let ask = get(&format!("{name}={}", wrong.replace('+', "%2B")));
            assert_eq!(ask.refused(), [format!("{name}: `{name}` is not a positive whole number")], "{wrong}");
            let kick_off = ask.lenient().read().expect("lenient");
            assert_eq!((kick_off.request.files, kick_off.ignored.len()), (files(None, None), 1), "{wrong}");
        }
    }
    for (query, want, left) in [
        (
            "_minimumFileSize=5&_maximumFileSize=5",
            "_minimumFileSize: `_minimumFileSize` is not below `_maximumFileSize`",
            files(None, 5),
        ),
        (
            "_maximumFileSize=5&_maximumFileSize=6&_minimumFileSize=7",
            "_maximumFileSize: `_maximumFileSize` is given twice with different values",
            files(7, None),
        ),
    ] {
        assert_eq!(get(query).refused(), [want], "{query}");
        assert_eq!(get(query).lenient().read().expect("lenient").request.files, left, "{query}");
    }
}
