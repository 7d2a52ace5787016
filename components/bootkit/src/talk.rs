//! What this program says: to its log always, to the consoles what a person there should know.

use crate::NAME;
use hookos_guest::again::Again;
use hookos_guest::notice;
use hookos_guest::secret::Secrets;
use std::time::Instant;

/// Every line goes through here, so no secret gets out.
pub struct Talk {
    secrets: Secrets,
    told: Again,
    listener: Option<Box<dyn FnMut(&str) + Send>>,
}

impl Talk {
    pub fn new(secrets: Secrets) -> Self {
        Self { secrets, told: Again::default(), listener: None }
    }

    /// Gives every line to `listener` instead of the log and the consoles.
    pub fn to(secrets: Secrets, listener: impl FnMut(&str) + Send + 'static) -> Self {
        Self { listener: Some(Box::new(listener)), ..Self::new(secrets) }
    }

    /// For the log.
    pub fn say(&mut self, text: &str) {
        let text = self.secrets.hide(text);
        match &mut self.listener {
            Some(listener) => listener(&format!("log: {text}")),
            None => notice::say(NAME, &text),
        }
    }

    /// For the consoles too.
    pub fn tell(&mut self, text: &str) {
        let text = self.secrets.hide(text);
        match &mut self.listener {
            Some(listener) => listener(&format!("console: {text}")),
            None => notice::warn(NAME, &text),
        }
    }

    /// For the consoles when it is new since the last [`Talk::news`] or was told long ago, for the log alone
    /// when not.
    pub fn tell_once(&mut self, text: &str) {
        if self.told.is_due(text, Instant::now()) { self.tell(text) } else { self.say(text) }
    }

    /// For the consoles: something went well, so troubles that come again are told again.
    pub fn news(&mut self, text: &str) {
        self.told.forget();
        self.tell(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[test]
    fn told_once_until_there_is_news_and_never_a_secret() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&lines);
        let mut secrets = Secrets::default();
        secrets.add("hunter2");
        let mut talk = Talk::to(secrets, move |line| into.lock().unwrap().push(line.to_owned()));
        for _ in 0..2 {
            talk.tell_once("no hunter2 here");
        }
        talk.news("up");
        talk.tell_once("no hunter2 here");
        let lines = lines.lock().unwrap();
        assert_eq!(
            *lines,
            ["console: no *** here", "log: no *** here", "console: up", "console: no *** here"]
        );
    }
}
