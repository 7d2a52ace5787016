//! Real processes: their output, how they end, and that orphans are seen. One test, alone in its program,
//! because reaping takes every child of the process.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use hookos_init::children::{self, Ended};
use hookos_init::logfile::LogFile;
use hookos_init::output::Output;
use rustix::process::{Pid, Signal};

fn wait_for(pid: Pid) -> Ended {
    let until = Instant::now() + Duration::from_secs(20);
    while Instant::now() < until {
        match children::reap() {
            Some((got, how)) if got == pid => return how,
            Some(_) => {}
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    panic!("process {pid} did not end");
}

#[test]
fn processes_end_and_their_output_is_kept() {
    // As PID 1 does by nature: orphans become our children.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut output = Output::new(LogFile::new(dir.path().join("x.log"), 4096));
    let mut buffer = vec![0; 1024];
    let sh = children::find("sh").expect("this test needs a POSIX shell in /bin");

    let pipe = output.new_pipe().unwrap();
    let script = "echo out; echo err >&2; read line || echo no input; exit 7";
    let pid = children::spawn(&sh, &["-c", script], pipe).unwrap();
    assert_eq!(wait_for(pid), Ended::Code(7));
    output.drain(&mut buffer, 99);
    assert_eq!(output.log.last_lines(9), ["out", "err", "no input"]);
    assert_eq!(output.pipes().count(), 0, "nobody writes any more");

    let pipe = output.new_pipe().unwrap();
    let pid = children::spawn(&sh, &["-c", "exec sleep 100"], pipe).unwrap();
    children::kill(pid, Signal::TERM);
    assert_eq!(wait_for(pid), Ended::Signal(15));

    // The grandchild's exit code arrives here once its parent is gone.
    let pipe = output.new_pipe().unwrap();
    let pid = children::spawn(&sh, &["-c", "(sleep 0.3; exit 42) & echo $!"], pipe).unwrap();
    assert_eq!(wait_for(pid), Ended::Code(0));
    output.drain(&mut buffer, 99);
    let grandchild = output.log.last_lines(1).pop().unwrap().parse().ok().and_then(Pid::from_raw).unwrap();
    assert_eq!(wait_for(grandchild), Ended::Code(42));

    // A program that writes more than the log holds is not held up, and the log stays bounded.
    let pipe = output.new_pipe().unwrap();
    let pid = children::spawn(&sh, &["-c", "yes 0123456789 | head -n 200000"], pipe).unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    let end = loop {
        output.drain(&mut buffer, 4);
        match children::reap() {
            Some((got, how)) if got == pid => break how,
            _ => assert!(Instant::now() < until, "the writer is stuck"),
        }
    };
    output.drain(&mut buffer, 99_999);
    assert_eq!(end, Ended::Code(0));
    for name in ["x.log", "x.log.1"] {
        assert!(std::fs::metadata(dir.path().join(name)).unwrap().len() <= 4096);
    }

    let pipe = output.new_pipe().unwrap();
    assert!(children::spawn("/nonexistent/program", &["x"], pipe).is_err());
}
