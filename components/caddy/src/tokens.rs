//! The credentials of the moment, and word of their change.

use crate::routes::Credentials;
use hookos_onboarding::files::{File, Files};
use inotify::{Inotify, WatchMask};
use std::io;
use std::path::Path;
use tokio::sync::watch;

/// The headers for a request.
#[derive(Clone, PartialEq, Eq)]
pub struct Headers(pub Vec<(&'static str, String)>);

/// Reads the files that onboarding writes.
#[derive(Debug, Clone)]
pub struct Tokens {
    files: Files,
    host_guid: Option<String>,
    changed: watch::Receiver<()>,
}

impl Tokens {
    /// Starts to watch the folder of `files`.
    pub fn watch(files: Files, host_guid: Option<String>) -> io::Result<Self> {
        let changed = watch(files.folder())?;
        Ok(Self { files, host_guid, changed })
    }

    /// What there is now, or the files that are still missing.
    pub fn now(&self, wanted: Credentials) -> Result<Headers, Vec<File>> {
        let mut missing = Vec::new();
        let mut read = |file| {
            let value = self.files.read(file);
            if value.is_none() {
                missing.push(file);
            }
            value.unwrap_or_default()
        };
        let mut headers = vec![("Authorization", format!("Bearer {}", read(wanted.token())))];
        if wanted == Credentials::Logs {
            headers.push(("X-Scope-Orgid", read(File::ProjectId)));
            // Empty where the machine has none: the client's own must not stay.
            headers.push(("Hostguid", self.host_guid.clone().unwrap_or_default()));
        }
        if missing.is_empty() { Ok(Headers(headers)) } else { Err(missing) }
    }

    /// Waits until all of it is there.
    pub async fn when_there(&self, wanted: Credentials) -> Headers {
        let mut changed = self.changed.clone();
        loop {
            // Before the look: a change during it must wake us.
            changed.borrow_and_update();
            if let Ok(headers) = self.now(wanted) {
                return headers;
            }
            if changed.changed().await.is_err() {
                // Nobody watches any more, and the program is about to end: see `watch_ended`.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Returns when the folder can no longer be watched.
    pub async fn watch_ended(&self) {
        let mut changed = self.changed.clone();
        while changed.changed().await.is_ok() {}
    }
}

/// Tells of every file in `folder` that is replaced or written, until that fails.
fn watch(folder: &Path) -> io::Result<watch::Receiver<()>> {
    let mut inotify = Inotify::init()?;
    inotify.watches().add(folder, WatchMask::MOVED_TO | WatchMask::CLOSE_WRITE | WatchMask::ONLYDIR)?;
    let (tell, changed) = watch::channel(());
    std::thread::Builder::new().name("tokens".to_owned()).spawn(move || {
        let mut buffer = [0; 4096];
        while !tell.is_closed() && inotify.read_events_blocking(&mut buffer).is_ok() {
            tell.send_replace(());
        }
    })?;
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn waiting_ends_with_the_last_file() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::at(folder.path());
        let tokens = Tokens::watch(files.clone(), Some("guid".to_owned())).unwrap();
        assert_eq!(tokens.now(Credentials::Logs).err(), Some(vec![File::AccessToken, File::ProjectId]));
        let waiting = tokio::spawn({
            let tokens = tokens.clone();
            async move { tokens.when_there(Credentials::Logs).await }
        });
        files.write(File::AccessToken, "one").unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!waiting.is_finished(), "the project is not known yet");
        files.write(File::ProjectId, "project\n").unwrap();
        let Headers(headers) = tokio::time::timeout(Duration::from_secs(5), waiting).await.unwrap().unwrap();
        let want = [("Authorization", "Bearer one"), ("X-Scope-Orgid", "project"), ("Hostguid", "guid")];
        assert_eq!(headers, want.map(|(k, v)| (k, v.to_owned())));
        files.write(File::AccessToken, "two").unwrap();
        assert_eq!(tokens.now(Credentials::Access).ok().unwrap().0[0].1, "Bearer two");
    }
}
