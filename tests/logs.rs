//! The collectors of logs: the component syslog-ng at work, and fluent-bit's configuration beside it. Needs
//! apt, Debian's archive keyring and, the first time, the network.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use hookos::component::{self, Context};
use hookos::debian::apt::Settings;
use hookos::debian::lock::Mode;
use hookos::progress::Silent;
use hookos::store::Store;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const CONFIGURATION: &str = include_str!("../components/syslog-ng/syslog-ng.conf");

/// The component's files, unpacked, so that its own syslog-ng runs.
fn unpacked(into: &Path) -> PathBuf {
    let store = Store::open(Path::new(env!("CARGO_TARGET_TMPDIR")).join("logs")).unwrap();
    let definition = component::load(&Path::new(ROOT).join("components/syslog-ng")).unwrap();
    let context = Context::new(&store, ROOT, &Settings::default(), Mode::Default);
    let built = component::build_one(&context, &definition, &Silent).unwrap();
    let root = into.join("root");
    for layer in &built.image.layers {
        let mut archive = tar::Archive::new(fs::File::open(store.path(layer)).unwrap());
        archive.unpack(&root).unwrap();
    }
    root
}

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Not KILL: syslog-ng would stay, with nobody to end it.
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.0),
            rustix::process::Signal::TERM,
        );
        let _ = self.0.wait();
    }
}

/// Syslog-ng of `root`, without the machine that it is made for, under hookos-collector.
fn syslog_ng(root: &Path, folder: &Path, more: &[&str]) -> Command {
    let libraries = root.join("usr/lib/x86_64-linux-gnu");
    let own = root.join("usr/lib/syslog-ng");
    let mut command = Command::new(root.join("usr/bin/hookos-collector"));
    command
        .arg("--bound")
        .arg(folder.join("log/uos.log"))
        .arg(libraries.join("ld-linux-x86-64.so.2"))
        .arg("--library-path")
        .arg(format!("{}:{}", libraries.display(), own.display()))
        .arg(root.join("usr/sbin/syslog-ng"))
        .arg(format!("--module-path={}", own.join("4.8").display()))
        .arg(format!("--cfgfile={}", folder.join("syslog-ng.conf").display()))
        .args(["--foreground", "--stderr", "--no-caps"])
        .arg(format!("--persist-file={}", folder.join("persist").display()))
        .arg(format!("--control={}", folder.join("control").display()))
        .arg(format!("--pidfile={}", folder.join("pid").display()))
        .args(more);
    command
}

/// An OTLP sink that refuses its first two requests, as the proxy does while onboarding goes on.
fn sink(listener: TcpListener) -> Receiver<Value> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for (count, stream) in listener.incoming().enumerate() {
            let mut stream = BufReader::new(stream.unwrap());
            let (mut line, mut length, mut first) = (String::new(), 0, String::new());
            while stream.read_line(&mut line).unwrap() > 2 {
                if first.is_empty() {
                    first.clone_from(&line);
                }
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            assert_eq!(first, "POST /v1/logs HTTP/1.1\r\n");
            let status = if count < 2 { "503 Service Unavailable" } else { "200 OK" };
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
            if count >= 2 && send.send(serde_json::from_slice(&body).unwrap()).is_err() {
                return;
            }
        }
    });
    receive
}

fn records(request: &Value) -> &Vec<Value> {
    request["resourceLogs"][0]["scopeLogs"][0]["logRecords"].as_array().unwrap()
}

#[test]
fn every_line_arrives_with_its_attributes_once_the_proxy_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let root = unpacked(folder.path());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let http = listener.local_addr().unwrap().port();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let log = folder.path().join("log");
    fs::create_dir_all(log.join("client-auth")).unwrap();
    let text = CONFIGURATION
        .replace("/var/log", log.to_str().unwrap())
        .replace("127.0.0.1:24224", &format!("127.0.0.1:{http}"))
        .replace("port(5140)", &format!("port({udp})"))
        .replace("time-reopen(10)", "time-reopen(1)");
    fs::write(folder.path().join("syslog-ng.conf"), text).unwrap();
    let checked = syslog_ng(&root, folder.path(), &["--syntax-only"]).output().unwrap();
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{said}");

    // More than one window of each file, before anything can be sent.
    let mut wanted: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut write = |name: &str, kind: &str, lines: &[&[u8]]| {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(log.join(name)).unwrap();
        for line in lines {
            file.write_all(line).unwrap();
            file.write_all(b"\n").unwrap();
            let text = String::from_utf8_lossy(line).replace('\u{fffd}', "\\xff");
            *wanted.entry((kind.to_owned(), text)).or_default() += 1;
        }
    };
    let many: Vec<String> = (0..2000).map(|i| format!("step {i}")).collect();
    let many: Vec<&[u8]> = many.iter().map(String::as_bytes).collect();
    write("bootkit.log", "uOS_bootkitLogs", &many);
    write(
        "caddy.log",
        "uOS_caddyLogs",
        &[br#"{"a":"b\"c"}"#, b"', \\ ${MESSAGE} $(x) \x01 \xff", "ä".as_bytes()],
    );
    fs::write(log.join("other.log"), "not sent\n").unwrap();
    let mut running = Running(syslog_ng(&root, folder.path(), &[]).spawn().unwrap());
    std::thread::sleep(Duration::from_secs(2));
    // Files that come later, and a file that was turned over.
    write("syslog", "uOS_Syslog", &[b"from syslog"]);
    write("client-auth/client-auth.log", "uOS_clientAuthLog", &[b"attempt 1"]);
    fs::rename(log.join("caddy.log"), log.join("caddy.log.1")).unwrap();
    write("caddy.log", "uOS_caddyLogs", &[b"after"]);
    let said = b"<13>Nov 23 10:00:00 host docker[12]: pulled";
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(said, ("127.0.0.1", udp)).unwrap();
    wanted.insert(("uOS_logs".to_owned(), "docker[12]: pulled".to_owned()), 1);

    let requests = sink(listener);
    let mut got: BTreeMap<(String, String), usize> = BTreeMap::new();
    let started = Instant::now();
    while got.len() < wanted.len() && started.elapsed() < Duration::from_secs(60) {
        let Ok(request) = requests.recv_timeout(Duration::from_secs(5)) else { continue };
        for record in records(&request) {
            let attribute = |name: &str| {
                let all = record["attributes"].as_array().unwrap();
                let found = all.iter().find(|a| a["key"] == name).unwrap_or_else(|| panic!("no {name}"));
                found["value"]["stringValue"].as_str().unwrap().to_owned()
            };
            assert_eq!(attribute("source"), "edgenode_provisioning");
            attribute("hostGuid");
            let time: u64 = record["timeUnixNano"].as_str().unwrap().parse().unwrap();
            assert!(time > 1_700_000_000_000_000_000, "{record}");
            let body = record["body"]["stringValue"].as_str().unwrap().to_owned();
            *got.entry((attribute("FileType"), body)).or_default() += 1;
        }
    }
    let missing: Vec<_> = wanted.keys().filter(|key| !got.contains_key(*key)).take(10).collect();
    assert!(missing.is_empty(), "missing: {missing:?}");
    assert_eq!(got, wanted, "nothing twice, nothing else");
    let copy = String::from_utf8_lossy(&fs::read(log.join("uos.log")).unwrap()).into_owned();
    assert!(copy.contains("uOS_clientAuthLog: attempt 1\n"), "{copy}");
    assert!(running.0.try_wait().unwrap().is_none());
}

#[test]
fn both_collectors_read_the_same_and_send_to_the_same() {
    let text = fs::read_to_string(Path::new(ROOT).join("components/fluent-bit/fluent-bit.yaml")).unwrap();
    let yaml: Value = serde_saphyr::from_str(&text).unwrap();
    let inputs = yaml["pipeline"]["inputs"].as_array().unwrap();
    assert_eq!(inputs.len(), 5);
    for input in inputs {
        let tag = input["tag"].as_str().unwrap();
        assert!(CONFIGURATION.contains(&format!("set(\"{tag}\" value(\"fileType\"))")), "{tag}");
        let modifiers = input["processors"]["logs"].as_array().unwrap();
        let value = |key: &str| {
            let found =
                modifiers.iter().find(|m| m["key"] == key).unwrap_or_else(|| panic!("{tag}: no {key}"));
            found["value"].as_str().unwrap().to_owned()
        };
        assert_eq!(value("FileType"), tag);
        assert_eq!(value("source"), "edgenode_provisioning");
        assert_eq!(value("hostGuid"), "${EDGENODE_UUID}");
        match input["path"].as_str() {
            Some(path) => {
                let (folder, pattern) = path.rsplit_once('/').unwrap();
                let stated = format!("base-dir(\"{folder}\") filename-pattern(\"{pattern}\")");
                assert!(CONFIGURATION.contains(&stated), "{stated}");
                assert_eq!(input["read_from_head"], true);
            }
            None => assert_eq!((&input["listen"], &input["port"]), (&"127.0.0.1".into(), &5140.into())),
        }
    }
    let otlp = &yaml["pipeline"]["outputs"][1];
    let url = format!("http://{}:{}{}", otlp["host"].as_str().unwrap(), otlp["port"], "/v1/logs");
    assert_eq!(otlp["logs_uri"], "/v1/logs");
    assert!(CONFIGURATION.contains(&format!("url(\"{url}\")")), "{url}");
}
