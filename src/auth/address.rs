//! Which addresses keys may be fetched from: a URL in a registration must not make this server call its own network.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;

/// Why a URL is not called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// Not a URL with a host, or one with a password in it.
    #[error("is not an https URL without user and password")]
    Form,
    /// Keys must come over TLS.
    #[error("is not https; plain http is for this machine only, when its host is listed in inner-hosts")]
    NotHttps,
    /// An address inside.
    #[error("leads to an address that is not public; list its host in inner-hosts if that is wanted")]
    Inner,
}

/// Reads a URL that could be called, as far as it can be told without looking its host up.
pub(super) fn read(text: &str) -> Result<Url, UrlError> {
    let url = Url::parse(text).or(Err(UrlError::Form))?;
    if url.host_str().is_none_or(str::is_empty) || !url.username().is_empty() || url.password().is_some() {
        return Err(UrlError::Form);
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_this_machine(&host(&url)) => Ok(url),
        _ => Err(UrlError::NotHttps),
    }
}

/// Whether clients could call this URL.
pub(super) fn is_web(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        let bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        ["https", "http"].contains(&url.scheme()) && bare
    })
}

/// Whether this URL may be called. Names are checked again when they are resolved.
pub(super) fn check(url: &Url, inner: &BTreeSet<String>) -> Result<(), UrlError> {
    let host = host(&read(url.as_str())?);
    if inner.contains(&host) {
        return Ok(());
    }
    if url.scheme() != "https" {
        return Err(UrlError::NotHttps);
    }
    match host.parse::<IpAddr>() {
        Ok(address) if !is_public(address) => Err(UrlError::Inner),
        _ => Ok(()),
    }
}

/// The host as it is listed: lower case, an IPv6 address without brackets, no dot at the end.
fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
    host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_owned()
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether an address belongs to the public internet (IANA's special-purpose registries).
pub(super) fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = a == 0
        || a == 10
        || a == 127
        || (a == 100 && (64..128).contains(&b))
        || (a == 169 && b == 254)
        || (a == 172 && (16..32).contains(&b))
        || (a == 192 && b == 168)
        || (a == 192 && b == 0 && (c == 0 || c == 2))
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19))
        || (a == 198 && b == 51 && c == 100)
        || (a == 203 && b == 0 && c == 113)
        || a >= 224;
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    if let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = segments {
        // NAT64: what it leads to is the IPv4 address in it.
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        return is_public_v4(Ipv4Addr::new(a, b, c, d));
    }
    match (segments[0], segments[1]) {
        // Protocol assignments with Teredo, documentation, 6to4: all of them stand for something else.
        (0x2001, 0..0x200 | 0xdb8) | (0x2002, _) | (0x3fff, 0..0x1000) => false,
        (first, _) => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_public_internet_is_public() {
        for inner in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.8.8.8",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.19.0.1",
            "198.51.100.1",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(inner.parse().unwrap()), "{inner}");
        }
        for public in
            ["8.8.8.8", "100.128.0.1", "172.32.0.1", "192.0.1.1", "2606:4700::1111", "64:ff9b::808:808", "2001:4860::8"]
        {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    /// what a registration can name, and what is called.
    #[test]
    fn urls_that_lead_inside_are_not_called() {
        use UrlError::*;
        let inner = BTreeSet::from(["localhost".to_owned(), "::1".to_owned(), "keys.clinic.example".to_owned()]);
        for (url, want) in [
            ("https://client.example/jwks.json", Ok(())),
            ("https://client.example:8443/jwks.json?x=1", Ok(())),
            ("http://client.example/jwks.json", Err(NotHttps)),
            ("HTTP://client.example/", Err(NotHttps)),
            ("ftp://client.example/", Err(NotHttps)),
            ("file:///etc/passwd", Err(Form)),
            ("jwks.json", Err(Form)),
            ("https://", Err(Form)),
            ("https://user@client.example/", Err(Form)),
            ("https://:secret@client.example/", Err(Form)),
            ("https://127.0.0.1/", Err(Inner)),
            ("https://2130706433/", Err(Inner)),
            ("https://0x7f.1/", Err(Inner)),
            ("https://0177.0.0.1/", Err(Inner)),
            ("https://169.254.169.254/latest/meta-data", Err(Inner)),
            ("https://[::ffff:10.0.0.1]/", Err(Inner)),
            ("https://[fd00::1]/", Err(Inner)),
            ("https://8.8.8.8/", Ok(())),
            // Listed hosts.
            ("https://keys.clinic.example/", Ok(())),
            ("http://keys.clinic.example/", Err(NotHttps)),
            ("http://localhost:9000/", Ok(())),
            ("http://LOCALHOST.:9000/", Ok(())),
            ("http://[::1]:9000/", Ok(())),
            // This machine, but not listed.
            ("http://127.0.0.1:9000/", Err(NotHttps)),
        ] {
            let checked = Url::parse(url).or(Err(Form)).and_then(|url| check(&url, &inner));
            assert_eq!(checked, want, "{url}");
        }
    }
}
