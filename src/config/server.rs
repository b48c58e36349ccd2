//! The settings of `smelt serve`.

use std::env::VarError;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use super::lookup::Lookup;
use super::settings::SettingsError;
use super::value;
use crate::http::{BaseUrl, Networks};

/// Who may ask.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AuthMode {
    /// Registered clients, by SMART Backend Services.
    #[default]
    Smart,
    /// Access tokens of another authorization server.
    External,
    /// Anybody who reaches the port.
    None,
}

/// How files are protected (F-07, F-08).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FileUrls {
    /// By the access token.
    #[default]
    Token,
    /// By a signature in the URL that expires.
    Signed,
}

/// What becomes of a lenient client's filter that cannot be asked (K-59).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LenientFilters {
    /// It is left out, and told.
    #[default]
    Ignore,
    /// The kick-off is refused.
    Reject,
}

/// All settings of the server, each checked by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is described in the table of settings")]
pub struct ServerSettings {
    pub listen: SocketAddr,
    pub metrics_listen: Option<SocketAddr>,
    pub base_url: Option<BaseUrl>,
    pub state_dir: PathBuf,
    pub ledger: bool,
    pub auth: AuthMode,
    pub clients: Option<PathBuf>,
    pub issuer: Option<String>,
    pub jwks_url: Option<String>,
    pub audience: Option<String>,
    pub token_url: Option<String>,
    pub allow_inner_hosts: Vec<String>,
    pub more_algorithms: Vec<String>,
    pub discovery_extra: Option<PathBuf>,
    pub token_lifetime: Duration,
    pub token_requests_per_client: NonZeroU32,
    pub token_requests_per_address: NonZeroU32,
    pub open_to_network: bool,
    pub tls_cert: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    pub trusted_proxies: Networks,
    pub cors_origins: Vec<String>,
    pub file_urls: FileUrls,
    pub file_url_lifetime: Duration,
    pub max_running_jobs: NonZeroU32,
    pub max_running_per_client: NonZeroU32,
    pub max_queued_jobs: NonZeroU32,
    pub max_job_size: Option<u64>,
    pub max_total_size: Option<u64>,
    pub attach_to_unfinished: bool,
    pub job_ttl: Duration,
    pub max_body: u64,
    pub status_hold: Duration,
    pub page_interval: Duration,
    pub polls_per_minute: NonZeroU32,
    pub typefilter_lenient: LenientFilters,
    pub require_prefer: bool,
    pub require_group_scope: bool,
    pub drain_timeout: Duration,
    pub audit_log: Option<PathBuf>,
    pub contact: Option<String>,
}

impl ServerSettings {
    pub(super) fn resolve<E: Fn(&str) -> Result<String, VarError>>(
        look: &Lookup<'_, E>,
    ) -> Result<Self, SettingsError> {
        let count = |name| look.get(name, |text| text.parse::<NonZeroU32>().ok());
        let switch = |name| Ok::<_, SettingsError>(look.get(name, value::switch)?.unwrap_or(false));
        let list = |name| Ok::<_, SettingsError>(look.get(name, |text| Some(value::list(text)))?.unwrap_or_default());
        let time = |name| Ok::<_, SettingsError>(look.time(name)?.unwrap_or_default());
        let address = |name| look.get(name, |text| text.parse().ok());
        Ok(Self {
            listen: address("listen")?.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0))),
            metrics_listen: address("metrics-listen")?,
            base_url: look.get("base-url", BaseUrl::parse)?,
            state_dir: look.path("state-dir")?.unwrap_or_default(),
            ledger: switch("ledger")?,
            auth: look.get("auth", auth)?.unwrap_or_default(),
            clients: look.path("clients")?,
            issuer: look.get("issuer", value::text)?,
            jwks_url: look.get("jwks-url", value::text)?,
            audience: look.get("audience", value::text)?,
            token_url: look.get("token-url", value::text)?,
            allow_inner_hosts: list("allow-inner-hosts")?,
            more_algorithms: list("more-algorithms")?,
            discovery_extra: look.path("discovery-extra")?,
            token_lifetime: time("token-lifetime")?,
            token_requests_per_client: count("token-requests-per-client")?.unwrap_or(NonZeroU32::MIN),
            token_requests_per_address: count("token-requests-per-address")?.unwrap_or(NonZeroU32::MIN),
            open_to_network: switch("open-to-network")?,
            tls_cert: look.path("tls-cert")?,
            tls_key: look.path("tls-key")?,
            trusted_proxies: look.get("trusted-proxies", Networks::parse)?.unwrap_or_default(),
            cors_origins: list("cors-origins")?,
            file_urls: look.get("file-urls", file_urls)?.unwrap_or_default(),
            file_url_lifetime: time("file-url-lifetime")?,
            max_running_jobs: count("max-running-jobs")?.unwrap_or(NonZeroU32::MIN),
            max_running_per_client: count("max-running-per-client")?.unwrap_or(NonZeroU32::MIN),
            max_queued_jobs: count("max-queued-jobs")?.unwrap_or(NonZeroU32::MIN),
            max_job_size: look.get("max-job-size", value::size)?,
            max_total_size: look.get("max-total-size", value::size)?,
            attach_to_unfinished: switch("attach-to-unfinished")?,
            job_ttl: time("job-ttl")?,
            max_body: look.get("max-body", value::size)?.unwrap_or(1 << 24),
            status_hold: time("status-hold")?,
            page_interval: time("page-interval")?,
            polls_per_minute: count("polls-per-minute")?.unwrap_or(NonZeroU32::MIN),
            typefilter_lenient: look.get("typefilter-lenient", lenient_filters)?.unwrap_or_default(),
            require_prefer: switch("require-prefer")?,
            require_group_scope: switch("require-group-scope")?,
            drain_timeout: time("drain-timeout")?,
            audit_log: look.path("audit-log")?,
            contact: look.get("contact", value::text)?,
        })
    }
}

fn auth(text: &str) -> Option<AuthMode> {
    match text {
        "smart" => Some(AuthMode::Smart),
        "external" => Some(AuthMode::External),
        "none" => Some(AuthMode::None),
        _ => None,
    }
}

fn lenient_filters(text: &str) -> Option<LenientFilters> {
    match text {
        "ignore" => Some(LenientFilters::Ignore),
        "reject" => Some(LenientFilters::Reject),
        _ => None,
    }
}

fn file_urls(text: &str) -> Option<FileUrls> {
    match text {
        "token" => Some(FileUrls::Token),
        "signed" => Some(FileUrls::Signed),
        _ => None,
    }
}
