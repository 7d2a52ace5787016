//! One thing each.

use super::{Finding, State, network};
use crate::boot::{Accel, Machine};
use crate::component::{self, Source};
use crate::debian::sources;
use crate::docker::{Engine, Place};
use crate::kernel::source::{SCRIPT, host};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The oldest Rust that compiles the image's programs.
const RUST: (u32, u32) = (1, 95);
/// Bytes that a first build writes to the store, and an image to its folder, with room to spare.
const ROOM: u64 = 6 << 30;

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

/// A clock that is wrong makes good certificates and package lists look invalid. It cannot be before the project's
/// last commit, nor far from what servers say.
pub fn clock(root: &Path, behind: &[i64]) -> Finding {
    let (name, for_what) = ("clock", "checking certificates and package lists");
    let shown = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string();
    let wrong = |found: String| {
        Finding::lacks(name, for_what, State::Bad, found, "set the clock: timedatectl set-ntp true")
    };
    if let Some(seconds) = network::apart(behind) {
        let word = if seconds > 0 { "behind" } else { "ahead of" };
        return wrong(format!("{shown}, which is {} s {word} what servers say", seconds.abs()));
    }
    match committed(root) {
        Some(time) if time > jiff::Timestamp::now().as_second() + 120 => {
            wrong(format!("{shown}, which is before the project's last commit"))
        }
        _ => Finding::good(name, for_what, shown),
    }
}

/// When the last commit was made, in seconds since 1970. Files have the time of their checkout.
fn committed(root: &Path) -> Option<i64> {
    let output = Command::new("git").arg("-C").arg(root).args(["log", "-1", "--format=%ct"]).output().ok()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
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

/// Whether guests run under KVM. `/dev/kvm` may be there and hang, so a kernel is started, if an image is there.
pub fn kvm(root: &Path) -> Finding {
    let (name, for_what) = ("KVM", "booting an image fast; without it QEMU translates");
    let lacks = |found: String| {
        let fix = "turn virtualization on in the firmware, or nested virtualization in the host; join the group kvm";
        Finding::lacks(name, for_what, State::Limited, found, fix)
    };
    if let Err(e) = File::options().read(true).write(true).open("/dev/kvm") {
        return lacks(format!("/dev/kvm: {e}"));
    }
    let (Ok(qemu), Some(kernel)) = (Machine::find_qemu(), kernel(root)) else {
        return Finding::good(
            name,
            for_what,
            "/dev/kvm can be opened (a kernel and QEMU would show whether it works)",
        );
    };
    match Accel::probe(&qemu, &kernel) {
        Ok((Accel::Kvm, why)) => Finding::good(name, for_what, why),
        Ok((Accel::Tcg, why)) => lacks(why.to_owned()),
        Err(problem) => lacks(problem.what().to_owned()),
    }
}

/// The kernel of an image that was built, else this machine's own.
fn kernel(root: &Path) -> Option<PathBuf> {
    let built = std::fs::read_dir(root.join("out")).into_iter().flatten().flatten();
    let built = built.map(|entry| entry.path().join("vmlinuz-x86_64")).filter(|path| path.is_file());
    let own = std::fs::read_dir("/boot").into_iter().flatten().flatten().map(|entry| entry.path());
    let own =
        own.filter(|path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("vmlinuz-")));
    built.chain(own).find(|path| File::open(path).is_ok())
}

/// A Docker engine, or Podman's service, which speaks the same.
pub fn docker() -> Finding {
    let (name, for_what) =
        ("Docker", "components with a Dockerfile, kernels from source; nothing else needs it");
    let found = Place::find().and_then(|place| Ok((Engine::connect(&place)?, place)));
    match found {
        Ok((engine, place)) => Finding::good(name, for_what, format!("{engine} at {place}")),
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
pub fn kernel_tools(root: &Path) -> Finding {
    let (name, for_what) =
        ("kernel tools", "compiling a kernel from source on this machine; nothing else needs them");
    match host::tools(&root.join("kernel").join(SCRIPT), None) {
        Ok(tools) => {
            let ccache = if says("ccache", "--version").is_some() { "with ccache" } else { "without ccache" };
            let compiler = tools.lines().next().unwrap_or_default().trim_start_matches("gcc: ");
            Finding::good(name, for_what, format!("all there, {ccache}; {compiler}"))
        }
        Err(problem) => {
            let fix = problem.remedy_text().unwrap_or("see docs/kernel.md").to_owned();
            Finding::lacks(name, for_what, State::Limited, problem.what(), fix)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_before_the_last_commit_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let git = |words: &[&str], date: &str| {
            let status = Command::new("git")
                .arg("-C")
                .arg(folder.path())
                .args(["-c", "user.name=a", "-c", "user.email=a@b.example"])
                .args(words)
                .env("GIT_COMMITTER_DATE", date)
                .status();
            assert!(status.unwrap().success());
        };
        git(&["init", "-q"], "");
        assert_eq!(clock(folder.path(), &[]).state, State::Good, "no commit says nothing");
        let commit = ["commit", "-q", "--allow-empty", "-m", "x"];
        git(&commit, "2001-01-01T00:00:00Z");
        assert_eq!(clock(folder.path(), &[3]).state, State::Good);
        assert_eq!(clock(folder.path(), &[3000]).state, State::Bad);
        git(&commit, "2090-01-01T00:00:00Z");
        assert_eq!(clock(folder.path(), &[]).state, State::Bad);
    }
}
