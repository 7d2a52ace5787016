//! The main job, end to end: the `lab` image in QEMU registers with the orchestrator stand-in, gets its
//! tokens, ships logs, fetches through its proxy and runs the worker; and it says what is wrong, and goes
//! on by itself, when the orchestrator misbehaves.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use hookos::boot::Machine;
use hookos::boot::check::Guest;
use hookos::boot::{onboard, trial};
use hookos::component::binaries::{self, Wanted};
use hookos::progress::Silent;
use hookos::store::Store;
use orchestrator_stand_in::{Config, Event, Known, Misbehaviour, Orchestrator, Record};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use support::{ROOT, Registry, Shell, build, fresh, machine, ok, work};

const SERIAL: &str = "HOOKTEST42";
const UUID: &str = "0e5f1d5c-6f0a-4a8e-9d51-2f8b6a7c9d10";
const USER: &str = "field-engineer";
const PASSWORD: &str = "planted-password-3141";
const MINUTE: Duration = Duration::from_secs(60);

/// A built `lab` image and the worker that the stand-in serves.
struct Lab {
    store: Store,
    out: PathBuf,
    worker: PathBuf,
}

impl Lab {
    fn build() -> Self {
        let (root, out) = (Path::new(ROOT), work("onboard-out"));
        // The store that the test of the build has filled, if it ran before.
        let folder = work("store");
        ok(build(root, &folder, &out));
        let store = Store::open(&folder).unwrap();
        let wanted =
            [Wanted { package: "orchestrator-stand-in".to_owned(), binary: "lab-worker".to_owned() }];
        let programs =
            binaries::programs(&store, &binaries::Toolshed::open(root).unwrap(), &wanted, &Silent).unwrap();
        let worker = store.path(&programs[0].digest);
        Self { store, out, worker }
    }

    fn orchestrator(&self, name: &str, known: &[(&str, &str)], token_seconds: u64) -> Orchestrator {
        let known =
            known.iter().map(|(uuid, serial)| Known { uuid: (*uuid).into(), serial: (*serial).into() });
        Orchestrator::start(Config {
            domain: trial::DOMAIN.to_owned(),
            listen: "127.0.0.1:0".parse().unwrap(),
            known: known.collect(),
            registered_rounds: 1,
            token_seconds,
            user: (USER.to_owned(), PASSWORD.to_owned()),
            worker: Some(self.worker.clone()),
            folder: fresh(name),
        })
        .unwrap()
    }

    fn boot(&self, name: &str, orchestrator: &Orchestrator, parameters: &str) -> Shell {
        let mut machine = machine(&self.out, parameters);
        machine.smbios = Some(format!("serial={SERIAL},uuid={UUID}"));
        let initramfs = fresh("onboard-initramfs").join("initramfs");
        trial::initramfs(&self.store, &machine.initramfs, orchestrator.ca_pem(), &initramfs).unwrap();
        machine.initramfs = initramfs;
        let relay = Path::new(env!("CARGO_BIN_EXE_hookos"));
        machine.forwards.push(trial::forward(relay, orchestrator.address()));
        let console = work("onboard-consoles").join(format!("{name}.log"));
        Shell::on(Guest::start(machine, std::fs::File::create(console).unwrap()).unwrap())
    }
}

/// Waits for a record, and says what there was when none comes.
#[track_caller]
fn record(
    orchestrator: &Orchestrator,
    shell: &Shell,
    what: &str,
    patience: Duration,
    mut is: impl FnMut(&Record) -> bool,
) -> Record {
    orchestrator.wait_for(patience, |record| is(record)).unwrap_or_else(|| {
        let records = orchestrator.records();
        let last: Vec<String> =
            records.iter().rev().take(12).rev().map(|r| serde_json::to_string(r).unwrap()).collect();
        panic!(
            "{what}: not seen within {} s; last records:\n{}\nconsole:\n{}",
            patience.as_secs(),
            last.join("\n"),
            shell.guest.last_lines()
        )
    })
}

/// Whether a request was answered, with the right token.
fn fetched(event: &Event, wanted: &str) -> bool {
    matches!(event, Event::Fetch { route, status: 200, token, path, .. }
        if route == wanted && token == "valid" && path.contains("hello"))
}

fn worker_called(event: &Event) -> bool {
    matches!(event, Event::Worker { token, .. } if token == "valid")
}

/// No secret stands on the console, in a log or in a file that outlives the moment.
fn nothing_leaks(orchestrator: &Orchestrator, shell: &mut Shell) {
    let secrets = orchestrator.secrets();
    assert!(secrets.len() >= 3, "the stand-in has planted too little: {}", secrets.len());
    for record in orchestrator.records() {
        let text = serde_json::to_string(&record).unwrap();
        assert!(!secrets.iter().any(|secret| text.contains(secret.as_str())), "shipped: {text}");
    }
    // The end of a token is as telling as all of it. A bracket around one letter: what is typed is not the
    // secret itself, the pattern still is.
    let pattern = |secret: &String| {
        let end = &secret[secret.len().saturating_sub(24)..];
        let (first, rest) = end.split_at(1);
        format!("-e '[{first}]{rest}'")
    };
    // A line of a terminal is at most 4095 bytes long.
    for some in secrets.chunks(40) {
        let patterns = some.iter().map(pattern).collect::<Vec<_>>().join(" ");
        // Plain files only: there are sockets and pipes too, on which a reader would wait.
        let command = format!(
            "find /var /run /etc /tmp /root -xdev -type f -size -8192k -print0 | xargs -0 grep -ls {patterns}; \
             dmesg | grep -c {patterns}"
        );
        let found = shell.run(&command);
        assert_eq!(found.trim(), "0", "a secret was found in");
    }
    let console = shell.guest.text();
    for secret in secrets {
        assert!(!console.contains(&secret), "the console shows a secret");
    }
}

#[test]
fn a_machine_is_onboarded_and_stays_so() {
    let lab = Lab::build();
    onboards(&lab);
    an_unknown_machine_asks_a_person(&lab);
    one_command_shows_it(&lab);
}

/// A known machine; tokens that last 20 seconds.
fn onboards(lab: &Lab) {
    let started = Instant::now();
    let orchestrator = lab.orchestrator("orchestrator-1", &[(UUID, SERIAL)], 20);
    let registry = Registry::start(&fresh("registry"), "");
    let layout = orchestrator.worker_layout().unwrap();
    let copied = Command::new("skopeo")
        .args(["copy", "--insecure-policy", "--dest-tls-verify=false"])
        .arg(format!("oci:{}:latest", layout.display()))
        .arg(format!("docker://{}/tink-worker:latest", registry.host))
        .output()
        .unwrap();
    ok(copied);
    let port = registry.host.rsplit_once(':').unwrap().1;
    let host = format!("{}:{port}", trial::HOST);
    let parameters =
        format!("{} insecure_registries={host}", trial::parameters(&format!("{host}/tink-worker:latest")));
    let mut shell = lab.boot("known", &orchestrator, &parameters);
    let seen = |what: &str, is: &dyn Fn(&Event) -> bool| {
        let record = record(&orchestrator, &shell, what, 4 * MINUTE, |r| is(&r.event));
        eprintln!("{what}: {:.0} s", started.elapsed().as_secs_f64());
        record
    };

    let asked = seen("asks to be onboarded", &|e| matches!(e, Event::OnboardRequest { .. }));
    let Event::OnboardRequest { uuid, serial, mac, address, .. } = asked.event else { unreachable!() };
    assert_eq!(
        [uuid.as_str(), &serial, &mac, &address],
        [UUID, SERIAL, Machine::MAC, "10.0.2.15"],
        "the machine names itself exactly"
    );
    seen("is onboarded", &|e| matches!(e, Event::OnboardRequest { answer, .. } if answer == "onboarded"));
    seen(
        "gets an access token",
        &|e| matches!(e, Event::Token { grant, status: 200, .. } if grant == "client_credentials"),
    );
    seen("gets a release token", &|e| matches!(e, Event::ReleaseToken { status: 200, .. }));
    let logs = seen("ships a log line", &|e| matches!(e, Event::Logs { lines, .. } if !lines.is_empty()));
    let Event::Logs { scope_org_id, host_guid, token, lines } = logs.event else { unreachable!() };
    assert!(!scope_org_id.is_empty());
    assert_eq!((host_guid.as_str(), token.as_str()), (UUID, "valid"));
    for line in lines {
        assert_eq!((line.source.as_str(), line.host_guid.as_str()), ("edgenode_provisioning", UUID));
        assert!(line.file_type.starts_with("uOS_"), "{}", line.file_type);
    }
    seen("the worker calls", &worker_called);
    let Event::Worker { worker_id, .. } = seen("the worker calls", &worker_called).event else {
        unreachable!()
    };
    assert_eq!(worker_id, Machine::MAC);
    for route in ["tink-stack", "files", "oci"] {
        seen(&format!("fetches through {route}"), &|e| fetched(e, route));
    }

    // The first tokens are long gone.
    let later = orchestrator.records().last().unwrap().at + 25.0;
    for route in ["tink-stack", "files", "oci"] {
        let what = format!("fetches through {route} after the first token's end");
        record(&orchestrator, &shell, &what, 2 * MINUTE, |r| r.at > later && fetched(&r.event, route));
    }
    record(&orchestrator, &shell, "the worker calls after the first token's end", 2 * MINUTE, |r| {
        r.at > later && worker_called(&r.event)
    });
    let refused: Vec<Record> = orchestrator
        .records()
        .into_iter()
        .filter(|r| matches!(&r.event, Event::Fetch { token, .. } | Event::Worker { token, .. } if token != "valid"))
        .collect();
    assert!(refused.is_empty(), "requests with a token that does not hold: {refused:?}");

    shell.log_in();
    let owned = shell.run("ls -l /dev/shm | grep -v total");
    for name in ["project_id", "client_id", "client_secret", "idp_access_token", "release_token"] {
        let line = owned.lines().find(|line| line.ends_with(&format!(" {name}")));
        assert!(line.is_some_and(|line| line.starts_with("-rw-------")), "{name}: {owned}");
    }
    nothing_leaks(&orchestrator, &mut shell);

    // The token service fails in several ways while the machine runs; it says how, and recovers.
    for (how, words) in [
        (Misbehaviour::Http401, "401"),
        (Misbehaviour::Http500, "500"),
        (Misbehaviour::WrongCa, "certificate"),
        (Misbehaviour::Hang, "does not answer"),
    ] {
        misbehaves(&orchestrator, &shell, how, words);
    }
    let later = recovers(&orchestrator);
    record(&orchestrator, &shell, "a token after the trouble", 2 * MINUTE, |r| {
        r.at > later && matches!(r.event, Event::Token { status: 200, .. })
    });
    record(&orchestrator, &shell, "requests after the trouble", 2 * MINUTE, |r| {
        r.at > later && fetched(&r.event, "files")
    });
    shell.guest.power_button().unwrap();
    assert!(shell.guest.wait(MINUTE).unwrap().success());
}

/// Switches the trouble on and waits until device-discovery names it on the console.
fn misbehaves(orchestrator: &Orchestrator, shell: &Shell, how: Misbehaviour, words: &str) {
    let (from, started) = (shell.guest.printed(), Instant::now());
    orchestrator.misbehave(Some(how));
    loop {
        let text = shell.guest.text();
        let fresh = text.get(from..).unwrap_or_default();
        let said = fresh.lines().find(|l| l.contains("device-discovery: ") && l.contains(words));
        if let Some(line) = said {
            eprintln!("{how:?}: {:.0} s: {line}", started.elapsed().as_secs_f64());
            return;
        }
        assert!(started.elapsed() < 2 * MINUTE, "{how:?}: {words:?} was not said:\n{fresh}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Ends the trouble; gives the moment.
fn recovers(orchestrator: &Orchestrator) -> f64 {
    let at = orchestrator.records().last().map_or(0.0, |r| r.at);
    orchestrator.misbehave(None);
    at
}

/// A machine that the orchestrator does not know, and an orchestrator with every trouble before.
fn an_unknown_machine_asks_a_person(lab: &Lab) {
    let orchestrator = lab.orchestrator("orchestrator-2", &[(UUID, "OTHERSERIAL")], 3600);
    orchestrator.misbehave(Some(Misbehaviour::WrongCa));
    let mut shell = lab.boot("unknown", &orchestrator, "");
    shell.guest.wait_for("device-discovery: ", 0, 4 * MINUTE).unwrap();
    for (how, words) in [
        (Misbehaviour::ExpiredCertificate, "expired"),
        (Misbehaviour::Drop, "onboarding-stream"),
        (Misbehaviour::HalfClosed, "onboarding-stream"),
        (Misbehaviour::Http429, "onboarding-stream"),
        (Misbehaviour::FailedPrecondition, "already"),
    ] {
        misbehaves(&orchestrator, &shell, how, words);
    }
    let from = shell.guest.printed();
    recovers(&orchestrator);
    shell.guest.wait_for("ser name:", from, 3 * MINUTE).unwrap();
    for (user, password) in [(USER, "not-the-password"), (USER, PASSWORD)] {
        let from = shell.guest.printed();
        shell.guest.send(&format!("{user}\r")).unwrap();
        shell.guest.wait_for("assword", from, MINUTE).unwrap();
        let from = shell.guest.printed();
        shell.guest.send(&format!("{password}\r")).unwrap();
        if password != PASSWORD {
            shell.guest.wait_for("ser name:", from, MINUTE).unwrap();
        }
    }
    let created = record(
        &orchestrator,
        &shell,
        "the machine is created",
        MINUTE,
        |r| matches!(&r.event, Event::CreateNodes { project_id, authorized: true, .. } if !project_id.is_empty()),
    );
    let Event::CreateNodes { uuid, serial, mac, address, .. } = created.event else { unreachable!() };
    assert_eq!([uuid.as_str(), &serial, &mac, &address], [UUID, SERIAL, Machine::MAC, "10.0.2.15"]);
    record(&orchestrator, &shell, "gets a release token", MINUTE, |r| {
        matches!(r.event, Event::ReleaseToken { status: 200, .. })
    });
    record(
        &orchestrator,
        &shell,
        "ships logs",
        2 * MINUTE,
        |r| matches!(&r.event, Event::Logs { token, .. } if token == "valid"),
    );
    // The consoles were handed back, and what was typed is nowhere.
    shell.log_in();
    assert_eq!(shell.run("ls /run/console"), "");
    nothing_leaks(&orchestrator, &mut shell);
    shell.guest.power_button().unwrap();
    assert!(shell.guest.wait(MINUTE).unwrap().success());
}

/// What a newcomer runs.
fn one_command_shows_it(lab: &Lab) {
    let started = Instant::now();
    let root = fresh("onboard-root");
    support::second_clone(&root);
    let out = root.join("out");
    std::fs::create_dir_all(&out).unwrap();
    std::os::unix::fs::symlink(&lab.out, out.join("lab")).unwrap();
    let output = support::hookos(
        &root,
        lab.store.root(),
        &["boot", "lab", "--onboard", "--accel", "tcg", "--cpus", "1"],
    )
    .output();
    let text = ok(output.unwrap());
    for step in onboard::STEPS {
        assert!(text.contains(&format!("✓ {}", step.title)), "{}: {text}", step.title);
    }
    eprintln!("hookos boot lab --onboard: {:.0} s\n{text}", started.elapsed().as_secs_f64());
}
