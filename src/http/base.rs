//! The public FHIR base URL. It is configured and never taken from a request, so no `Host` can change it (K-11).

use std::fmt;

/// `https://host[:port][/path]`, without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    text: String,
    /// Where the path begins.
    path: usize,
}

impl BaseUrl {
    /// Reads a URL of plain form; none if it has another scheme, credentials, a query, or signs that need escaping.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_end_matches('/');
        let host = ["https://", "http://"].into_iter().find_map(|scheme| text.strip_prefix(scheme))?;
        let authority = host.split('/').next().filter(|authority| is_authority(authority))?;
        let path = text.len() - host.len() + authority.len();
        let plain = |step: &str| !step.is_empty() && step != "." && step != ".." && step.bytes().all(is_unreserved);
        let rest = text.get(path..).filter(|rest| rest.split('/').skip(1).all(plain))?;
        // The steps that this server answers itself stand beside the base, not in it.
        (!rest.contains("/$")).then(|| Self { text: text.to_owned(), path })
    }

    /// The whole URL.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// `/fhir`, or nothing.
    pub fn path(&self) -> &str {
        self.text.get(self.path..).unwrap_or_default()
    }

    /// `https://host:port`.
    pub fn origin(&self) -> &str {
        self.text.get(..self.path).unwrap_or_default()
    }

    /// Whether the public sees TLS, ours or that of a proxy.
    pub fn is_secure(&self) -> bool {
        self.text.starts_with("https://")
    }

    /// Whether it leads to this machine only.
    pub fn is_loopback(&self) -> bool {
        let authority = self.origin().split("//").nth(1).unwrap_or_default();
        let host = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, _)) => host,
            None => authority.split(':').next().unwrap_or_default(),
        };
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// The URL of a path below the base; `path` begins with a slash.
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.text)
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// A host name or address with an optional port.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => {
            let known = host.parse::<std::net::Ipv6Addr>().is_ok();
            (if known { "v6" } else { "" }, rest.strip_prefix(':').or_else(|| rest.is_empty().then_some("1")))
        }
        None => text.split_once(':').map_or((text, Some("1")), |(host, port)| (host, Some(port))),
    };
    let name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    !host.is_empty()
        && host.bytes().all(name)
        && port.and_then(|port| port.parse::<u16>().ok()).is_some_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_urls_are_split() {
        for (text, origin, path) in [
            ("https://ehr.example.org/fhir/r4/", "https://ehr.example.org", "/fhir/r4"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080", ""),
            ("http://[::1]:8080/fhir", "http://[::1]:8080", "/fhir"),
            ("https://[::1]/a.b_c~d", "https://[::1]", "/a.b_c~d"),
        ] {
            let base = BaseUrl::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((base.origin(), base.path()), (origin, path), "{text}");
            assert_eq!(base.at("/metadata"), format!("{}/metadata", text.trim_end_matches('/')));
            assert_eq!(base.is_secure(), text.starts_with("https"));
            assert_eq!(base.is_loopback(), !text.contains("example"), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "ftp://host/fhir",
            "//host/fhir",
            "https://",
            "https:///fhir",
            "https://me:secret@host/fhir",
            "https://host:0/fhir",
            "https://host:70000",
            "https://host:/fhir",
            "https://[::1/fhir",
            "https://[zz]/fhir",
            "https://[::1]x/fhir",
            "https://host/fhir?x=1",
            "https://host/fhir#x",
            "https://host/a//b",
            "https://host/a/../b",
            "https://host/%2e%2e",
            "https://host/fhir/$export",
            "https://ho st/fhir",
            "https://höst/fhir",
        ] {
            assert_eq!(BaseUrl::parse(text), None, "{text}");
        }
    }
}
