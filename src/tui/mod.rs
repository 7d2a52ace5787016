//! The terminal wizard: a person walks through a site's settings, builds, and watches.
//!
//! [`model`] is everything that a screen shows, [`update`] changes it when a [`msg`] comes, [`view`] draws
//! it. None of the three reads a clock or a file; what is to be done in the world goes out as effects.

pub mod build;
mod certificates;
pub mod check;
pub mod command;
mod components;
pub mod data;
pub mod draft;
pub mod effects;
pub mod form;
pub mod ground;
mod kernels;
pub mod keys;
pub mod line;
pub mod log;
pub mod model;
pub mod msg;
pub mod overlay;
pub mod plain;
pub mod rows;
pub mod run;
pub mod session;
mod signals;
pub mod step;
#[cfg(test)]
mod testing;
pub mod theme;
pub mod update;
pub mod view;

use crate::cli::context::Context;
use crate::problem::{Problem, Result};
use crate::site::{FIELDS, Sources};
use effects::{Executor, Input, Place};
use form::Environment;
use model::Model;
use session::Session;
use std::io::{IsTerminal, Write as _};
use std::process::ExitCode;
use theme::Theme;

/// How many answers may wait. A build that is faster than the screen waits.
const ANSWERS: usize = 64;

/// Whether a person can use the wizard here: keys come from a terminal, and one can be drawn on.
pub fn possible() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
    let accessible = std::env::var_os("ACCESSIBLE").is_some_and(|value| !value.is_empty());
    !dumb && !accessible && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// The variables that fields read.
pub fn environment() -> Environment {
    let names = FIELDS.iter().flat_map(|f| f.ambient.iter().copied().chain([f.env]));
    names.filter_map(|name| Some((name.to_owned(), Sources::environment(name)?))).collect()
}

/// Runs the wizard until the person leaves.
pub fn run(context: &Context) -> Result<ExitCode> {
    let failed = |what: &str, e: std::io::Error| Problem::new(what).because(e);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| failed("cannot start the wizard", e))?;
    let env = environment();
    let theme = Theme::detect(|name| std::env::var(name).ok());
    let (answers, incoming) = tokio::sync::mpsc::channel(ANSWERS);
    let signals = signals::watch().map_err(|e| failed("cannot listen for signals", e))?;
    let (session, mut screen) = Session::enter().map_err(|e| failed("cannot use the terminal", e))?;
    let size = screen.size().map_err(|e| failed("cannot use the terminal", e))?;
    let mut model = Model::new(
        theme,
        (size.width, size.height),
        context.root.clone(),
        env,
        crate::site::certificates::now(),
    );
    let place = Place::new(&context.root);
    let first = update::begin(&mut model);
    let result = runtime.block_on(async {
        let input = Input::default();
        let mut executor = Executor::new(place, answers, input.clone());
        run::run(&mut model, &mut screen, input, signals, incoming, &mut executor, first).await
    });
    drop(session);
    // Its own end would print about a terminal that is gone, and that is a panic. It owns nothing else.
    std::mem::forget(screen);
    let panics = session::panics();
    let panics = panics.iter().map(|panic| format!("hookos: this is a mistake in the program: {panic}"));
    for line in model.farewell.iter().cloned().chain(panics) {
        // The terminal may be gone.
        let _ = writeln!(std::io::stderr(), "{line}");
    }
    runtime.shutdown_background();
    match result {
        Ok(code) => Ok(ExitCode::from(code)),
        Err(e) => Err(failed("the terminal cannot be written to", e)),
    }
}
