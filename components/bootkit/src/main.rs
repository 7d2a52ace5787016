//! Starts the provisioning worker as the kernel command line says, and keeps it there.
#![forbid(unsafe_code)]

use hookos_bootkit::talk::Talk;
use hookos_bootkit::wanted::Wanted;
use hookos_bootkit::{NAME, keep, kpi, places::Places};
use hookos_guest::cmdline::Cmdline;
use hookos_guest::notice;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(e) => {
            notice::warn(NAME, &format!("cannot start: {e}"));
            return ExitCode::FAILURE;
        }
    };
    let cmdline = Cmdline::of_this_machine();
    for line in kpi::lines(&cmdline) {
        notice::say(NAME, &line);
    }
    let (wanted, places) = (Wanted::new(&cmdline), Places::default());
    let mut talk = Talk::new(wanted.secrets());
    runtime.block_on(async {
        // As the first process of its namespace this program gets no signal that it does not ask for.
        // The worker stays when this program goes.
        let (term, int) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
        let (Ok(mut term), Ok(mut int)) = (term, int) else {
            notice::warn(NAME, "cannot wait for signals");
            return ExitCode::FAILURE;
        };
        tokio::select! {
            () = keep(&wanted, &places, &mut talk) => ExitCode::FAILURE,
            _ = term.recv() => ExitCode::SUCCESS,
            _ = int.recv() => ExitCode::SUCCESS,
        }
    })
}
