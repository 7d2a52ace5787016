use super::*;
use crate::oci::registries::{Registries, Registry, Tls};
use crate::oci::registry::Options;
use crate::oci::stand_in::{Answer, Server};
use crate::progress::Silent;
use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;

/// A registry that takes one upload and can say how much of it has come, as the specification wants; Debian's
/// docker-registry forgets an upload whose line broke.
struct Uploads {
    host: String,
    got: Arc<Mutex<Vec<u8>>>,
    /// Methods with the bytes that came with them.
    seen: Arc<Mutex<Vec<(String, usize)>>>,
}

impl Uploads {
    /// Each of `breaks` is one PATCH whose line ends after so many bytes.
    fn start(breaks: &[usize]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
        let (got, seen) = (Arc::<Mutex<Vec<u8>>>::default(), Arc::<Mutex<Vec<(String, usize)>>>::default());
        let mut breaks: VecDeque<usize> = breaks.iter().copied().collect();
        let server = (got.clone(), seen.clone());
        std::thread::spawn(move || {
            for line in listener.incoming().flatten() {
                serve(line, &server.0, &server.1, &mut breaks);
            }
        });
        Self { host, got, seen }
    }
}

fn serve(
    mut line: TcpStream,
    got: &Mutex<Vec<u8>>,
    seen: &Mutex<Vec<(String, usize)>>,
    breaks: &mut VecDeque<usize>,
) {
    let mut reader = BufReader::new(line.try_clone().unwrap());
    let mut head = Vec::new();
    loop {
        let mut text = String::new();
        if reader.read_line(&mut text).is_err() || text.trim().is_empty() {
            break;
        }
        head.push(text.trim().to_ascii_lowercase());
    }
    let Some(first) = head.first().cloned() else { return };
    let method = first.split(' ').next().unwrap_or_default().to_owned();
    let of = |name: &str| head.iter().find_map(|l| l.strip_prefix(name).map(|v| v.trim().to_owned()));
    let mut length: usize = of("content-length:").and_then(|v| v.parse().ok()).unwrap_or(0);
    let mut got = got.lock().unwrap();
    let mut broken = false;
    let mut wrong = false;
    if method == "patch" {
        let start: usize = of("content-range:").unwrap().split('-').next().unwrap().parse().unwrap();
        wrong = start != got.len();
        if let Some(at) = breaks.pop_front() {
            (length, broken) = (at, true);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    seen.lock().unwrap().push((method.clone(), length));
    if !wrong && method == "patch" {
        got.extend(&body);
    }
    if broken {
        return;
    }
    let status = match (method.as_str(), wrong) {
        ("head", _) => "404 x",
        (_, true) => "416 x",
        ("put", _) => "201 x",
        ("get", _) => "204 x",
        _ => "202 x",
    };
    let range = got.len().saturating_sub(1);
    let _ = write!(
        line,
        "HTTP/1.1 {status}\r\nLocation: /v2/a/blobs/uploads/1?state=x\r\nRange: 0-{range}\r\n\
         Content-Length: 0\r\nConnection: close\r\n\r\n"
    );
}

#[test]
fn an_upload_goes_on_where_its_line_broke() {
    let server = Uploads::start(&[10_000_000, 0, 5_000_000]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("blob");
    let bytes: Vec<u8> = (0..40_000_000u32).map(|n| (n / 1000) as u8).collect();
    std::fs::write(&path, &bytes).unwrap();
    let blob = Blob::of_file(&path).unwrap();
    let plain = Registry { tls: Tls::Off, ..Registry::default() };
    let options =
        Options { registries: Registries::default().with(&server.host, plain), ..Options::default() };
    let repository = Repository::open(&format!("{}/a", server.host), &options, &Silent).unwrap();
    let sent = repository.put_blobs(std::slice::from_ref(&blob), None).unwrap();
    assert_eq!(sent, Sent { blobs: 1, bytes: 40_000_000, ..Sent::default() });
    assert_eq!(Digest::of(&server.got.lock().unwrap()), blob.digest);
    let seen = server.seen.lock().unwrap();
    let patched: usize = seen.iter().filter(|(method, _)| method == "patch").map(|(_, n)| n).sum();
    assert_eq!(patched, 40_000_000, "no byte that had come was sent again: {seen:?}");
    assert_eq!(seen.iter().filter(|(method, _)| method == "post").count(), 1);
}

fn plain(host: &str) -> Options {
    Options { insecure: vec![host.to_owned()], ..Options::default() }
}

/// A registry that takes uploads and loses the answer to the first PUT, though it did what was asked.
fn forgetful() -> Server {
    let (mut there, mut lost) = (false, false);
    Server::start(move |request| {
        Some(match request.method.as_str() {
            "HEAD" if there => Answer::status(200),
            "HEAD" => Answer::status(404),
            "PUT" => {
                there = true;
                if !std::mem::replace(&mut lost, true) {
                    return None;
                }
                Answer::status(201)
            }
            _ => Answer::status(202).header("Location", "/v2/a/blobs/uploads/1?x=y"),
        })
    })
}

#[test]
fn a_blob_whose_last_answer_was_lost_is_not_sent_again() {
    for size in [1000, 20_000_000] {
        let server = forgetful();
        let options = plain(&server.host);
        let repository = Repository::open(&format!("{}/a", server.host), &options, &Silent).unwrap();
        let blob = Blob::of_bytes(vec![7; size]);
        let sent = repository.put_blobs(&[blob], None).unwrap();
        assert_eq!((sent.blobs, sent.bytes), (1, size as u64));
        let bytes: usize = server.seen().iter().map(|request| request.body.len()).sum();
        assert_eq!(bytes, size, "{:?}", server.seen().iter().map(|r| &r.method).collect::<Vec<_>>());
    }
}

#[test]
fn a_blob_that_may_not_be_linked_is_sent() {
    for status in [401, 403, 404, 500] {
        let server = Server::start(move |request| {
            Some(match request.method.as_str() {
                "HEAD" => Answer::status(404),
                "POST" if request.path.contains("mount=") => Answer::status(status),
                "POST" => Answer::status(202).header("Location", "/v2/a/blobs/uploads/1"),
                _ => Answer::status(201),
            })
        });
        let options = plain(&server.host);
        let repository = Repository::open(&format!("{}/a", server.host), &options, &Silent).unwrap();
        let blob = Blob::of_bytes(vec![7; 1000]);
        let sent = repository.put_blobs(&[blob], Some("other/place")).unwrap();
        assert_eq!((sent.blobs, sent.mounted), (1, 0), "{status}");
        assert!(server.seen().iter().any(|request| request.path.contains("from=other")));
    }
}
