//! What all requests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::audit::Audit;
use super::base::BaseUrl;
use super::cohorts::AT_ONCE;
use super::limits::Polls;
use super::metrics::Metrics;
use super::net::Networks;
use crate::auth::{Authority, SigningKey};
use crate::bulk::capability::{Features, TypeFeatures, capability_statement};
use crate::clock::Clock;
use crate::cohort::Cohorts;
use crate::fhir::compartment::patient_compartment;
use crate::job::Jobs;

/// What the operator decides about requests.
#[derive(Debug, Clone)]
pub struct Options {
    /// The public FHIR base.
    pub base_url: BaseUrl,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Networks,
    /// Origins of browser applications, beside those of registered clients.
    pub cors_origins: Vec<String>,
    /// Lifetime of signed file URLs, where files are opened by them (F-08, F-09).
    pub signed_files: Option<Duration>,
    /// Largest body (K-21).
    pub max_body: u64,
    /// Largest body that makes a Group.
    pub max_group: u64,
    /// How long a status request is held (S-19).
    pub status_hold: Duration,
    /// Polls of a job a minute (S-04).
    pub polls_per_minute: u32,
    /// Filters that cannot be asked are refused for lenient clients too (K-59).
    pub strict_filters: bool,
    /// K-07
    pub require_prefer: bool,
    /// K-18
    pub require_group_scope: bool,
    /// Whether `/metrics` is served on the second address alone.
    pub metrics_apart: bool,
    /// Whom to ask for access.
    pub contact: Option<String>,
}

/// What can be exported, as the pack says.
#[derive(Debug, Clone)]
pub struct Catalogue {
    /// Name of the pack.
    pub pack: String,
    /// The mapped types and the search parameters of each that `_typeFilter` can use.
    pub types: Vec<TypeFeatures>,
}

impl Catalogue {
    /// The names of the types.
    pub(super) fn names(&self) -> Vec<&str> {
        self.types.iter().map(|one| one.name.as_str()).collect()
    }

    /// Whether a filter can be used.
    pub(super) fn searchable(&self, resource_type: &str, code: &str) -> bool {
        let found = self.types.iter().find(|one| one.name == resource_type);
        found.is_some_and(|one| one.search_params.iter().any(|param| param == code))
    }

    /// Whether there can be groups: mapped ones, or those that clients make of patients.
    pub(super) fn has_groups(&self) -> bool {
        self.makes("Group") || self.makes("Patient")
    }

    /// Whether a type is mapped.
    pub(super) fn makes(&self, resource_type: &str) -> bool {
        self.types.iter().any(|one| one.name == resource_type)
    }
}

/// Whether resources of a type may belong to a patient. Device is no part of the compartment and is linked all the same
/// (K-43).
pub(super) fn is_patient_linked(resource_type: &str) -> bool {
    resource_type == "Device" || patient_compartment(resource_type).is_some()
}

/// The service.
pub struct Service {
    pub(super) options: Options,
    pub(super) catalogue: Catalogue,
    pub(super) features: Features,
    /// The CapabilityStatement.
    pub(super) metadata: String,
    pub(super) jobs: Arc<Jobs>,
    /// Groups of clients.
    pub(super) cohorts: Arc<Cohorts>,
    /// Turns of those who send one.
    pub(super) uploads: Semaphore,
    pub(super) authority: Arc<Authority>,
    pub(super) key: SigningKey,
    pub(super) audit: Audit,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) polls: Polls,
    pub(super) metrics: Metrics,
    draining: AtomicBool,
}

/// What a service is made of.
pub struct Parts {
    /// What the operator decides.
    pub options: Options,
    /// What can be exported.
    pub catalogue: Catalogue,
    /// The jobs.
    pub jobs: Arc<Jobs>,
    /// Groups of clients.
    pub cohorts: Arc<Cohorts>,
    /// Who may ask.
    pub authority: Arc<Authority>,
    /// What signs file URLs.
    pub key: SigningKey,
    /// The audit trail.
    pub audit: Audit,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Service {
    /// Puts a service together.
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts { options, catalogue, jobs, cohorts, authority, key, audit, clock } = parts;
        let features = Features {
            base_url: options.base_url.as_str().to_owned(),
            software_version: env!("CARGO_PKG_VERSION").to_owned(),
            date: crate::bulk::instant::write(clock.now_seconds() * 1_000_000).unwrap_or_default(),
            types: catalogue.types.clone(),
            auth: authority.token_url().map(str::to_owned),
            group: catalogue.has_groups(),
            cohorts: catalogue.makes("Patient"),
            v4: true,
            cors: true,
        };
        Arc::new(Self {
            metadata: capability_statement(&features).to_string(),
            polls: Polls::new(options.polls_per_minute),
            metrics: Metrics::default(),
            draining: AtomicBool::new(false),
            options,
            catalogue,
            features,
            jobs,
            cohorts,
            uploads: Semaphore::new(AT_ONCE),
            authority,
            key,
            audit,
            clock,
        })
    }

    /// Goes on with the audit trail in a new file, where the old one was renamed.
    pub fn reopen_audit(&self) -> std::io::Result<()> {
        self.audit.reopen()
    }

    /// From now on the server says that it is going away.
    pub fn begin_drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether it is going away.
    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Whether files need the access token that the export needed (M-04): derived, never configured.
    pub(super) fn files_need_token(&self) -> bool {
        self.authority.protects() && self.options.signed_files.is_none()
    }
}
