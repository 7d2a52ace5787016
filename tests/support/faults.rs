//! A proxy in front of a registry that does chosen requests wrong, and writes down all of them.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What goes wrong with one request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// This status in place of the registry's answer.
    Status(u16),
    /// 429, and not before so many seconds.
    Busy(u64),
    /// The answer's body ends after so many bytes.
    Cut(usize),
    /// Nothing comes after the head for so long.
    Stall(Duration),
    /// Other bytes, as many as were to come.
    Damage,
    /// The first half, as if that were all.
    Truncate,
    /// The registry gets so many bytes of the request's body, then both lines break.
    CutUpload(usize),
    /// The registry has done what was asked, but the answer is lost.
    Lose,
}

#[derive(Default)]
struct Shared {
    /// Method, a part of the path, and what to do; each is used once.
    plan: Mutex<Vec<(&'static str, String, Fault)>>,
    /// `METHOD path`, and how many bytes of body came with it.
    seen: Mutex<Vec<(String, usize)>>,
}

pub struct Faults {
    pub host: String,
    shared: Arc<Shared>,
}

impl Faults {
    pub fn before(registry: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
        let shared: Arc<Shared> = Arc::default();
        let (registry, inner) = (registry.to_owned(), shared.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (registry, shared) = (registry.clone(), inner.clone());
                // A broken line is what this is for.
                std::thread::spawn(move || serve(&client, &registry, &shared).ok());
            }
        });
        Self { host, shared }
    }

    /// The next request of this method whose path has `part` in it goes wrong; one call for each time.
    pub fn plan(&self, method: &'static str, part: &str, fault: Fault) -> &Self {
        self.shared.plan.lock().unwrap().push((method, part.to_owned(), fault));
        self
    }

    /// How many of the planned faults have not happened.
    pub fn left(&self) -> usize {
        self.shared.plan.lock().unwrap().len()
    }

    /// From now on nothing goes wrong.
    pub fn drop_plan(&self) {
        self.shared.plan.lock().unwrap().clear();
    }

    /// Requests since the last call.
    pub fn seen(&self) -> Vec<(String, usize)> {
        std::mem::take(&mut self.shared.seen.lock().unwrap())
    }
}

fn serve(client: &TcpStream, registry: &str, shared: &Shared) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let (first, headers) = head(&mut reader)?;
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let fault = {
        let mut plan = shared.plan.lock().unwrap();
        let at = plan.iter().position(|(m, part, _)| *m == method && path.contains(part.as_str()));
        at.map(|at| plan.remove(at).2)
    };
    let mut body = vec![0; length(&headers)];
    if let Some(Fault::CutUpload(n)) = fault {
        body.truncate(n);
    }
    reader.read_exact(&mut body)?;
    shared.seen.lock().unwrap().push((format!("{method} {path}"), body.len()));
    match fault {
        Some(Fault::Status(status)) => return answer(client, &format!("HTTP/1.1 {status} x"), b"{}"),
        Some(Fault::Busy(seconds)) => {
            return answer(client, &format!("HTTP/1.1 429 x\r\nRetry-After: {seconds}"), b"{}");
        }
        _ => {}
    }
    let mut upstream = TcpStream::connect(registry)?;
    let mut text = format!("{first}\r\nConnection: close\r\n");
    for line in headers.iter().filter(|line| !line.to_ascii_lowercase().starts_with("connection:")) {
        text.push_str(&format!("{line}\r\n"));
    }
    upstream.write_all(format!("{text}\r\n").as_bytes())?;
    upstream.write_all(&body)?;
    if matches!(fault, Some(Fault::CutUpload(_))) {
        // Time to take what has come.
        std::thread::sleep(Duration::from_millis(300));
        return Ok(());
    }
    let mut back = BufReader::new(upstream);
    let (status, headers) = head(&mut back)?;
    let mut content = Vec::new();
    if method == "HEAD" {
        let kept: String = headers.iter().map(|line| format!("\r\n{line}")).collect();
        return (&mut &*client).write_all(format!("{status}{kept}\r\nConnection: close\r\n\r\n").as_bytes());
    }
    back.read_to_end(&mut content)?;
    let kept: String = headers
        .iter()
        .filter(|line| {
            let name = line.to_ascii_lowercase();
            !name.starts_with("content-length:") && !name.starts_with("connection:")
        })
        .map(|line| format!("\r\n{line}"))
        .collect();
    let mut out = client;
    let length = content.len();
    match fault {
        Some(Fault::Lose) => return Ok(()),
        Some(Fault::Cut(n)) => {
            write!(out, "{status}{kept}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")?;
            return out.write_all(&content[..n.min(length)]);
        }
        Some(Fault::Stall(time)) => {
            write!(out, "{status}{kept}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")?;
            std::thread::sleep(time);
            return Ok(());
        }
        Some(Fault::Damage) => content.iter_mut().for_each(|byte| *byte ^= 1),
        Some(Fault::Truncate) => content.truncate(length / 2),
        _ => {}
    }
    answer(client, &format!("{status}{kept}"), &content)
}

fn answer(mut out: &TcpStream, head: &str, body: &[u8]) -> io::Result<()> {
    write!(out, "{head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    out.write_all(body)
}

/// The first line, and the headers.
fn head(reader: &mut impl BufRead) -> io::Result<(String, Vec<String>)> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        lines.push(line.to_owned());
    }
    if lines.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((lines.remove(0), lines))
}

fn length(headers: &[String]) -> usize {
    let of = |line: &String| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    };
    headers.iter().find_map(of).unwrap_or(0)
}
