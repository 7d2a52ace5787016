//! The Docker engine, or Podman's service, as far as images are built by it.
//!
//! [`place`] finds the engine, [`build`](Engine::build) has it build a folder with a `Dockerfile`,
//! [`save`](Made::save) brings the result here as `docker save` does. Protocol: the Docker Engine API, spoken
//! by `bollard`; its futures run on a small runtime of this module, and nothing outside knows of it.

mod arguments;
mod context;
mod dockerfile;
mod logins;
pub mod place;
mod send;
mod steps;

pub use arguments::Arguments;
pub use context::Context;
pub use dockerfile::arguments as arguments_of;
pub use place::Place;

use crate::oci::credentials::Credentials;
use crate::progress::{Progress, Unit};
use crate::store::Digest;
use arguments::Veiled;
use bollard::query_parameters::{BuildImageOptionsBuilder, BuilderVersion, RemoveImageOptionsBuilder};
use futures_util::{Stream, StreamExt as _};
use std::collections::HashMap;
use std::fmt;
use std::io::Write;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;
use steps::Steps;
use tokio::runtime::Runtime;

/// How often a wait for the engine looks whether it was cancelled.
const LOOK: Duration = Duration::from_millis(200);
/// An engine that does not answer a small question in this time is not there. On a machine under load a good one
/// has been seen to take more than five seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// An engine may work for hours before it answers: what is too long is for the person to say.
const WORK: Duration = Duration::from_secs(u32::MAX as u64);

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
    #[error("the image cannot be written: {0}")]
    Kept(std::io::Error),
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    /// Without what must not be shown.
    fn without(self, arguments: &Arguments) -> Self {
        match self {
            Self::Step { step, why } => {
                Self::Step { step: arguments.shown(&step), why: arguments.shown(&why) }
            }
            Self::Engine { place, why } => Self::Engine { place, why: arguments.shown(&why) },
            other => other,
        }
    }
}

/// An engine that has answered.
pub struct Engine {
    runtime: Runtime,
    client: bollard::Docker,
    place: String,
    /// As in `Docker 26.1.5`, or `Podman 5.4.2`.
    name: String,
    /// Whether it builds by BuildKit.
    buildkit: bool,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// An image that the engine has made for us. With this value its name goes, and the image itself unless
/// somebody else named it too; the engine's cache of steps stays.
pub struct Made<'a> {
    engine: &'a Engine,
    /// A name of ours alone, so that nobody else's build of the same image takes it away.
    name: String,
    /// As in `sha256:...`.
    pub id: String,
    /// Of the context as it was sent; none where the engine did not want all of it.
    pub sent: Option<Digest>,
}

fn client(place: &Place) -> Result<bollard::Docker, bollard::errors::Error> {
    let (host, version) = (place.host.as_str(), bollard::API_DEFAULT_VERSION);
    let client = match &place.tls {
        Some(tls) => {
            // Without an authority of its own: an empty file, and the system's count.
            let ca = tls.ca.as_deref().unwrap_or(Path::new("/dev/null"));
            bollard::Docker::connect_with_ssl(host, &tls.key, &tls.certificate, ca, 0, version)
        }
        None if host.starts_with("tcp://") => bollard::Docker::connect_with_http(host, 0, version),
        None => bollard::Docker::connect_with_host(host),
    };
    Ok(client?.with_timeout(WORK).with_request_modifier(|mut request| {
        // The engine wants the letters of URLs in this one, and bollard writes the others.
        if let Some(value) = request.headers_mut().get_mut(logins::HEADER)
            && let Ok(text) = value.to_str()
            && let Ok(right) = text.replace('+', "-").replace('/', "_").parse()
        {
            *value = right;
        }
        request
    }))
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
        let client = client(place).map_err(|e| gone(said(&e)))?;
        drop(inside);
        let version = runtime.block_on(async {
            tokio::time::timeout(PATIENCE, client.version())
                .await
                .map_err(|_| gone("it does not answer".to_owned()))?
                .map_err(|e| gone(said(&e)))
        })?;
        // Every Docker from API 1.39 on has BuildKit; Podman's service builds in its own way. The Docker client
        // has the same switch.
        let podman = version.components.iter().flatten().any(|part| part.name.contains("Podman"));
        let api = version.api_version.as_deref().and_then(|api| api.split_once('.'));
        let new = api.is_some_and(|(major, minor)| {
            major != "1" || minor.parse::<u32>().is_ok_and(|minor| minor >= 39)
        });
        let off = std::env::var("DOCKER_BUILDKIT").is_ok_and(|value| value == "0");
        let number = version.version.as_deref().unwrap_or("of an unknown version");
        let name = format!("{} {number}", if podman { "Podman" } else { "Docker" });
        Ok(Self { runtime, client, place: shown, name, buildkit: new && !podman && !off })
    }

    fn failed(&self, why: impl Into<String>) -> Error {
        Error::Engine { place: self.place.clone(), why: why.into() }
    }

    /// Builds an image from the files of a context. Every line that the build prints is logged; steps are
    /// counted. The logins for registries that the Dockerfile names are told to the engine. A build whose
    /// progress is cancelled is stopped by the engine.
    pub fn build(
        &self,
        context: &Context,
        arguments: &Arguments,
        credentials: &Credentials,
        progress: &dyn Progress,
    ) -> Result<Made<'_>, Error> {
        let progress = &Veiled { arguments, inner: progress };
        let logins = logins::of(context, arguments, credentials, progress);
        let values: HashMap<String, String> = arguments.values().clone().into_iter().collect();
        // A name that no other build of this engine has now.
        let name = format!("{}-{:x}", std::process::id(), fastrand::u64(..));
        let mut made =
            Made { engine: self, name: format!("hookos-build:{name}"), id: String::new(), sent: None };
        let options = BuildImageOptionsBuilder::default()
            .dockerfile("Dockerfile")
            .t(&made.name)
            .buildargs(&values)
            .platform("linux/amd64")
            .rm(true)
            .forcerm(true);
        let options = match self.buildkit {
            // Its session wants such a name too.
            true => {
                options.version(BuilderVersion::BuilderBuildKit).session(&format!("hookos-{name}")).build()
            }
            false => options.build(),
        };
        let (body, sending) = send::body(context);
        let mut steps = Steps::default();
        let result = self.runtime.block_on(async {
            let mut stream =
                Box::pin(self.client.build_image(options, logins, Some(bollard::body_try_stream(body))));
            while let Some(next) = next(&mut stream, progress).await? {
                match next {
                    Ok(info) => steps.take(info, progress)?,
                    Err(bollard::errors::Error::DockerStreamError { error }) => {
                        return Err(steps.failed(&error));
                    }
                    Err(e) => return Err(self.failed(said(&e))),
                }
            }
            Ok(())
        });
        steps.finish(progress);
        // A file that could not be read broke the rest.
        made.sent = sending.end()?;
        result.map_err(|error| error.without(arguments))?;
        made.id = steps.image.take().ok_or_else(|| self.failed("the build ended without an image"))?;
        Ok(made)
    }
}

impl Made<'_> {
    /// Writes the image as `docker save` does.
    pub fn save(&self, to: &mut dyn Write, progress: &dyn Progress) -> Result<(), Error> {
        let engine = self.engine;
        engine.runtime.block_on(async {
            let mut stream = Box::pin(engine.client.export_image(&self.id));
            let mut done = 0;
            while let Some(bytes) = next(&mut stream, progress).await? {
                let bytes = bytes.map_err(|e| engine.failed(said(&e)))?;
                to.write_all(&bytes).map_err(Error::Kept)?;
                done += bytes.len() as u64;
                progress.at(done, 0, Unit::Bytes);
            }
            Ok(())
        })
    }
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        let Engine { runtime, client, .. } = self.engine;
        // What lies below it is the cache of the old builder's steps.
        let options = RemoveImageOptionsBuilder::default().noprune(true).build();
        // It may not be there, and others may use it: then it stays.
        let _ = runtime.block_on(async {
            tokio::time::timeout(PATIENCE, client.remove_image(&self.name, Some(options), None)).await
        });
    }
}

/// What the engine says next. Looks whether the work is cancelled, however much or little is said; dropping
/// the stream then closes the connection, and the engine stops.
async fn next<T>(
    stream: &mut Pin<Box<impl Stream<Item = T>>>,
    progress: &dyn Progress,
) -> Result<Option<T>, Error> {
    loop {
        if progress.cancelled() {
            return Err(Error::Cancelled);
        }
        if let Ok(next) = tokio::time::timeout(LOOK, stream.next()).await {
            return Ok(next);
        }
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
