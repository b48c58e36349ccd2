//! Fetches key sets: over TLS, from public addresses, within limits.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, AGE, CACHE_CONTROL, HeaderMap};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, Url};

use super::address::{self, UrlError};
use super::keys::{KeySet, KeySetError};

/// Connecting, headers and body together.
const TIMEOUT: Duration = Duration::from_secs(5);
/// A server that does not answer at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Bytes of a key set.
const MAX_BYTES: usize = 1024 * 1024;
/// Steps within one host.
const MAX_REDIRECTS: usize = 3;

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// This URL is not called.
    #[error("the URL {0}")]
    Url(#[from] UrlError),
    /// No answer in time.
    #[error("there was no answer in time")]
    Timeout,
    /// No connection, no TLS, a name without a public address, a redirect that is not followed.
    #[error("failed to get an answer: {0}")]
    Transport(String),
    /// Not `200`.
    #[error("the answer has status {0}")]
    Status(u16),
    /// Beyond the limit.
    #[error("the answer is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// Something else than keys.
    #[error("the answer {0}")]
    Keys(#[from] KeySetError),
}

/// Keys, and for how many seconds they may be kept: `None` when the server does not say.
pub(super) struct Fetched {
    pub(super) keys: KeySet,
    pub(super) max_age: Option<u32>,
}

/// Fetches key sets.
pub(super) struct Fetcher {
    http: Client,
    inner: Arc<BTreeSet<String>>,
}

impl Fetcher {
    /// `inner` are the hosts that may have an inner address.
    pub(super) fn new(inner: BTreeSet<String>) -> Result<Self, FetchError> {
        Self::within(TIMEOUT, inner)
    }

    fn within(timeout: Duration, inner: BTreeSet<String>) -> Result<Self, FetchError> {
        let inner = Arc::new(inner.into_iter().map(|host| host.to_ascii_lowercase()).collect::<BTreeSet<_>>());
        let allowed = Arc::clone(&inner);
        let http = Client::builder()
            .tls_backend_preconfigured(tls()?)
            .dns_resolver(Guarded(Arc::clone(&inner)))
            .redirect(Policy::custom(move |attempt| redirect(attempt, &allowed)))
            .timeout(timeout)
            .connect_timeout(CONNECT_TIMEOUT)
            // A proxy would resolve names in our place, past the guard.
            .no_proxy()
            // Fetches are rare, and a pooled connection belongs to the runtime of one server thread.
            .pool_max_idle_per_host(0)
            .referer(false)
            .user_agent(concat!("smelt/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| transport(&error))?;
        Ok(Self { http, inner })
    }

    /// The keys behind a URL.
    pub(super) async fn fetch(&self, url: &str) -> Result<Fetched, FetchError> {
        let url = address::read(url)?;
        address::check(&url, &self.inner)?;
        let request = self.http.get(url).header(ACCEPT, "application/json");
        let mut answer = request.send().await.map_err(|error| transport(&error))?;
        if answer.status().as_u16() != 200 {
            return Err(FetchError::Status(answer.status().as_u16()));
        }
        let max_age = max_age(answer.headers());
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| transport(&error))? {
            if body.len() + chunk.len() > MAX_BYTES {
                return Err(FetchError::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Fetched { keys: KeySet::fetched(&body)?, max_age })
    }
}

/// TLS 1.2 and 1.3 with the system's certificate authorities.
fn tls() -> Result<rustls::ClientConfig, FetchError> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| FetchError::Transport(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// The causes of an error without its URL, whose query could be a secret.
fn transport(error: &reqwest::Error) -> FetchError {
    if error.is_timeout() {
        return FetchError::Timeout;
    }
    let mut causes = Vec::new();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    FetchError::Transport(if causes.is_empty() { "the connection broke".to_owned() } else { causes.join(": ") })
}

/// Redirects stay with the host, scheme and port they began at.
fn redirect(attempt: Attempt<'_>, inner: &BTreeSet<String>) -> reqwest::redirect::Action {
    let origin = |url: &Url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default());
    let stays = attempt.previous().first().is_some_and(|first| origin(first) == origin(attempt.url()));
    if attempt.previous().len() > MAX_REDIRECTS {
        attempt.error("too many redirects")
    } else if !stays {
        attempt.error("a redirect leads to another host")
    } else if let Err(error) = address::check(attempt.url(), inner) {
        attempt.error(error)
    } else {
        attempt.follow()
    }
}

/// For how long the answer may be kept.
fn max_age(headers: &HeaderMap) -> Option<u32> {
    let mut found = None;
    for value in headers.get_all(CACHE_CONTROL) {
        for directive in value.to_str().unwrap_or("no-store").split(',') {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "no-store" | "no-cache" => return Some(0),
                "max-age" => {
                    let seconds = value.trim().trim_matches('"').parse().unwrap_or(0);
                    found = Some(found.map_or(seconds, |other: u32| other.min(seconds)));
                }
                _ => {}
            }
        }
    }
    let age = headers.get(AGE).map(|age| age.to_str().ok().and_then(|age| age.trim().parse().ok()).unwrap_or(u32::MAX));
    found.map(|seconds| seconds.saturating_sub(age.unwrap_or(0)))
}

/// Resolves names to public addresses only, so that what was checked is what is connected to.
struct Guarded(Arc<BTreeSet<String>>);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let host = name.as_str().trim_end_matches('.').to_ascii_lowercase();
            let all = tokio::net::lookup_host((host.as_str(), 0)).await?;
            let may = |address: &SocketAddr| inner.contains(&host) || address::is_public(address.ip());
            let addresses: Vec<SocketAddr> = all.filter(may).collect();
            if addresses.is_empty() {
                return Err(Box::from(UrlError::Inner));
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    /// neither silence nor a trickle holds a request for longer than the limit.
    #[tokio::test]
    async fn a_slow_server_is_given_up() {
        for head in ["", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("http://{}/", listener.local_addr().unwrap());
            let server = std::thread::spawn(move || {
                let mut stream = listener.accept().unwrap().0;
                let read = stream.read(&mut [0; 1024]).unwrap();
                assert!(read > 0, "the request");
                stream.write_all(head.as_bytes()).unwrap();
                // Until the other side hangs up.
                let _ = stream.read_to_end(&mut Vec::new());
            });
            let inner = BTreeSet::from(["127.0.0.1".to_owned()]);
            let fetcher = Fetcher::within(Duration::from_millis(200), inner).unwrap();
            let error = fetcher.fetch(&url).await.err().unwrap();
            assert!(matches!(error, FetchError::Timeout), "{error}");
            // The connection is closed by a task of this runtime, which must go on meanwhile.
            tokio::task::spawn_blocking(|| server.join().unwrap()).await.unwrap();
        }
    }

    /// A certificate nobody has vouched for is no TLS. What is told holds no part of the URL.
    #[tokio::test]
    async fn an_answer_without_tls_is_none() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}/?secret", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{\"keys\":[]}");
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let fetcher = Fetcher::new(BTreeSet::from(["127.0.0.1".to_owned()])).unwrap();
        let error = fetcher.fetch(&url).await.err().unwrap();
        assert!(matches!(&error, FetchError::Transport(why) if !why.contains("secret")), "{error}");
        tokio::task::spawn_blocking(|| server.join().unwrap()).await.unwrap();
    }

    ///
    #[test]
    fn nothing_is_kept_longer_than_it_may_be() {
        for (control, age, want) in [
            (None, None, None),
            (Some("public"), None, None),
            (Some("max-age=120"), None, Some(120)),
            (Some("public, Max-Age=\"60\""), None, Some(60)),
            (Some("max-age=60, max-age=10"), None, Some(10)),
            (Some("max-age=120"), Some("100"), Some(20)),
            (Some("max-age=120"), Some("200"), Some(0)),
            (Some("max-age=120"), Some("soon"), Some(0)),
            (Some("max-age=120, no-store"), None, Some(0)),
            (Some("no-cache"), None, Some(0)),
            (Some("max-age=soon"), None, Some(0)),
            (Some("max-age=-1"), None, Some(0)),
            (Some("max-age=99999999999999"), None, Some(0)),
        ] {
            let mut headers = HeaderMap::new();
            let mut put = |name, value: Option<&str>| value.map(|value| headers.insert(name, value.parse().unwrap()));
            put(CACHE_CONTROL, control);
            put(AGE, age);
            assert_eq!(max_age(&headers), want, "{control:?} {age:?}");
        }
    }
}
