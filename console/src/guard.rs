//! Who a request may be addressed to.
//!
//! A browser on this machine reaches loopback, also for a page from elsewhere whose name resolves
//! to 127.0.0.1 the second time it is asked (DNS rebinding). Such a request names the page's own
//! host.

use std::net::IpAddr;

use hyper::header::HOST;
use hyper::{Request, StatusCode, Version};

/// Which hosts are answered for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Guard {
    /// `localhost`, and loopback addresses. Any port, because a tunnel may have another than ours.
    LoopbackNames,
    /// All: the console is exposed on purpose.
    Open,
}

impl Guard {
    /// Why the request is not to be answered, if so.
    pub(crate) fn refusal<B>(self, request: &Request<B>) -> Option<StatusCode> {
        let mut hosts = request.headers().get_all(HOST).iter();
        let host = match (hosts.next(), hosts.next()) {
            (Some(host), None) => host.to_str().ok(),
            // HTTP/1.0 may do without one, but no browser does.
            (None, _) if request.version() == Version::HTTP_10 => Some("localhost"),
            _ => return Some(StatusCode::BAD_REQUEST),
        };
        let target = request.uri().authority().map(|authority| authority.as_str());
        let is_ours = host.is_some_and(is_loopback) && target.is_none_or(is_loopback);
        match self {
            Self::LoopbackNames if !is_ours => Some(StatusCode::MISDIRECTED_REQUEST),
            _ => None,
        }
    }
}

/// Whether a host, with or without a port, can only be this machine. An address can't be rebound.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let address: Option<IpAddr> = bare.parse().ok();
    name.eq_ignore_ascii_case("localhost")
        || address.is_some_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn only_names_of_this_machine_are_ours() {
        for ours in [
            "localhost",
            "LOCALHOST:9187",
            "127.0.0.1",
            "127.0.0.1:80",
            "127.8.8.8",
            "[::1]",
            "[::1]:9187",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert!(is_loopback(ours), "{ours}");
        }
        for foreign in [
            "",
            ":80",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evil.example:127",
            "localhost:evil",
            "user@localhost",
            "10.0.0.1",
            "0.0.0.0",
            "[::]",
            "127.1",
        ] {
            assert!(!is_loopback(foreign), "{foreign}");
        }
    }
}
