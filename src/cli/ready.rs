//! `smelt ready`: what a container's health check runs.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use super::exit::Exit;
use super::failure::Failure;
use crate::config::Settings;

/// Longest that the server may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks the server of these settings whether it is ready.
pub(super) fn run(settings: &Settings) -> Result<Exit, Failure> {
    let server = &settings.server;
    let address = match server.metrics_listen {
        Some(address) => address,
        None if server.tls_cert.is_some() => {
            return Err(Failure::usage(
                "the server speaks TLS on its only address",
                "Give it a second one for health checks, by `metrics-listen`: 127.0.0.1:9090.",
            ));
        }
        None => server.listen,
    };
    let address = reachable(address);
    let status = ask(address).map_err(|error| Failure {
        exit: Exit::Failed,
        chain: vec![format!("no answer from {address}"), error.to_string()],
        help: None,
    })?;
    if status == 200 {
        return Ok(Exit::Ok);
    }
    Err(Failure { exit: Exit::Failed, chain: vec![format!("{address} is not ready: status {status}")], help: None })
}

/// An address to connect to, for one to listen on.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn ask(address: SocketAddr) -> io::Result<u16> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.trim().parse().ok());
    status.ok_or_else(|| io::Error::other("the answer is not HTTP"))
}
