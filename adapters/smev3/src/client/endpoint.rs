//! Where an upstream listens.

use std::sync::Arc;

use hyper::Uri;
use hyper::header::HeaderValue;
use rustls::pki_types::ServerName;

/// An upstream's address: an `http` or `https` URL, taken apart once.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) target: Uri,
    pub(crate) host_header: HeaderValue,
    pub(crate) tls: Option<(Arc<rustls::ClientConfig>, ServerName<'static>)>,
}

/// Why a text is not the address of an upstream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{url:?} {problem}")]
pub struct EndpointError {
    url: String,
    problem: &'static str,
}

impl Endpoint {
    /// Parses a URL. `tls` is what an `https` address is called with.
    ///
    /// # Errors
    /// [`EndpointError`] says what is wrong with the URL.
    pub fn parse(url: &str, tls: Option<Arc<rustls::ClientConfig>>) -> Result<Self, EndpointError> {
        let fail = |problem| EndpointError {
            url: url.chars().take(200).collect(),
            problem,
        };
        let uri: Uri = url.parse().map_err(|_| fail("is not a URL"))?;
        let authority = uri.authority().ok_or_else(|| fail("has no host"))?;
        if authority.as_str().contains('@') {
            return Err(fail("must not hold a name or a password"));
        }
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        if host.is_empty() {
            return Err(fail("has no host"));
        }
        let (default_port, tls) = match (uri.scheme_str(), tls) {
            (Some("http"), _) => (80, None),
            (Some("https"), Some(config)) => {
                let name = ServerName::try_from(host.clone()).map_err(|_| fail("has a host that TLS cannot verify"))?;
                (443, Some((config, name)))
            }
            (Some("https"), None) => return Err(fail("needs TLS, and none is set up")),
            _ => return Err(fail("is neither http nor https")),
        };
        let target = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            port: authority.port_u16().unwrap_or(default_port),
            target: target.parse().map_err(|_| fail("has an unusable path"))?,
            host_header: HeaderValue::from_str(authority.as_str()).map_err(|_| fail("has an unusable host"))?,
            host,
            tls,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let endpoint = Endpoint::parse("http://bus.example:7500/smev/v1.2/ws?x=1", None).unwrap();
        assert_eq!((endpoint.host.as_str(), endpoint.port), ("bus.example", 7500));
        assert_eq!(endpoint.target, "/smev/v1.2/ws?x=1");
        assert_eq!(endpoint.host_header, "bus.example:7500");
        let v6 = Endpoint::parse("http://[::1]/", None).unwrap();
        assert_eq!((v6.host.as_str(), v6.port), ("::1", 80));
    }

    #[test]
    fn what_is_no_address_of_an_upstream_is_refused_with_a_reason() {
        let cases = [
            ("", "is not a URL"),
            ("/smev/ws", "has no host"),
            ("ftp://bus/", "is neither http nor https"),
            ("https://bus/", "needs TLS, and none is set up"),
            ("http://user:secret@bus/", "must not hold a name or a password"),
        ];
        for (url, problem) in cases {
            assert_eq!(Endpoint::parse(url, None).unwrap_err().problem, problem, "{url}");
        }
    }
}
