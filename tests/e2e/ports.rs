//! Free ports for programs that must be told their port: bound here and never listened on, so
//! that no other process is given them, and still open to a child that sets `SO_REUSEADDR`.

use tokio::net::TcpSocket;

/// A port held for as long as the value lives.
pub struct Port {
    pub number: u16,
    _held: TcpSocket,
}

impl Port {
    /// Takes a free port of the loopback interface.
    pub fn reserve() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let number = socket.local_addr().unwrap().port();
        Self { number, _held: socket }
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.number)
    }
}
