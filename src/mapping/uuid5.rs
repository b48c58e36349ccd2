//! Version 5 UUIDs (RFC 9562 §5.5): the SHA-1 of a namespace and a name.

use sha1::{Digest, Sha1};

/// Namespace of names that are URLs.
pub const URL: [u8; 16] =
    [0x6b, 0xa7, 0xb8, 0x11, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8];

/// Namespace of names that are ISO OIDs.
pub const OID: [u8; 16] =
    [0x6b, 0xa7, 0xb8, 0x12, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8];

/// The UUID of `name` in `namespace`.
pub fn uuid5(namespace: &[u8; 16], name: &[u8]) -> [u8; 16] {
    let hash: [u8; 20] = Sha1::new().chain_update(namespace).chain_update(name).finalize().into();
    let mut uuid = [0; 16];
    for (to, from) in uuid.iter_mut().zip(hash) {
        *to = from;
    }
    uuid[6] = (uuid[6] & 0x0f) | 0x50;
    uuid[8] = (uuid[8] & 0x3f) | 0x80;
    uuid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_the_mimic_fhir_data() {
        let space = uuid5(&uuid5(&OID, b"MIMIC-IV"), b"Condition");
        let id = uuid::Uuid::from_bytes(uuid5(&space, b"22595853-1-5723"));
        assert_eq!(id.to_string(), "d17e8cfb-45bf-51cb-a612-d9d08e5b625a");
    }
}
