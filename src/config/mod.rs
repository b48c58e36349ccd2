//! Settings, and the reader of mapping files: the only module that reads files which people write.

mod flat;
pub mod pack;
pub mod settings;
pub mod table;

pub use pack::{PackError, read_pack};
pub use settings::{Settings, SettingsError};
