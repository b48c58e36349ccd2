//! The room as a whole: keys are made here, key sets come over a real socket, time is set by hand.

mod access;
mod assertion;
mod external;
mod jwks;
mod registry;
mod support;
mod token;
