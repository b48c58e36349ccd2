//! Who is at the other end: the peer, or what a proxy that we were told to trust says about it.

use std::fmt;
use std::net::IpAddr;

/// Addresses of networks: `10.0.0.0/8, ::1`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<(IpAddr, u8)>);

impl Networks {
    /// Reads a comma list of addresses, each with an optional prefix length.
    pub fn parse(text: &str) -> Option<Self> {
        let one = |item: &str| {
            let (address, length) = item.split_once('/').map_or((item, None), |(address, n)| (address, Some(n)));
            let address: IpAddr = address.trim().parse().ok()?;
            let most = if address.is_ipv4() { 32 } else { 128 };
            let length = length.map_or(Some(most), |n| n.trim().parse().ok())?;
            (length <= most).then_some((address, length))
        };
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        items.map(one).collect::<Option<Vec<_>>>().map(Self)
    }

    /// Whether an address lies in one of them.
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|(network, length)| match (network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(*length)).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(*length)).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        })
    }
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (address, length)) in self.0.iter().enumerate() {
            write!(f, "{}{address}/{length}", if n == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// The address of whoever asks. `forwarded` are the values of `X-Forwarded-For`, in order; they are read from the
/// nearest hop outwards and only as long as the hop that wrote them is trusted.
pub(super) fn client_address<'a>(
    peer: IpAddr,
    forwarded: impl DoubleEndedIterator<Item = &'a str>,
    trusted: &Networks,
) -> IpAddr {
    let mut nearest = peer.to_canonical();
    for hop in forwarded.rev().flat_map(|value| value.rsplit(',')) {
        if !trusted.contain(nearest) {
            break;
        }
        // A hop that cannot be read ends what can be believed.
        let Ok(address) = hop.trim().parse::<IpAddr>() else { break };
        nearest = address.to_canonical();
    }
    nearest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_what_they_say() {
        let networks = Networks::parse("10.0.0.0/8, 192.0.2.7,,2001:db8::/32,0.0.0.0/32").unwrap();
        for (address, inside) in [
            ("10.255.1.2", true),
            ("11.0.0.1", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("::ffff:10.1.2.3", true),
            ("2001:db8:ffff::1", true),
            ("2001:db9::1", false),
        ] {
            assert_eq!(networks.contain(address.parse().unwrap()), inside, "{address}");
        }
        assert!(Networks::parse("0.0.0.0/0").unwrap().contain("203.0.113.9".parse().unwrap()));
        assert!(!Networks::parse("").unwrap().contain("127.0.0.1".parse().unwrap()));
        assert_eq!(Networks::parse(&networks.to_string()), Some(networks));
        for text in ["10.0.0.0/33", "host", "10.0.0.0/", "::/129", "10.0.0.0/-1"] {
            assert_eq!(Networks::parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_trusted_hops_are_believed() {
        let trusted = Networks::parse("10.0.0.0/8").unwrap();
        let seen = |peer: &str, forwarded: &[&str]| {
            client_address(peer.parse().unwrap(), forwarded.iter().copied(), &trusted).to_string()
        };
        assert_eq!(seen("203.0.113.5", &["198.51.100.1"]), "203.0.113.5", "nobody vouches for the header");
        assert_eq!(seen("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(
            seen("10.0.0.1", &["1.1.1.1, 198.51.100.1, 10.0.0.2"]),
            "198.51.100.1",
            "the first was written by it"
        );
        assert_eq!(seen("10.0.0.1", &["1.1.1.1", "198.51.100.1"]), "198.51.100.1");
        assert_eq!(seen("10.0.0.1", &["1.1.1.1, junk"]), "10.0.0.1");
        assert_eq!(seen("::ffff:10.0.0.1", &["::ffff:198.51.100.1"]), "198.51.100.1");
    }
}
