//! The steps of the boot and of the shutdown, in their order, and the programs among them.

use std::collections::VecDeque;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Pid;

use crate::children;
use crate::logfile::{LIMIT, LogFile};
use crate::output::Output;

/// One step. They are done one after another.
#[derive(Debug)]
pub enum Task {
    /// Run a program and wait for it.
    Program(Program),
    /// Mount `/containers/volumes`.
    Volumes,
    /// Run one container and wait for it; the number is its place in PID 1's table.
    Container(usize),
    /// Start onboot containers and services, each when what it waits for is done.
    Containers,
}

/// A program to run: a hook of `/etc/init.d`, `modprobe`, ...
#[derive(Debug)]
pub struct Program {
    /// What people see: `init.d/020-x`.
    pub name: String,
    pub path: String,
    pub args: Vec<String>,
    pub log: PathBuf,
    /// Killed after this.
    pub limit: Option<Duration>,
}

/// A program that runs.
#[derive(Debug)]
pub struct Job {
    pub program: Program,
    pub pid: Pid,
    pub begun: Duration,
    pub output: Output,
}

impl Job {
    pub fn start(program: Program, now: Duration) -> Result<Self, String> {
        let mut output = Output::new(LogFile::new(&program.log, LIMIT));
        let started = output.new_pipe().and_then(|pipe| children::spawn(&program.path, &program.args, pipe));
        match started {
            Ok(pid) => Ok(Self { program, pid, begun: now, output }),
            Err(e) => Err(format!("cannot run {}: {e}", program.path)),
        }
    }

    pub fn deadline(&self) -> Option<Duration> {
        self.program.limit.map(|limit| self.begun.saturating_add(limit))
    }
}

/// What is done before the onboot containers, in order.
pub fn before_onboot() -> VecDeque<Task> {
    let mut tasks: VecDeque<Task> = modules().into_iter().map(Task::Program).collect();
    tasks.extend(hooks(Path::new("/etc/init.d"), "init.d", None).into_iter().map(Task::Program));
    tasks.push_back(Task::Volumes);
    tasks
}

/// The programs of `/etc/shutdown.d`, half a minute for each.
pub fn shutdown_hooks() -> VecDeque<Task> {
    let limit = Some(Duration::from_secs(30));
    hooks(Path::new("/etc/shutdown.d"), "shutdown.d", limit).into_iter().map(Task::Program).collect()
}

/// `modprobe` for the virtio console (only on a machine with virtio devices: it carries the boot
/// report) and for what `/etc/modules-load.d` lists. Everything else is udev's.
fn modules() -> Option<Program> {
    let modprobe = children::find("modprobe")?;
    let mut modules: Vec<String> = Vec::new();
    if has_virtio() {
        modules.extend(["virtio_pci", "virtio_console"].map(str::to_owned));
    }
    modules.extend(listed_modules(Path::new("/etc/modules-load.d")));
    modules.retain(|m| !Path::new("/sys/module").join(m.replace('-', "_")).exists());
    if modules.is_empty() {
        return None;
    }
    Some(Program {
        name: "modules".to_owned(),
        path: modprobe,
        // -a goes on after a module that fails.
        args: [vec!["-a".to_owned()], modules].concat(),
        log: PathBuf::from("/var/log/init.d/modules.log"),
        limit: Some(Duration::from_secs(60)),
    })
}

/// PCI vendor 0x1af4 makes virtio devices (virtio 1.2, 4.1.2).
fn has_virtio() -> bool {
    let devices = std::fs::read_dir("/sys/bus/pci/devices").into_iter().flatten().flatten();
    devices
        .map(|d| std::fs::read_to_string(d.path().join("vendor")).unwrap_or_default())
        .any(|vendor| vendor.trim() == "0x1af4")
}

/// Module names in the folder's `*.conf` files (modules-load.d(5)), in the order of file names.
fn listed_modules(folder: &Path) -> Vec<String> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == "conf"))
        .collect();
    files.sort();
    let mut names: Vec<String> = Vec::new();
    for text in files.iter().filter_map(|f| std::fs::read_to_string(f).ok()) {
        for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with(['#', ';'])) {
            // A leading `-` would be an option of modprobe.
            if !line.starts_with('-') && !names.iter().any(|n| n == line) {
                names.push(line.to_owned());
            }
        }
    }
    names
}

/// The executable regular files of a folder, in the order of names, following links. LinuxKit's
/// links to `service` (005-volumes, 010-onboot, 020-containerd) are left out: PID 1 does that itself.
fn hooks(folder: &Path, label: &str, limit: Option<Duration>) -> Vec<Program> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    files.sort();
    files
        .into_iter()
        .filter(|path| !leads_to_service(path))
        .filter(|path| {
            std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
        })
        .map(|path| {
            let name = crate::bundle::name(&path);
            Program {
                log: PathBuf::from(format!("/var/log/{label}/{name}.log")),
                name: format!("{label}/{name}"),
                path: path.display().to_string(),
                args: Vec::new(),
                limit,
            }
        })
        .collect()
}

fn leads_to_service(path: &Path) -> bool {
    std::fs::read_link(path).is_ok_and(|target| {
        target.file_name().is_some_and(|name| name == "service" || name == "init" || name == "hookos-init")
    })
}

/// Mounts every volume of `folder` (LinuxKit's layout: `lower`, `tmp`, `merged`). The result is what
/// went wrong. A volume is written to in memory; whether a container may is its bind's `ro`.
pub fn mount_volumes(folder: &Path) -> Vec<String> {
    let mut wrong = Vec::new();
    for volume in crate::bundle::list(folder) {
        if let Err(e) = mount_volume(&volume) {
            wrong.push(format!("volume {}: {e}", volume.display()));
        }
    }
    wrong
}

fn mount_volume(volume: &Path) -> std::io::Result<()> {
    let [lower, tmp, merged] = ["lower", "tmp", "merged"].map(|d| volume.join(d));
    if !lower.is_dir() {
        return Err(std::io::Error::new(std::io::ErrorKind::NotFound, "it has no folder `lower`"));
    }
    crate::runtime::make_folder(&merged)?;
    let lower = lower.display();
    if !tmp.is_dir() {
        let read_only = crate::mounts::parse_options(&["bind", "ro"]);
        return crate::mounts::mount("", &lower.to_string(), &merged, &read_only);
    }
    crate::mounts::mount("tmpfs", "tmpfs", &tmp, &crate::mounts::parse_options(&["nodev"]))?;
    let [upper, work] = ["upper", "work"].map(|d| tmp.join(d));
    crate::runtime::make_folder(&upper)?;
    crate::runtime::make_folder(&work)?;
    let options = [
        format!("lowerdir={lower}"),
        format!("upperdir={}", upper.display()),
        format!("workdir={}", work.display()),
    ];
    crate::mounts::mount("overlay", "overlay", &merged, &crate::mounts::parse_options(&options))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_in_order_without_linuxkits_links() {
        let dir = tempfile::tempdir().unwrap();
        let add = |name: &str, mode: u32| {
            std::fs::write(dir.path().join(name), "#!/bin/sh\n").unwrap();
            std::fs::set_permissions(dir.path().join(name), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        add("030-b", 0o755);
        add("000-a", 0o755);
        add("README", 0o644);
        std::fs::create_dir(dir.path().join("folder")).unwrap();
        for link in ["005-volumes", "010-onboot", "020-containerd"] {
            std::os::unix::fs::symlink("/usr/bin/service", dir.path().join(link)).unwrap();
        }
        std::os::unix::fs::symlink("000-a", dir.path().join("040-link")).unwrap();
        let got: Vec<String> = hooks(dir.path(), "init.d", None).into_iter().map(|p| p.name).collect();
        assert_eq!(got, ["init.d/000-a", "init.d/030-b", "init.d/040-link"]);
    }

    #[test]
    fn module_lists() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("b.conf"), "nbd\n# x\n; y\n\n dm_mod \n").unwrap();
        std::fs::write(dir.path().join("a.conf"), "cdc_ncm\nnbd\n-r\n").unwrap();
        std::fs::write(dir.path().join("c.txt"), "no\n").unwrap();
        assert_eq!(listed_modules(dir.path()), ["cdc_ncm", "nbd", "dm_mod"]);
    }

    #[test]
    fn a_volume_without_lower_is_told() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("v")).unwrap();
        let wrong = mount_volumes(dir.path());
        assert!(wrong[0].contains("lower"), "{wrong:?}");
    }
}
