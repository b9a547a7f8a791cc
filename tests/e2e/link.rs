//! The RTMP link from the relay to one packager: bytes pass while it is up. Cutting it takes the
//! packager's feed away while its HTTP server lives; bringing it up late starts a packager late.
//!
//! It never refuses or turns away: nginx-rtmp's relay now and then forgets to try again after
//! that. A connection that cannot pass waits, and passes once the link is up and the packager runs.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A forwarder of one port to another.
pub struct Link {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    target: String,
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
            target,
            up: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            open: Mutex::default(),
        });
        let inner = Arc::clone(&shared);
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if inner.ended.load(Ordering::SeqCst) {
                    return;
                }
                let inner = Arc::clone(&inner);
                thread::spawn(move || join(&near, &inner));
            }
        });
        Self { port, shared }
    }

    /// Where the relay pushes to.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Lets through what waits and what comes.
    pub fn restore(&self) {
        self.shared.up.store(true, Ordering::SeqCst);
    }

    /// Closes what is open; what comes waits.
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

/// Waits until the link is up and the packager there, and joins the two.
fn join(near: &TcpStream, shared: &Shared) {
    let far = loop {
        if shared.ended.load(Ordering::SeqCst) {
            return;
        }
        if shared.up.load(Ordering::SeqCst)
            && let Ok(far) = TcpStream::connect(&shared.target)
        {
            break far;
        }
        thread::sleep(Duration::from_millis(20));
    };
    let mut open = shared.open.lock().unwrap();
    if !shared.up.load(Ordering::SeqCst) {
        // Cut in this very moment.
        return;
    }
    for (from, to) in [(near, &far), (&far, near)] {
        let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        thread::spawn(move || pass(from, to));
    }
    open.extend([near.try_clone().unwrap(), far]);
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
