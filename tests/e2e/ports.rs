//! Free ports for programs that must be told their port: bound here and never listened on, so
//! that no other process is given them, and still open to a child that sets `SO_REUSEADDR`.

use tokio::net::TcpSocket;

/// A port held for as long as the value lives.
pub struct Port {
    pub number: u16,
    _held: TcpSocket,
}

/// One port of several loopback addresses, held for as long as the value lives.
pub struct SharedPort {
    pub number: u16,
    _held: Vec<TcpSocket>,
}

impl SharedPort {
    /// Takes a port that is free at each of `127.0.0.N`.
    pub fn reserve(hosts: &[u8]) -> Self {
        for _ in 0..100 {
            let number = Port::reserve().number;
            let each = hosts.iter().map(|host| bound([127, 0, 0, *host], number));
            if let Ok(held) = each.collect() {
                return Self { number, _held: held };
            }
        }
        panic!("no port is free at each of 127.0.0.{hosts:?}");
    }
}

fn bound(host: [u8; 4], port: u16) -> std::io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((host, port).into())?;
    Ok(socket)
}

impl Port {
    /// Takes a free port of the loopback interface.
    pub fn reserve() -> Self {
        let socket = bound([127, 0, 0, 1], 0).unwrap();
        let number = socket.local_addr().unwrap().port();
        Self { number, _held: socket }
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.number)
    }
}
