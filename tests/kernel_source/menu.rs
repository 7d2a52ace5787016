//! `hookos kernel --config` at a terminal: what is changed by keys is saved, and whatever ends it ends menuconfig too.

use super::terminal::Terminal;
use super::{Project, scratch, tarball, works_in};
use rustix::process::Signal;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const HOOKOS: &str = env!("CARGO_BIN_EXE_hookos");
/// Unpacking and making menuconfig itself takes a while where much else is going on.
const PATIENCE: Duration = Duration::from_secs(300);
/// Twice, as menuconfig wants it: once may be the beginning of another key.
const ESCAPE: &str = "\x1b\x1b";

struct Menu {
    project: Project,
    tarball: PathBuf,
    sha256: String,
}

impl Menu {
    fn start(&self, told: bool) -> Terminal {
        let point = super::linux().point.to_string();
        let env = [
            ("HOOKOS_ROOT", self.project.root.to_str().unwrap()),
            ("HOOKOS_CACHE", self.project.store.to_str().unwrap()),
            ("HOOKOS_KERNEL_CONFIG", "tiny"),
            ("HOOKOS_KERNEL_POINT", &point),
            ("HOOKOS_KERNEL_TARBALL", self.tarball.to_str().unwrap()),
            ("HOOKOS_KERNEL_TARBALL_SHA256", &self.sha256),
        ];
        let start = if told { Terminal::start } else { Terminal::start_uncontrolled };
        start((80, 24), &self.project.root, &[HOOKOS, "kernel", "lab", "--config"], &env)
    }

    /// Waits for menuconfig, finds an option there and sets it.
    fn set_swap(&self, terminal: &mut Terminal) {
        terminal.wait_for("menuconfig", PATIENCE, |screen| screen.contents().contains("General setup"));
        terminal.send("/");
        terminal.wait("Search Configuration Parameter");
        terminal.send("^SWAP$\r");
        terminal.wait("Symbol: SWAP [=n]");
        terminal.send("1");
        terminal.wait("[ ] Support for paging of anonymous memory");
        terminal.send("y");
        terminal.wait("[*] Support for paging of anonymous memory");
    }

    fn file(&self) -> String {
        std::fs::read_to_string(self.project.root.join("kernel/configs/tiny-5.10.y-x86_64")).unwrap()
    }
}

#[test]
fn menuconfig_saves_what_was_changed_and_ends_with_hookos() {
    let folder = tempfile::tempdir_in(super::work("kernel-source")).unwrap();
    let (tarball, sha256) = tarball::set_up(folder.path());
    let menu = Menu { project: Project::new(folder.path()), tarball, sha256: sha256.hex() };
    let before = menu.file();

    // Whatever ends it: nothing is saved, nothing is left.
    type End = fn(&mut Terminal);
    let ends: [(&str, bool, End, i32); 4] = [
        ("Ctrl-C", true, |terminal| terminal.send("\x03"), 130),
        ("SIGTERM", true, |terminal| terminal.signal(Signal::TERM), 143),
        ("a terminal that is gone", true, Terminal::hang_up, 143),
        // A program whose controlling terminal it is not gets no signal.
        ("a terminal that is gone untold", false, Terminal::hang_up, 143),
    ];
    for (what, told, end, code) in ends {
        let mut terminal = menu.start(told);
        menu.set_swap(&mut terminal);
        end(&mut terminal);
        assert_eq!(terminal.end_within(PATIENCE), code, "{what}: {}", terminal.text());
        assert_eq!(menu.file(), before, "{what}");
        assert_eq!(scratch(&menu.project.store), [] as [PathBuf; 0], "{what}");
        let until = Instant::now() + Duration::from_secs(20);
        while works_in(&menu.project.store) {
            assert!(Instant::now() < until, "{what}: a process is left");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    let mut terminal = menu.start(true);
    menu.set_swap(&mut terminal);
    terminal.send(ESCAPE);
    terminal.wait("Symbol: SWAP [=y]");
    terminal.send(ESCAPE);
    terminal.wait_for("the first menu", PATIENCE, |screen| {
        let text = screen.contents();
        text.contains("General setup") && !text.contains("Search Results")
    });
    terminal.send(ESCAPE);
    terminal.wait("Do you wish to save your new configuration?");
    terminal.send("\r");
    assert_eq!(terminal.end_within(PATIENCE), 0, "{}", terminal.text());
    assert!(terminal.text().contains("SWAP: built in"), "{}", terminal.text());
    let after = menu.file();
    assert!(!before.contains("CONFIG_SWAP=y\n") && after.contains("CONFIG_SWAP=y\n"), "{after}");
    let rest = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.contains("CONFIG_SWAP")).map(str::to_owned).collect()
    };
    assert!(rest(&after).starts_with(&rest(&before)), "the other lines stay: {after}");
}
