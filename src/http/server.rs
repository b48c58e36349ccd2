//! Sockets, threads, timeouts: the service on a port.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_cors::Cors;
use actix_web::dev::ServerHandle;
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::web::{self, Data};
use actix_web::{App, HttpServer};
use socket2::{SockRef, TcpKeepalive};

use super::answer::answer;
use super::operate::Apart;
use super::routes::Endpoint;
use super::service::Service;
use super::tls::{Certificate, TlsError};

/// Longest that the head of a request may take.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// Longest that a connection waits for its next request.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Longest that a client may read nothing at all of what is sent. A slow one reads something, and is never cut.
const STALLED: Duration = Duration::from_mins(5);

/// Connections of one worker.
const CONNECTIONS: usize = 1_024;

/// Threads of one worker that wait for disks.
const BLOCKING: usize = 32;

/// How long open answers may take at the end.
const CLOSING: u64 = 10;

/// Why the server cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address.
    #[error("failed to listen on {address}")]
    Listen {
        /// It.
        address: SocketAddr,
        /// The system's word.
        source: io::Error,
    },
    /// The certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Something else of the system.
    #[error("failed to run the server")]
    Run(#[source] io::Error),
}

/// Sockets that listen already.
#[derive(Debug)]
pub struct Bound {
    main: TcpListener,
    address: SocketAddr,
    metrics: Option<TcpListener>,
}

/// Takes the addresses; nothing is answered yet.
pub fn bind(address: SocketAddr, metrics: Option<SocketAddr>) -> Result<Bound, ServeError> {
    let listen = |address: SocketAddr| {
        let bound = TcpListener::bind(address).and_then(|listener| {
            let socket = SockRef::from(&listener);
            // Connections inherit both from the listener.
            socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEP_ALIVE))?;
            #[cfg(target_os = "linux")]
            socket.set_tcp_user_timeout(Some(STALLED))?;
            listener.set_nonblocking(true)?;
            Ok((listener.local_addr()?, listener))
        });
        bound.map_err(|source| ServeError::Listen { address, source })
    };
    let (address, main) = listen(address)?;
    let metrics = metrics.map(|address| listen(address).map(|(_, listener)| listener)).transpose()?;
    Ok(Bound { main, address, metrics })
}

impl Bound {
    /// The address, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves, and blocks until it is told to stop. `until` gets what stops it once requests are taken, and runs beside
    /// the server.
    pub fn serve<F: Future<Output = ()> + 'static>(
        self,
        service: Arc<Service>,
        tls: Option<Arc<Certificate>>,
        until: impl FnOnce(Running) -> F,
    ) -> Result<(), ServeError> {
        actix_web::rt::System::new().block_on(self.run(service, tls, until))
    }

    async fn run<F: Future<Output = ()> + 'static>(
        self,
        service: Arc<Service>,
        tls: Option<Arc<Certificate>>,
        until: impl FnOnce(Running) -> F,
    ) -> Result<(), ServeError> {
        let mut handles = Vec::new();
        let tls = tls.map(|certificate| certificate.server_config()).transpose()?;
        let shared = Data::from(Arc::clone(&service));
        let server = HttpServer::new(move || {
            let cors = cors(shared.clone().into_inner());
            App::new().app_data(shared.clone()).wrap(cors).default_service(web::to(answer))
        });
        let server = server
            .workers(workers())
            .max_connections(CONNECTIONS)
            .worker_max_blocking_threads(BLOCKING)
            .client_request_timeout(HEAD_TIME)
            .client_disconnect_timeout(Duration::from_secs(5))
            .tls_handshake_timeout(HEAD_TIME)
            .keep_alive(KEEP_ALIVE)
            // Who has gone does not wait for an answer: a held status request ends with its connection (S-19).
            .h1_allow_half_closed(false)
            .shutdown_timeout(CLOSING)
            .disable_signals();
        let server = match tls {
            Some(config) => server.listen_rustls_0_23(self.main, config),
            None => server.listen(self.main),
        };
        let server = server.map_err(ServeError::Run)?.run();
        handles.push(server.handle());
        let apart = match self.metrics {
            None => None,
            Some(listener) => {
                let shared = Data::from(service);
                let server = HttpServer::new(move || {
                    App::new().app_data(shared.clone()).app_data(Apart).default_service(web::to(answer))
                });
                let server = server.workers(1).shutdown_timeout(1).disable_signals().listen(listener);
                let server = server.map_err(ServeError::Run)?.run();
                handles.push(server.handle());
                Some(actix_web::rt::spawn(server))
            }
        };
        actix_web::rt::spawn(until(Running(handles)));
        server.await.map_err(ServeError::Run)?;
        if let Some(apart) = apart {
            let _ = apart.await;
        }
        Ok(())
    }
}

/// What stops the server.
#[derive(Debug, Clone)]
pub struct Running(Vec<ServerHandle>);

impl Running {
    /// Takes no connection any more, and lets open answers end for a short time.
    pub async fn stop(&self) {
        for handle in &self.0 {
            handle.stop(true).await;
        }
    }
}

/// Threads that answer: they never wait for a disk or the database, so a few are many.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8)
}

/// Who may call from a browser.
fn cors(service: Arc<Service>) -> Cors {
    let exposed = [
        "content-location",
        "retry-after",
        "x-progress",
        "x-export-status",
        "preference-applied",
        "expires",
        "etag",
        "location",
        "x-request-id",
    ];
    Cors::default()
        .allowed_origin_fn(move |origin: &HeaderValue, head| {
            let prefix = service.options.base_url.path();
            if Endpoint::find(head.uri.path(), prefix).is_some_and(|endpoint| endpoint.is_public()) {
                return true;
            }
            let Ok(origin) = origin.to_str() else { return false };
            let known = |known: &String| known.trim_end_matches('/').eq_ignore_ascii_case(origin);
            service.options.cors_origins.iter().any(known) || service.authority.origins().iter().any(known)
        })
        .allowed_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE])
        .allowed_headers([
            header::ACCEPT,
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            header::RANGE,
            HeaderName::from_static("prefer"),
        ])
        .expose_headers(exposed)
        .max_age(3_600)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpStream};

    use super::*;

    #[test]
    fn connections_inherit_what_the_listener_was_told() {
        let bound = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), None).unwrap();
        bound.main.set_nonblocking(false).unwrap();
        let _client = TcpStream::connect(bound.address()).unwrap();
        let (connection, _) = bound.main.accept().unwrap();
        let socket = SockRef::from(&connection);
        assert!(socket.keepalive().unwrap());
        #[cfg(target_os = "linux")]
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(STALLED));
    }
}
