//! The stream: how a machine that the orchestrator knows gets its credentials.

use crate::job::Job;
use crate::keep::Session;
use crate::login::{self, Login, Purpose};
use crate::pace::{Backoff, chance};
use crate::rpc::{Answer, Credentials, Stream};
use crate::tokens::Granted;
use hookos_onboarding::files::File;
use std::time::Duration;

/// The conversation with the orchestrator, taken up anew when it breaks.
pub struct Talk<'a> {
    job: &'a Job,
    stream: Option<Stream>,
}

impl<'a> Talk<'a> {
    pub fn new(job: &'a Job) -> Self {
        Self { job, stream: None }
    }

    /// One question, one answer. May be dropped at any point: the stream goes with it then, so that
    /// a late answer is never taken for that to the next question.
    pub async fn ask(&mut self) -> Result<Answer, String> {
        let job = self.job;
        let question = job.machine().await;
        let stream = match self.stream.take() {
            Some(stream) => stream,
            None => Stream::connect(&job.net, &job.site.stream).await?,
        };
        let (stream, answer) = stream.ask(question).await?;
        self.stream = stream;
        Ok(answer)
    }

    /// Asks every 10 to 15 seconds until there is an answer that is `enough`.
    pub async fn watch(&mut self, enough: impl Fn(&Answer) -> bool) -> Answer {
        loop {
            self.job.pace.sleep(Duration::from_secs(10) + chance(5000)).await;
            match self.ask().await {
                Ok(answer) if enough(&answer) => return answer,
                Ok(_) => {}
                Err(words) => self.job.voice.trouble(&format!("{words}; asking again")),
            }
        }
    }
}

/// Asks until the machine has an account of its own, or a person has logged in for it; leaves the
/// project and the account in their files.
pub async fn onboard(job: &Job) -> (Session, Option<Granted>) {
    let host = &job.site.stream.host;
    let mut talk = Talk::new(job);
    let (mut released, mut broken) = (Backoff::round(), Backoff::growing());
    let mut registered = false;
    let mut known = None;
    loop {
        let answer = match known.take() {
            Some(answer) => Ok(answer),
            None => talk.ask().await,
        };
        if answer.is_ok() {
            broken.reset();
        }
        match answer {
            Err(words) => {
                job.voice.trouble(&format!("{words}; trying again"));
                job.pace.sleep(broken.next_wait()).await;
            }
            Ok(Answer::Registered) => {
                let text = format!(
                    "registered with {host} as {}; waiting for its release there",
                    job.hardware.name()
                );
                if registered {
                    job.voice.detail(&text)
                } else {
                    job.voice.milestone(&text)
                }
                registered = true;
                job.pace.sleep(released.next_wait()).await;
                continue;
            }
            Ok(Answer::Onboarded(credentials)) => match save(job, &credentials) {
                Ok(()) => return (Session::Machine(credentials), None),
                Err(words) => {
                    job.voice.trouble(&format!("{words}; asking again"));
                    job.pace.sleep(slowly()).await;
                }
            },
            Ok(Answer::Refused(words)) => {
                job.voice.trouble(&format!("{words}; asking again, slowly"));
                job.pace.sleep(slowly()).await;
            }
            Ok(Answer::Unknown) => {
                job.voice.milestone(&format!(
                    "{host} does not know this machine (serial {}, UUID {}): register it there, or log in on a console",
                    job.hardware.name(),
                    job.hardware.uuid
                ));
                match login::log_in(job, &mut talk, Purpose::Add).await {
                    Login::Answer(answer) => known = Some(answer),
                    Login::Person(granted) => {
                        return (Session::Person { refresh: granted.refresh.clone() }, Some(granted));
                    }
                }
            }
        }
        registered = false;
        released.reset();
    }
}

/// For what only an administrator can change.
fn slowly() -> Duration {
    Duration::from_secs(30) + chance(30_000)
}

/// Leaves the account in its files; the project first, and at once. Says what is missing.
pub fn save(job: &Job, credentials: &Credentials) -> Result<(), String> {
    let Credentials { project_id, client_id, client_secret } = credentials;
    let values = [
        (File::ProjectId, project_id.as_str()),
        (File::ClientId, client_id.as_str()),
        (File::ClientSecret, client_secret.text()),
    ];
    for (file, value) in values {
        if value.trim().is_empty() {
            return Err(format!("{} released this machine without a {}", job.site.stream, file.name()));
        }
        write(job, file, value)?;
    }
    Ok(())
}

/// Leaves the project of a machine that a person added; it has no account of its own.
pub fn save_project(job: &Job, project_id: &str) -> Result<(), String> {
    for file in [File::ClientId, File::ClientSecret] {
        job.files
            .remove(file)
            .map_err(|e| format!("cannot remove {}: {e}", job.files.path(file).display()))?;
    }
    write(job, File::ProjectId, project_id)
}

pub fn write(job: &Job, file: File, value: &str) -> Result<(), String> {
    job.files.write(file, value).map_err(|e| format!("cannot write {}: {e}", job.files.path(file).display()))
}
