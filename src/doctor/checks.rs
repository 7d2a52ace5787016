//! One thing each.

use super::{Finding, State};
use crate::boot::Machine;
use crate::component::{self, Source};
use crate::debian::sources;
use crate::docker::{Engine, Place};
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

/// The oldest Rust that compiles the image's programs.
const RUST: (u32, u32) = (1, 95);
/// Bytes that a first build writes to the store, and an image to its folder, with room to spare.
const ROOM: u64 = 6 << 30;
/// Who does not answer in this time is not there.
const PATIENCE: Duration = Duration::from_secs(5);

/// The first line that a program prints.
fn says(program: &str, argument: &str) -> Option<String> {
    let output = Command::new(program).arg(argument).output().ok().filter(|o| o.status.success())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().next().map(str::to_owned)
}

pub fn toolchain() -> Finding {
    let (name, for_what) = ("Rust", "compiling the image's own programs");
    let fix = format!("install Rust {}.{} or later, with rustup or from the distribution", RUST.0, RUST.1);
    let lacks = |found: String| Finding::lacks(name, for_what, State::Bad, found, fix.clone());
    let (Some(cargo), Some(rustc)) = (says("cargo", "--version"), says("rustc", "--version")) else {
        return lacks("cargo or rustc is not in PATH".to_owned());
    };
    let number = rustc.split_whitespace().nth(1).unwrap_or_default();
    let mut parts = number.split('.').filter_map(|part| part.parse::<u32>().ok());
    match (parts.next(), parts.next()) {
        (Some(major), Some(minor)) if (major, minor) >= RUST => {
            Finding::good(name, for_what, format!("{rustc}; {cargo}"))
        }
        _ => lacks(format!("{rustc} is too old")),
    }
}

pub fn compiler() -> Finding {
    let (name, for_what) = ("C compiler", "linking the image's own programs");
    match says("cc", "--version") {
        Some(version) => Finding::good(name, for_what, version),
        None => Finding::lacks(name, for_what, State::Bad, "cc is not in PATH", "apt-get install gcc"),
    }
}

pub fn apt() -> Finding {
    let (name, for_what) = ("apt", "finding and fetching Debian packages");
    let Some(version) = says("apt-get", "--version") else {
        let fix = "build on Debian or a distribution made from it, or take images that are built elsewhere: \
                   hookos stamp";
        return Finding::lacks(name, for_what, State::Bad, "apt-get is not in PATH", fix);
    };
    let folder = Path::new("/etc/apt");
    match sources::of_host(&folder.join("sources.list"), &folder.join("sources.list.d")) {
        Ok(_) => Finding::good(name, for_what, version),
        Err(e) => Finding::lacks(
            name,
            for_what,
            State::Limited,
            format!("{version}, but {e}"),
            "give a mirror: hookos configure --debian-mirror URL --debian-security-mirror URL",
        ),
    }
}

/// Which components come from where, so that it is known what the rest is for.
pub fn packages(root: &Path) -> Finding {
    let (name, for_what) = ("components", "everything in the image");
    match component::load_all(&root.join("components")) {
        Ok(all) => {
            let count = |of: fn(&Source) -> bool| all.iter().filter(|d| of(&d.source)).count();
            let recipes = count(|s| matches!(s, Source::Recipe(_)));
            let images = count(|s| matches!(s, Source::Image(_)));
            let files = count(|s| matches!(s, Source::Dockerfile(_)));
            let found =
                format!("{recipes} from packages, {images} from registries, {files} from a Dockerfile");
            Finding::good(name, for_what, found)
        }
        Err(problem) => {
            let fix = problem.remedy_text().unwrap_or("mend the file that is named").to_owned();
            Finding::lacks(name, for_what, State::Bad, problem.to_string().replace('\n', " "), fix)
        }
    }
}

/// The nearest folder upwards that is there.
fn existing(path: &Path) -> PathBuf {
    path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/")).to_owned()
}

pub fn disk(name: &'static str, path: &Path) -> Finding {
    let for_what =
        if name == "store" { "keeping packages and what is built" } else { "images and their logs" };
    let folder = existing(path);
    let Ok(stat) = rustix::fs::statvfs(&folder) else {
        let found = format!("{} cannot be looked at", folder.display());
        return Finding::lacks(name, for_what, State::Bad, found, "check the folder and its permissions");
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let found = format!("{} has {} free", path.display(), crate::words::size(free));
    if rustix::fs::access(&folder, rustix::fs::Access::WRITE_OK).is_err() {
        let fix = "make the folder writable, or set HOOKOS_CACHE to another";
        return Finding::lacks(
            name,
            for_what,
            State::Bad,
            format!("{} cannot be written to", folder.display()),
            fix,
        );
    }
    match free {
        free if free >= ROOM => Finding::good(name, for_what, found),
        free => Finding::lacks(
            name,
            for_what,
            if free < ROOM / 3 { State::Bad } else { State::Limited },
            found,
            "free some space (hookos cache prune), or set HOOKOS_CACHE to a larger disk",
        ),
    }
}

/// A clock that is behind makes good certificates and package lists look invalid.
pub fn clock(root: &Path) -> Finding {
    let (name, for_what) = ("clock", "checking certificates and package lists");
    let newest = ["Cargo.lock", "kernel/packages.lock", "components/hook.yaml"]
        .iter()
        .filter_map(|file| root.join(file).metadata().ok()?.modified().ok())
        .max();
    let now = SystemTime::now();
    let shown = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string();
    match newest {
        Some(newest) if newest > now + Duration::from_secs(120) => Finding::lacks(
            name,
            for_what,
            State::Bad,
            format!("{shown}, which is before files of the project were written"),
            "set the clock: timedatectl set-ntp true",
        ),
        _ => Finding::good(name, for_what, shown),
    }
}

pub fn qemu() -> Finding {
    let (name, for_what) = ("QEMU", "hookos boot");
    match Machine::find_qemu() {
        Ok(path) => {
            let version = path.to_str().and_then(|path| says(path, "--version"));
            Finding::good(name, for_what, version.unwrap_or_else(|| path.display().to_string()))
        }
        Err(problem) => {
            let fix = problem.remedy_text().unwrap_or("apt-get install qemu-system-x86").to_owned();
            Finding::lacks(name, for_what, State::Limited, problem.what(), fix)
        }
    }
}

pub fn kvm() -> Finding {
    let (name, for_what) = ("KVM", "booting an image fast; without it QEMU translates");
    match File::options().read(true).write(true).open("/dev/kvm") {
        Ok(_) => Finding::good(name, for_what, "/dev/kvm can be opened (whether it works shows a boot)"),
        Err(e) => Finding::lacks(
            name,
            for_what,
            State::Limited,
            format!("/dev/kvm: {e}"),
            "turn virtualization on in the firmware, and join the group kvm",
        ),
    }
}

/// A Docker engine, or Podman's service, which speaks the same.
pub fn docker() -> Finding {
    let (name, for_what) =
        ("Docker", "components with a Dockerfile, kernels from source; nothing else needs it");
    let found = Place::find().and_then(|place| Ok((Engine::connect(&place)?, place)));
    match found {
        Ok((engine, place)) => Finding::good(name, for_what, format!("{} at {place}", engine.version)),
        Err(error) => Finding::lacks(
            name,
            for_what,
            State::Limited,
            error.to_string(),
            "apt-get install docker.io, start dockerd, and join the group docker; or use Podman's socket with DOCKER_HOST",
        ),
    }
}

/// What `kernel/build.sh` looks for.
pub fn kernel_tools() -> Finding {
    let (name, for_what) =
        ("kernel tools", "compiling a kernel from source on this machine; nothing else needs them");
    let tools = ["make", "gcc", "ld", "bc", "bison", "flex", "perl", "xz", "tar"];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = |tool: &str| std::env::split_paths(&path).any(|folder| folder.join(tool).is_file());
    let missing: Vec<&str> = tools.into_iter().filter(|tool| !there(tool)).collect();
    if missing.is_empty() {
        let ccache = if there("ccache") { "with ccache" } else { "without ccache" };
        return Finding::good(name, for_what, format!("all there, {ccache}"));
    }
    Finding::lacks(
        name,
        for_what,
        State::Limited,
        format!("{} not in PATH", missing.join(", ")),
        "apt-get install bc binutils bison flex gcc libc6-dev libelf-dev libssl-dev make perl xz-utils ccache; or let \
         Docker compile it",
    )
}

/// The registries that components come from.
pub fn registries(root: &Path) -> Vec<Finding> {
    let (name, for_what) = ("registry", "components that are images");
    let all = component::load_all(&root.join("components")).unwrap_or_default();
    let hosts: BTreeSet<String> = all
        .iter()
        .filter_map(|definition| match &definition.source {
            Source::Image(pulled) => Some(pulled.reference.to_string()),
            _ => None,
        })
        .filter_map(|reference| registry_of(&reference))
        .collect();
    // A pull goes through the proxy of the environment, so that is what has to be there.
    let proxy = ["https_proxy", "HTTPS_PROXY"].iter().find_map(|name| std::env::var(name).ok());
    let proxy = proxy.filter(|proxy| !proxy.is_empty()).and_then(|proxy| authority(&proxy));
    let finding = |host: String| {
        let at = if host.contains(':') { host.clone() } else { format!("{host}:443") };
        let (to, by) = match &proxy {
            Some(proxy) => (proxy.clone(), format!(" (its proxy {proxy} is there)")),
            None => (at, String::new()),
        };
        match reach(&to) {
            Ok(()) => Finding::good(name, for_what, format!("{host} can be reached{by}")),
            Err(e) => Finding::lacks(
                name,
                for_what,
                State::Limited,
                format!("{host}: {to}: {e}"),
                "set https_proxy if this network has a proxy; without a way out, import images from elsewhere, or take another component of the same role",
            ),
        }
    };
    hosts.into_iter().map(finding).collect()
}

/// `host:port` of a proxy's URL.
fn authority(proxy: &str) -> Option<String> {
    let uri: hyper::Uri = proxy.parse().or_else(|_| format!("http://{proxy}").parse()).ok()?;
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    Some(format!("{}:{port}", uri.host()?))
}

/// Whether somebody listens there.
fn reach(address: &str) -> io::Result<()> {
    let mut last = io::Error::other("the name has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(_) => return Ok(()),
            Err(e) => last = e,
        }
    }
    Err(last)
}

/// The host of a reference; Docker's own where none is said.
fn registry_of(reference: &str) -> Option<String> {
    let first = reference.split('/').next()?;
    let is_host =
        reference.contains('/') && (first.contains('.') || first.contains(':') || first == "localhost");
    Some(if is_host { first.to_owned() } else { "docker.io".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_of_a_reference() {
        let of = |text| registry_of(text).unwrap();
        assert_eq!(of("fluent/fluent-bit:2.1"), "docker.io");
        assert_eq!(of("registry.example.com/a/b@sha256:00"), "registry.example.com");
        assert_eq!((of("localhost:5000/x"), of("caddy:2")), ("localhost:5000".into(), "docker.io".into()));
    }
}
