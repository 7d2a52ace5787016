//! The little of QMP (QEMU Machine Protocol: JSON lines on a socket) that a boot check needs.
//! Source: docs/interop/qmp-spec in QEMU.

use crate::problem::{Problem, Result};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// A QMP session.
pub struct Qmp {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Qmp {
    /// Connects and leaves negotiation mode.
    pub fn connect(path: &Path) -> Result<Self> {
        let failed = |e: std::io::Error| Problem::new("cannot talk to QEMU's monitor").because(e);
        let writer = UnixStream::connect(path).map_err(failed)?;
        writer.set_read_timeout(Some(Duration::from_secs(10))).map_err(failed)?;
        let reader = BufReader::new(writer.try_clone().map_err(failed)?);
        let mut qmp = Self { reader, writer };
        qmp.line()?;
        qmp.execute("qmp_capabilities")?;
        Ok(qmp)
    }

    /// Runs a command without arguments; asynchronous events in between are passed over.
    pub fn execute(&mut self, command: &str) -> Result<Value> {
        let failed = |e: std::io::Error| Problem::new(format!("QEMU did not take {command}")).because(e);
        let mut text = json!({ "execute": command }).to_string();
        text.push('\n');
        self.writer.write_all(text.as_bytes()).map_err(failed)?;
        loop {
            let answer = self.line()?;
            if let Some(error) = answer.get("error") {
                return Err(Problem::new(format!("QEMU refused {command}: {error}")));
            }
            if let Some(value) = answer.get("return") {
                return Ok(value.clone());
            }
        }
    }

    /// Presses the machine's power button.
    pub fn power_button(&mut self) -> Result<()> {
        self.execute("system_powerdown").map(|_| ())
    }

    fn line(&mut self) -> Result<Value> {
        let mut text = String::new();
        let read = self.reader.read_line(&mut text);
        match read {
            Ok(n) if n > 0 => serde_json::from_str(&text)
                .map_err(|e| Problem::new("QEMU's monitor sent something odd").because(e)),
            Ok(_) => Err(Problem::new("QEMU closed its monitor")),
            Err(e) => Err(Problem::new("QEMU's monitor does not answer").because(e)),
        }
    }
}
