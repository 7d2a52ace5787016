//! The Docker engine, or Podman's service, as far as images are built by it.
//!
//! [`place`] finds the engine, [`build`](Engine::build) has it build a folder with a `Dockerfile`,
//! [`save`](Engine::save) brings the result here as `docker save` does. Protocol: the Docker Engine API, spoken
//! by `bollard`; its futures run on a small runtime of this module, and nothing outside knows of it.

mod context;
pub mod place;

pub use context::Context;
pub use place::Place;

use crate::progress::{Progress, Unit};
use bollard::models::{BuildInfo, BuildInfoAux};
use bollard::query_parameters::{BuildImageOptionsBuilder, BuilderVersion};
use futures_util::StreamExt as _;
use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::time::Duration;
use tokio::runtime::Runtime;

/// How often a blocked wait looks whether it was cancelled.
const LOOK: Duration = Duration::from_millis(200);
/// An engine that does not answer a ping in this time is not there.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why the engine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no Docker engine answers at {place}: {why}")]
    Gone { place: String, why: String },
    #[error("the context {name} of the Docker client cannot be used: {why}")]
    Context { name: String, why: String },
    /// A step of the Dockerfile failed.
    #[error("{step}: {why}")]
    Step { step: String, why: String },
    #[error("the engine at {place} failed: {why}")]
    Engine { place: String, why: String },
    #[error("the build's files cannot be read: {0}")]
    Files(#[from] std::io::Error),
    #[error("cancelled")]
    Cancelled,
}

/// An engine that has answered.
pub struct Engine {
    runtime: Runtime,
    client: bollard::Docker,
    place: String,
    /// As `docker version` names it.
    pub version: String,
    /// Whether it builds by BuildKit.
    pub buildkit: bool,
}

impl Engine {
    /// Connects and asks for its version.
    pub fn connect(place: &Place) -> Result<Self, Error> {
        let shown = place.to_string();
        let gone = |why: String| Error::Gone { place: shown.clone(), why };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| gone(e.to_string()))?;
        // Its clients of sockets want a runtime around them.
        let inside = runtime.enter();
        let client = match place.host.starts_with("ssh://") {
            // Its own connection to the socket takes longer than a socket's.
            true => bollard::Docker::connect_with_ssh(&place.host, 120, bollard::API_DEFAULT_VERSION, None),
            false => bollard::Docker::connect_with_host(&place.host),
        };
        let client = client.map_err(|e| gone(said(&e)))?;
        drop(inside);
        let version = runtime.block_on(async {
            tokio::time::timeout(PATIENCE, client.version())
                .await
                .map_err(|_| gone("it does not answer".to_owned()))?
                .map_err(|e| gone(said(&e)))
        })?;
        // Every Docker from API 1.39 on has BuildKit; Podman's service builds in its own way. The Docker client
        // has the same switch.
        let docker = |version: &bollard::models::SystemVersion| {
            let parts = version.components.iter().flatten();
            !parts.into_iter().any(|part| part.name.contains("Podman"))
        };
        let api = version.api_version.as_deref().and_then(|api| api.split_once('.'));
        let new = api.is_some_and(|(major, minor)| {
            major != "1" || minor.parse::<u32>().is_ok_and(|minor| minor >= 39)
        });
        let off = std::env::var("DOCKER_BUILDKIT").is_ok_and(|value| value == "0");
        let buildkit = new && docker(&version) && !off;
        let version = version.version.unwrap_or_else(|| "unknown".to_owned());
        Ok(Self { runtime, client, place: shown, version, buildkit })
    }

    fn failed(&self) -> impl Fn(bollard::errors::Error) -> Error + '_ {
        |e| Error::Engine { place: self.place.clone(), why: said(&e) }
    }

    /// Builds an image from the files of a context; gives its ID. Every line that the build prints is logged;
    /// steps are counted. A build whose progress is cancelled is stopped by the engine.
    pub fn build(
        &self,
        context: &Context,
        arguments: &BTreeMap<String, String>,
        progress: &dyn Progress,
    ) -> Result<String, Error> {
        let arguments: HashMap<String, String> = arguments.clone().into_iter().collect();
        let options = BuildImageOptionsBuilder::default()
            .dockerfile("Dockerfile")
            .buildargs(&arguments)
            .platform("linux/amd64")
            .rm(true)
            .forcerm(true);
        let options = match self.buildkit {
            // The session's name must be one that no other build of this engine has now.
            true => options.version(BuilderVersion::BuilderBuildKit).session(&session_name()).build(),
            false => options.build(),
        };
        let body = bollard::body_full(context.bytes()?.into());
        let mut steps = Steps::default();
        self.runtime.block_on(async {
            let mut stream = std::pin::pin!(self.client.build_image(options, None, Some(body)));
            loop {
                let next = match tokio::time::timeout(LOOK, stream.next()).await {
                    // Dropping the stream closes the connection, and the engine stops.
                    Err(_) if progress.cancelled() => return Err(Error::Cancelled),
                    Err(_) => continue,
                    Ok(None) => break,
                    Ok(Some(next)) => next,
                };
                match next {
                    Ok(info) => steps.take(info, progress)?,
                    Err(bollard::errors::Error::DockerStreamError { error }) => {
                        return Err(steps.failed(&error));
                    }
                    Err(e) => return Err(self.failed()(e)),
                }
            }
            Ok(())
        })?;
        steps.image.ok_or_else(|| Error::Engine {
            place: self.place.clone(),
            why: "the build ended without an image".to_owned(),
        })
    }

    /// Writes an image as `docker save` does.
    pub fn save(&self, image: &str, to: &mut dyn Write, progress: &dyn Progress) -> Result<(), Error> {
        self.runtime.block_on(async {
            let mut stream = std::pin::pin!(self.client.export_image(image));
            let mut done = 0;
            loop {
                match tokio::time::timeout(LOOK, stream.next()).await {
                    Err(_) if progress.cancelled() => return Err(Error::Cancelled),
                    Err(_) => {}
                    Ok(None) => return Ok(()),
                    Ok(Some(bytes)) => {
                        let bytes = bytes.map_err(self.failed())?;
                        to.write_all(&bytes)?;
                        done += bytes.len() as u64;
                        progress.at(done, 0, Unit::Bytes);
                    }
                }
            }
        })
    }
}

/// An error in one line, with what is behind it.
fn said(error: &bollard::errors::Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        let more = source.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = source.source();
    }
    text.trim().to_owned()
}

/// What is known of a build from what it prints.
#[derive(Debug, Default)]
struct Steps {
    /// `RUN make`, as in the Dockerfile.
    step: String,
    last: String,
    part: String,
    /// The step that BuildKit says failed: several run side by side.
    broken: Option<String>,
    image: Option<String>,
}

/// A name for a session: BuildKit wants one that is not in use.
fn session_name() -> String {
    format!("hookos-{}-{:x}", std::process::id(), fastrand::u64(..))
}

/// `[2/5] RUN make` or `[stage 2/5] RUN make`, as BuildKit names its steps.
fn vertex_step(name: &str) -> Option<(u64, u64, &str)> {
    let (place, step) = name.strip_prefix('[')?.split_once("] ")?;
    let (done, total) = place.rsplit(' ').next()?.split_once('/')?;
    Some((done.parse().ok()?, total.parse().ok()?, step))
}

impl Steps {
    fn take(&mut self, info: BuildInfo, progress: &dyn Progress) -> Result<(), Error> {
        if let Some(detail) = info.error_detail {
            return Err(self.failed(&detail.message.unwrap_or_default()));
        }
        match info.aux {
            Some(BuildInfoAux::Default(image)) => self.image = image.id.or(self.image.take()),
            Some(BuildInfoAux::BuildKit(status)) => self.status(status, progress),
            None => {}
        }
        if let Some(status) = info.status {
            let id = info.id.map_or_else(String::new, |id| format!("{id}: "));
            // Bars of pulls say the same line many times.
            if status != self.last {
                progress.log(&format!("{id}{status}"));
                self.last = status;
            }
        }
        // A line may come in pieces.
        self.part.push_str(&info.stream.unwrap_or_default());
        while let Some(end) = self.part.find('\n') {
            let line: String = self.part.drain(..=end).collect();
            let line = line.trim_end();
            if line.is_empty() {
                continue;
            }
            if let Some((done, total, step)) = step(line) {
                self.step = step.to_owned();
                progress.at(done, total, Unit::Items);
            }
            progress.log(line);
            self.last = line.to_owned();
        }
        Ok(())
    }

    /// What BuildKit says: steps that begin and end, and their output.
    fn status(&mut self, status: bollard::moby::buildkit::v1::StatusResponse, progress: &dyn Progress) {
        for vertex in status.vertexes {
            let began = vertex.started.is_some() && vertex.completed.is_none();
            // What it does to get ready has names of its own kind: `[internal] load build context`.
            if let Some((done, total, step)) = vertex_step(&vertex.name).filter(|_| began) {
                self.step = step.to_owned();
                progress.at(done, total, Unit::Items);
            }
            if (began || vertex.cached) && vertex.name != self.last {
                let cached = if vertex.cached { " (from the engine's cache)" } else { "" };
                progress.log(&format!("{}{cached}", vertex.name));
                self.last.clone_from(&vertex.name);
            }
            if !vertex.error.is_empty() {
                self.broken = vertex_step(&vertex.name).map(|(.., step)| step.to_owned());
            }
        }
        for log in status.logs {
            self.part.push_str(&String::from_utf8_lossy(&log.msg));
            while let Some(end) = self.part.find('\n') {
                let line: String = self.part.drain(..=end).collect();
                progress.log(line.trim_end());
            }
        }
    }

    fn failed(&self, why: &str) -> Error {
        let step = self.broken.as_ref().unwrap_or(&self.step);
        let step = if step.is_empty() { "the Dockerfile cannot be used" } else { step };
        Error::Step { step: step.to_owned(), why: why.trim().to_owned() }
    }
}

/// `Step 2/5 : RUN make`; Podman writes `STEP 2/5: RUN make`.
fn step(line: &str) -> Option<(u64, u64, &str)> {
    let (numbers, step) = match line.strip_prefix("STEP ") {
        Some(podman) => podman.split_once(": ")?,
        None => line.strip_prefix("Step ")?.split_once(" : ")?,
    };
    let (done, total) = numbers.split_once('/')?;
    Some((done.parse().ok()?, total.parse().ok()?, step))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    #[test]
    fn steps_are_counted_and_the_failing_one_is_named() {
        assert_eq!(step("Step 2/5 : RUN make"), Some((2, 5, "RUN make")));
        assert_eq!(step("STEP 2/5: RUN make"), Some((2, 5, "RUN make")));
        assert_eq!(step("Step by step"), None);
        assert_eq!(vertex_step("[2/5] RUN make"), Some((2, 5, "RUN make")));
        assert_eq!(vertex_step("[tools 1/3] FROM debian"), Some((1, 3, "FROM debian")));
        assert_eq!(vertex_step("[internal] load build context"), None);
        let mut steps = Steps::default();
        let line = |text: &str| BuildInfo { stream: Some(text.to_owned()), ..BuildInfo::default() };
        steps.take(line("Step 1/1 : RUN fal"), &Silent).unwrap();
        steps.take(line("se\n ---> Running in 0123\n"), &Silent).unwrap();
        let error = steps.failed("The command '/bin/sh -c false' returned a non-zero code: 1");
        assert!(error.to_string().starts_with("RUN false: The command"), "{error}");
    }
}
