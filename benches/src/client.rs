//! A client of one kept connection, and the answers that it gets.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// No server here takes longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// One HTTP/1.1 connection.
pub struct Client {
    stream: BufReader<TcpStream>,
}

/// A 200 with the headers that matter to who serves it again.
pub struct Answer {
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Client {
    pub fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::with_capacity(4096, stream) })
    }

    /// Asks and reads the whole answer. Anything but 200 is an error.
    pub fn get(&mut self, path: &str) -> Result<Answer> {
        self.get_with(path, "")
    }

    /// The same with more headers: lines, each with its end.
    pub fn get_with(&mut self, path: &str, headers: &str) -> Result<Answer> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n");
        self.stream.get_mut().write_all(request.as_bytes())?;
        let status = self.line()?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').context("a header without a colon")?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length = length.context("an answer without Content-Length")?.1.parse()?;
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        if status.split(' ').nth(1) != Some("200") {
            bail!("{path}: {status}");
        }
        headers.retain(|(name, _)| !["date", "connection", "content-length"].contains(&&**name));
        Ok(Answer { headers, body })
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            bail!("the connection was closed");
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Answer {
    pub fn text(&self) -> Result<&str> {
        Ok(std::str::from_utf8(&self.body)?)
    }

    /// Writes it down for `origin` and `bare` to serve: the body, and its headers beside it. It
    /// may be kept for an hour, so that caches answer from memory throughout.
    pub fn save(&self, dir: &Path, name: &str) -> Result<()> {
        let lines = self.headers.iter().map(|(name, value)| match name.as_str() {
            "cache-control" => "cache-control: max-age=3600\n".to_owned(),
            _ => format!("{name}: {value}\n"),
        });
        fs::write(dir.join(name), &self.body)?;
        fs::write(dir.join(format!("{name}.headers")), lines.collect::<String>())?;
        Ok(())
    }

    /// Reads what was saved.
    pub fn load(path: &Path) -> Result<Self> {
        let body = fs::read(path)?;
        let mut beside = path.as_os_str().to_owned();
        beside.push(".headers");
        let lines = fs::read_to_string(beside).unwrap_or_default();
        let split = |line: &str| {
            line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()))
        };
        Ok(Self { headers: lines.lines().filter_map(split).collect(), body })
    }
}
