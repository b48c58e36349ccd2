//! The discovery document.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::keys::Algorithms;

/// The document of a server that gives out tokens itself.
pub(super) fn smart(
    token_url: &str,
    algorithms: &Algorithms,
    types: &BTreeSet<String>,
    extra: &Map<String, Value>,
) -> Value {
    let ours = json!({
        "token_endpoint": token_url,
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": algorithms.names(),
        "scopes_supported": scopes(types),
        "code_challenge_methods_supported": ["S256"],
        // Clients read these to choose between `.read` and `.rs` (T-19, T-39).
        "capabilities": ["client-confidential-asymmetric", "permission-v1", "permission-v2"],
    });
    merged(ours, extra)
}

/// The document that leads to another server; what only that server knows comes from the settings.
pub(super) fn external(token_url: &str, types: &BTreeSet<String>, extra: &Map<String, Value>) -> Value {
    let ours = json!({
        "token_endpoint": token_url,
        "grant_types_supported": ["client_credentials"],
        "scopes_supported": scopes(types),
        "code_challenge_methods_supported": ["S256"],
        "capabilities": ["permission-v1", "permission-v2"],
    });
    merged(ours, extra)
}

/// Both forms of what can be granted; nothing is listed that is not.
fn scopes(types: &BTreeSet<String>) -> Vec<String> {
    let every = std::iter::once("*").chain(types.iter().map(String::as_str));
    every.flat_map(|name| [format!("system/{name}.rs"), format!("system/{name}.read")]).collect()
}

/// Lists become one, other members of the site are added where we say nothing.
fn merged(mut ours: Value, extra: &Map<String, Value>) -> Value {
    let Some(document) = ours.as_object_mut() else { return ours };
    for (name, theirs) in extra {
        match (document.get_mut(name), theirs) {
            (Some(Value::Array(all)), Value::Array(more)) => {
                for one in more {
                    if !all.contains(one) {
                        all.push(one.clone());
                    }
                }
            }
            (Some(_), _) => {}
            (None, value) => {
                document.insert(name.clone(), value.clone());
            }
        }
    }
    ours
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types() -> BTreeSet<String> {
        ["Group", "Patient"].map(str::to_owned).into()
    }

    fn strings(value: &Value) -> Vec<&str> {
        value.as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect()
    }

    /// T-39.
    #[test]
    fn what_clients_and_the_standard_want_is_there() {
        let url = "https://bulk.example.org/auth/token";
        let document = smart(url, &Algorithms::with(["ES256"]).unwrap(), &types(), &Map::new());
        assert_eq!(document["token_endpoint"], url);
        assert_eq!(strings(&document["grant_types_supported"]), ["client_credentials"]);
        assert_eq!(strings(&document["token_endpoint_auth_methods_supported"]), ["private_key_jwt"]);
        let algorithms = &document["token_endpoint_auth_signing_alg_values_supported"];
        assert_eq!(strings(algorithms), ["RS384", "ES384", "ES256"]);
        assert_eq!(strings(&document["code_challenge_methods_supported"]), ["S256"]);
        assert_eq!(
            strings(&document["capabilities"]),
            ["client-confidential-asymmetric", "permission-v1", "permission-v2"]
        );
        assert_eq!(
            strings(&document["scopes_supported"]),
            [
                "system/*.rs",
                "system/*.read",
                "system/Group.rs",
                "system/Group.read",
                "system/Patient.rs",
                "system/Patient.read"
            ]
        );
        for absent in ["issuer", "jwks_uri", "authorization_endpoint", "introspection_endpoint"] {
            assert_eq!(document.get(absent), None, "A-05: {absent}");
        }
    }

    /// a site adds what its EHR offers and takes nothing away.
    #[test]
    fn fields_of_the_site_are_merged() {
        let extra = json!({
            "authorization_endpoint": "https://ehr.example.org/authorize",
            "grant_types_supported": ["authorization_code", "client_credentials"],
            "capabilities": ["launch-ehr"],
            "token_endpoint": "https://evil.example.org/",
            "scopes_supported": "system/*.cruds",
        });
        let url = "https://bulk.example.org/auth/token";
        for document in [
            smart(url, &Algorithms::default(), &types(), extra.as_object().unwrap()),
            external(url, &types(), extra.as_object().unwrap()),
        ] {
            assert_eq!(document["authorization_endpoint"], "https://ehr.example.org/authorize");
            assert_eq!(strings(&document["grant_types_supported"]), ["client_credentials", "authorization_code"]);
            assert!(strings(&document["capabilities"]).contains(&"launch-ehr"));
            assert_eq!(document["token_endpoint"], url);
            assert_eq!(document["scopes_supported"].as_array().unwrap().len(), 6);
        }
    }
}
