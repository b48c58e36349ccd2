//! What several integration tests use.

pub(crate) mod generate;
pub(crate) mod packs;
pub(crate) mod reference;
