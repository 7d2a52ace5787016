//! The program and its child.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use rustix::process::{Pid, Signal, kill_process};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn collector(script: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookos-collector"));
    command.args(["--bound", "/nowhere/uos.log", "/bin/sh", "-c", script]);
    command
}

#[test]
fn the_child_has_the_variable_and_its_exit_code_is_ours() {
    let output = collector("echo \"uuid=${EDGENODE_UUID-missing}\"; exit 7").output().unwrap();
    assert_eq!(output.status.code(), Some(7));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("uuid=") && !text.contains("missing"), "{text}");
    assert_eq!(collector("kill -9 $$").status().unwrap().code(), Some(1));
    let none = Command::new(env!("CARGO_BIN_EXE_hookos-collector")).arg("/no/such/program").output().unwrap();
    assert_eq!(none.status.code(), Some(1));
    assert!(String::from_utf8(none.stderr).unwrap().contains("cannot run /no/such/program"));
}

#[test]
fn a_signal_reaches_the_child() {
    let script = "trap 'exit 5' TERM; echo ready; while :; do sleep 0.1; done";
    let mut child = collector(script).stdout(Stdio::piped()).spawn().unwrap();
    let mut ready = [0; 6];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
    let started = Instant::now();
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(5));
    assert!(started.elapsed() < Duration::from_secs(5));
}
