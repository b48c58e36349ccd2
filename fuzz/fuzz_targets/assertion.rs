//! An assertion is whatever somebody posts: it is read without a panic, and nothing that was not signed is believed.
#![no_main]

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use libfuzzer_sys::fuzz_target;
use smelt::auth::{Algorithms, Keys, Registry, assertion, registry};

/// A client whose private key nobody has.
static CLIENTS: LazyLock<Registry> = LazyLock::new(|| {
    let page = include_str!("../../docs/src/how-to/register-a-client.md");
    let (_, rest) = page.split_once("```yaml,clients\n").unwrap();
    registry::parse(rest.split_once("```").unwrap().0).unwrap()
});

fuzz_target!(|input: (&str, &[u8], &[u8], &[u8])| {
    let (raw, header, claims, signature) = input;
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let good = part(br#"{"alg":"ES384","kid":"registry-2026","typ":"JWT"}"#);
    let shaped = format!("{}.{}.{}", part(header), part(claims), part(signature));
    let signed = format!("{good}.{}.{}", part(claims), part(signature));
    let allowed = Algorithms::with(["RS256", "RS512", "ES256", "PS256", "PS384", "PS512"]).unwrap();
    let client = CLIENTS.get("diabetes-registry").unwrap();
    let Keys::Inline(keys) = &client.keys else { unreachable!() };
    for token in [raw, &shaped, &signed] {
        if let Ok(unproven) = assertion::read(token, &allowed) {
            let audiences = ["https://bulk.example.org/auth/token".to_owned()];
            assert!(assertion::verify(token, &unproven, client, keys, &audiences, 1_768_435_200).is_err());
        }
    }
});
