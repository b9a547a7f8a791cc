//! The RTMP link from the relay to one packager: bytes pass while it is up. Cutting it takes the
//! packager's feed away while its HTTP server lives; bringing it up late starts a packager late.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// A forwarder of one port to another.
pub struct Link {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    up: AtomicBool,
    ended: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl Link {
    /// Forwards to `target` (`127.0.0.1:port`); down until [`Link::restore`].
    pub fn to(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            up: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            open: Mutex::new(Vec::new()),
        });
        let inner = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, &target, &inner));
        Self { port, shared }
    }

    /// Where the relay pushes to.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Lets connections through; the relay tries again on its own.
    pub fn restore(&self) {
        self.shared.up.store(true, Ordering::SeqCst);
    }

    /// Closes what is open and turns new connections away.
    pub fn cut(&self) {
        self.shared.up.store(false, Ordering::SeqCst);
        for stream in self.shared.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.cut();
        // Wakes the accepting thread, which then ends.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn accept(listener: &TcpListener, target: &str, shared: &Arc<Shared>) {
    for near in listener.incoming().flatten() {
        if shared.ended.load(Ordering::SeqCst) {
            return;
        }
        if !shared.up.load(Ordering::SeqCst) {
            continue;
        }
        let Ok(far) = TcpStream::connect(target) else { continue };
        let mut open = shared.open.lock().unwrap();
        open.extend([near.try_clone().unwrap(), far.try_clone().unwrap()]);
        drop(open);
        let (near_too, far_too) = (near.try_clone().unwrap(), far.try_clone().unwrap());
        thread::spawn(move || pass(near, far));
        thread::spawn(move || pass(far_too, near_too));
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
