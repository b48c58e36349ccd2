//! smelt: rows of a relational EHR store become FHIR R4 NDJSON.
//!
//! The modules below are listed in the order the data flows; each may know only what stands above it
//! (held by `tests/layers.rs`, explained in ARCHITECTURE.md).

// What time it is, as a value that is passed in.
pub mod clock;

// Words of FHIR R4: types, elements, ids, instants. Data only.
pub mod fhir;

// Words of Bulk Data: request, manifest. Data only.
pub mod bulk;

// What the data engineer writes, read into a checked and located tree.
pub mod mapping;

// What comes off the wire: batches of binary fields without meaning.
pub mod row;

// Mapping + catalog + request: what to run, and the program that writes one resource.
pub mod plan;

// The only module that talks to the clinical database.
pub mod source;

// Row batches and a program become bytes. No I/O.
pub mod encode;

// The tests that a mapping author writes. No I/O.
pub mod fixture;

// Where bytes land: names, sizes, digests.
pub mod sink;

// One export, from request to manifest.
pub mod export;

// Who may ask, and for what.
pub mod auth;

// Groups that clients have made.
pub mod cohort;

// An export's life over time: accepted, run, kept, expired.
pub mod job;

// How Data Consumers ask: the Bulk Data service over HTTP.
pub mod http;

// Settings, and the reader of mapping files.
pub mod config;

// The command line.
pub mod cli;
