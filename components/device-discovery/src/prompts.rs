//! The question for user name and password, on every console at once.

use crate::place::Place;
use crate::terminal::Terminal;
use crate::tokens::Secret;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Shortest user name and password.
const SHORTEST: usize = 3;
/// A console that gives nothing but empty lines is asked no faster than this.
const AFTER_A_BAD_ENTRY: Duration = Duration::from_secs(1);

/// What a person typed, and where.
pub struct Typed {
    pub user: String,
    pub password: Secret,
    pub console: String,
}

/// The questions that are open. Dropping them closes them without a word.
pub struct Prompts {
    open: JoinSet<Option<Typed>>,
    over: watch::Sender<Option<String>>,
}

impl Prompts {
    /// Asks at each console; gives the questions and why some consoles cannot be asked at.
    pub fn start(place: &Place, consoles: &[String], heading: &str) -> (Self, Vec<String>) {
        let (over, watching) = watch::channel(None);
        let (mut open, mut problems) = (JoinSet::new(), Vec::new());
        for console in consoles {
            match Terminal::open(&device(place, console)) {
                Ok(terminal) => {
                    open.spawn(at_one(terminal, console.clone(), heading.to_owned(), watching.clone()));
                }
                Err(e) => problems.push(format!("{console} cannot be asked at: {e}")),
            }
        }
        (Self { open, over }, problems)
    }

    /// The first complete answer. Never ends when there is no console left.
    pub async fn answer(&mut self) -> Typed {
        while let Some(ended) = self.open.join_next().await {
            if let Ok(Some(typed)) = ended {
                return typed;
            }
        }
        std::future::pending().await
    }

    /// Closes the questions that are still open, with a line that says why.
    pub async fn close(mut self, why: &str) {
        let _ = self.over.send(Some(why.to_owned()));
        while self.open.join_next().await.is_some() {}
    }
}

fn device(place: &Place, console: &str) -> PathBuf {
    place.at(&format!("/dev/{console}"))
}

/// Writes to all consoles, past the kernel's log level.
pub async fn tell(place: &Place, consoles: &[String], text: &str) {
    let mut writing = JoinSet::new();
    for console in consoles {
        if let Ok(terminal) = Terminal::open(&device(place, console)) {
            let text = format!("\n{text}\n");
            writing.spawn(async move { terminal.say(&text).await });
        }
    }
    while writing.join_next().await.is_some() {}
}

async fn at_one(
    terminal: Terminal,
    console: String,
    heading: String,
    mut over: watch::Receiver<Option<String>>,
) -> Option<Typed> {
    let why = tokio::select! {
        typed = dialog(&terminal, &console, &heading) => return typed,
        why = over.wait_for(Option::is_some) => why.ok().and_then(|why| why.clone()),
    };
    if let Some(why) = why {
        terminal.say(&format!("\n{why}\n")).await;
    }
    None
}

/// Asks until both parts are long enough; none when the console is gone.
async fn dialog(terminal: &Terminal, console: &str, heading: &str) -> Option<Typed> {
    terminal.say(&format!("\n{heading}\n")).await;
    loop {
        let user = terminal.ask("User name: ", true).await.ok()?;
        let password = terminal.ask("Password (not shown): ", false).await.ok()?;
        let (user, password) = (strip(&user), strip(&password));
        if user.chars().count() >= SHORTEST && password.chars().count() >= SHORTEST {
            terminal.say("Checking ...\n").await;
            let (user, password) = (user.to_owned(), Secret::new(password.to_owned()));
            return Some(Typed { user, password, console: console.to_owned() });
        }
        tokio::time::sleep(AFTER_A_BAD_ENTRY).await;
        terminal.say("User name and password have at least 3 characters each.\n").await;
    }
}

/// Blanks and `;` around an entry are slips of the hand, or of the program that pasted it.
fn strip(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c == ';')
}

#[cfg(test)]
mod tests {
    use super::strip;
    use proptest::prelude::*;

    #[test]
    fn slips_are_stripped() {
        assert_eq!(strip(" a;b c;; "), "a;b c");
        assert_eq!(strip(" ; "), "");
    }

    proptest! {
        #[test]
        fn what_is_inside_stays(text in "[a-z][ -~]{0,10}[a-z]", before in "[ ;\t]{0,3}", after in "[ ;\t]{0,3}") {
            let typed = format!("{before}{text}{after}");
            prop_assert_eq!(strip(&typed), text.as_str());
        }
    }
}
