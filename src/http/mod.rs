//! How Data Consumers ask: the Bulk Data service over HTTP.
//!
//! `routes` is the table of endpoints and `reply` the one place that makes errors; between them stands `answer`, which
//! takes every request. What an export is, who may ask for one, and what a request means is decided in the rooms
//! above; here it gets its status codes and headers. No worker thread waits for a disk or a database.

mod answer;
mod audit;
mod base;
mod body;
mod cohorts;
mod download;
mod files;
mod groups;
mod kickoff;
mod limits;
mod metrics;
mod net;
mod operate;
mod page;
mod range;
mod reply;
mod routes;
mod server;
mod service;
mod status;
mod tls;
mod token;

pub use audit::Audit;
pub use base::BaseUrl;
pub use net::Networks;
pub use server::{Bound, Running, ServeError, bind};
pub use service::{Catalogue, Options, Parts, Service};
pub use tls::{Certificate, TlsError};
