//! How Data Consumers ask: the Bulk Data service over HTTP.

mod base;
mod net;

pub use base::BaseUrl;
pub use net::Networks;
