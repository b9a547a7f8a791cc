//! The RTMP link from the relay to one packager: bytes pass while it is up. Cutting it takes the
//! packager's feed away while its HTTP server lives; bringing it up late starts a packager late.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::ports::Port;

/// A forwarder of one port to another. While it is down, connections are refused.
pub struct Link {
    port: Port,
    target: String,
    up: Mutex<Option<Arc<Up>>>,
}

/// One time of being up.
#[derive(Default)]
struct Up {
    ended: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl Link {
    /// Forwards to `target` (`127.0.0.1:port`); down until [`Link::restore`].
    pub fn to(target: String) -> Self {
        Self { port: Port::reserve(), target, up: Mutex::default() }
    }

    /// Where the relay pushes to.
    pub const fn port(&self) -> u16 {
        self.port.number
    }

    /// Lets connections through; the relay tries again on its own.
    pub fn restore(&self) {
        self.cut();
        let listener = TcpListener::bind(self.port.address()).unwrap();
        listener.set_nonblocking(true).unwrap();
        let up = Arc::<Up>::default();
        let (inner, target) = (Arc::clone(&up), self.target.clone());
        thread::spawn(move || accept(&listener, &target, &inner));
        *self.up.lock().unwrap() = Some(up);
    }

    /// Closes what is open and refuses new connections.
    pub fn cut(&self) {
        if let Some(up) = self.up.lock().unwrap().take() {
            up.ended.store(true, Ordering::SeqCst);
            for stream in up.open.lock().unwrap().drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.cut();
    }
}

fn accept(listener: &TcpListener, target: &str, up: &Up) {
    while !up.ended.load(Ordering::SeqCst) {
        let near = match listener.accept() {
            Ok((near, _)) => near,
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_millis(20));
                continue;
            }
            Err(_) => return,
        };
        let Ok(far) = TcpStream::connect(target) else { continue };
        near.set_nonblocking(false).unwrap();
        let pair = [(&near, &far), (&far, &near)];
        for (from, to) in pair {
            let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            thread::spawn(move || pass(from, to));
        }
        up.open.lock().unwrap().extend([near, far]);
    }
}

/// Passes bytes until either side ends, then ends both.
fn pass(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(n) = from.read(&mut buffer) {
        if n == 0 || to.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
