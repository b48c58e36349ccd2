//! Words of FHIR Bulk Data: what is asked for, and what the answer lists. Data only, no I/O.

pub mod instant;
pub mod manifest;
pub mod progress;
pub mod report;
pub mod request;
pub mod type_filter;

pub use manifest::{Manifest, ManifestFile};
pub use progress::{Progress, TypeProgress};
pub use report::Report;
pub use request::{ExportRequest, Level, ParameterError, Parameters};
pub use type_filter::TypeFilter;
