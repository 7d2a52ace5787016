//! Programs that can be stopped with all that they have started.

use crate::progress::Progress;
use rustix::process::{Pid, Signal, kill_process_group};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A program in a process group of its own.
pub struct Group {
    /// Its pipes are the caller's to read: in threads, since [`Group::wait`] reads nothing.
    pub child: Child,
}

impl Group {
    /// Without an input.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        Self::start_with(command, Stdio::null())
    }

    /// As [`Group::start`], with an input.
    pub fn start_with(command: &mut Command, input: Stdio) -> io::Result<Self> {
        Ok(Self { child: command.stdin(input).process_group(0).spawn()? })
    }

    /// Waits for the end; none when the work was cancelled. Then the group is asked to end (SIGTERM), and ended
    /// (SIGKILL) after `patience`; without any it is ended at once. `tick` is called several times a second.
    ///
    /// What the program leaves running is ended too: it would hold the pipes.
    pub fn wait(
        mut self,
        progress: &dyn Progress,
        patience: Duration,
        mut tick: impl FnMut(),
    ) -> io::Result<Option<ExitStatus>> {
        let mut asked: Option<Instant> = None;
        // Pauses grow, so that quick programs cost little and long ones are not polled hard.
        let mut pause = Duration::from_millis(2);
        let ended = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break Ok(asked.is_none().then_some(status)),
                Ok(None) => {}
                Err(e) => break Err(e),
            }
            if progress.cancelled() {
                let since = *asked.get_or_insert_with(|| {
                    self.signal(Signal::TERM);
                    Instant::now()
                });
                if since.elapsed() >= patience {
                    self.signal(Signal::KILL);
                }
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(150));
            tick();
        };
        self.signal(Signal::KILL);
        ended
    }

    fn signal(&self, signal: Signal) {
        // A group that is gone needs no signal.
        let _ = kill_process_group(Pid::from_child(&self.child), signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::{Silent, Unit};
    use std::io::{BufRead as _, BufReader, Read as _};
    use std::sync::atomic::{AtomicBool, Ordering};

    #[derive(Default)]
    struct Stop(AtomicBool);
    impl Progress for Stop {
        fn at(&self, _: u64, _: u64, _: Unit) {}
        fn log(&self, _: &str) {}
        fn warn(&self, _: &str) {}
        fn cancelled(&self) -> bool {
            self.0.load(Ordering::SeqCst)
        }
    }

    /// Runs a script that says when it is ready, cancels it then, and gives what it printed behind that.
    fn cancelled(script: &str, patience: Duration) -> String {
        let mut group = Group::start(Command::new("sh").args(["-c", script]).stdout(Stdio::piped())).unwrap();
        let mut out = BufReader::new(group.child.stdout.take().unwrap());
        let stop = Stop::default();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| group.wait(&stop, patience, || ()));
            let mut line = String::new();
            out.read_line(&mut line).unwrap();
            stop.0.store(true, Ordering::SeqCst);
            assert_eq!(waiting.join().unwrap().unwrap(), None);
            let mut rest = String::new();
            // Ends when nothing of the group holds the pipe any more.
            out.read_to_string(&mut rest).unwrap();
            rest
        })
    }

    #[test]
    fn a_cancelled_program_is_ended_with_its_children() {
        assert_eq!(cancelled("trap '' TERM; echo; sleep 600 & sleep 600", Duration::ZERO), "");
    }

    #[test]
    fn a_program_that_is_asked_to_end_can_tidy_up() {
        let script = "trap 'echo tidied; exit' TERM; echo; while :; do sleep 0.1; done";
        assert_eq!(cancelled(script, Duration::from_secs(600)), "tidied\n");
        assert_eq!(cancelled("trap '' TERM; echo; sleep 600", Duration::from_millis(100)), "");
    }

    #[test]
    fn what_a_program_leaves_running_does_not_hold_its_pipes() {
        let mut group =
            Group::start(Command::new("sh").args(["-c", "sleep 600 & exit 3"]).stdout(Stdio::piped()))
                .unwrap();
        let mut out = group.child.stdout.take().unwrap();
        let status = group.wait(&Silent, Duration::ZERO, || ()).unwrap().unwrap();
        assert_eq!(status.code(), Some(3));
        assert_eq!(out.read_to_end(&mut Vec::new()).unwrap(), 0);
    }
}
