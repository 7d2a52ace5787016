//! Tokens for as long as the machine runs: fetched, left in their files, and renewed before they end.

use crate::failure::date;
use crate::job::Job;
use crate::jwt;
use crate::login::{self, Login, Purpose};
use crate::onboard::{Talk, save, write};
use crate::pace::Backoff;
use crate::rpc::{Answer, Credentials};
use crate::tokens::{self, Denied, Grant, Granted, Secret};
use hookos_onboarding::files::File;
use rustls_pki_types::UnixTime;
use std::time::Duration;

/// Shortest time between two renewals, for tokens that end at once.
const SHORTEST: Duration = Duration::from_secs(3);
/// Longest, so that a token that is revoked is replaced some day.
const LONGEST: Duration = Duration::from_secs(12 * 3600);

/// Whose tokens they are.
pub enum Session {
    Machine(Credentials),
    /// Kept in memory only, and worth nothing once it has ended.
    Person {
        refresh: Option<Secret>,
    },
}

impl Session {
    /// The session that an earlier run of this program left, if it ended while the machine went on:
    /// an orchestrator hands out a machine's account only once.
    pub fn left(job: &Job) -> Option<Self> {
        let project_id = job.files.read(File::ProjectId)?;
        let account = job.files.read(File::ClientId).zip(job.files.read(File::ClientSecret));
        match account {
            Some((client_id, client_secret)) => {
                let client_secret = Secret::new(client_secret);
                Some(Self::Machine(Credentials { project_id, client_id, client_secret }))
            }
            None => job.files.read(File::AccessToken).map(|_| Self::Person { refresh: None }),
        }
    }
}

/// Why tokens could not be renewed.
enum Lost {
    /// Asking again may help.
    Now(String),
    /// Only a person can help.
    Person(String),
}

pub struct Keeper<'a> {
    job: &'a Job,
    session: Session,
    /// An access token that has not been put to use yet.
    granted: Option<Granted>,
    /// Life time of the tokens in the files, once there are some.
    lifetime: Option<Duration>,
    failing: bool,
    backoff: Backoff,
}

impl<'a> Keeper<'a> {
    pub fn new(job: &'a Job, session: Session, granted: Option<Granted>) -> Self {
        Self { job, session, granted, lifetime: None, failing: false, backoff: Backoff::growing() }
    }

    /// Fetches until there are tokens.
    pub async fn first(&mut self) {
        // A person's tokens may be good for a while after this program was started anew.
        if matches!(self.session, Session::Person { refresh: None }) && self.granted.is_none() {
            let token = self.job.files.read(File::AccessToken).unwrap_or_default();
            self.lifetime = jwt::lifetime(&token, tokens::now()).filter(|left| !left.is_zero());
        }
        while self.lifetime.is_none() {
            self.renew_or_wait().await;
        }
    }

    /// Renews for ever.
    pub async fn keep(mut self) -> ! {
        loop {
            if !self.failing {
                tokio::time::sleep(renew_after(self.lifetime.unwrap_or_default())).await;
            }
            self.renew_or_wait().await;
        }
    }

    async fn renew_or_wait(&mut self) {
        let voice = &self.job.voice;
        match self.renew().await {
            Ok(lifetime) => {
                let ends = UnixTime::since_unix_epoch(Duration::from_secs_f64(tokens::now()) + lifetime);
                let ends = format!("tokens are valid until {}, and renewed before", date(ends));
                match (self.lifetime, self.failing) {
                    (None, _) => voice.milestone(&format!("onboarded; {ends}")),
                    (Some(_), true) => voice.milestone(&format!("tokens could be renewed again; {ends}")),
                    (Some(_), false) => voice.detail(&ends),
                }
                self.lifetime = Some(lifetime);
                self.failing = false;
                self.backoff.reset();
            }
            Err(Lost::Now(words)) => {
                self.failing = true;
                voice.trouble(&format!("no new tokens: {words}; trying again"));
                let wait = self.job.pace.of(self.backoff.next_wait());
                // Short tokens want their server back soon.
                let longest = self.lifetime.map_or(wait, |life| (life / 2).max(SHORTEST));
                tokio::time::sleep(wait.min(longest)).await;
            }
            Err(Lost::Person(words)) => {
                self.failing = true;
                voice.milestone(&words);
                self.ask_a_person().await;
            }
        }
    }

    async fn ask_a_person(&mut self) {
        let job = self.job;
        match login::log_in(job, &mut Talk::new(job), Purpose::Renew).await {
            Login::Person(granted) => {
                self.session = Session::Person { refresh: granted.refresh.clone() };
                self.granted = Some(granted);
            }
            Login::Answer(Answer::Onboarded(credentials)) => match save(job, &credentials) {
                Ok(()) => self.session = Session::Machine(credentials),
                Err(words) => job.voice.trouble(&words),
            },
            Login::Answer(_) => {}
        }
    }

    /// One round: an access token, the release token that it gives, and the files. Gives the shorter
    /// of their life times.
    async fn renew(&mut self) -> Result<Duration, Lost> {
        let job = self.job;
        let granted = match self.granted.take() {
            Some(granted) => granted,
            None => self.access().await?,
        };
        if let Session::Person { refresh } = &mut self.session
            && granted.refresh.is_some()
        {
            refresh.clone_from(&granted.refresh);
        }
        let got = tokens::release(&job.net, &job.site.release, &granted.access).await;
        if got.is_err() && self.lifetime.is_some() {
            // The services that want the access token need not suffer for those of the release token.
            write(job, File::AccessToken, granted.access.text()).map_err(Lost::Now)?;
        }
        let (release, release_life) = got.map_err(Lost::Now)?;
        write(job, File::ReleaseToken, release.text()).map_err(Lost::Now)?;
        // Last: others wait for this one and find the rest then.
        write(job, File::AccessToken, granted.access.text()).map_err(Lost::Now)?;
        Ok(release_life.map_or(granted.lifetime, |life| life.min(granted.lifetime)))
    }

    async fn access(&self) -> Result<Granted, Lost> {
        let job = self.job;
        let grant = match &self.session {
            Session::Machine(Credentials { client_id: id, client_secret: secret, .. }) => {
                Grant::Machine { id, secret }
            }
            Session::Person { refresh: Some(token) } => Grant::Refresh { token },
            Session::Person { refresh: None } => {
                let words = "the log-in ends, and the identity provider gave nothing to renew it with; log in again on a console";
                return Err(Lost::Person(words.to_owned()));
            }
        };
        match tokens::access(&job.net, &job.site.keycloak, grant).await {
            Ok(granted) => Ok(granted),
            Err(Denied::Refused(words)) => Err(match self.session {
                Session::Machine(_) => Lost::Now(format!("{words}; was this machine's account removed?")),
                Session::Person { .. } => {
                    Lost::Person(format!("the log-in has ended: {words}; log in again on a console"))
                }
            }),
            Err(denied) => Err(Lost::Now(denied.words().to_owned())),
        }
    }
}

/// Two thirds of the life time.
fn renew_after(lifetime: Duration) -> Duration {
    (lifetime * 2 / 3).clamp(SHORTEST, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewed_in_time() {
        let after = |seconds| renew_after(Duration::from_secs(seconds)).as_secs();
        assert_eq!([after(20), after(300), after(0), after(1), after(10_000_000)], [13, 200, 3, 3, 43_200]);
    }
}
