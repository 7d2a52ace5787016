//! Watching a worker that runs, by the engine's events.

use crate::talk::Talk;
use crate::worker::{ending, last_lines};
use bollard::Docker;
use bollard::errors::Error;
use bollard::models::ContainerState;
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt as _;
use std::collections::HashMap;
use std::time::Duration;

/// An ended container that the engine is not about to start again: after this time it stays so.
const GRACE: Duration = Duration::from_secs(5);

/// Returns when the worker has to be made again, with the reason.
///
/// A worker that ends is the engine's to start again (its restart policy). One that somebody stopped
/// stays stopped, as that policy says.
pub async fn until_gone(docker: &Docker, id: &str, talk: &mut Talk) -> String {
    let filters = HashMap::from([("type", vec!["container"]), ("container", vec![id])]);
    let mut events = docker.events(Some(EventsOptionsBuilder::new().filters(&filters).build()));
    let mut stopped = false;
    loop {
        // Looked at before each wait: what happened before the events began is not among them.
        let state = match docker.inspect_container(id, None).await {
            Ok(found) => found.state.unwrap_or_default(),
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => {
                return "the worker's container was removed; making a new one".to_owned();
            }
            Err(_) => return "the Docker engine is gone; waiting for it".to_owned(),
        };
        let event = if stopped || is_up(&state) {
            events.next().await
        } else {
            match tokio::time::timeout(GRACE, events.next()).await {
                Ok(event) => event,
                Err(_) => match docker.inspect_container(id, None).await.map(|found| found.state) {
                    Ok(Some(state)) if !is_up(&state) => {
                        let how = ending(Some(&state));
                        return format!(
                            "the worker {how}, and Docker does not start it again; making a new one"
                        );
                    }
                    _ => continue,
                },
            }
        };
        let Some(Ok(event)) = event else {
            return "the Docker engine is gone; waiting for it".to_owned();
        };
        match event.action.as_deref() {
            Some("stop") => {
                stopped = true;
                talk.tell("the worker was stopped by somebody; it stays so until it is started or removed");
            }
            Some("start") => stopped = false,
            Some("die") => {
                let found = docker.inspect_container(id, None).await.ok();
                let code = event.actor.and_then(|a| a.attributes).and_then(|a| a.get("exitCode").cloned());
                let how = code.map_or_else(
                    || ending(found.and_then(|f| f.state).as_ref()),
                    |code| format!("ended with exit code {code}"),
                );
                let lines = last_lines(docker, id).await;
                let lines =
                    if lines.is_empty() { String::new() } else { format!("; its last lines: {lines}") };
                talk.tell_once(&format!("the worker {how}{lines}"));
            }
            _ => {}
        }
    }
}

/// Running, or about to be.
fn is_up(state: &ContainerState) -> bool {
    state.running == Some(true) || state.restarting == Some(true)
}
