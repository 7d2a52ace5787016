//! Runs one apt program, its words masked.

use super::Error;
use crate::process::Group;
use crate::progress::Progress;
use crate::secret::mask_urls;
use std::io::Read;
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
    tick: impl FnMut(),
) -> Result<Output, Error> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let failed = |source| Error::NoApt { program, source };
    let mut group = Group::start(command).map_err(failed)?;
    let (out, err) = (group.child.stdout.take(), group.child.stderr.take());
    thread::scope(|scope| {
        let out = scope.spawn(move || slurp(out));
        let err = scope.spawn(move || slurp(err));
        // At once: apt keeps what it has fetched.
        let status = group.wait(progress, Duration::ZERO, tick);
        let stdout = out.join().unwrap_or_default();
        let stderr = err.join().unwrap_or_default();
        let status = status.map_err(failed)?.ok_or(Error::Cancelled)?;
        let mut complaints: Vec<String> = Vec::new();
        for line in stderr.lines().chain(stdout.lines().filter(|l| l.starts_with("Err:"))) {
            let line = mask_urls(line.trim_end());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    #[test]
    fn what_a_program_says_is_kept_and_masked() {
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
