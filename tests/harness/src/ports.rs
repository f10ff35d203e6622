//! Free loopback ports that stay free for us.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpSocket;

/// A port that is bound and not listened on: nobody gets it by chance, and the gateway can still listen on it, because
/// both sides set SO_REUSEADDR, even again and again after restarts.
#[derive(Debug)]
pub struct ReservedPort {
    address: SocketAddr,
    _holder: TcpSocket,
}

impl ReservedPort {
    /// A port that nobody else has.
    ///
    /// # Errors
    /// What the system says.
    pub fn new() -> io::Result<ReservedPort> {
        let holder = TcpSocket::new_v4()?;
        holder.set_reuseaddr(true)?;
        holder.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        Ok(ReservedPort {
            address: holder.local_addr()?,
            _holder: holder,
        })
    }

    /// Where to listen.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reserved_port_can_be_listened_on_again_and_again() {
        let port = ReservedPort::new().unwrap();
        for _ in 0..2 {
            let listener = tokio::net::TcpListener::bind(port.address()).await.unwrap();
            let (client, server) = tokio::join!(tokio::net::TcpStream::connect(port.address()), listener.accept());
            drop((client.unwrap(), server.unwrap()));
        }
        assert_ne!(port.address(), ReservedPort::new().unwrap().address());
    }
}
