//! What a build prints, as lines and steps.

use super::Error;
use crate::progress::{Progress, Unit};
use bollard::models::{BuildInfo, BuildInfoAux};
use std::collections::HashMap;

/// A line that is longer is told in pieces: not every program ends its lines.
const LONGEST: usize = 16 << 10;

/// What is known of a build from what it prints.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// `RUN make`, as in the Dockerfile.
    step: String,
    last: String,
    /// Lines that have no end yet: of each of BuildKit's steps, since several run side by side.
    parts: HashMap<String, Vec<u8>>,
    /// The step that BuildKit says failed.
    broken: Option<String>,
    pub image: Option<String>,
}

/// `[2/5] RUN make` or `[stage 2/5] RUN make`, as BuildKit names its steps.
fn vertex_step(name: &str) -> Option<(u64, u64, &str)> {
    let (place, step) = name.strip_prefix('[')?.split_once("] ")?;
    let (done, total) = place.rsplit(' ').next()?.split_once('/')?;
    Some((done.parse().ok()?, total.parse().ok()?, step))
}

impl Steps {
    pub fn take(&mut self, info: BuildInfo, progress: &dyn Progress) -> Result<(), Error> {
        if let Some(detail) = info.error_detail {
            return Err(self.failed(&detail.message.unwrap_or_default()));
        }
        match info.aux {
            Some(BuildInfoAux::Default(image)) => self.image = image.id.or(self.image.take()),
            Some(BuildInfoAux::BuildKit(status)) => self.status(status, progress),
            None => {}
        }
        if let Some(status) = info.status {
            let id = info.id.map_or_else(String::new, |id| format!("{id}: "));
            // Bars of pulls say the same line many times.
            if status != self.last {
                progress.log(&format!("{id}{status}"));
                self.last = status;
            }
        }
        for line in self.lines("", info.stream.unwrap_or_default().as_bytes()) {
            if line.is_empty() {
                continue;
            }
            if let Some((done, total, step)) = step(&line) {
                self.step = step.to_owned();
                progress.at(done, total, Unit::Items);
            }
            progress.log(&line);
            self.last = line;
        }
        Ok(())
    }

    /// The lines that have ended with this piece of a step's output.
    fn lines(&mut self, of: &str, piece: &[u8]) -> Vec<String> {
        if piece.is_empty() {
            return Vec::new();
        }
        let part = self.parts.entry(of.to_owned()).or_default();
        part.extend_from_slice(piece);
        let mut lines = Vec::new();
        let mut from = 0;
        while let Some(end) = memchr::memchr(b'\n', &part[from..]) {
            lines.push(text(&part[from..from + end]));
            from += end + 1;
        }
        part.drain(..from);
        if part.len() > LONGEST {
            lines.push(text(&std::mem::take(part)));
        }
        lines
    }

    /// What is left of lines that never ended.
    pub fn finish(&mut self, progress: &dyn Progress) {
        for (_, part) in self.parts.drain().filter(|(_, part)| !part.is_empty()) {
            progress.log(&text(&part));
        }
    }

    /// What BuildKit says: steps that begin and end, and their output.
    fn status(&mut self, status: bollard::moby::buildkit::v1::StatusResponse, progress: &dyn Progress) {
        for vertex in status.vertexes {
            let began = vertex.started.is_some() && vertex.completed.is_none();
            // What it does to get ready has names of its own kind: `[internal] load build context`.
            if let Some((done, total, step)) = vertex_step(&vertex.name).filter(|_| began) {
                self.step = step.to_owned();
                progress.at(done, total, Unit::Items);
            }
            if (began || vertex.cached) && vertex.name != self.last {
                let cached = if vertex.cached { " (from the engine's cache)" } else { "" };
                progress.log(&format!("{}{cached}", vertex.name));
                self.last.clone_from(&vertex.name);
            }
            if !vertex.error.is_empty() {
                self.broken = vertex_step(&vertex.name).map(|(.., step)| step.to_owned());
            }
        }
        for log in status.logs {
            for line in self.lines(&log.vertex, &log.msg) {
                progress.log(&line);
            }
        }
        for warning in status.warnings {
            progress.warn(&text(&warning.short));
        }
    }

    pub fn failed(&self, why: &str) -> Error {
        let step = self.broken.as_ref().unwrap_or(&self.step);
        let step = if step.is_empty() { "the Dockerfile cannot be used" } else { step };
        Error::Step { step: step.to_owned(), why: why.trim().to_owned() }
    }
}

/// `Step 2/5 : RUN make`; Podman writes `STEP 2/5: RUN make`.
fn step(line: &str) -> Option<(u64, u64, &str)> {
    let (numbers, step) = match line.strip_prefix("STEP ") {
        Some(podman) => podman.split_once(": ")?,
        None => line.strip_prefix("Step ")?.split_once(" : ")?,
    };
    let (done, total) = numbers.split_once('/')?;
    Some((done.parse().ok()?, total.parse().ok()?, step))
}

/// One line, whatever its bytes are.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use std::sync::Mutex;

    #[test]
    fn steps_are_counted_and_the_failing_one_is_named() {
        assert_eq!(step("Step 2/5 : RUN make"), Some((2, 5, "RUN make")));
        assert_eq!(step("STEP 2/5: RUN make"), Some((2, 5, "RUN make")));
        assert_eq!(step("Step by step"), None);
        assert_eq!(vertex_step("[2/5] RUN make"), Some((2, 5, "RUN make")));
        assert_eq!(vertex_step("[tools 1/3] FROM debian"), Some((1, 3, "FROM debian")));
        assert_eq!(vertex_step("[internal] load build context"), None);
        let mut steps = Steps::default();
        let line = |text: &str| BuildInfo { stream: Some(text.to_owned()), ..BuildInfo::default() };
        steps.take(line("Step 1/1 : RUN fal"), &Silent).unwrap();
        steps.take(line("se\n ---> Running in 0123\n"), &Silent).unwrap();
        let error = steps.failed("The command '/bin/sh -c false' returned a non-zero code: 1");
        assert!(error.to_string().starts_with("RUN false: The command"), "{error}");
    }

    #[test]
    fn a_warning_of_the_engine_is_a_warning() {
        struct Warned(Mutex<Vec<String>>);
        impl Progress for Warned {
            fn at(&self, _: u64, _: u64, _: Unit) {}
            fn log(&self, line: &str) {
                panic!("{line}");
            }
            fn warn(&self, text: &str) {
                self.0.lock().unwrap().push(text.to_owned());
            }
            fn cancelled(&self) -> bool {
                false
            }
        }
        use bollard::moby::buildkit::v1::{StatusResponse, VertexWarning};
        let short = b"LegacyKeyValueFormat: \"ENV key=value\" is wanted".to_vec();
        let warnings = vec![VertexWarning { short, ..VertexWarning::default() }];
        let heard = Warned(Mutex::default());
        Steps::default().status(StatusResponse { warnings, ..StatusResponse::default() }, &heard);
        assert_eq!(*heard.0.lock().unwrap(), ["LegacyKeyValueFormat: \"ENV key=value\" is wanted"]);
    }

    #[test]
    fn lines_come_in_pieces_of_several_steps_and_some_never_end() {
        let mut steps = Steps::default();
        assert_eq!(steps.lines("a", "one\ntw".as_bytes()), ["one"]);
        // In the middle of a letter.
        assert_eq!(steps.lines("b", &[b'x', 0xc3]), Vec::<String>::new());
        assert_eq!(steps.lines("a", b"o\n\n"), ["two", ""]);
        assert_eq!(steps.lines("b", &[0xa4, b'\n']), ["xä"]);
        let endless = vec![b'.'; 3 * LONGEST];
        assert_eq!(steps.lines("c", &endless)[0].len(), endless.len());
        assert!(steps.parts["c"].is_empty());
    }
}
