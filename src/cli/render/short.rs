//! Work outside of a build: its lines and, on a terminal, a bar.

use super::Face;
use crate::build::Cancel;
use crate::cli::{cancel_on_signals, context::Context};
use crate::problem::Result;
use crate::progress::{Progress, Unit};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Shows how far a piece of work is.
pub struct Short {
    bar: ProgressBar,
    lines: bool,
    cancel: Cancel,
}

impl Short {
    /// Ctrl-C and SIGTERM end the work in good order.
    pub fn start(context: &Context) -> Result<Self> {
        Ok(Self::new(context, cancel_on_signals()?))
    }

    /// Signals end the program as they always do.
    pub fn deaf(context: &Context) -> Self {
        Self::new(context, Cancel::default())
    }

    fn new(context: &Context, cancel: Cancel) -> Self {
        let face = Face::choose(context.json, context.plain);
        let bar = ProgressBar::hidden();
        if face == Face::Bars {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        let short = Self { bar, lines: face == Face::Plain, cancel };
        short.style("{spinner} {msg}");
        short
    }

    /// A line about what follows.
    pub fn say(&self, line: &str) {
        self.log(line);
    }

    fn style(&self, template: &str) {
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
    }
}

impl Progress for Short {
    fn at(&self, done: u64, total: u64, unit: Unit) {
        if self.bar.length() != Some(total) {
            self.bar.set_length(total);
            self.style(match unit {
                Unit::Bytes => "{msg} {wide_bar} {bytes}/{total_bytes}",
                Unit::Items => "{msg} {wide_bar} {pos}/{len}",
            });
        }
        self.bar.set_position(done);
        if done == total {
            self.bar.reset();
        }
    }

    fn log(&self, line: &str) {
        self.bar.set_message(line.to_owned());
        if self.lines {
            eprintln!("{line}");
        }
    }

    fn warn(&self, text: &str) {
        self.bar.suspend(|| eprintln!("hookos: warning: {text}"));
    }

    fn cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }
}

impl Drop for Short {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
