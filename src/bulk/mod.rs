//! Words of FHIR Bulk Data: what is asked for, and what the answer lists. Data only, no I/O.

pub mod accept;
pub mod associated;
pub mod capability;
pub mod cohort;
pub mod elements;
pub mod files;
pub mod instant;
pub mod kickoff;
pub mod manifest;
mod percent;
pub mod prefer;
pub mod progress;
pub mod report;
pub mod request;
pub mod roster;
pub mod type_filter;

pub use associated::{Associated, Provenances};
pub use capability::{Features, TypeFeatures};
pub use cohort::Cohort;
pub use elements::Elements;
pub use files::Files;
pub use kickoff::{Dialect, Intake, KickOff, Known, Refusal};
pub use manifest::{Form, Manifest, ManifestFile};
pub use prefer::Prefer;
pub use progress::{Progress, TypeProgress};
pub use report::Report;
pub use request::{ExportRequest, Level, ParameterError, Parameters};
pub use roster::Roster;
pub use type_filter::TypeFilter;
