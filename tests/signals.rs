//! Every command that is stopped ends with the exit code of the signal: 130 for Ctrl-C, 143 for SIGTERM.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use rustix::process::{Pid, Signal, kill_process};
use std::net::TcpListener;
use std::path::Path;
use support::ROOT;

/// Starts a command that waits for a server on `{}`, which never answers; stops it once it has connected.
#[track_caller]
fn stopped(args: &[&str], signal: Signal) -> (Option<i32>, String) {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let args: Vec<String> = args.iter().map(|arg| arg.replace("{}", &address)).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut command = support::hookos(Path::new(ROOT), &folder.path().join("store"), &args);
    for proxy in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(proxy);
    }
    command.env("XDG_CONFIG_HOME", folder.path()).current_dir(folder.path());
    let child =
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let _held = silent.accept().unwrap();
    kill_process(Pid::from_child(&child), signal).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_stopped_command_ends_with_the_code_of_its_signal() {
    let image = "{}/hook/image:1";
    let commands: [&[&str]; 4] = [
        &["images", "pull", image],
        &["images", "fetch", image],
        &["stamp", image],
        &["probe", "lab", "--only", "keycloak_url", "--keycloak-url", "{}"],
    ];
    for args in commands {
        for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
            let (found, said) = stopped(args, signal);
            assert_eq!(found, Some(code), "{args:?}: {said}");
            assert!(said.contains("cancelled"), "{args:?}: {said}");
        }
    }
}
