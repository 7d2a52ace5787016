//! The reboot that an action asks for by making the file `reboot` in the worker's folder.

use crate::NAME;
use hookos_guest::control::{Action, Answer, Request, SOCKET};
use hookos_guest::notice;
use rustix::fs::inotify;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

const FILE: &str = "reboot";
/// The action that made the file still has to end, and the worker to report it (as in the reference).
const GRACE: Duration = Duration::from_secs(3);
/// PID 1 answers at once; it stops this container within seconds after that.
const ANSWER: Duration = Duration::from_secs(10);
const SHUTDOWN: Duration = Duration::from_secs(90);

/// Watches `folder` from a thread of its own.
///
/// A file that is there before the first engine of this boot has run can be nobody's request: it is
/// removed, or the machine would reboot for ever. When an engine ran before, its actions may have
/// made the file while nobody watched; it is a request then.
pub fn watch(folder: &Path, ran_before: bool) {
    let file = folder.join(FILE);
    if !ran_before && file.exists() {
        let told = match std::fs::remove_file(&file) {
            Ok(()) => "removed".to_owned(),
            Err(e) => format!("cannot be removed: {e}"),
        };
        notice::warn(
            NAME,
            &format!("{} was there before any action ran, so it is not a request: {told}", file.display()),
        );
    }
    let folder = folder.to_owned();
    let thread = std::thread::Builder::new().name("reboot".to_owned());
    let started = thread.spawn(move || {
        wait(&folder);
        notice::warn(NAME, "an action asks for a reboot");
        std::thread::sleep(GRACE);
        reboot();
    });
    if let Err(e) = started {
        notice::warn(NAME, &format!("nobody watches for reboots: {e}"));
    }
}

/// Returns once the file is there.
fn wait(folder: &Path) {
    let file = folder.join(FILE);
    let watched = watched(folder);
    if let Err(e) = &watched {
        notice::warn(
            NAME,
            &format!("{} is looked at every second, because it cannot be watched: {e}", folder.display()),
        );
    }
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut events = watched.ok().map(|fd| inotify::Reader::new(fd, &mut buffer));
    // The file counts, not the event: it may have been made before the watch.
    while !file.exists() {
        if events.as_mut().is_none_or(|events| events.next().is_err()) {
            std::thread::sleep(Duration::from_secs(1));
        }
    }
}

fn watched(folder: &Path) -> io::Result<rustix::fd::OwnedFd> {
    let fd = inotify::init(inotify::CreateFlags::CLOEXEC)?;
    inotify::add_watch(&fd, folder, inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO)?;
    Ok(fd)
}

/// In order through PID 1; by its signal when its socket is silent; by the kernel when that does
/// nothing either.
fn reboot() {
    let asked = ask(Path::new(SOCKET)).or_else(|why| {
        notice::warn(NAME, &format!("{why}; sending it a signal"));
        kill_process(Pid::INIT, Signal::INT).map_err(|e| format!("PID 1 takes no signal: {e}"))
    });
    match asked {
        // PID 1 ends this process on the way down.
        Ok(()) => std::thread::sleep(SHUTDOWN),
        Err(why) => notice::warn(NAME, &why),
    }
    notice::warn(NAME, "the machine does not go down in order; rebooting at once");
    rustix::fs::sync();
    if let Err(e) = rustix::system::reboot(rustix::system::RebootCommand::Restart) {
        notice::warn(NAME, &format!("the kernel refuses to reboot: {e}"));
    }
}

/// Asks PID 1 at `socket`.
fn ask(socket: &Path) -> Result<(), String> {
    let lost = |e: &dyn std::fmt::Display| format!("PID 1 does not answer at {}: {e}", socket.display());
    let mut stream = UnixStream::connect(socket).map_err(|e| lost(&e))?;
    stream.set_read_timeout(Some(ANSWER)).map_err(|e| lost(&e))?;
    let mut line = serde_json::to_vec(&Request::Shutdown { action: Action::Reboot }).map_err(|e| lost(&e))?;
    line.push(b'\n');
    stream.write_all(&line).map_err(|e| lost(&e))?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).map_err(|e| lost(&e))?;
    let answer: Answer = serde_json::from_str(&answer).map_err(|e| lost(&e))?;
    answer.error.map_or(Ok(()), |why| Err(format!("PID 1 refuses to reboot: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;
    use std::sync::mpsc::channel;

    #[test]
    fn the_file_is_seen_when_it_comes_and_when_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let (done, seen) = channel();
        let watched = folder.path().to_owned();
        std::thread::spawn(move || {
            wait(&watched);
            done.send(()).unwrap();
        });
        std::fs::write(folder.path().join("other"), "").unwrap();
        assert!(seen.recv_timeout(Duration::from_millis(300)).is_err());
        std::fs::write(folder.path().join(FILE), "").unwrap();
        seen.recv_timeout(Duration::from_secs(20)).unwrap();
        wait(folder.path());
    }

    #[test]
    fn pid_1_is_asked_in_its_own_words() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("init.sock");
        assert!(ask(&socket).unwrap_err().contains("does not answer"));
        let listener = UnixListener::bind(&socket).unwrap();
        let pid_1 = std::thread::spawn(move || {
            let mut requests = Vec::new();
            for answer in [r#"{"units":[]}"#, r#"{"error":"busy","units":[]}"#] {
                let (stream, _) = listener.accept().unwrap();
                let mut line = String::new();
                BufReader::new(&stream).read_line(&mut line).unwrap();
                requests.push(line);
                writeln!(&stream, "{answer}").unwrap();
            }
            requests
        });
        ask(&socket).unwrap();
        assert!(ask(&socket).unwrap_err().contains("busy"));
        assert_eq!(pid_1.join().unwrap()[0], "{\"command\":\"shutdown\",\"action\":\"reboot\"}\n");
    }
}
