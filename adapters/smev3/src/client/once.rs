//! One call on a connection of its own, for who wants to tell a person exactly what happened on the way: what is not an
//! answer keeps its cause, where the links of [`Client`](super::Client) only ask whether anything has left.

use std::error::Error;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::LOCATION;
use tokio::time::timeout;

use super::endpoint::Endpoint;
use super::transport::{Bounds, Transport};

/// An answer as received, whatever it is.
#[derive(Debug, Clone)]
pub struct Answered {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`, empty if there was none.
    pub content_type: String,
    /// `Location`, where a redirection leads.
    pub location: Option<String>,
    /// The body.
    pub body: Bytes,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum NoConnection {
    /// The host's name has no address.
    #[error("{0}")]
    Name(io::Error),
    /// No address took the connection.
    #[error("{0}")]
    Refused(io::Error),
    /// It was taken, and TLS was not agreed upon.
    #[error("TLS: {0}")]
    Tls(io::Error),
    /// It was taken and does not work.
    #[error("{0}")]
    Http(hyper::Error),
    /// Not within the bound.
    #[error("not within {} s", .0.as_secs_f32())]
    Late(Duration),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// Not one octet of the call left.
    #[error(transparent)]
    NoConnection(#[from] NoConnection),
    /// The connection broke under the call, which may have taken effect.
    #[error("{0}")]
    Broken(hyper::Error),
    /// The answer broke off, or is too long; the call may have taken effect.
    #[error("{0}")]
    Unreadable(String),
    /// No whole answer within the bound; the call may have taken effect.
    #[error("no complete answer within {} s", .0.as_secs_f32())]
    Late(Duration),
}

impl NoAnswer {
    /// What TLS says of it, if TLS is why.
    pub fn tls(&self) -> Option<&rustls::Error> {
        match self {
            Self::NoConnection(NoConnection::Tls(error)) => of_tls(error),
            Self::NoConnection(NoConnection::Http(error)) | Self::Broken(error) => of_tls(error),
            _ => None,
        }
    }
}

/// The error of TLS under another one. An [`io::Error`] does not name what it wraps as its source.
fn of_tls<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

/// Sends a call and reads its answer. A redirection is an answer and not followed: a signed call goes where it was meant
/// to go.
///
/// # Errors
/// [`NoAnswer`].
pub async fn post_once(
    endpoint: &Endpoint,
    bounds: Bounds,
    action: &str,
    content_type: &str,
    body: Bytes,
) -> Result<Answered, NoAnswer> {
    let transport = Transport::new(endpoint.clone(), bounds);
    let mut connection = transport.connect().await?;
    let request = transport.post_of(action, content_type, body);
    let exchange = async {
        let response = connection.send_request(request).await.map_err(NoAnswer::Broken)?;
        let location = response.headers().get(LOCATION).and_then(|place| place.to_str().ok());
        let location = location.map(str::to_owned);
        let answer = transport.read(response).await.map_err(NoAnswer::Unreadable)?;
        Ok(Answered {
            status: answer.status.as_u16(),
            content_type: answer.content_type,
            location,
            body: answer.body,
        })
    };
    timeout(bounds.answer, exchange)
        .await
        .unwrap_or(Err(NoAnswer::Late(bounds.answer)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_tls_is_found_under_others() {
        let inner = rustls::Error::General("reason".to_owned());
        let outer = io::Error::other(io::Error::other(inner.clone()));
        let failure = NoAnswer::from(NoConnection::Tls(outer));
        assert_eq!(failure.tls(), Some(&inner));
        assert!(NoAnswer::Late(Duration::from_secs(1)).tls().is_none());
        assert!(
            NoAnswer::from(NoConnection::Refused(io::Error::other("x")))
                .tls()
                .is_none()
        );
    }
}
