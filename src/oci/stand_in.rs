//! An HTTP server of a test's own, for what no real registry can be made to do.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// `name: value`, as they came.
    headers: Vec<String>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        let all = self.headers.iter().filter_map(|line| line.split_once(':'));
        all.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }
}

/// What is answered.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// The line breaks after so many bytes of the body.
    pub until: Option<usize>,
}

impl Answer {
    pub fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub fn body(body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::status(200) }
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

pub struct Server {
    /// `127.0.0.1:port`.
    pub host: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// One request after the other is answered; none breaks the line without an answer.
    pub fn start(mut answer: impl FnMut(&Request) -> Option<Answer> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let seen = Arc::<Mutex<Vec<Request>>>::default();
        let log = Arc::clone(&seen);
        std::thread::spawn(move || {
            for line in listener.incoming().flatten() {
                let Some(request) = read(&line) else { continue };
                log.lock().unwrap().push(request.clone());
                if let Some(answer) = answer(&request) {
                    let _ = write(&line, &request, &answer);
                }
            }
        });
        Self { host, seen }
    }

    pub fn seen(&self) -> MutexGuard<'_, Vec<Request>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(line: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(line);
    let mut head = Vec::new();
    loop {
        let mut text = String::new();
        reader.read_line(&mut text).ok().filter(|n| *n > 0)?;
        if text.trim().is_empty() {
            break;
        }
        head.push(text.trim().to_owned());
    }
    let first = head.remove(0);
    let (method, rest) = first.split_once(' ')?;
    let path = rest.split(' ').next()?.to_owned();
    let mut request = Request { method: method.to_owned(), path, headers: head, body: Vec::new() };
    let length = request.header("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
    request.body = vec![0; length];
    reader.read_exact(&mut request.body).ok()?;
    Some(request)
}

fn write(mut line: &TcpStream, request: &Request, answer: &Answer) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} x\r\nConnection: close\r\n", answer.status);
    if !answer.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
        head += &format!("Content-Length: {}\r\n", answer.body.len());
    }
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    line.write_all(format!("{head}\r\n").as_bytes())?;
    if request.method != "HEAD" {
        line.write_all(&answer.body[..answer.until.unwrap_or(usize::MAX).min(answer.body.len())])?;
    }
    Ok(())
}
