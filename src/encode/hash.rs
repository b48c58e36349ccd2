//! Ids made of other values.

use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::{Invalid, text};

/// Appends the UUIDv5 of `name` in `namespace`, hyphenated.
pub(super) fn uuid5(namespace: [u8; 16], name: &[u8], out: &mut Vec<u8>) -> Result<(), Invalid> {
    let digest = Sha1::new().chain_update(namespace).chain_update(name).finalize();
    let (mut bytes, _) = digest.split_first_chunk::<16>().map(|(first, rest)| (*first, rest)).ok_or(Invalid)?;
    bytes[6] = bytes[6] & 0x0F | 0x50;
    bytes[8] = bytes[8] & 0x3F | 0x80;
    text::uuid(&bytes, out)
}

/// Appends the SHA-256 of `name` in hexadecimal.
pub(super) fn sha256(name: &[u8], out: &mut Vec<u8>) {
    text::hex(&Sha256::digest(name), out);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn uuid_of(namespace: Uuid, name: &[u8]) -> String {
        let mut out = Vec::new();
        uuid5(*namespace.as_bytes(), name, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// The id that mimic-fhir gives this row with `uuid_generate_v5`.
    #[test]
    fn as_uuid_ossp_makes_them() {
        let root = Uuid::new_v5(&Uuid::NAMESPACE_OID, b"MIMIC-IV");
        let conditions = uuid_of(root, b"Condition").parse().unwrap();
        assert_eq!(uuid_of(conditions, b"22595853-1-5723"), "d17e8cfb-45bf-51cb-a612-d9d08e5b625a");
    }

    #[test]
    fn sha256_of_abc() {
        let mut out = Vec::new();
        sha256(b"abc", &mut out);
        assert_eq!(out, *b"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    proptest! {
        #[test]
        fn as_the_uuid_crate_makes_them(
            namespace in any::<[u8; 16]>(),
            name in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            let namespace = Uuid::from_bytes(namespace);
            prop_assert_eq!(uuid_of(namespace, &name), Uuid::new_v5(&namespace, &name).to_string());
        }
    }
}
