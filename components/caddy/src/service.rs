//! The service: the token endpoint and Caddy, side by side, until one ends.

use crate::NAME;
use crate::config::{Config, Target};
use crate::endpoint;
use crate::output::Quiet;
use crate::routes::{Credentials, ROUTES};
use crate::site::{Level, Site};
use crate::tokens::Tokens;
use crate::tunnel::Tunnel;
use hookos_guest::cmdline::Cmdline;
use hookos_guest::notice;
use hookos_onboarding::files::{self, Files};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

/// Where things are.
#[derive(Debug, Clone)]
pub struct Machine {
    pub caddy: PathBuf,
    pub cmdline: PathBuf,
    pub env_config: PathBuf,
    pub ca: PathBuf,
    pub product_uuid: PathBuf,
    pub tokens: PathBuf,
    /// A folder of our own, in memory.
    pub run: PathBuf,
    /// How long a request waits for tokens.
    pub patience: Duration,
    /// Added to every port that is listened on; 0 on a machine.
    pub offset: u16,
}

impl Machine {
    /// The machine that this runs on.
    pub fn this() -> Self {
        Self {
            caddy: "/usr/bin/caddy".into(),
            cmdline: "/proc/cmdline".into(),
            env_config: "/etc/hook/env_config".into(),
            ca: "/etc/idp/ca.pem".into(),
            product_uuid: "/sys/class/dmi/id/product_uuid".into(),
            tokens: files::FOLDER.into(),
            run: "/run/caddy".into(),
            patience: endpoint::PATIENCE,
            offset: 0,
        }
    }
}

/// Runs Caddy until `stop` is ready; an error when it ends before that. What is worth keeping of Caddy's
/// log goes to `log`.
pub async fn run<L>(machine: &Machine, log: L, stop: impl Future<Output = ()>) -> io::Result<()>
where
    L: io::Write + Send + 'static,
{
    let socket = machine.run.join("tokens.sock");
    fs::create_dir_all(&machine.run)?;
    let listener = endpoint::bind(&socket).map_err(|e| told("cannot make the token endpoint", &e))?;
    let tokens = Tokens::watch(Files::at(&machine.tokens), host_guid(machine))
        .map_err(|e| told("cannot watch the folder of the tokens", &e))?;

    let site = Site::parse(&fs::read_to_string(&machine.env_config).unwrap_or_default());
    let targets = targets(machine, &site);
    let quiet = Quiet { socket: socket.display().to_string(), logging: logging(&targets) };
    let config = Config {
        level: Level::of(&Cmdline::parse(&fs::read(&machine.cmdline).unwrap_or_default())),
        socket: &socket,
        ca: &machine.ca,
        targets,
        offset: machine.offset,
    };
    let path = machine.run.join("caddy.json");
    fs::write(&path, serde_json::to_vec_pretty(&config.render())?)?;

    let mut caddy = start(machine, &path).map_err(|e| told("cannot start Caddy", &e))?;
    if let Some(said) = caddy.stderr.take() {
        tokio::spawn(async move { quiet.pass_on(said, log).await });
    }
    tokio::select! {
        () = stop => end(&mut caddy).await,
        status = caddy.wait() => Err(io::Error::other(format!("Caddy ended: {}", status?))),
        () = tokens.watch_ended() => {
            Err(io::Error::other("the folder of the tokens can no longer be watched"))
        }
        never = endpoint::serve(listener, tokens.clone(), machine.patience) => match never {},
    }
}

fn start(machine: &Machine, config: &Path) -> io::Result<Child> {
    Command::new(&machine.caddy)
        .args(["run", "--config"])
        .arg(config)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        // Caddy keeps a file or two of its own below these.
        .env("HOME", &machine.run)
        .env("XDG_DATA_HOME", machine.run.join("data"))
        .env("XDG_CONFIG_HOME", machine.run.join("config"))
        // The resolver that reads /etc/hosts and /etc/resolv.conf anew when they change.
        .env("GODEBUG", "netdns=go")
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
}

/// Where each route leads, or why nowhere; that is said on the console too, once for each reason.
fn targets(machine: &Machine, site: &Site) -> [Result<Target, String>; ROUTES.len()] {
    let no_ca = certificates(machine).err();
    let target = |index: usize| -> Result<Target, String> {
        let service = ROUTES[index].service;
        let upstream = site.upstream(service).map_err(|missing| missing.reason(service))?;
        if let Some(reason) = no_ca.clone() {
            return Err(reason);
        }
        let (https_proxy, no_proxy) = site.proxy();
        let dial = match Tunnel::to(&upstream, https_proxy, no_proxy)? {
            None => format!("{}:{}", upstream.host, upstream.port),
            Some(tunnel) => {
                let socket = machine.run.join(format!("{service}.sock"));
                tunnel.open(&socket).map_err(|e| format!("no tunnel for {service}: {e}"))?;
                format!("unix/{}", socket.display())
            }
        };
        Ok(Target { upstream, dial })
    };
    let targets: [_; ROUTES.len()] = std::array::from_fn(target);
    let mut reasons: Vec<&str> =
        targets.iter().filter_map(|t| t.as_ref().err().map(String::as_str)).collect();
    reasons.sort_unstable();
    reasons.dedup();
    for reason in reasons {
        notice::warn(NAME, reason);
    }
    targets
}

/// The address of the route that carries logs.
fn logging(targets: &[Result<Target, String>; ROUTES.len()]) -> Option<String> {
    let mut pairs = ROUTES.iter().zip(targets);
    let (_, target) = pairs.find(|(route, _)| route.credentials == Credentials::Logs)?;
    target.as_ref().ok().map(|target| target.dial.clone())
}

/// The machine's SMBIOS UUID, as sysfs shows it.
fn host_guid(machine: &Machine) -> Option<String> {
    let text = fs::read_to_string(&machine.product_uuid).unwrap_or_default();
    let guid = text.trim();
    if guid.is_empty() {
        notice::say(NAME, &format!("{} names no UUID: logs go without", machine.product_uuid.display()));
        return None;
    }
    Some(guid.to_owned())
}

/// Why no service can be trusted. Caddy itself would end, and take the routes' own answers with it.
fn certificates(machine: &Machine) -> Result<(), String> {
    let remedy = "give the orchestrator's CA certificate (`hookos certs`) and build the image again";
    let ca = machine.ca.display();
    match fs::read(&machine.ca) {
        Err(e) => Err(format!("{ca} cannot be read, so no service can be trusted: {e}; {remedy}")),
        Ok(bytes) if !String::from_utf8_lossy(&bytes).contains("-----BEGIN CERTIFICATE-----") => {
            Err(format!("{ca} holds no certificate, so no service can be trusted: {remedy}"))
        }
        Ok(_) => Ok(()),
    }
}

fn told(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

/// Asks Caddy to end, and insists when that takes longer than its grace period of a second.
async fn end(caddy: &mut Child) -> io::Result<()> {
    let pid = caddy.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // It is ours to wait for, so the number is not another's.
        let _ = kill_process(pid, Signal::TERM);
    }
    match tokio::time::timeout(Duration::from_secs(2), caddy.wait()).await {
        Ok(status) => status.map(drop),
        Err(_) => caddy.kill().await,
    }
}
