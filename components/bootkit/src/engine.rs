//! The way to the Docker engine.

use crate::talk::Talk;
use crate::words;
use bollard::{API_DEFAULT_VERSION, Docker};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the engine may take for the first part of an answer; a pull has its own patience after that.
const TIMEOUT: u64 = 120;
/// A machine under emulation takes this long to start the engine; after it something may be wrong.
const QUIET: Duration = Duration::from_secs(30);

/// Waits for the engine to answer at `socket`.
///
/// The socket's folder is made by the engine's container and may come late, so there is nothing to put a
/// watch on; a connect that fails costs nothing.
pub async fn connect(socket: &Path, talk: &mut Talk) -> Docker {
    let started = Instant::now();
    let mut told = false;
    loop {
        let why = match dial(socket).await {
            Ok(docker) => {
                if told {
                    talk.tell("the Docker engine answers");
                }
                return docker;
            }
            Err(why) => why,
        };
        if !told && started.elapsed() > QUIET {
            told = true;
            talk.tell(&format!(
                "the Docker engine does not answer at {}: {why}; `service log hook-docker` may tell more",
                socket.display()
            ));
        }
        tokio::time::sleep(if told { Duration::from_secs(2) } else { Duration::from_millis(500) }).await;
    }
}

async fn dial(socket: &Path) -> Result<Docker, String> {
    let path = socket.to_str().ok_or("the socket's path is not UTF-8")?;
    let docker =
        Docker::connect_with_unix(path, TIMEOUT, API_DEFAULT_VERSION).map_err(|e| words::message(&e))?;
    let docker = docker.with_request_modifier(|mut request| {
        // The engine reads this header as URL-safe base64 and takes credentials that it cannot read for
        // none; bollard writes the other alphabet.
        let header = request.headers().get("x-registry-auth").and_then(|value| value.to_str().ok());
        if let Some(text) = header.map(|text| text.replace('+', "-").replace('/', "_"))
            && let Ok(value) = text.parse()
        {
            request.headers_mut().insert("x-registry-auth", value);
        }
        request
    });
    docker.negotiate_version().await.map_err(|e| words::message(&e))
}
