//! The page at `/` for people: what this server is, what it can do, how to connect. One file, nothing from elsewhere.

use std::fmt::Write as _;

use super::service::Service;

/// Nothing but the style in the page itself.
pub(super) const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const STYLE: &str = include_str!("page.css");

/// The page.
pub(super) fn html(service: &Service) -> String {
    let base = escaped(service.options.base_url.as_str());
    let mut page = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>FHIR Bulk Data · smelt</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <header><h1>FHIR Bulk Data</h1><p>This server exports health records of a relational store as FHIR R4 \
         NDJSON, by the HL7 Bulk Data Access guide.</p></header>\n"
    );
    let access = if service.authority.token_url().is_some() {
        "registered clients, by <a href=\"https://hl7.org/fhir/smart-app-launch/backend-services.html\">SMART Backend \
         Services</a>"
    } else if service.authority.protects() {
        "bearers of an access token of the authorization server this one trusts"
    } else {
        "<strong class=\"open\">everybody: this server asks nobody for a token</strong>"
    };
    let _ = write!(
        page,
        "<section><h2>Connect</h2>\n<dl>\n<dt>FHIR base URL</dt><dd><code>{base}</code></dd>\n\
         <dt>Open to</dt><dd>{access}</dd>\n"
    );
    if let Some(url) = service.authority.token_url() {
        let _ = writeln!(page, "<dt>Token endpoint</dt><dd><code>{}</code></dd>", escaped(url));
    }
    if let Some(contact) = &service.options.contact {
        let _ = writeln!(page, "<dt>Ask for access</dt><dd>{}</dd>", escaped(contact));
    }
    let authorization = if service.authority.protects() { " \\\n  -H \"Authorization: Bearer $TOKEN\"" } else { "" };
    let group = if service.catalogue.has_groups() {
        "<tr><td>One group</td><td><code>Group/ID/$export</code></td><td>the members of a Group</td></tr>\n"
    } else {
        ""
    };
    let _ = write!(
        page,
        "</dl></section>\n<section><h2>Export</h2>\n<ol>\n\
         <li>Kick off; the answer is <code>202</code>, and <code>Content-Location</code> says where to ask:\n\
         <pre>curl -i '{base}/$export?_type=Patient' \\\n  -H 'Prefer: respond-async'{authorization}</pre></li>\n\
         <li>Ask there until the answer is <code>200</code>: it lists the files.</li>\n\
         <li>Fetch the files, then <code>DELETE</code> where you asked.</li>\n</ol>\n\
         <table>\n<tr><th>Level</th><th>Path</th><th>What</th></tr>\n\
         <tr><td>Everything</td><td><code>$export</code></td><td>all resources</td></tr>\n\
         <tr><td>All patients</td><td><code>Patient/$export</code></td><td>what belongs to patients</td></tr>\n\
         {group}</table></section>\n"
    );
    let _ = write!(
        page,
        "<section><h2>Resource types</h2>\n<p class=\"types\">{}</p></section>\n",
        service
            .catalogue
            .names()
            .iter()
            .map(|name| format!("<code>{}</code>", escaped(name)))
            .collect::<Vec<_>>()
            .join(" ")
    );
    let discovery = if service.authority.smart_configuration().is_some() {
        format!(" · <a href=\"{base}/.well-known/smart-configuration\">SMART configuration</a>")
    } else {
        String::new()
    };
    let _ = write!(
        page,
        "<footer><a href=\"{base}/metadata\">CapabilityStatement</a>{discovery} · smelt {} · pack {}</footer>\n\
         </main>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION"),
        escaped(&service.catalogue.pack)
    );
    page
}

/// Text for HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
