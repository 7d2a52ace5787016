//! Registers the machine with the Edge Orchestrator, gets its credentials and keeps its tokens fresh.
//!
//! | module | job |
//! |---|---|
//! | [`site`], [`parameters`], [`hardware`], [`nic`] | what is read: settings, kernel command line, firmware, card |
//! | [`net`], [`failure`] | ways to the servers, and why one does not work |
//! | [`rpc`], [`tokens`] | the servers' questions and answers |
//! | [`onboard`], [`keep`] | what is done: until the machine has credentials, and after |
//! | [`login`], [`prompts`], [`terminal`], [`asking`] | a person at a console instead |
//!
//! Nothing ends this program but a signal: whatever is missing or broken is said on the console and
//! tried again.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod asking;
mod dry_run;
mod failure;
mod go;
mod hardware;
mod job;
mod jwt;
mod keep;
mod login;
mod net;
mod nic;
mod onboard;
mod pace;
mod parameters;
mod place;
mod prompts;
mod rpc;
mod site;
mod terminal;
mod tokens;
mod voice;

use asking::Asking;
use job::Job;
use keep::{Keeper, Session};
use pace::Pace;
use place::Place;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use voice::Voice;

const HELP: &str = "\
usage: hookos-device-discovery [--dry-run | --help]

Registers this machine with the Edge Orchestrator: tells it serial number, UUID, MAC and IPv4 address,
waits until it is released there, fetches its tokens and renews them for as long as the machine runs.
A machine that the orchestrator does not know asks for a log-in on all consoles.

  --dry-run   print what would be sent where, and what is in the way; exit 0 if nothing is, else 1
  --help      this text

Reads   /etc/hook/env_config    KEYCLOAK_URL, onboarding_manager_svc, onboarding_stream_svc, OBM_PORT,
                                EXTRA_HOSTS, https_proxy, no_proxy
        /etc/idp/ca.pem         the authorities that sign the orchestrator's certificates; no others count
        /proc/cmdline           worker_id=MAC of the card to use; console=; DEBUG=true with TIMEOUT=120s
                                starts an attempt anew that takes longer
        /sys/class/dmi/id       serial number and UUID
Writes  /dev/shm                project_id, client_id, client_secret, release_token, idp_access_token
        /var/log/client-auth/client-auth.log   log-ins, without what was typed
";

/// Settings that are missing may be put there by a person at a shell.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

struct Options {
    dry_run: bool,
    /// For tests: the folder that stands in for `/`.
    root: String,
    /// For tests: by what the waits are divided.
    speed: u32,
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(words) => {
            eprintln!("{words}\n{HELP}");
            return ExitCode::from(2);
        }
    };
    let place = Place::new(&options.root);
    if options.dry_run {
        let (text, good) = dry_run::report(&place);
        print!("{text}");
        return if good { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(until_told(&place, Pace::new(options.speed))),
        Err(e) => {
            Voice::new(&place).milestone(&format!("cannot start: {e}"));
            ExitCode::FAILURE
        }
    }
}

/// None when help is wanted.
fn options(arguments: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options { dry_run: false, root: "/".to_owned(), speed: 1 };
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} wants a value"));
        match argument.as_str() {
            "--help" | "-h" => return Ok(None),
            "--dry-run" => options.dry_run = true,
            "--root" => options.root = value()?,
            "--speed" => {
                options.speed = value()?.parse().map_err(|_| "--speed wants a whole number".to_owned())?
            }
            other => return Err(format!("unknown argument {other:?}")),
        }
    }
    Ok(Some(options))
}

/// Works until a signal comes. The futures are dropped then, and with them the consoles get their
/// settings back.
async fn until_told(place: &Place, pace: Pace) -> ExitCode {
    let (Ok(mut end), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        Voice::new(place).milestone("signals cannot be handled");
        return ExitCode::FAILURE;
    };
    tokio::select! {
        never = serve(place, pace) => match never {},
        _ = end.recv() => {}
        _ = interrupt.recv() => {}
    }
    ExitCode::SUCCESS
}

async fn serve(place: &Place, pace: Pace) -> std::convert::Infallible {
    let voice = Voice::new(place);
    Asking::end_earlier(place);
    let job = loop {
        match Job::prepare(place, pace) {
            Ok(job) => break job,
            Err(problems) => problems.iter().for_each(|problem| voice.trouble(problem)),
        }
        pace.sleep(LOOK_AGAIN).await;
    };
    job.notes().for_each(|note| job.voice.milestone(note));
    loop {
        let attempt = async {
            let (session, granted) = match Session::left(&job) {
                Some(session) => (session, None),
                None => onboard::onboard(&job).await,
            };
            let mut keeper = Keeper::new(&job, session, granted);
            keeper.first().await;
            keeper
        };
        let keeper = match job.parameters.limit {
            None => Some(attempt.await),
            Some(limit) => tokio::time::timeout(limit, attempt).await.ok(),
        };
        match keeper {
            Some(keeper) => keeper.keep().await,
            None => job.voice.milestone(&format!(
                "not onboarded within {:?} (kernel parameters DEBUG and TIMEOUT); starting anew",
                job.parameters.limit.unwrap_or_default()
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::options;

    #[test]
    fn arguments() {
        let of = |text: &str| options(text.split_whitespace().map(str::to_owned));
        assert!(matches!(of(""), Ok(Some(o)) if !o.dry_run && o.root == "/" && o.speed == 1));
        assert!(
            matches!(of("--dry-run --root /x --speed 20"), Ok(Some(o)) if o.dry_run && o.root == "/x" && o.speed == 20)
        );
        assert!(matches!(of("--help"), Ok(None)));
        for bad in ["--what", "--root", "--speed x"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
