//! A folder that stands in for a machine, and the program running in it.

use orchestrator_stand_in::Orchestrator;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

pub const UUID: &str = "4c4c4544-0042-3510-8052-b4c04f4e5431";
pub const SERIAL: &str = "LAB0001";
pub const MAC: &str = "02:00:00:00:00:0a";
pub const ADDRESS: &str = "192.0.2.15";
/// Generous: the tests share few processors.
pub const PATIENCE: Duration = Duration::from_secs(40);
/// The waits of the protocol are divided by this.
const SPEED: &str = "10";

const NAMES: [&str; 4] = ["keycloak", "release", "onboarding", "onboarding-stream"];

pub struct Guest {
    folder: tempfile::TempDir,
    program: Option<Child>,
    said: Arc<Mutex<String>>,
}

impl Guest {
    /// A machine whose site is the stand-in's, without consoles.
    pub fn new(address: SocketAddr, ca: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let guest = Self { folder, program: None, said: Arc::default() };
        for (path, text) in [
            ("sys/class/dmi/id/product_uuid", format!("{}\n", UUID.to_uppercase())),
            ("sys/class/dmi/id/product_serial", format!("{SERIAL}\n")),
            ("sys/class/net/eth0/address", format!("{MAC}\n")),
            ("sys/class/net/lo/address", "00:00:00:00:00:00\n".to_owned()),
            ("addresses", format!("lo 127.0.0.1\neth0 {ADDRESS}\n")),
            ("etc/idp/ca.pem", ca.to_owned()),
            ("proc/cmdline", format!("quiet worker_id={}\n", MAC.to_uppercase().replace(':', "-"))),
        ] {
            guest.put(path, &text);
        }
        for path in ["dev/shm", "run/console", "var/log/client-auth"] {
            fs::create_dir_all(guest.path(path)).unwrap();
        }
        let hosts = NAMES.map(|name| format!("127.0.0.1 {name}.lab.example.com")).join(",");
        guest.put("etc/hook/env_config", &format!("{}EXTRA_HOSTS=\"{hosts}\"\n", Self::site(address)));
        guest
    }

    /// The settings without the addresses of the names.
    pub fn site(address: SocketAddr) -> String {
        let port = address.port();
        format!(
            "KEYCLOAK_URL=keycloak.lab.example.com:{port}\nOBM_PORT={port}\n\
             onboarding_manager_svc=onboarding.lab.example.com\n\
             onboarding_stream_svc=onboarding-stream.lab.example.com\n"
        )
    }

    pub fn of(orchestrator: &Orchestrator) -> Self {
        Self::new(orchestrator.address(), orchestrator.ca_pem())
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub fn put(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_default()
    }

    pub fn shm(&self, name: &str) -> String {
        self.text(&format!("dev/shm/{name}"))
    }

    /// Adds kernel parameters.
    pub fn parameters(&self, text: &str) {
        self.put("proc/cmdline", &format!("{} {text}", self.text("proc/cmdline").trim()));
    }

    /// A console, made of a pseudo-terminal.
    pub fn console(&self, name: &str) -> Console {
        self.parameters(&format!("console={name},115200n8"));
        let console = Console::open();
        symlink(&console.device, self.path(&format!("dev/{name}"))).unwrap();
        console
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookos-device-discovery"));
        command.arg("--root").arg(self.folder.path());
        command
    }

    pub fn start(&mut self) {
        self.start_at(SPEED);
    }

    pub fn start_at(&mut self, speed: &str) {
        let mut child = self.command().args(["--speed", speed]).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let said = Arc::clone(&self.said);
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                println!("{line}");
                let mut said = said.lock().unwrap();
                said.push_str(&line);
                said.push('\n');
            }
        });
        self.program = Some(child);
    }

    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits until the program has said this.
    pub fn expect(&self, text: &str) {
        wait(
            || self.said().contains(text),
            || format!("the program does not say {text:?}, but:\n{}", self.said()),
        );
    }

    /// Waits until there are tokens.
    pub fn expect_tokens(&self) {
        wait(
            || !self.shm("idp_access_token").is_empty(),
            || format!("there are no tokens:\n{}", self.said()),
        );
    }

    pub fn terminate(&mut self) -> Option<i32> {
        let mut program = self.program.take()?;
        let pid = rustix::process::Pid::from_child(&program);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        program.wait().unwrap().code()
    }

    pub fn kill(&mut self) {
        if let Some(mut program) = self.program.take() {
            let _ = program.kill();
            let _ = program.wait();
        }
    }

    /// Nothing that is secret was said, or left anywhere but in /dev/shm.
    pub fn keeps(&self, secrets: &[String]) {
        let mut places = vec![("output".to_owned(), self.said())];
        files_below(self.folder.path(), &mut places);
        places.retain(|(name, _)| !name.contains("/dev/shm/"));
        for secret in secrets.iter().filter(|s| !s.is_empty()) {
            for (name, text) in &places {
                assert!(!text.contains(secret.as_str()), "a secret is in {name}:\n{text}");
            }
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.kill();
    }
}

fn files_below(folder: &Path, into: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files_below(&entry.path(), into);
        } else if kind.is_file() {
            let text = String::from_utf8_lossy(&fs::read(entry.path()).unwrap_or_default()).into_owned();
            into.push((entry.path().display().to_string(), text));
        }
    }
}

pub fn wait(mut until: impl FnMut() -> bool, or: impl FnOnce() -> String) {
    let begun = Instant::now();
    while !until() {
        assert!(begun.elapsed() < PATIENCE, "{}", or());
        thread::sleep(Duration::from_millis(20));
    }
}

/// A person's side of a pseudo-terminal.
pub struct Console {
    keyboard: fs::File,
    device: PathBuf,
    /// Kept open: a terminal that nobody has open hangs up.
    side: fs::File,
    screen: Arc<Mutex<String>>,
}

impl Console {
    fn open() -> Self {
        let main = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&main).unwrap();
        unlockpt(&main).unwrap();
        let device = PathBuf::from(ptsname(&main, Vec::new()).unwrap().into_string().unwrap());
        let side = fs::File::options().read(true).write(true).open(&device).unwrap();
        let keyboard = fs::File::from(main);
        let mut reading = keyboard.try_clone().unwrap();
        let screen: Arc<Mutex<String>> = Arc::default();
        let shown = Arc::clone(&screen);
        thread::spawn(move || {
            let mut part = [0u8; 512];
            while let Ok(count @ 1..) = reading.read(&mut part) {
                shown.lock().unwrap().push_str(&String::from_utf8_lossy(&part[..count]));
            }
        });
        Self { keyboard, device, side, screen }
    }

    pub fn screen(&self) -> String {
        self.screen.lock().unwrap().clone()
    }

    /// Waits until the text was shown that many times.
    pub fn expect(&self, text: &str, times: usize) {
        wait(
            || self.screen().matches(text).count() >= times,
            || format!("{text:?} is not on the screen {times} times:\n{}", self.screen()),
        );
    }

    /// Types a line.
    pub fn enter(&mut self, text: &str) {
        self.keyboard.write_all(format!("{text}\r").as_bytes()).unwrap();
    }

    /// Answers the question that is open, or will be.
    pub fn log_in(&mut self, user: &str, password: &str) {
        for (prompt, answer) in [("User name: ", user), ("Password (not shown): ", password)] {
            wait(
                || self.screen().ends_with(prompt),
                || format!("{prompt:?} is not asked:\n{}", self.screen()),
            );
            self.enter(answer);
        }
    }

    /// Whether the terminal shows what is typed and handles keys that send signals, as it did at first.
    pub fn is_as_before(&self) -> bool {
        let modes = tcgetattr(&self.side).unwrap().local_modes;
        modes.contains(LocalModes::ECHO | LocalModes::ISIG | LocalModes::ICANON)
            && !modes.contains(LocalModes::ECHONL)
    }
}
