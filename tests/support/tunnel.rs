//! An HTTP proxy that leads every request to one server, whatever name was asked for, and writes down the names.

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

pub struct Tunnel {
    pub url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Tunnel {
    pub fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let (server, log) = (server.to_owned(), asked.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (server, log) = (server.clone(), log.clone());
                std::thread::spawn(move || serve(&client, &server, &log).ok());
            }
        });
        Self { url, asked }
    }

    /// The first lines of the connections since the last call.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn serve(client: &TcpStream, server: &str, log: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut reader = BufReader::new(client);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    log.lock().unwrap().push(first.trim().to_owned());
    let mut upstream = TcpStream::connect(server)?;
    if first.starts_with("CONNECT ") {
        let mut line = String::new();
        while reader.read_line(&mut line)? > 2 {
            line.clear();
        }
        (&mut &*client).write_all(b"HTTP/1.1 200 x\r\n\r\n")?;
    } else {
        // A server takes a request with the whole address as well.
        upstream.write_all(first.as_bytes())?;
    }
    let mut back = upstream.try_clone()?;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _ = copy(&mut back, client);
            let _ = client.shutdown(Shutdown::Both);
        });
        let _ = copy(&mut reader, &upstream);
        let _ = upstream.shutdown(Shutdown::Write);
    });
    Ok(())
}

fn copy(from: &mut impl Read, mut to: &TcpStream) -> io::Result<u64> {
    io::copy(from, &mut to)
}
