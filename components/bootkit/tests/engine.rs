//! The worker against a real Docker engine with a private socket and storage, and a real registry on
//! loopback. Needs root, and dockerd, docker-registry and cc on PATH.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod lab;

use bollard::models::{ContainerInspectResponse, RestartPolicyNameEnum};
use bollard::query_parameters::{KillContainerOptionsBuilder, RemoveContainerOptionsBuilder};
use hookos_bootkit::places::Places;
use hookos_bootkit::talk::Talk;
use hookos_bootkit::wanted::Wanted;
use hookos_bootkit::{keep, worker::CONTAINER};
use hookos_guest::cmdline::Cmdline;
use lab::{Engine, Registry, Spy, able, all_capabilities, free_port, program};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const WORKER_ID: &str = "52:54:00:12:34:56";
const PASSWORD: &str = "~~~???>>>ä";
/// `me:` and the password, as RFC 7617 has it.
const BASIC: &str = "Basic bWU6fn5+Pz8/Pj4+w6Q=";

/// What bootkit has said.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn count(&self, part: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|line| line.contains(part)).count()
    }

    async fn wait_for(&self, part: &str) {
        self.wait_for_times(1, part).await;
    }

    async fn wait_for_times(&self, times: usize, part: &str) {
        let until = Instant::now() + Duration::from_secs(90);
        while self.count(part) < times {
            assert!(Instant::now() < until, "nobody said {part:?}: {:#?}", self.0.lock().unwrap());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Runs bootkit with a kernel command line for as long as `scene` takes. No line may show the password.
async fn play<T>(engine: &Engine, cmdline: &str, scene: impl AsyncFnOnce(Lines) -> T) -> T {
    let lines = Lines::default();
    let line = format!("registry_username=me registry_password={PASSWORD} worker_id={WORKER_ID} {cmdline}");
    let wanted = Wanted::new(&Cmdline::parse(line.as_bytes()));
    let into = lines.clone();
    let mut talk = Talk::to(wanted.secrets(), move |line| into.0.lock().unwrap().push(line.to_owned()));
    let places = places(engine);
    let played = tokio::select! {
        () = keep(&wanted, &places, &mut talk) => unreachable!("bootkit has ended"),
        played = scene(lines.clone()) => played,
    };
    assert_eq!(lines.count(PASSWORD), 0);
    played
}

fn places(engine: &Engine) -> Places {
    let source = |name: &str| engine.folder().join(name).to_str().unwrap().to_owned();
    Places {
        socket: engine.socket(),
        mounts: vec![
            (source("worker"), "/worker"),
            (source("docker.sock"), "/var/run/docker.sock"),
            ("/dev".to_owned(), "/dev"),
            (source("run"), "/run"),
        ],
        privileged: all_capabilities(),
    }
}

/// The worker's container, once it is as `check` wants it.
async fn worker(
    engine: &Engine,
    check: impl Fn(&ContainerInspectResponse) -> bool,
) -> ContainerInspectResponse {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let found = engine.client().await.inspect_container(CONTAINER, None).await;
        match found {
            Ok(found) if check(&found) => return found,
            other => assert!(Instant::now() < until, "not as expected: {other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn runs(found: &ContainerInspectResponse) -> bool {
    found.state.as_ref().is_some_and(|s| s.running == Some(true) && s.restarting != Some(true))
}

#[tokio::test]
async fn the_worker_comes_up_and_stays_whatever_happens() {
    if !able() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::start(folder.path()).await;
    let (port, blobs) = (free_port(), folder.path().join("registry"));
    let image = format!("127.0.0.1:{port}/worker");
    let cmdline = format!("tink_worker_image={image} docker_registry=other.example.com");
    let up = format!("console: the worker {image}:latest runs");
    let registry = Registry::start(&blobs, port);
    engine.publish(&format!("{image}:latest"), &program(folder.path()), "CMD [\"/program\"]").await;
    drop(registry);

    // The registry is not there at first.
    let registry = play(&engine, &cmdline, async |lines| {
        lines.wait_for("trying again in 2 s").await;
        assert_eq!(lines.count("console: cannot pull"), 1, "a reason is told once");
        assert_eq!(lines.count("nothing answers at the registry's address"), lines.count("cannot pull"));
        let registry = Registry::start(&blobs, port);
        lines.wait_for(&up).await;
        assert_eq!(lines.count("gets no credentials: they belong to other.example.com"), 1);
        registry
    })
    .await;
    let first = worker(&engine, runs).await;
    let host = first.host_config.unwrap();
    assert_eq!((host.network_mode.as_deref(), host.privileged), (Some("host"), Some(all_capabilities())));
    assert_eq!(host.restart_policy.unwrap().name, Some(RestartPolicyNameEnum::UNLESS_STOPPED));
    let env = first.config.unwrap().env.unwrap();
    for (key, value) in
        [("ID", WORKER_ID), ("WORKER_ID", WORKER_ID), ("NO_PROXY", ""), ("REGISTRY_PASSWORD", PASSWORD)]
    {
        assert!(env.contains(&format!("{key}={value}")), "{key} is not right in {env:?}");
    }
    // It ran, with its environment and its mounts.
    let note = std::fs::read_to_string(engine.folder().join("worker/started")).unwrap();
    assert_eq!(note.trim(), WORKER_ID);

    play(&engine, &cmdline, async |lines| {
        // Another run of bootkit leaves a running worker alone.
        lines.wait_for("the worker runs already").await;
        let now = worker(&engine, runs).await;
        assert_eq!(now.id, first.id);

        // A worker that ends is started again by the engine.
        let pid = now.state.unwrap().pid.unwrap().to_string();
        assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
        lines.wait_for("the worker ended with exit code 137").await;
        let again = worker(&engine, |w| w.restart_count == Some(1) && runs(w)).await;
        assert_eq!(again.id, first.id);

        // One that was removed is made again.
        let force = RemoveContainerOptionsBuilder::new().force(true).build();
        engine.client().await.remove_container(CONTAINER, Some(force)).await.unwrap();
        lines.wait_for("was removed").await;
        let second = worker(&engine, |w| w.id != first.id && runs(w)).await;
        lines.wait_for_times(2, &up).await;

        // So is one that was killed, which the engine takes for a person's wish.
        let kill = KillContainerOptionsBuilder::new().signal("SIGKILL").build();
        engine.client().await.kill_container(CONTAINER, Some(kill)).await.unwrap();
        lines.wait_for("Docker does not start it again").await;
        worker(&engine, |w| w.id != second.id && runs(w)).await;
    })
    .await;

    // Without the registry the image that is here will do, also after the engine was away.
    drop(registry);
    play(&engine, &cmdline, async |lines| {
        lines.wait_for("the worker runs already").await;
        engine.again().await;
        lines.wait_for("the Docker engine is gone").await;
        // The engine itself starts a container with this restart policy.
        worker(&engine, runs).await;
        let force = RemoveContainerOptionsBuilder::new().force(true).build();
        engine.client().await.remove_container(CONTAINER, Some(force)).await.unwrap();
        lines.wait_for("that is here already").await;
        worker(&engine, runs).await;
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_fails_shows_its_last_lines() {
    if !able() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::start(folder.path()).await;
    let port = free_port();
    let image = format!("127.0.0.1:{port}/p/tink-worker:latest");
    let registry = Registry::start(&folder.path().join("registry"), port);
    engine.publish(&image, &program(folder.path()), "CMD [\"/program\", \"fail\"]").await;
    play(&engine, &format!("docker_registry=127.0.0.1:{port}/p"), async |lines| {
        lines.wait_for("trying again in 10 s").await;
        let told = "ended with exit code 3; its last lines: first line | I cannot reach the server";
        let said = lines.0.lock().unwrap().clone();
        assert_eq!(lines.count(told), 2, "{said:#?}");
        assert_eq!(lines.count(&format!("console: the worker {image} {told}")), 1, "{said:#?}");
        // Between two tries nothing is left that the engine would start by itself.
        assert!(engine.client().await.inspect_container(CONTAINER, None).await.is_err());
    })
    .await;
    drop(registry);
}

#[tokio::test]
async fn credentials_are_shown_to_their_registry_alone() {
    if !able() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::start(folder.path()).await;
    let (own, other) = (Spy::start(), Spy::start());
    let registry = format!("docker_registry=127.0.0.1:{}/project", own.port);
    play(&engine, &registry, async |lines| lines.wait_for("console: cannot pull").await).await;
    let shown = own.shown();
    assert!(!shown.is_empty() && shown.iter().all(|header| header == BASIC), "{shown:?}");

    let elsewhere = format!("{registry} tink_worker_image=127.0.0.1:{}/project/tink-worker", other.port);
    play(&engine, &elsewhere, async |lines| {
        lines.wait_for("gets no credentials").await;
        lines.wait_for("the registry refuses the credentials, or wants some").await;
    })
    .await;
    assert_eq!(other.shown(), Vec::<String>::new());
    assert_eq!(own.shown().len(), shown.len(), "the own registry has nothing to do with it");
}

#[tokio::test]
async fn nothing_to_run_is_said_once() {
    let folder = tempfile::tempdir().unwrap();
    for (cmdline, told) in [
        ("tink_worker_image= docker_registry", "neither in tink_worker_image= nor"),
        ("tink_worker_image=http://x/y", "is not the name of an image"),
    ] {
        let lines = Lines::default();
        let into = lines.clone();
        let wanted = Wanted::new(&Cmdline::parse(cmdline.as_bytes()));
        let mut talk = Talk::to(wanted.secrets(), move |line| into.0.lock().unwrap().push(line.to_owned()));
        let places = Places { socket: folder.path().join("none"), mounts: Vec::new(), privileged: true };
        let kept = tokio::time::timeout(Duration::from_secs(2), keep(&wanted, &places, &mut talk)).await;
        assert!(kept.is_err(), "bootkit must stay, or it would be started again and again");
        let said = lines.0.lock().unwrap().clone();
        assert!(said.len() == 1 && said[0].contains(told), "{said:?}");
    }
}
