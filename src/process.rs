//! Programs that can be stopped with all that they have started.

use crate::progress::Progress;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
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

/// Runs a program that has this one's terminal; none when the work was cancelled. Then it and all that it has started
/// are asked to end (SIGTERM), and ended (SIGKILL) after `patience`.
///
/// It stays in this process group, as a terminal's keys go to one group only; so Ctrl-C reaches both.
pub fn at_terminal(
    command: &mut Command,
    progress: &dyn Progress,
    patience: Duration,
) -> io::Result<Option<ExitStatus>> {
    let stdin = io::stdin();
    let modes = tcgetattr(&stdin).ok();
    let mut child = command.spawn()?;
    while !progress.cancelled() {
        if let Some(status) = child.try_wait()? {
            return Ok((!progress.cancelled()).then_some(status));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    end_family(&mut child, patience)?;
    // One that was ended has left them as it wanted them.
    if let Some(modes) = modes {
        // A terminal that is gone has none.
        let _ = tcsetattr(&stdin, OptionalActions::Drain, &modes);
    }
    Ok(None)
}

/// Ends a program and all that it has started, whatever process groups they are in.
fn end_family(child: &mut Child, patience: Duration) -> io::Result<()> {
    let until = Instant::now() + patience;
    // Held, so that no number of theirs comes to mean another process.
    let mut held: BTreeMap<i32, OwnedFd> = BTreeMap::new();
    let send = |process: &OwnedFd, signal| {
        // One that has ended needs no signal.
        let _ = pidfd_send_signal(process, signal);
    };
    loop {
        // What they start meanwhile is found by its parent.
        for pid in family(held.keys().copied().chain([Pid::from_child(child).as_raw_nonzero().get()])) {
            if let Some(process) = Pid::from_raw(pid).filter(|_| !held.contains_key(&pid))
                && let Ok(process) = pidfd_open(process, PidfdFlags::empty())
            {
                send(&process, Signal::TERM);
                held.insert(pid, process);
            }
        }
        held.retain(|_, process| !has_ended(process));
        if held.is_empty() {
            return child.wait().map(drop);
        }
        if Instant::now() >= until {
            held.values().for_each(|process| send(process, Signal::KILL));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a process has ended, as its descriptor says; a zombie has.
fn has_ended(process: &OwnedFd) -> bool {
    let mut look = [PollFd::new(process, PollFlags::IN)];
    poll(&mut look, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
}

/// These processes and what they have started, as far as it is there. Source: proc_pid_stat(5).
fn family(of: impl Iterator<Item = i32>) -> Vec<i32> {
    let mut parents: Vec<(i32, i32)> = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // The name, in parentheses, may hold anything.
        let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok());
        parents.extend(parent.map(|parent: i32| (pid, parent)));
    }
    let mut found: Vec<i32> = of.collect();
    let mut at = 0;
    while let Some(&one) = found.get(at) {
        let started = parents.iter().filter(|(pid, parent)| *parent == one && !found.contains(pid));
        let started: Vec<i32> = started.map(|(pid, _)| *pid).collect();
        found.extend(started);
        at += 1;
    }
    found
}

/// Waits until the terminal at the standard input is gone. Not every program is told of that by a signal, and who
/// reads keys from it then reads "nothing" for ever, as fast as it can.
pub fn wait_for_hang_up() -> io::Result<()> {
    let stdin = io::stdin();
    loop {
        let mut look = [PollFd::new(&stdin, PollFlags::empty())];
        match poll(&mut look, None) {
            Ok(_) if look[0].revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) => {
                return Ok(());
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
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
    fn a_cancelled_program_at_a_terminal_is_ended_with_what_it_has_started() {
        // One that goes when it is asked, one that does not, in a process group of its own.
        let script = "sleep 600 & sh -c 'trap \"\" TERM; sleep 600' & setsid sh -c 'trap \"\" TERM; echo; sleep 600' & wait";
        let (reader, writer) = io::pipe().unwrap();
        let (mut out, stop) = (BufReader::new(reader), Stop::default());
        std::thread::scope(|scope| {
            let mut command = Command::new("sh");
            command.args(["-c", script]).stdout(writer);
            let stop = &stop;
            let waiting =
                scope.spawn(move || at_terminal(&mut command, stop, Duration::from_millis(100)).unwrap());
            out.read_line(&mut String::new()).unwrap();
            stop.0.store(true, Ordering::SeqCst);
            assert_eq!(waiting.join().unwrap(), None);
            // Ends when nobody holds the pipe any more.
            assert_eq!(out.read_to_end(&mut Vec::new()).unwrap(), 0);
        });
        let status = at_terminal(Command::new("sh").args(["-c", "exit 3"]), &Silent, Duration::ZERO);
        assert_eq!(status.unwrap().unwrap().code(), Some(3));
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
