//! A file server: what the packager writes for Segue, and the saved answers for the caches.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use anyhow::Result;

use crate::client::Answer;

/// Serves the files of `root` until the process ends; returns the port.
pub fn start(root: PathBuf) -> Result<u16> {
    std::fs::create_dir_all(&root)?;
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let port = listener.local_addr()?.port();
    let root = Arc::new(root);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let root = root.clone();
            thread::spawn(move || serve(stream, &root));
        }
    });
    Ok(port)
}

/// One connection, until it closes.
fn serve(stream: TcpStream, root: &Path) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    loop {
        let mut request = String::new();
        if stream.read_line(&mut request)? == 0 {
            return Ok(());
        }
        let mut line = String::new();
        while stream.read_line(&mut line)? > 2 {
            line.clear();
        }
        let path = request.split(' ').nth(1).unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default().trim_start_matches('/');
        let answer = Answer::load(&root.join(path));
        let (status, headers, body) = match answer {
            _ if path.contains("..") => ("400 Bad Request", vec![], vec![]),
            Ok(answer) => ("200 OK", answer.headers, answer.body),
            Err(_) => ("404 Not Found", vec![], vec![]),
        };
        let mut head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += "\r\n";
        let stream = stream.get_mut();
        stream.write_all(head.as_bytes())?;
        stream.write_all(&body)?;
    }
}
