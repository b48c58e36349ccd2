//! `includeAssociatedData`, by whatever carries it.

use serde_json::{Value, json};

use super::*;
use crate::bulk::Provenances::{self, Latest, Relevant};
use crate::bulk::associated::CODE_SYSTEM;

fn of(values: &[Value]) -> Ask {
    let named = |value: &Value| {
        let mut parameter = value.clone();
        parameter["name"] = json!("includeAssociatedData");
        parameter
    };
    post(values.iter().map(named).collect())
}

fn coding(code: &str) -> Value {
    json!({"valueCoding": {"system": CODE_SYSTEM, "code": code}})
}

// K-52 K-53
#[test]
fn values_are_read_from_every_carrier() {
    let (latest, relevant) = ("LatestProvenanceResources", "RelevantProvenanceResources");
    let closure = "_reference-closure";
    let cases: [(Ask, Option<Provenances>, bool); 11] = [
        (get(""), None, false),
        (get("includeAssociatedData=LatestProvenanceResources"), Some(Latest), false),
        (get("includeAssociatedData=LatestProvenanceResources,RelevantProvenanceResources"), Some(Relevant), false),
        (get("includeAssociatedData=_reference-closure&includeAssociatedData=%20,"), None, true),
        (get("includeAssociatedData=RelevantProvenanceResources,%20_reference-closure"), Some(Relevant), true),
        (of(&[json!({"valueCode": latest})]), Some(Latest), false),
        (of(&[json!({"valueString": format!("{relevant},{closure}")})]), Some(Relevant), true),
        (of(&[coding(relevant), coding(latest)]), Some(Relevant), false),
        (of(&[coding(latest), coding(closure)]).v4(), Some(Latest), true),
        (of(&[json!({"valueCoding": {"code": latest}})]).v4(), Some(Latest), false),
        (of(&[json!({"valueCode": closure})]).v4(), None, true),
    ];
    for (ask, provenance, follow) in cases {
        let asked = ask.fine().associated;
        let want = follow.then(|| vec!["Device".to_owned(), "Organization".to_owned(), "Practitioner".to_owned()]);
        assert_eq!((asked.provenance, asked.closure), (provenance, want), "{:?} {:?}", ask.query, ask.body);
    }
    let all = get("includeAssociatedData=_reference-closure,LatestProvenanceResources&_type=Patient").fine();
    let url = "/$export?_type=Patient&includeAssociatedData=LatestProvenanceResources,_reference-closure";
    assert_eq!(all.kick_off_url(""), url);
}

// K-53: what is not supported is named, and what is; a lenient client gets the rest and is told.
#[test]
fn what_cannot_come_along_is_refused() {
    let is = |what: &str| format!("includeAssociatedData: {what}");
    let names = |what: &str| is(&format!("`includeAssociatedData` names {what}, which is not supported"));
    for (ask, want) in [
        (get("includeAssociatedData=Foo"), names("`Foo`")),
        (get("includeAssociatedData=LatestProvenanceResources,_custom,Foo"), names("`Foo`, `_custom`")),
        (get("includeAssociatedData="), is("`includeAssociatedData` is given but empty")),
        (of(&[json!({})]), is("`includeAssociatedData` has no value of a kind it can be read from")),
        (of(&[json!({"valueCoding": {}})]), is("`includeAssociatedData` has no value of a kind it can be read from")),
        (of(&[json!({"valueCoding": {"system": "s", "code": "Foo"}})]), names("`s|Foo`")),
        (of(&[json!({"valueCode": "A,B"})]).v4(), is("`includeAssociatedData` has a comma")),
    ] {
        assert_eq!(ask.refused(), [want], "{:?} {:?}", ask.query, ask.body);
        let kick_off = ask.clone().lenient().read().expect("lenient");
        assert_eq!(kick_off.request.types.len(), MAPPED.len());
        assert_eq!(kick_off.ignored.len(), 1);
        let known = ask.query.is_some_and(|query| query.contains("Latest"));
        assert_eq!(kick_off.request.associated.provenance.is_some(), known);
    }
    let refusal = get("includeAssociatedData=Foo").read().expect_err("refused");
    let help = "Supported: LatestProvenanceResources, RelevantProvenanceResources, _reference-closure.";
    assert!(refusal.outcome.to_json().contains(help), "{}", refusal.outcome.to_json());
}
