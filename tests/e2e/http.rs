//! A small HTTP/1.1 client that hides nothing: a body that ends early is an error, and redirects,
//! retries and decompression do not happen.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// An answer with its whole body.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// `http://host:port/path` in two parts.
pub fn split(url: &str) -> (String, String) {
    let rest = url.strip_prefix("http://").unwrap_or_else(|| panic!("not http: {url}"));
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    (host.to_owned(), format!("/{path}"))
}

/// `reference` as `base` means it (RFC 3986, 5.2, as far as playlists need it).
pub fn resolve(base: &str, reference: &str) -> String {
    let (host, path) = split(base);
    if reference.starts_with("http://") {
        return reference.to_owned();
    }
    if reference.starts_with('/') {
        return format!("http://{host}{reference}");
    }
    let folder = path.split('?').next().unwrap_or("/").rsplit_once('/').map_or("", |(f, _)| f);
    let mut parts: Vec<&str> = folder.split('/').collect();
    for part in reference.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            _ => parts.push(part),
        }
    }
    format!("http://{host}{}", parts.join("/"))
}

/// Connects to a loopback address.
pub fn connect(host: &str, timeout: Duration) -> io::Result<TcpStream> {
    let address: SocketAddr = host.parse().map_err(io::Error::other)?;
    let stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    Ok(stream)
}

/// GETs `url` on a connection of its own.
pub fn get(url: &str, timeout: Duration) -> io::Result<Answer> {
    get_with(url, &[], timeout)
}

/// GETs `url` with more request headers.
pub fn get_with(url: &str, headers: &[(&str, &str)], timeout: Duration) -> io::Result<Answer> {
    ask("GET", url, headers, timeout)
}

/// POSTs nothing to `url`.
pub fn post(url: &str, headers: &[(&str, &str)], timeout: Duration) -> io::Result<Answer> {
    ask("POST", url, &[headers, &[("Content-Length", "0")]].concat(), timeout)
}

fn ask(method: &str, url: &str, headers: &[(&str, &str)], timeout: Duration) -> io::Result<Answer> {
    let (host, path) = split(url);
    let mut stream = connect(&host, timeout)?;
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes())?;
    read_answer(&mut BufReader::new(stream))
}

/// Reads lines up to the empty one, without their ends. An early end is an error.
pub fn read_head(stream: &mut impl BufRead) -> io::Result<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            return Ok(lines);
        }
        lines.push(line);
    }
}

/// Reads a whole answer.
pub fn read_answer(stream: &mut impl BufRead) -> io::Result<Answer> {
    let head = read_head(stream)?;
    let first = head.first().map(String::as_str).unwrap_or_default();
    let status = first.split(' ').nth(1).and_then(|s| s.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("not a status line: {first}")))?;
    let headers = head.iter().skip(1).filter_map(|l| l.split_once(':'));
    let headers = headers.map(|(n, v)| (n.trim().to_owned(), v.trim().to_owned())).collect();
    let mut answer = Answer { status, headers, body: Vec::new() };
    if status == 204 || status == 304 {
        return Ok(answer);
    }
    if answer.header("transfer-encoding").is_some_and(|v| v.contains("chunked")) {
        read_chunks(stream, &mut answer.body)?;
    } else if let Some(length) = answer.header("content-length") {
        let length: usize = length.parse().map_err(io::Error::other)?;
        answer.body = vec![0; length];
        stream.read_exact(&mut answer.body)?;
    } else {
        stream.read_to_end(&mut answer.body)?;
    }
    Ok(answer)
}

fn read_chunks(stream: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let size = line.trim().split(';').next().unwrap_or_default();
        let size = usize::from_str_radix(size, 16).map_err(io::Error::other)?;
        let begin = body.len();
        body.resize(begin + size, 0);
        stream.read_exact(&mut body[begin..])?;
        let mut end = [0; 2];
        stream.read_exact(&mut end)?;
        if size == 0 {
            return Ok(());
        }
    }
}
