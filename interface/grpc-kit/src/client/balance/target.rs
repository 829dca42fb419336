//! Where a target is: `http://host:port`, or `https` for TLS, with more hosts after commas.

use http::uri::{Authority, Scheme};

/// More hosts are a mistake, or somebody else's address book.
const MAX_HOSTS: usize = 64;

/// The hosts of a target, all speaking the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::client) struct Target {
    pub(in crate::client) scheme: Scheme,
    /// Never empty; the first is the name calls are addressed to.
    pub(in crate::client) hosts: Vec<Host>,
}

/// A name or an address, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::client) struct Host {
    pub(in crate::client) authority: Authority,
    /// Without the brackets of an IPv6 address.
    pub(in crate::client) name: String,
    pub(in crate::client) port: u16,
}

impl Target {
    /// Reads a URL; the error is the end of a sentence about it.
    pub(in crate::client) fn parse(url: &str) -> Result<Self, &'static str> {
        const SCHEME: &str = "must begin with http:// or https://";
        let (scheme, rest) = url.trim().split_once("://").ok_or(SCHEME)?;
        let scheme = match scheme {
            "http" => Scheme::HTTP,
            "https" => Scheme::HTTPS,
            _ => return Err(SCHEME),
        };
        let hosts = rest.trim_end_matches('/').split(',').map(|host| Host::parse(host.trim(), &scheme));
        let hosts = hosts.collect::<Result<Vec<_>, _>>()?;
        if hosts.len() > MAX_HOSTS { Err("names more than 64 hosts") } else { Ok(Self { scheme, hosts }) }
    }
}

impl Host {
    fn parse(text: &str, scheme: &Scheme) -> Result<Self, &'static str> {
        const WRONG: &str = "must name its hosts as host:port, without a path";
        let authority: Authority = text.parse().map_err(|_| WRONG)?;
        let name = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = match text.strip_prefix(authority.host()).ok_or(WRONG)?.strip_prefix(':') {
            Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or(WRONG)?,
            None if *scheme == Scheme::HTTPS => 443,
            None => 80,
        };
        if name.is_empty() {
            return Err(WRONG);
        }
        Ok(Self { authority, name, port })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hosts_are_read_with_their_ports() {
        let target = Target::parse("http://tickets:50052,10.0.0.1:1, [::1]:2/").expect("a target");
        let hosts: Vec<_> = target.hosts.iter().map(|host| (&*host.name, host.port)).collect();
        assert_eq!(hosts, [("tickets", 50052), ("10.0.0.1", 1), ("::1", 2)]);
        assert_eq!(Target::parse("http://a").expect("a target").hosts[0].port, 80);
    }

    #[test]
    fn what_is_no_target_is_refused() {
        for url in [
            "",
            "tickets:1",
            "ftp://a:1",
            "http://",
            "http://a:1,",
            "http://a:0",
            "http://a:99999",
            "http://u@a:1",
            "http://a:1/x",
            "http://a:",
        ] {
            assert!(Target::parse(url).is_err(), "{url}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "(http://)?\\PC{0,40}") {
            let _ = Target::parse(&text);
        }
    }
}
