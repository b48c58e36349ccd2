//! `smelt config check`: what is in force, and whether the server would start with it.

use std::fmt::Write as _;
use std::net::SocketAddr;

use super::exit::Exit;
use super::failure::Failure;
use super::{engine, print, setup};
use crate::config::Settings;

/// Prints every setting with its origin, then checks the files that settings name.
pub(super) fn run(settings: &Settings) -> Result<Exit, Failure> {
    let mut text = String::new();
    let width = settings.listing.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
    for (name, value, origin) in &settings.listing {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:width$}  {value}  ({origin})");
    }
    print(&text)?;
    let server = &settings.server;
    setup::consistent(server)?;
    let certificate = setup::certificate(server)?;
    // Port 0 is not known before it is taken; any port gives a base URL of the same form.
    let address = match server.listen.port() {
        0 => SocketAddr::new(server.listen.ip(), 80),
        _ => server.listen,
    };
    let base_url = setup::base_url(server, address, certificate.is_some())?;
    setup::warn(server, &base_url);
    let clients = setup::clients(server)?;
    setup::algorithms(server)?;
    setup::discovery_extra(server)?;
    let (pack, _) = engine::sound(engine::checked(settings)?)?;
    if let Some(clients) = &clients {
        setup::rules(clients, &pack)?;
    }
    let mut text = format!("\npack {}: {} mappings\n", pack.project.name, pack.mappings.len());
    if let Some(clients) = clients {
        let _ = writeln!(text, "clients: {}", clients.len());
    }
    let _ = writeln!(text, "the settings fit each other");
    print(&text)
}
