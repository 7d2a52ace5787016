//! A person logs in for a machine that the orchestrator does not know.

use crate::asking::Asking;
use crate::failure::date;
use crate::job::Job;
use crate::onboard::{Talk, save_project};
use crate::pace::{Backoff, chance};
use crate::prompts::{Prompts, Typed, tell};
use crate::rpc::{self, Answer};
use crate::tokens::{self, Denied, Grant, Granted, Secret};
use rustls_pki_types::UnixTime;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

const LOG: &str = "/var/log/client-auth/client-auth.log";
/// Log-ins in a row, and calls of CreateNodes for each.
const TRIES: u32 = 3;
/// Between two rounds of log-ins; the consoles are free in it.
const PAUSE: Duration = Duration::from_secs(60);
/// How often a log-in is sent to an identity provider that cannot be reached.
const SENDS: u32 = 4;

/// What the log-in is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Adding the machine.
    Add,
    /// New tokens for a machine that a person added before.
    Renew,
}

/// How asking ended.
pub enum Login {
    /// The orchestrator has changed its mind about the machine meanwhile.
    Answer(Answer),
    Person(Granted),
}

/// Asks on every console until a log-in works or the orchestrator knows better.
pub async fn log_in(job: &Job, talk: &mut Talk<'_>, purpose: Purpose) -> Login {
    let consoles = &job.parameters.consoles;
    let enough = |answer: &Answer| match purpose {
        Purpose::Add => *answer != Answer::Unknown,
        Purpose::Renew => matches!(answer, Answer::Onboarded(_)),
    };
    if consoles.is_empty() {
        job.voice.trouble("there is no console to log in at (kernel parameter console=); register the machine at the orchestrator");
        return Login::Answer(talk.watch(enough).await);
    }
    loop {
        let asking = match Asking::begin(&job.place).await {
            Ok(asking) => Some(asking),
            Err(e) => {
                job.voice.detail(&format!("getty cannot be asked to pause: {e}"));
                None
            }
        };
        event(job, &format!("asking on {}", consoles.join(", ")));
        let mut tries = 0;
        while tries < TRIES {
            let (mut prompts, problems) = Prompts::start(&job.place, consoles, &heading(job, purpose));
            problems.iter().for_each(|text| job.voice.detail(text));
            let typed = tokio::select! {
                typed = prompts.answer() => typed,
                answer = talk.watch(enough) => {
                    let why = format!("{} has news of this machine; no log-in is needed now.", job.site.stream.host);
                    prompts.close(&why).await;
                    event(job, "asking ended: the orchestrator has news of this machine");
                    return Login::Answer(answer);
                }
            };
            prompts.close(&format!("Somebody logs in on {}.", typed.console)).await;
            match check(job, &typed, purpose).await {
                Ok(granted) => {
                    event(job, &format!("log-in of {:?} on {} was accepted", typed.user, typed.console));
                    tell(&job.place, consoles, "The log-in was accepted.").await;
                    return Login::Person(granted);
                }
                Err(Denied::Refused(words)) => {
                    tries += 1;
                    let left = match TRIES - tries {
                        0 => String::new(),
                        1 => "; 1 try is left".to_owned(),
                        left => format!("; {left} tries are left"),
                    };
                    failed(job, &typed, &format!("{words}{left}")).await;
                }
                // What was typed may have been right, so this is no try.
                Err(Denied::Unreachable(words)) => failed(job, &typed, &words).await,
            }
        }
        let text = "Three log-ins failed. The orchestrator is still asked whether an administrator has registered this machine; you are asked again in a minute.";
        tell(&job.place, consoles, text).await;
        job.voice.detail(text);
        event(job, "three log-ins failed");
        drop(asking);
        tokio::select! {
            () = job.pace.sleep(PAUSE) => {}
            answer = talk.watch(enough) => return Login::Answer(answer),
        }
    }
}

fn heading(job: &Job, purpose: Purpose) -> String {
    let machine = format!("serial {}, UUID {}", job.hardware.name(), job.hardware.uuid);
    match purpose {
        Purpose::Add => format!(
            "{} does not know this machine ({machine}).\nLog in on any console to add it. When an administrator registers it, this question goes away.",
            job.site.stream.host
        ),
        Purpose::Renew => format!(
            "The log-in for this machine ({machine}) has ended.\nLog in again on any console to renew its tokens."
        ),
    }
}

async fn failed(job: &Job, typed: &Typed, words: &str) {
    let text = format!("The log-in did not work: {words}.");
    event(job, &format!("log-in on {} failed: {words}", typed.console));
    job.voice.detail(&text);
    tell(&job.place, &job.parameters.consoles, &text).await;
}

/// Tries what was typed: the identity provider first, then the orchestrator.
async fn check(job: &Job, typed: &Typed, purpose: Purpose) -> Result<Granted, Denied> {
    let mut backoff = Backoff::growing();
    let mut sends = 0;
    let granted = loop {
        let grant = Grant::Password { user: &typed.user, password: &typed.password };
        sends += 1;
        match tokens::access(&job.net, &job.site.keycloak, grant).await {
            Ok(granted) => break granted,
            Err(Denied::Unreachable(words)) if sends < SENDS => {
                job.voice.trouble(&format!("log-in: {words}; trying again"));
                job.pace.sleep(backoff.next_wait()).await;
            }
            Err(denied) => return Err(denied),
        }
    };
    if purpose == Purpose::Add {
        let project_id = create(job, &granted.access).await.map_err(Denied::Refused)?;
        save_project(job, &project_id).map_err(Denied::Unreachable)?;
    }
    Ok(granted)
}

/// Adds the machine, three times if need be. The orchestrator answers its first call for a new
/// machine without a project, so that is no failure to tell people of.
async fn create(job: &Job, token: &Secret) -> Result<String, String> {
    let mut last = String::new();
    for attempt in 0..TRIES {
        if attempt > 0 {
            job.pace.sleep(Duration::from_secs(2) + chance(1000)).await;
        }
        let machine = job.machine().await;
        match rpc::create_nodes(&job.net, &job.site.manager, &machine, token).await {
            Ok(project_id) if !project_id.trim().is_empty() => return Ok(project_id.trim().to_owned()),
            Ok(_) => last = format!("{} added the machine to no project", job.site.manager),
            Err(words) => last = words,
        }
        job.voice.detail(&last);
    }
    Err(last)
}

/// A line of the log of log-ins, which is shipped with the other logs. User names are in it only
/// when they were accepted: what is typed at the wrong prompt may be a password.
fn event(job: &Job, text: &str) {
    let file = job.place.at(LOG);
    let now = UnixTime::since_unix_epoch(Duration::from_secs_f64(tokens::now()));
    let line: String = format!("{} {text}", date(now)).chars().filter(|c| !c.is_control()).collect();
    let written = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o644)
        .open(&file)
        .and_then(|mut log| log.write_all(format!("{line}\n").as_bytes()));
    if let Err(e) = written {
        job.voice.detail(&format!("cannot write {}: {e}", file.display()));
    }
}
