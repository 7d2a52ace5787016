//! The worker's container.

use crate::image::Image;
use crate::places::Places;
use crate::talk::Talk;
use crate::wanted::Wanted;
use crate::words;
use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, ContainerState, HostConfig, Mount, MountType,
    RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
};
use futures_util::StreamExt as _;
use std::time::Duration;

/// The container's name: workflows and people know it.
pub const CONTAINER: &str = "tink-worker";
/// A worker that cannot work ends within this time.
const SETTLE: Duration = Duration::from_secs(3);
/// Lines of a failed worker's output that are shown.
const LINES: usize = 5;
/// Lines among which they are looked for.
const LOOK_BACK: &str = "40";

/// The id of a worker that runs and is what is wanted, left by an earlier run of this program: it may
/// be in the middle of a workflow.
pub async fn adopt(docker: &Docker, wanted: &Wanted, image: &Image) -> Option<String> {
    let found = docker.inspect_container(CONTAINER, None).await.ok()?;
    let config = found.config.as_ref()?;
    let env = config.env.as_deref().unwrap_or_default();
    let same = config.image.as_deref() == Some(&image.full)
        && wanted.environment().iter().all(|item| env.contains(item));
    (same && is_up(found.state.as_ref())).then_some(found.id)?
}

/// Removes the old container, makes a new one, and gives its id once it has run for some seconds.
pub async fn start(
    docker: &Docker,
    wanted: &Wanted,
    image: &Image,
    places: &Places,
    talk: &mut Talk,
) -> Result<String, String> {
    remove(docker).await?;
    let options = CreateContainerOptionsBuilder::new().name(CONTAINER).build();
    let made = docker.create_container(Some(options), container(wanted, image, places)).await;
    let id = made.map_err(|e| failed("make", &e))?.id;
    docker.start_container(&id, None).await.map_err(|e| failed("start", &e))?;
    tokio::time::sleep(SETTLE).await;
    let found = docker.inspect_container(&id, None).await.map_err(|e| failed("look at", &e))?;
    if runs(&found) {
        return Ok(id);
    }
    let why = format!("the worker {} {}", image.full, ended(docker, &id).await);
    let lines = last_lines(docker, &id).await;
    // Else the engine would go on starting it while this program waits.
    if let Err(why) = remove(docker).await {
        talk.say(&why);
    }
    Err(if lines.is_empty() {
        format!("{why}; it wrote nothing")
    } else {
        format!("{why}; its last lines: {lines}")
    })
}

fn container(wanted: &Wanted, image: &Image, places: &Places) -> ContainerCreateBody {
    let mount = |(source, target): &(String, &str)| Mount {
        typ: Some(MountType::BIND),
        source: Some(source.clone()),
        target: Some((*target).to_owned()),
        ..Mount::default()
    };
    ContainerCreateBody {
        image: Some(image.full.clone()),
        env: Some(wanted.environment()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        host_config: Some(HostConfig {
            mounts: Some(places.mounts.iter().map(mount).collect()),
            network_mode: Some("host".to_owned()),
            privileged: Some(places.privileged),
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
                maximum_retry_count: None,
            }),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

async fn remove(docker: &Docker) -> Result<(), String> {
    let options = RemoveContainerOptionsBuilder::new().force(true).build();
    match docker.remove_container(CONTAINER, Some(options)).await {
        Ok(()) | Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
        Err(e) => Err(failed("remove", &e)),
    }
}

fn failed(verb: &str, error: &Error) -> String {
    format!("cannot {verb} the worker's container: {}", words::of_machine(&words::message(error)))
}

fn is_up(state: Option<&ContainerState>) -> bool {
    state.is_some_and(|s| s.running == Some(true) && s.restarting != Some(true))
}

/// Up, and at its first go: one that ends and is started again by the engine may be up at any moment.
fn runs(found: &ContainerInspectResponse) -> bool {
    is_up(found.state.as_ref()) && found.restart_count.unwrap_or(0) == 0
}

/// How a worker ended that the engine starts again and again. While it runs the engine does not tell how
/// the run before ended, so this waits for the next end.
async fn ended(docker: &Docker, id: &str) -> String {
    for _ in 0..60 {
        match docker.inspect_container(id, None).await.map(|found| found.state) {
            Ok(Some(state)) if !is_up(Some(&state)) => return ending(Some(&state)),
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    "ends and is started again".to_owned()
}

/// How a container ended, in words.
pub fn ending(state: Option<&ContainerState>) -> String {
    let code = state.and_then(|s| s.exit_code).unwrap_or_default();
    let error = state.and_then(|s| s.error.as_deref()).filter(|e| !e.is_empty());
    match error {
        Some(error) => format!("cannot run: {error}"),
        None if state.and_then(|s| s.oom_killed) == Some(true) => "was killed for want of memory".to_owned(),
        None => format!("ended with exit code {code}"),
    }
}

/// The end of the container's output, in one line; empty when there is none or it cannot be read.
pub async fn last_lines(docker: &Docker, id: &str) -> String {
    let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail(LOOK_BACK).build();
    let mut logs = docker.logs(id, Some(options));
    let mut lines = Vec::new();
    while let Ok(Some(Ok(line))) = tokio::time::timeout(Duration::from_secs(5), logs.next()).await {
        lines.push(line.to_string().trim().to_owned());
    }
    different(&lines).join(" | ")
}

/// The last lines that differ: a program that was started again and again says the same each time.
fn different(lines: &[String]) -> Vec<&str> {
    let mut out: Vec<&str> = Vec::new();
    for line in lines.iter().rev().map(String::as_str).filter(|line| !line.is_empty()) {
        if out.len() < LINES && !out.contains(&line) {
            out.insert(0, line);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookos_guest::cmdline::Cmdline;

    #[test]
    fn the_container_of_the_reference() {
        let wanted = Wanted::new(&Cmdline::parse(b"tink_worker_image=q.io/w worker_id=aa"));
        let image = wanted.image().unwrap().unwrap();
        let body = container(&wanted, &image, &Places::default());
        assert_eq!(body.image.as_deref(), Some("q.io/w:latest"));
        assert!(body.env.unwrap().contains(&"ID=aa".to_owned()));
        let host = body.host_config.unwrap();
        assert_eq!((host.network_mode.as_deref(), host.privileged), (Some("host"), Some(true)));
        assert_eq!(host.restart_policy.unwrap().name, Some(RestartPolicyNameEnum::UNLESS_STOPPED));
        let mounts: Vec<(String, String)> =
            host.mounts.unwrap().into_iter().map(|m| (m.source.unwrap(), m.target.unwrap())).collect();
        let want = [
            ("/worker", "/worker"),
            ("/var/run/docker.sock", "/var/run/docker.sock"),
            ("/dev", "/dev"),
            ("/host_root/run", "/run"),
        ];
        assert_eq!(mounts, want.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }

    #[test]
    fn repeated_lines_are_shown_once() {
        let lines = ["old", "a", "b", "", "a", "b"].map(str::to_owned);
        assert_eq!(different(&lines), ["old", "a", "b"]);
        let many: Vec<String> = (0..9).map(|n| n.to_string()).collect();
        assert_eq!(different(&many), ["4", "5", "6", "7", "8"]);
    }

    #[test]
    fn a_container_that_was_started_again_does_not_run() {
        let state = |running, restarting| ContainerState {
            running: Some(running),
            restarting: Some(restarting),
            ..ContainerState::default()
        };
        let found = |state, restarts| ContainerInspectResponse {
            state: Some(state),
            restart_count: Some(restarts),
            ..ContainerInspectResponse::default()
        };
        assert!(runs(&found(state(true, false), 0)));
        assert!(!runs(&found(state(true, false), 2)));
        assert!(!runs(&found(state(true, true), 0)));
        assert!(!runs(&found(state(false, false), 0)));
        assert!(!runs(&ContainerInspectResponse::default()));
    }
}
