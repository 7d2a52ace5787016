//! Lines that a person types. One is read only when it is wanted: another program may have the terminal.

use std::io;
use std::sync::mpsc::{Sender, channel};
use tokio::sync::mpsc::{Receiver, channel as answers};

pub struct Lines {
    want: Sender<()>,
    lines: Receiver<String>,
    wanted: bool,
}

impl Lines {
    pub fn of_stdin() -> io::Result<Self> {
        Self::of(io::BufReader::new(io::stdin()))
    }

    pub fn of(mut input: impl io::BufRead + Send + 'static) -> io::Result<Self> {
        let (want, wanted) = channel();
        let (sender, lines) = answers(1);
        std::thread::Builder::new().name("lines".to_owned()).spawn(move || {
            while wanted.recv().is_ok() {
                let mut line = Vec::new();
                match input.read_until(b'\n', &mut line) {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {
                        if sender.blocking_send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                            return;
                        }
                    }
                }
            }
        })?;
        Ok(Self { want, lines, wanted: false })
    }

    /// The next line; none at the end of the input. What is not waited for to its end is not lost.
    pub async fn next(&mut self) -> Option<String> {
        if !self.wanted {
            self.want.send(()).ok()?;
            self.wanted = true;
        }
        let line = self.lines.recv().await;
        self.wanted = false;
        line
    }
}
