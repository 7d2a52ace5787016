//! Runs one apt program: in its own process group, watched for cancellation, its words masked.

use super::Error;
use crate::progress::Progress;
use std::io::Read;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

/// What a program left.
pub(super) struct Output {
    pub ok: bool,
    pub stdout: String,
    /// The error and warning lines of stderr, masked.
    pub complaints: Vec<String>,
}

/// Runs a program to its end. `tick` is called several times a second.
pub(super) fn run(
    program: &'static str,
    command: &mut Command,
    progress: &dyn Progress,
    mut tick: impl FnMut(),
) -> Result<Output, Error> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().map_err(|source| Error::NoApt { program, source })?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        let out = scope.spawn(move || slurp(out));
        let err = scope.spawn(move || slurp(err));
        // Pauses grow, so that quick programs cost little and long ones are not polled hard.
        let mut pause = Duration::from_millis(2);
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break Ok(status),
                Ok(None) => {}
                Err(source) => break Err(Error::NoApt { program, source }),
            }
            if progress.cancelled() {
                // The group: apt's download methods are processes of their own.
                if let Some(group) = rustix::process::Pid::from_raw(child.id().cast_signed()) {
                    let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
                }
                let _ = child.wait();
                break Err(Error::Cancelled);
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(150));
            tick();
        };
        let stdout = out.join().unwrap_or_default();
        let stderr = err.join().unwrap_or_default();
        let status = status?;
        let mut complaints: Vec<String> = Vec::new();
        for line in stderr.lines().chain(stdout.lines().filter(|l| l.starts_with("Err:"))) {
            let line = mask(line.trim_end());
            if !line.is_empty() && !complaints.contains(&line) {
                complaints.push(line);
            }
        }
        Ok(Output { ok: status.success(), stdout, complaints })
    })
}

fn slurp(pipe: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        let _ = pipe.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Replaces `user:password@` in every URI of a text.
pub fn mask(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after.find(|c: char| c == '/' || c.is_whitespace() || matches!(c, '\'' | '"'));
        let (authority, tail) = after.split_at(end.unwrap_or(after.len()));
        match authority.rsplit_once('@') {
            Some((_, host)) => {
                out.push_str("***@");
                out.push_str(host);
            }
            None => out.push_str(authority),
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::{Silent, Unit};

    #[test]
    fn secrets_are_masked() {
        assert_eq!(mask("E: http://me:p@ss@host/x 'https://h/y'"), "E: http://***@host/x 'https://h/y'");
        assert_eq!(mask("no uri"), "no uri");
    }

    #[test]
    fn a_cancelled_program_is_ended_with_its_children() {
        struct Stop;
        impl Progress for Stop {
            fn at(&self, _: u64, _: u64, _: Unit) {}
            fn log(&self, _: &str) {}
            fn cancelled(&self) -> bool {
                true
            }
        }
        let before = std::time::Instant::now();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 60 & wait"]);
        assert!(matches!(run("sh", &mut command, &Stop, || ()), Err(Error::Cancelled)));
        assert!(before.elapsed() < Duration::from_secs(20));
        let mut command = Command::new("sh");
        command.args(["-c", "echo 'W: http://a:b@c/' >&2; echo out; exit 3"]);
        let output = run("sh", &mut command, &Silent, || ()).unwrap();
        assert!(!output.ok);
        assert_eq!(
            (output.stdout.as_str(), &output.complaints[..]),
            ("out\n", &["W: http://***@c/".to_owned()][..])
        );
    }
}
