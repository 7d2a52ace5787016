//! The two programs: the stand-in by its command line, and the worker of its image.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{ADDRESS, Lab, MAC, PATIENCE, SERIAL, USER, UUID, Version, get, rpc};
use orchestrator_stand_in::{Event, Misbehaviour, NAMES, Record};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

const STAND_IN: &str = env!("CARGO_BIN_EXE_orchestrator-stand-in");

/// A program whose lines are read; ended with the test.
struct Program {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Program {
    fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, lines) = channel();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let read = |reader: Box<dyn std::io::Read + Send>| {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(reader).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        };
        read(Box::new(out));
        read(Box::new(err));
        let input = child.stdin.take();
        Self { child, input, lines }
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Reads on until a line has this in it.
    #[track_caller]
    fn expect(&self, what: &str) -> String {
        let (until, mut seen) = (Instant::now() + PATIENCE, Vec::new());
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.contains(what) => return line,
                Ok(line) => seen.push(line),
                Err(_) => panic!("{what:?} was not said; said was:\n{}", seen.join("\n")),
            }
        }
    }

    #[track_caller]
    fn ends(&mut self) -> Option<i32> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it does not end");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(arguments: &[&str]) -> Output {
    Command::new(STAND_IN).args(arguments).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn lines_on_standard_input_change_it_and_records_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let records = folder.path().join("records");
    let mut command = Command::new(STAND_IN);
    command.args(["--listen", "127.0.0.1:0", "--json", "--known", &format!("{UUID},{SERIAL}")]);
    command.args(["--misbehave", "http500", "--domain", "site.example.org"]);
    command.arg("--folder").arg(folder.path().join("new")).arg("--records").arg(&records);
    let mut program = Program::start(&mut command);
    let record = |line: String| serde_json::from_str::<Record>(&line).unwrap().event;
    let Event::Started { address } = record(program.expect("started")) else { panic!("not started") };
    assert_eq!(record(program.expect("misbehaving")), Event::Misbehaving { how: "http500".into() });
    program.tell("misbehave drop");
    assert_eq!(record(program.expect("misbehaving")), Event::Misbehaving { how: "drop".into() });
    let mut dropped = std::net::TcpStream::connect(address).unwrap();
    assert_eq!(dropped.read(&mut [0]).unwrap_or(0), 0);
    assert!(matches!(record(program.expect("refused")), Event::Refused { .. }));
    program.tell("misbehave badly");
    let told = program.expect("badly");
    assert!(Misbehaviour::ALL.iter().all(|how| told.contains(&how.name())), "{told}");
    program.tell("something else");
    program.expect("`misbehave HOW`, `behave` or `quit`");
    program.tell("behave");
    assert_eq!(record(program.expect("misbehaving")), Event::Misbehaving { how: "not".into() });
    program.tell("quit");
    assert_eq!(program.ends(), Some(0));

    let kept = std::fs::read_to_string(&records).unwrap();
    let kept: Vec<Record> = kept.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(kept.first().unwrap().event, Event::Started { address });
    assert_eq!(kept.last().unwrap().event, Event::Misbehaving { how: "not".into() });
    assert!(kept.is_sorted_by(|a, b| a.at <= b.at));
    let ca = std::fs::read_to_string(folder.path().join("new/ca.pem")).unwrap();
    assert!(ca.starts_with("-----BEGIN CERTIFICATE-----"));
}

#[test]
fn without_json_it_tells_a_person_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(STAND_IN);
    command.args(["--listen", "127.0.0.1:0"]).arg("--folder").arg(folder.path());
    let mut program = Program::start(&mut command);
    program.expect("listening on 127.0.0.1:");
    for name in NAMES {
        program.expect(&format!("  {name}.lab.example.com"));
    }
    program.expect("ca.pem");
    drop(program.input.take());
    assert_eq!(program.ends(), Some(0), "it ends with its standard input");
}

#[test]
fn what_it_cannot_take_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let cases = [
        (vec!["--known", UUID], "is not UUID,SERIAL"),
        (vec!["--user", USER], "is not NAME:PASSWORD"),
        (vec!["--worker", "/does/not/exist"], "/does/not/exist"),
        (vec!["--misbehave", "badly"], "wrong-ca"),
        (vec!["--records", "/does/not/exist"], "/does/not/exist"),
        (vec!["--listen", "192.0.2.1:1"], "192.0.2.1:1"),
    ];
    for (more, words) in cases {
        let base = ["--folder", folder];
        let base = if more[0] == "--listen" {
            base.to_vec()
        } else {
            [&base[..], &["--listen", "127.0.0.1:0"]].concat()
        };
        let output = run(&[base, more.clone()].concat());
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.contains(words), "{more:?}: {error}");
    }
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    for word in NAMES.iter().copied().chain(["hello.txt", "--token-seconds", "half-closed", "curl"]) {
        assert!(help.contains(word), "{word} is not in the help");
    }
}

/// Bytes from a plain port to the stand-in's gRPC: a proxy that adds no token.
async fn relay(lab: Arc<Lab>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut plain, _)) = listener.accept().await {
            if let Ok(mut tls) = lab.connect("tink-server", Version::Two).await {
                tokio::spawn(async move { tokio::io::copy_bidirectional(&mut plain, &mut tls).await });
            }
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_worker_asks_for_its_workflow_again_and_again() {
    let lab = Arc::new(Lab::new());
    let port = relay(Arc::clone(&lab)).await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab-worker"));
    command.env("TINKERBELL_GRPC_AUTHORITY", format!("127.0.0.1:{port}")).env("WORKER_ID", MAC);
    let program = Program::start(&mut command);
    program.expect(&format!("worker {MAC} asks 127.0.0.1:{port}"));
    let event = Event::Worker {
        method: "GetWorkflowContexts".into(),
        worker_id: MAC.into(),
        token: "missing".into(),
    };
    lab.sees(|seen| *seen == event);
    program.expect("the token is missing");
    // 5 seconds later, over the same connection.
    program.expect("the token is missing");
    let calls = lab.orchestrator.records().into_iter().filter(|record| record.event == event).count();
    assert_eq!(calls, 2);
}

#[test]
fn it_can_be_started_outside_of_a_runtime_too() {
    let lab = Lab::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = runtime.block_on(lab.ask(get("release", "/token"))).unwrap();
    assert_eq!(answer.status, 401);
    let answer = runtime.block_on(async { rpc::Stream::open(&lab).await?.ask().await }).unwrap().unwrap();
    assert_eq!(answer.status.unwrap().code, 0);
    lab.sees(|event| matches!(event, Event::OnboardRequest { address, .. } if address == ADDRESS));
}
