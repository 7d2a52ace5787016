//! The wizard on a real terminal, or what a program takes for one: it comes up, it takes keys, and it gives
//! the terminal back whatever ends it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;
#[path = "support/terminal.rs"]
#[allow(dead_code)]
mod terminal;

use rustix::process::Signal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use terminal::Terminal;

const HOOKOS: &str = env!("CARGO_BIN_EXE_hookos");
const BIG: (u16, u16) = (80, 24);

/// A project and a home of its own.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Self { folder };
        for name in ["components", "kernel", "profiles"] {
            copy(&Path::new(support::ROOT).join(name), &place.root().join(name));
        }
        place
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    fn start(&self, size: (u16, u16)) -> Terminal {
        self.start_with(size, &[HOOKOS], &[])
    }

    fn start_with(&self, size: (u16, u16), words: &[&str], more: &[(&str, &str)]) -> Terminal {
        let (root, cache) = (self.root(), self.folder.path().join("cache"));
        let mut env =
            vec![("HOOKOS_ROOT", root.to_str().unwrap()), ("HOOKOS_CACHE", cache.to_str().unwrap())];
        env.extend(more);
        Terminal::start(size, self.folder.path(), words, &env)
    }

    fn drafts(&self) -> Vec<PathBuf> {
        let folder = self.folder.path().join(".local/state/hookos/drafts");
        std::fs::read_dir(folder).into_iter().flatten().map(|e| e.unwrap().path()).collect()
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.unwrap();
        let target = to.join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The wizard on the first step of `lab`.
fn on_endpoints(place: &Place) -> Terminal {
    let mut terminal = place.start(BIG);
    terminal.wait("Profiles");
    terminal.wait("lab");
    terminal.send("\x1b[B\r");
    terminal.wait("Step 1/7: Endpoints");
    terminal
}

#[test]
fn quitting_gives_the_terminal_back() {
    let place = Place::new();
    let mut terminal = place.start(BIG);
    terminal.wait("Profiles");
    terminal.screen(|screen| assert!(screen.alternate_screen() && screen.bracketed_paste()));
    terminal.send("q");
    assert_eq!(terminal.end(), 0);
    terminal.is_given_back();
}

#[test]
fn signals_give_the_terminal_back_and_keep_what_was_typed() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130)] {
        let place = Place::new();
        let mut terminal = on_endpoints(&place);
        terminal.send(".example.org");
        terminal.wait("(not saved)");
        terminal.signal(signal);
        assert_eq!(terminal.end(), code, "{signal:?}");
        terminal.is_given_back();
        terminal.wait("is kept");
        let drafts = place.drafts();
        assert_eq!(drafts.len(), 1, "{signal:?}");
        assert!(std::fs::read_to_string(&drafts[0]).unwrap().contains("lab.example.com.example.org"));
    }
}

#[test]
fn behaviour_18_after_a_kill_the_next_start_offers_what_was_typed() {
    let place = Place::new();
    let mut terminal = on_endpoints(&place);
    terminal.send(".example.org");
    terminal.wait("(not saved)");
    // After a step it is on the disk, so nothing can take it away any more.
    terminal.send("\x0e");
    terminal.wait("Step 2/7: Network");
    terminal.signal(Signal::KILL);
    terminal.end();
    let mut terminal = place.start(BIG);
    terminal.wait("Not saved");
    terminal.send("\r");
    terminal.wait("Go on with it");
    terminal.send("\r");
    terminal.wait("Step 2/7: Network");
    terminal.send("\x10");
    terminal.wait("lab.example.com.example.org");
    terminal.send("\x03");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn a_terminal_that_is_gone_ends_the_program() {
    // With SIGHUP, and without: a program whose controlling terminal it is not is not told.
    for told in [true, false] {
        let place = Place::new();
        let (root, cache) = (place.root(), place.folder.path().join("cache"));
        let env = [("HOOKOS_ROOT", root.to_str().unwrap()), ("HOOKOS_CACHE", cache.to_str().unwrap())];
        let start = if told { Terminal::start } else { Terminal::start_uncontrolled };
        let mut terminal = start(BIG, place.folder.path(), &[HOOKOS], &env);
        terminal.wait("Profiles");
        terminal.hang_up();
        assert_eq!(terminal.end_within(Duration::from_secs(5)), 129, "told: {told}");
    }
}

#[test]
fn ctrl_z_gives_the_shell_its_terminal_and_fg_comes_back() {
    let place = Place::new();
    let words = ["bash", "--norc", "--noprofile", "-i"];
    let mut terminal =
        place.start_with(BIG, &words, &[("PS1", "prompt> "), ("BASH_SILENCE_DEPRECATION_WARNING", "1")]);
    terminal.wait("prompt>");
    terminal.send(&format!("{HOOKOS}\r"));
    terminal.wait("Profiles");
    terminal.send("\x1a");
    terminal.wait("Stopped");
    // (Pastes are bracketed: the shell wants that for itself.)
    terminal.screen(|screen| assert!(!screen.alternate_screen() && !screen.hide_cursor()));
    terminal.send("stty -a | tr ';' '\\n' | grep -o -w -e '-*icanon' -e '-*echo'\r");
    terminal.wait("icanon\necho");
    assert!(
        !terminal.text().contains("-icanon") && !terminal.text().contains("-echo"),
        "{}",
        terminal.text()
    );
    terminal.send("fg\r");
    terminal.wait_for("the wizard", Duration::from_secs(10), |s| {
        s.alternate_screen() && s.contents().contains("Profiles")
    });
    // All of it is painted again, and keys work.
    terminal.wait("Enter open");
    terminal.send("n");
    terminal.wait("New site");
    terminal.send("\x03");
    terminal.wait("prompt>");
    terminal.screen(|screen| assert!(!screen.alternate_screen() && !screen.hide_cursor()));
    terminal.send("exit\r");
    terminal.end();
}

#[test]
fn behaviour_18_what_was_typed_just_before_ctrl_z_outlives_a_kill() {
    let place = Place::new();
    let mut terminal =
        place.start_with(BIG, &["bash", "--norc", "--noprofile", "-i"], &[("PS1", "prompt> ")]);
    terminal.wait("prompt>");
    terminal.send(&format!("{HOOKOS}\r"));
    terminal.wait("Profiles");
    terminal.wait("lab");
    terminal.send("\x1b[B\r");
    terminal.wait("Step 1/7: Endpoints");
    // In one go: there is no time to save it in between.
    terminal.send(".example.org\x1a");
    terminal.wait("Stopped");
    let drafts = place.drafts();
    assert_eq!(drafts.len(), 1);
    assert!(std::fs::read_to_string(&drafts[0]).unwrap().contains("lab.example.com.example.org"));
    terminal.send("kill -9 %1\rexit\r");
    terminal.send("exit\r");
    terminal.end();
}

/// A pager that leaves the terminal in disorder, and says its process. It ends by itself when it is told to, or
/// takes no notice.
fn pager(place: &Place, stubborn: bool) -> (String, PathBuf) {
    let (script, pid) = (place.folder.path().join("pager.sh"), place.folder.path().join("pager.pid"));
    let trap = if stubborn { "trap '' TERM HUP" } else { ":" };
    let text = format!(
        "{trap}\nstty raw -echo\nprintf '\\033[?1049h\\033[?25l'\necho the pager is up\n\
         echo $$ > {}\nwhile :; do sleep 0.1; done\n",
        pid.display()
    );
    std::fs::write(&script, text).unwrap();
    (format!("sh {}", script.display()), pid)
}

#[test]
fn a_signal_while_another_program_has_the_terminal_ends_both_and_gives_it_back() {
    for (stubborn, signal, code) in
        [(false, Signal::TERM, 143), (false, Signal::HUP, 129), (true, Signal::TERM, 143)]
    {
        let place = Place::new();
        let (command, pid) = pager(&place, stubborn);
        let mut terminal = place.start_with(BIG, &[HOOKOS], &[("PAGER", &command)]);
        terminal.wait("Profiles");
        terminal.wait("lab");
        terminal.send("\x1b[B\r");
        terminal.wait("Step 1/7: Endpoints");
        terminal.send(".example.org");
        terminal.wait("(not saved)");
        // A build that fails at once, since this project is not whole: it has a log.
        terminal.send("\x07");
        terminal.wait("Esc back");
        terminal.send("6\r");
        terminal.wait("Step 6/7: Review");
        terminal.send("b");
        terminal.wait("Build without saving");
        terminal.send("\x1b[B\r");
        terminal.wait("failed after");
        terminal.send("o");
        terminal.wait("the pager is up");
        let wait = || std::fs::read_to_string(&pid).ok().and_then(|text| text.trim().parse().ok());
        let until = std::time::Instant::now() + Duration::from_secs(20);
        let process: i32 = loop {
            if let Some(process) = wait() {
                break process;
            }
            assert!(std::time::Instant::now() < until);
            std::thread::sleep(Duration::from_millis(20));
        };
        terminal.signal(signal);
        if stubborn {
            // It is given the time that it takes, until somebody insists.
            std::thread::sleep(Duration::from_secs(1));
            assert!(
                rustix::process::test_kill_process(rustix::process::Pid::from_raw(process).unwrap()).is_ok()
            );
            terminal.signal(signal);
        }
        assert_eq!(terminal.end(), code, "{signal:?}, stubborn: {stubborn}");
        terminal.is_given_back();
        assert!(terminal.takes_lines(), "{signal:?}: the terminal is raw");
        let gone =
            || rustix::process::test_kill_process(rustix::process::Pid::from_raw(process).unwrap()).is_err();
        let until = std::time::Instant::now() + Duration::from_secs(20);
        while !gone() {
            assert!(std::time::Instant::now() < until, "{signal:?}: the pager goes on");
            std::thread::sleep(Duration::from_millis(20));
        }
        let drafts = place.drafts();
        assert_eq!(drafts.len(), 1, "{signal:?}");
        assert!(std::fs::read_to_string(&drafts[0]).unwrap().contains("lab.example.com.example.org"));
    }
}

/// A program that panics while it has the terminal. Does nothing unless a test starts it as one.
#[test]
fn panicking_program() {
    if std::env::var_os("WIZARD_TEST_PANICS").is_none() {
        return;
    }
    let (_session, _screen) = hookos::tui::session::Session::enter().unwrap();
    eprint!("on the alternate screen");
    panic!("the words of the panic");
}

#[test]
fn a_panic_gives_the_terminal_back_before_it_speaks() {
    let place = Place::new();
    let own = std::env::current_exe().unwrap();
    let words = [own.to_str().unwrap(), "--exact", "panicking_program", "--nocapture"];
    let mut terminal = place.start_with(BIG, &words, &[("WIZARD_TEST_PANICS", "1")]);
    assert_ne!(terminal.end(), 0);
    terminal.is_given_back();
    let text = terminal.text();
    assert!(text.contains("the words of the panic") && !text.contains("on the alternate screen"), "{text}");
    let raw = String::from_utf8_lossy(&terminal.raw()).into_owned();
    let (left, spoke) = (raw.find("\x1b[?1049l").unwrap(), raw.find("the words of").unwrap());
    assert!(left < spoke, "it spoke on the screen that is taken away");
}

#[test]
fn a_new_size_is_used_at_once() {
    let place = Place::new();
    let mut terminal = on_endpoints(&place);
    terminal.resize(120, 40);
    terminal.wait("locked");
    terminal.resize(50, 10);
    terminal.wait("50x10 is too small");
    terminal.resize(60, 16);
    terminal.wait("Step 1/7: Endpoints");
    terminal.send("\x03");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn a_pasted_certificate_is_read_whole() {
    let place = Place::new();
    let mut terminal = on_endpoints(&place);
    terminal.send("\x0e\x0e");
    terminal.wait("Step 3/7: Certificates");
    terminal.send("\x16");
    terminal.wait("Paste PEM text");
    let pem = std::fs::read_to_string(place.root().join("profiles/lab-ca.pem")).unwrap();
    let (half, rest) = pem.split_at(pem.len() / 2);
    terminal.paste(half);
    terminal.paste(rest);
    terminal.wait("Certificates taken (pasted)");
    assert!(!place.root().join("certs").exists(), "nothing is written before it is saved");
    terminal.send("\x13");
    terminal.wait("Saved");
    assert_eq!(std::fs::read_to_string(place.root().join("certs/lab/ca.pem")).unwrap(), pem);
    terminal.send("\x03");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn behaviour_25_without_colour_the_choice_can_still_be_seen() {
    let place = Place::new();
    let mut terminal = place.start_with(BIG, &[HOOKOS], &[("NO_COLOR", "1")]);
    terminal.wait("Profiles");
    terminal.send("d");
    terminal.wait("Cancel");
    let reversed = terminal.screen(|screen| {
        let cells = (0..24).flat_map(|row| (0..80).map(move |col| (row, col)));
        cells.filter_map(|(row, col)| screen.cell(row, col)).filter(|cell| cell.inverse()).count()
    });
    assert!(reversed > 10, "{}", terminal.text());
    let raw = String::from_utf8_lossy(&terminal.raw()).into_owned();
    let colours = ["\x1b[38;", "\x1b[48;", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[36m"];
    assert!(!colours.iter().any(|colour| raw.contains(colour)), "a colour is asked for");
    terminal.send("\x03");
    assert_eq!(terminal.end(), 0);
}

/// The bytes between `\x1b[` and `m`: what is said of colours and attributes.
fn styles(raw: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(raw);
    let part = |part: &str| {
        let end = part.find(|c: char| !c.is_ascii_digit() && c != ';')?;
        (part[end..].starts_with('m')).then(|| part[..end].to_owned())
    };
    text.split("\x1b[").skip(1).filter_map(part).collect()
}

#[test]
fn behaviour_25_the_console_of_linux_gets_ascii_and_its_sixteen_colours() {
    let place = Place::new();
    let mut terminal = place.start_with(BIG, &[HOOKOS], &[("TERM", "linux"), ("LANG", "C")]);
    terminal.wait("Profiles");
    terminal.wait("> ");
    terminal.send("\x1b[B\r");
    terminal.wait("Step 1/7: Endpoints");
    terminal.send("\x0e");
    terminal.wait("Step 2/7: Network");
    // The keys of that console.
    terminal.send("\x1b[B\x1b[B");
    terminal.send("q");
    terminal.wait("not saved");
    assert!(terminal.raw().is_ascii(), "its font has no other signs");
    let styles = styles(&terminal.raw());
    assert!(!styles.is_empty());
    for style in styles {
        let codes: Vec<u16> = style.split(';').filter_map(|code| code.parse().ok()).collect();
        // 38;5;N with N below 16 is one of the sixteen; a background is never set, so that light ones work.
        assert!(!codes.contains(&2) || !matches!(codes[..], [38 | 48, 2, ..]), "true colour: {style}");
        assert!(!matches!(codes[..], [38, 5, n, ..] if n > 15), "none of the sixteen: {style}");
        let background = |code: &u16| matches!(code, 40..=47 | 48 | 100..=107);
        assert!(!codes.first().is_some_and(background), "a background: {style}");
    }
    terminal.signal(Signal::TERM);
    assert_eq!(terminal.end(), 143);
    terminal.is_given_back();
}

#[test]
fn behaviour_25_a_dumb_terminal_and_a_screen_reader_get_lines() {
    for (name, value) in [("TERM", "dumb"), ("ACCESSIBLE", "1")] {
        let place = Place::new();
        let mut terminal = place.start_with(BIG, &[HOOKOS], &[(name, value)]);
        terminal.wait("Site:");
        terminal.send("lab\r");
        terminal.wait("Step 1 of 7: Endpoints");
        terminal.wait("Cluster domain [lab.example.com, profile lab]:");
        terminal.send("!\r");
        assert_eq!(terminal.end(), 0, "{name}");
        assert!(!terminal.raw().contains(&0x1b), "{name}: no escape sequence is sent");
        assert!(terminal.raw().is_ascii(), "{name}: nothing is drawn");
    }
}

#[test]
fn behaviour_25_the_whole_wizard_as_lines() {
    let place = Place::new();
    let mut terminal = place.start_with((80, 200), &[HOOKOS, "--plain"], &[]);
    terminal.wait("Site:");
    terminal.answer("depot", "Begin a new site of that name");
    terminal.answer("yes", "Cluster domain [no value]:");
    // Before the first question there is nothing.
    terminal.answer("<", "This is the first question");
    terminal.answer("a..b", "try: a host name or IPv4 address");
    terminal.answer("depot.example.com", "Keycloak [keycloak.depot.example.com:443, derived]:");
    terminal.answer("?", "Identity provider");
    terminal.answer("kc.example.com:8443", "Release service [");
    terminal.answer("<", "Keycloak [kc.example.com:8443, edited]:");
    terminal.answer("=", "Release service [");
    terminal.answer("-", "OCI release service [");
    // Behind the fields, what else the step has; then the next step.
    terminal.answer(">", "1. Test the connection");
    terminal.answer("", "Step 2 of 7: Network");
    terminal.answer(">", "Go on to Certificates");
    terminal.answer("", "Step 3 of 7: Certificates");
    terminal.wait("has no certificates");
    terminal.answer("placeholder", "Make placeholder certificates?");
    terminal.answer("2", "Placeholders: the image trusts no real server.");
    // Back and forth: nothing is lost.
    terminal.answer("*go to any", "Step (Enter: stay)");
    terminal.answer("5", "Step 5 of 7: Components");
    terminal.wait("in: acpid");
    terminal.answer("acpid", "out: acpid");
    terminal.answer("<", "Step 4 of 7: Kernel");
    terminal.wait("[");
    terminal.answer(">", "Kernel modules");
    terminal.answer("", "(depot, not saved)");
    terminal.answer("*go to any", "6. Review");
    terminal.answer("6", "Step 6 of 7: Review");
    terminal.wait("The same as a command");
    assert!(!place.root().join("profiles/depot.toml").exists(), "nothing is written before it is asked for");
    terminal.answer("save", "Saved ");
    let profile = std::fs::read_to_string(place.root().join("profiles/depot.toml")).unwrap();
    for line in
        ["cluster_domain = \"depot.example.com\"", "placeholder = true", "components_off = [\"acpid\"]"]
    {
        assert!(profile.contains(line), "{profile}");
    }
    assert!(!profile.contains("kc.example.com"), "{profile}");
    assert!(place.root().join("certs/depot/server_cert.pem").is_file());
    terminal.send("!\r");
    assert_eq!(terminal.end(), 0, "{}", terminal.text());
    assert!(!terminal.raw().contains(&0x1b), "no escape sequence is sent");
    assert!(place.drafts().is_empty());
}

#[test]
fn behaviour_25_as_lines_a_save_that_fails_loses_nothing_and_input_outlives_the_end() {
    let place = Place::new();
    let profiles = place.root().join("profiles");
    let mut terminal = place.start_with((80, 200), &[HOOKOS, "--plain"], &[]);
    terminal.wait("Site:");
    terminal.answer("depot", "Begin a new site");
    terminal.answer("yes", "Cluster domain [no value]:");
    terminal.answer("depot.example.com", "Keycloak [");
    terminal.answer("*go to any", "3. Certificates");
    terminal.answer("3", "Step 3 of 7");
    terminal.answer("placeholder", "Make placeholder");
    terminal.answer("2", "Placeholders: the image");
    // Somebody makes the same profile meanwhile.
    std::fs::write(profiles.join("depot.toml"), "schema_version = 1\n").unwrap();
    terminal.answer("*save", "there is a profile depot already");
    assert!(!place.root().join("certs/depot").exists());
    std::fs::remove_file(profiles.join("depot.toml")).unwrap();
    // The end of the input is no end of what was typed.
    terminal.send("\x04");
    terminal.wait("is kept");
    assert_eq!(terminal.end(), 0);
    assert_eq!(place.drafts().len(), 1);
    let mut terminal = place.start_with((80, 200), &[HOOKOS, "--plain"], &[]);
    terminal.wait("Not saved:");
    terminal.wait("depot, ! 2 settings changed, certificates");
    terminal.answer("1", "Go on with it");
    terminal.answer("", "Step 3 of 7: Certificates (depot, not saved)");
    terminal.wait("Placeholders: the image");
    terminal.answer("*save", "Saved ");
    assert!(place.root().join("certs/depot/ca.pem").is_file(), "the certificates come with it");
    terminal.send("!\r");
    assert_eq!(terminal.end(), 0);
    assert!(place.drafts().is_empty());
}

#[test]
fn behaviour_25_profiles_are_managed_as_lines() {
    let place = Place::new();
    let profiles = place.root().join("profiles");
    let mut terminal = place.start_with((80, 200), &[HOOKOS, "--plain"], &[]);
    terminal.wait("Site:");
    // A file of the working folder is a file, and no name of a new site.
    std::fs::write(place.folder.path().join("config"), "keycloak_url=\"kc.example.com\"\n").unwrap();
    terminal.answer("config", "Import a config file");
    terminal.answer("south", "Cluster domain [no value]:");
    terminal.answer("", "Keycloak [kc.example.com, imported]:");
    terminal.answer("*save", "Saved ");
    terminal.answer("*list of profiles", "copy NAME");
    terminal.answer("copy south", "Name of the copy");
    terminal.answer("west", "Copied south");
    terminal.answer("rename west", "New name [west]");
    terminal.answer("east", "west is now east.");
    terminal.answer("delete south", "Delete the profile south?");
    terminal.answer("2", "Deleted ");
    assert!(!profiles.join("south.toml").exists() && !profiles.join("west.toml").exists());
    assert!(std::fs::read_to_string(profiles.join("east.toml")).unwrap().contains("kc.example.com"));
    terminal.answer("last run east", "was never built here");
    terminal.send("!\r");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn behaviour_15_where_nobody_can_answer_nothing_is_asked() {
    let place = Place::new();
    for words in [&[][..], &["--plain"], &["--json"]] {
        let output = Command::new(HOOKOS)
            .args(words)
            .env("HOOKOS_ROOT", place.root())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("hookos build PROFILE"), "{said}");
        assert!(output.stdout.is_empty());
    }
    // What is missing is named all at once, each with its flag and its variable.
    let output = Command::new(HOOKOS)
        .args(["configure", "--profile", "fresh"])
        .env("HOOKOS_ROOT", place.root())
        .env_remove("http_proxy")
        .env_remove("https_proxy")
        .env_remove("HTTPS_PROXY")
        .env_remove("no_proxy")
        .env_remove("NO_PROXY")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    for field in hookos::site::FIELDS.iter().filter(|f| f.onboarding && f.default_value(None).is_none()) {
        assert!(
            said.contains(&format!("--{}", field.flag)) && said.contains(field.env),
            "{}: {said}",
            field.key
        );
    }
}
