//! Effects where nothing is drawn.

use crate::tui::effects::{Place, Worker, outside};
use crate::tui::msg::{Effect, Msg};
use std::io::Write;
use std::path::Path;
use tokio::sync::mpsc::Sender;

pub struct World(Worker);

impl World {
    pub fn new(root: &Path, answers: Sender<Msg>) -> Self {
        Self(Worker::new(Place::new(root), answers))
    }

    /// Whether an answer is awaited.
    pub fn busy(&self) -> bool {
        self.0.busy()
    }

    pub fn effect(&mut self, effect: Effect, out: &mut impl Write) -> Option<Msg> {
        match effect {
            Effect::Repaint | Effect::Mouse(_) | Effect::Suspend => None,
            // There is no clipboard to rely on: what is on the terminal can be taken from there.
            Effect::Copy(text) => {
                let _ = writeln!(out, "{text}");
                Some(Msg::Told(Ok("That is it.".to_owned())))
            }
            Effect::Pager(file) => match std::fs::read(&file) {
                Ok(bytes) => {
                    for line in String::from_utf8_lossy(&bytes).lines() {
                        let _ = writeln!(out, "{}", crate::tui::log::clean::clean(line.as_bytes()).text);
                    }
                    Some(Msg::Told(Ok(format!("That was {}.", file.display()))))
                }
                Err(e) => {
                    let problem = crate::problem::Problem::new("the log cannot be read").in_file(&file);
                    Some(Msg::Told(Err(problem.because(e))))
                }
            },
            effect @ (Effect::Boot(_) | Effect::Publish(_)) => {
                let job = outside::Job::of(&effect)?;
                let done = outside::lending(|| job.run(&self.0.place.root));
                Some(job.answer(done))
            }
            effect => {
                self.0.start(effect);
                None
            }
        }
    }
}
