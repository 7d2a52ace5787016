//! Runs Caddy until asked to end.

#![forbid(unsafe_code)]

use hookos_caddy::NAME;
use hookos_caddy::service::{self, Machine};
use hookos_guest::notice;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let done = tokio::runtime::Builder::new_current_thread().enable_all().build().and_then(|runtime| {
        runtime.block_on(async {
            // In a pid namespace of its own, the first process gets no signal that it does not ask for.
            let mut terminate = signal(SignalKind::terminate())?;
            let mut interrupt = signal(SignalKind::interrupt())?;
            let stop = async move {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            };
            service::run(&Machine::this(), std::io::stderr(), stop).await
        })
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            notice::warn(NAME, &e.to_string());
            ExitCode::FAILURE
        }
    }
}
