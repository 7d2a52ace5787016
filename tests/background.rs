//! A build that goes on without the wizard that began it: left, found again, cancelled, tried again; and a
//! pager that has the terminal meanwhile.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;
#[path = "support/terminal.rs"]
#[allow(dead_code)]
mod terminal;

use hookos::history;
use rustix::process::Signal;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use support::second_clone;
use terminal::Terminal;

const HOOKOS: &str = env!("CARGO_BIN_EXE_hookos");

/// A clone whose compiler never comes to an end, and a pager that takes one line.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        second_clone(&place.path("clone"));
        let cargo = std::env::var("CARGO").unwrap();
        let begun = place.path("begun");
        place.script(
            "cargo",
            &format!(
                "[ \"$1\" = build ] || exec {cargo} \"$@\"\necho x >> {}\nexec sleep 600",
                begun.display()
            ),
        );
        place.script(
            "pager",
            &format!("echo PAGER HAS IT\nread line\necho \"$line\" > {}", place.path("keys").display()),
        );
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn script(&self, name: &str, text: &str) {
        let path = self.path("bin").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn start(&self) -> Terminal {
        let (root, cache) = (self.path("clone"), self.path("store"));
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        let env = [
            ("HOOKOS_ROOT", root.to_str().unwrap()),
            ("HOOKOS_CACHE", cache.to_str().unwrap()),
            ("PATH", path.as_str()),
            ("PAGER", "pager"),
        ];
        Terminal::start((80, 24), self.folder.path(), &[HOOKOS], &env)
    }

    fn logs(&self) -> PathBuf {
        self.path("clone/out/lab/logs")
    }

    /// How often the compiler was begun.
    fn begun(&self) -> usize {
        std::fs::read_to_string(self.path("begun")).unwrap_or_default().lines().count()
    }
}

#[track_caller]
fn until(what: &str, good: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(120);
    while !good() {
        assert!(Instant::now() < end, "{what} does not come");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn exists(path: &Path) -> bool {
    path.exists()
}

#[test]
fn a_build_survives_the_wizard_and_is_found_cancelled_and_tried_again() {
    let place = Place::new();
    let mut terminal = place.start();
    terminal.wait("Profiles");
    terminal.choose("lab");
    terminal.send("\r");
    terminal.wait("Step 1/7: Endpoints");
    terminal.send("\x07");
    terminal.wait("Esc back");
    terminal.send("6\r");
    terminal.wait("What is to be done");
    terminal.send("b");
    terminal.wait("The image goes to");
    terminal.send("\r");
    terminal.wait("Step 7/7: Build");
    until("the compiler", || place.begun() == 1);

    // Left: it goes on.
    terminal.send("q");
    terminal.wait("The build of lab is running");
    terminal.choose("keep building in the background");
    terminal.send("\r");
    assert_eq!(terminal.end(), 0);
    terminal.is_given_back();
    assert!(terminal.text().contains("goes on in the background"), "{}", terminal.text());
    let running = history::running(&place.logs()).expect("the build went with the wizard");

    // Found again by another wizard, with what it has said meanwhile.
    let mut terminal = place.start();
    terminal.wait("Builds that go on");
    terminal.choose("lab");
    terminal.send("\r");
    terminal.wait("components");
    assert_eq!(history::running(&place.logs()).map(|r| r.run), Some(running.run));
    terminal.send("c");
    terminal.wait("cancelled after");
    until("the end of the build", || history::running(&place.logs()).is_none());

    // Tried again, as another run.
    terminal.send("r");
    until("the compiler again", || place.begun() == 2);
    assert!(history::running(&place.logs()).is_some());
    terminal.send("c");
    terminal.wait("cancelled after");
    until("the end of the build", || history::running(&place.logs()).is_none());

    // The pager gets what is typed while it has the terminal, and the wizard none of it.
    terminal.send("o");
    terminal.wait("PAGER HAS IT");
    terminal.screen(|screen| assert!(!screen.alternate_screen() && !screen.hide_cursor()));
    terminal.send("qqq\r");
    terminal.wait_for("the wizard", Duration::from_secs(20), |screen| {
        screen.alternate_screen() && screen.contents().contains("cancelled after")
    });
    assert_eq!(std::fs::read_to_string(place.path("keys")).unwrap(), "qqq\n");

    // A signal ends the pager first, then the wizard.
    std::fs::remove_file(place.path("keys")).unwrap();
    terminal.send("o");
    terminal.wait_for("the pager", Duration::from_secs(20), |screen| {
        !screen.alternate_screen() && screen.contents().contains("PAGER HAS IT")
    });
    terminal.signal(Signal::TERM);
    assert_eq!(terminal.end(), 143);
    terminal.is_given_back();
    assert!(!exists(&place.path("keys")), "the pager was not asked to end");
    assert!(terminal.text().contains("hookos build lab"), "{}", terminal.text());
}
