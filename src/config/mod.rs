//! Settings, and the reader of mapping files: the only module that reads files which people write.

mod flat;
mod lookup;
pub mod pack;
pub mod server;
mod server_table;
pub mod settings;
pub mod table;
mod value;

pub use pack::{PackError, pack_directory, read_pack};
pub use server::ServerSettings;
pub use settings::{Settings, SettingsError};
pub(crate) use value::size;
