//! Our own programs: built static from the Cargo workspace, the same bytes in every folder.

use super::build::{CrateRecord, store_problem};
use super::workspace::{self, Workspace};
use crate::problem::{Problem, Result};
use crate::process::Group;
use crate::progress::{Progress, Unit};
use crate::store::{Digest, Key, KeyMaker, Store};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Static programs need no musl: glibc's own static library is linked.
const TARGET: &str = "x86_64-unknown-linux-gnu";
const PROFILE: &str = "guest";
/// The last lines of cargo that are told when it fails.
const TAIL: usize = 60;
/// Says where cargo compiles them, in place of `target/guest` of the project.
pub const TARGET_FOLDER: &str = "HOOKOS_GUEST_TARGET";
/// Change when the same sources would give other bytes.
const VERSION: &str = "static program 2";

/// A program of the workspace that a component asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// Cargo package.
    pub package: String,
    /// Binary target.
    pub binary: String,
}

/// A built program in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    pub package: String,
    pub binary: String,
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    /// What is linked into it.
    pub crates: Vec<CrateRecord>,
}

/// What our own programs are built from, and with what: looked at once.
pub struct Toolshed {
    workspace: Workspace,
    tools: Tools,
    keys: Mutex<BTreeMap<Wanted, Key>>,
}

impl Toolshed {
    pub fn open(root: &Path) -> Result<Self> {
        Ok(Self { workspace: Workspace::read(root)?, tools: Tools::ask(root)?, keys: Mutex::default() })
    }

    /// Everything that decides a program's bytes.
    fn key(&self, want: &Wanted) -> Result<Key> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = keys.get(want) {
            return Ok(*key);
        }
        let key = KeyMaker::new(VERSION)
            .add("sources", self.workspace.sources(&want.package)?.hex())
            .add("binary", &want.binary)
            .add("tools", &self.tools.identity)
            .add("flags", Flags::fixed().join(" "))
            .finish();
        keys.insert(want.clone(), key);
        Ok(key)
    }
}

impl Toolshed {
    /// What decides some programs, in words and as one key.
    pub(super) fn inputs(&self, wanted: &[Wanted]) -> Result<(String, Vec<(String, String)>)> {
        let mut key = KeyMaker::new("programs 1");
        let tools = Digest::of(self.tools.identity.as_bytes()).hex();
        let flags = Digest::of(Flags::fixed().join(" ").as_bytes()).hex();
        let mut inputs =
            vec![("compiler and linker".to_owned(), tools), ("compiler flags".to_owned(), flags)];
        for want in wanted {
            key = key.add("program", self.key(want)?.hex());
            inputs
                .push((format!("sources of {}", want.package), self.workspace.sources(&want.package)?.hex()));
        }
        Ok((key.finish().hex(), inputs))
    }
}

/// Gives the programs in the order of `wanted`; those whose sources have not changed come from the
/// store, the rest from one call of cargo.
pub fn programs(
    store: &Store,
    toolshed: &Toolshed,
    wanted: &[Wanted],
    progress: &dyn Progress,
) -> Result<Vec<Program>> {
    let Toolshed { workspace, tools, .. } = toolshed;
    let mut found: BTreeMap<&Wanted, Program> = BTreeMap::new();
    let mut missing: BTreeMap<&Wanted, Key> = BTreeMap::new();
    for want in wanted {
        let key = toolshed.key(want)?;
        match recall(store, &key) {
            Some(program) => drop(found.insert(want, program)),
            None => drop(missing.insert(want, key)),
        }
    }
    if !missing.is_empty() {
        // Another process may be building them.
        let _lock = store.lock("programs").map_err(store_problem)?;
        missing.retain(|want, key| match recall(store, key) {
            Some(program) => {
                found.insert(want, program);
                false
            }
            None => true,
        });
        if !missing.is_empty() {
            let names: Vec<&Wanted> = missing.keys().copied().collect();
            let target = cargo_build(workspace, tools, &names, progress)?;
            for (want, key) in missing {
                let program = take(store, workspace, &target, want, progress)?;
                let text = serde_json::to_vec(&program)
                    .map_err(|e| Problem::new("a program's record cannot be written").because(e))?;
                let record = store.put(&text).map_err(store_problem)?;
                store.set_work_with(&key, &record, &[program.digest]).map_err(store_problem)?;
                found.insert(want, program);
            }
        }
    }
    Ok(wanted.iter().filter_map(|want| found.get(want).cloned()).collect())
}

/// The programs in the order of `wanted`, if the store has all of them; builds nothing.
pub fn find(store: &Store, toolshed: &Toolshed, wanted: &[Wanted]) -> Result<Option<Vec<Program>>> {
    let mut found = Vec::new();
    for want in wanted {
        let Some(program) = recall(store, &toolshed.key(want)?) else { return Ok(None) };
        found.push(program);
    }
    Ok(Some(found))
}

fn recall(store: &Store, key: &Key) -> Option<Program> {
    let program: Program = serde_json::from_slice(&store.read(&store.work(key)?).ok()?).ok()?;
    store.has(&program.digest).then_some(program)
}

/// The compiler and the linker, as far as they decide bytes.
struct Tools {
    identity: String,
    sysroot: PathBuf,
    commit: String,
}

impl Tools {
    fn ask(root: &Path) -> Result<Self> {
        let run = |program: &str, args: &[&str]| -> Result<String> {
            let output = Command::new(program)
                .args(args)
                .current_dir(root)
                .env("LC_ALL", "C")
                .stdin(Stdio::null())
                .output()
                .map_err(|e| missing_tool(program, &e))?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                return Err(Problem::new(format!("`{program} {}` failed", args.join(" ")))
                    .because(io::Error::other(said)));
            }
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        };
        // Each takes a few hundredths of a second, in every build.
        let asked: [(&str, &[&str]); 5] = [
            ("rustc", &["-vV"]),
            ("rustc", &["--print", "sysroot"]),
            ("cc", &["-print-file-name=libc.a"]),
            ("cc", &["--version"]),
            ("ld", &["--version"]),
        ];
        let [rustc, sysroot, libc, cc, ld] = std::thread::scope(|scope| {
            let threads = asked.map(|(program, args)| scope.spawn(move || run(program, args)));
            threads.map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        let (rustc, sysroot) = (rustc?, PathBuf::from(sysroot?.trim()));
        let commit =
            rustc.lines().find_map(|l| l.strip_prefix("commit-hash: ")).unwrap_or("unknown").to_owned();
        // The C library is linked in, so its bytes count, and the linker's version does.
        let libc = fs::read(libc?.trim()).map_err(|e| {
            Problem::new("the static C library libc.a is not there")
                .because(e)
                .remedy("apt-get install libc6-dev")
        })?;
        let (cc, ld) = (cc?, ld?);
        let first = |text: &str| text.lines().next().unwrap_or("").to_owned();
        let identity = format!("{rustc}\n{}\n{}\n{}", Digest::of(&libc), first(&cc), first(&ld));
        Ok(Self { identity, sysroot, commit })
    }
}

fn missing_tool(program: &str, error: &io::Error) -> Problem {
    let remedy = match program {
        "cc" | "ld" => "apt-get install gcc libc6-dev",
        _ => "install the Rust toolchain (https://rustup.rs): our own programs are built with it",
    };
    Problem::new(format!("`{program}` cannot be started"))
        .because(io::Error::new(error.kind(), error.to_string()))
        .remedy(remedy)
}

/// Flags of the compiler.
struct Flags;

impl Flags {
    fn fixed() -> Vec<String> {
        ["-Ctarget-feature=+crt-static", "-Crelocation-model=static", "-Clink-arg=-Wl,--build-id=none"]
            .map(str::to_owned)
            .to_vec()
    }

    /// With the folders of this machine mapped to fixed names: panic messages hold paths.
    fn all(root: &Path, tools: &Tools) -> Vec<String> {
        let mut flags = Self::fixed();
        let cargo_home = std::env::var_os("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
        // rustc takes the last that fits, so the more special ones come later.
        let mut map = |from: PathBuf, to: &str| {
            flags.push(format!("--remap-path-prefix={}={to}", from.display()));
        };
        if let Some(home) = cargo_home {
            map(home, "/cargo");
        }
        map(tools.sysroot.join("lib/rustlib/src/rust"), &format!("/rustc/{}", tools.commit));
        map(root.to_owned(), "/hookos");
        flags
    }
}

/// Where cargo leaves the programs.
fn cargo_build(
    workspace: &Workspace,
    tools: &Tools,
    wanted: &[&Wanted],
    progress: &dyn Progress,
) -> Result<PathBuf> {
    let target =
        std::env::var_os(TARGET_FOLDER).map_or_else(|| workspace.root.join("target/guest"), PathBuf::from);
    let mut command = cargo(workspace);
    command
        .args(["build", "--locked", "--profile", PROFILE, "--target", TARGET])
        // Errors stay words for people, on the other stream.
        .arg("--message-format=json-render-diagnostics")
        .env("CARGO_ENCODED_RUSTFLAGS", Flags::all(&workspace.root, tools).join("\u{1f}"))
        .env("CARGO_TARGET_DIR", &target)
        .env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER", "cc")
        .env("CARGO_INCREMENTAL", "0")
        .env("SOURCE_DATE_EPOCH", "0")
        .env("CARGO_TERM_COLOR", "never")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // The same packages in every call: the features of a crate that several share follow from what is
    // selected together, and a program is to have the same bytes whether it is built alone or with all.
    let mut packages: BTreeSet<&str> = workspace.guests().map(|(package, _)| package).collect();
    for want in wanted {
        packages.insert(&want.package);
        command.args(["--bin", &want.binary]);
    }
    for package in packages {
        command.args(["-p", package]);
    }
    let mut group = Group::start(&mut command).map_err(|e| missing_tool("cargo", &e))?;
    let (stdout, stderr) = (group.child.stdout.take(), group.child.stderr.take());
    let total = crates_to_compile(workspace, wanted);
    let (status, tail) = std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut done = BTreeSet::new();
            for line in lines(stdout) {
                if finished(&line).is_some_and(|package| done.insert(package)) && total > 0 {
                    progress.at(total.min(done.len() as u64), total, Unit::Items);
                }
            }
        });
        let hear = scope.spawn(move || {
            let mut tail: VecDeque<String> = VecDeque::new();
            for line in lines(stderr) {
                progress.log(&line);
                if tail.len() == TAIL {
                    tail.pop_front();
                }
                tail.push_back(line);
            }
            tail
        });
        let status = group.wait(progress, Duration::ZERO, || ());
        (status, hear.join().unwrap_or_default())
    });
    let status = status
        .map_err(|e| Problem::new("cargo cannot be watched").because(e))?
        .ok_or_else(Problem::cancelled)?;
    if !status.success() {
        let said = Vec::from(tail).join("\n");
        let mut problem =
            Problem::new("our own programs could not be built").because(io::Error::other(said.clone()));
        if said.contains("can't find crate for `std`") || said.contains("can't find crate for `core`") {
            problem = problem.remedy(format!("rustup target add {TARGET}"));
        }
        return Err(problem);
    }
    Ok(target.join(TARGET).join(PROFILE))
}

/// What a program says, until it ends.
fn lines(pipe: Option<impl io::Read>) -> impl Iterator<Item = String> {
    pipe.into_iter().flat_map(|pipe| BufReader::new(pipe).lines()).map_while(io::Result::ok)
}

/// The package that is there now, whether it was compiled or had been, if a message of cargo's says so. Source: The Cargo
/// Book, "External tools", "Artifact messages".
fn finished(message: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Artifact {
        reason: String,
        package_id: String,
        target: Target,
    }
    #[derive(Deserialize)]
    struct Target {
        kind: Vec<String>,
    }
    let artifact: Artifact = serde_json::from_str(message).ok()?;
    // A build script comes before its crate.
    let whole = artifact.reason == "compiler-artifact" && artifact.target.kind != ["custom-build"];
    whole.then_some(artifact.package_id)
}

/// How many crates these programs are made of; 0 if that cannot be told without the network.
fn crates_to_compile(workspace: &Workspace, wanted: &[&Wanted]) -> u64 {
    let mut command = cargo(workspace);
    command.args(["tree", "--locked", "--offline", "--edges", "normal,build", "--target", TARGET]);
    command.args(["--prefix", "none", "--format", "{p}", "--no-dedupe"]);
    for want in wanted {
        command.args(["-p", &want.package]);
    }
    let output = command.output().ok().filter(|output| output.status.success());
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().filter(|line| !line.is_empty()).collect::<BTreeSet<_>>().len() as u64
}

/// Cargo without what a person's environment says about flags and profiles.
fn cargo(workspace: &Workspace) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(&workspace.root).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let leaks = ["CARGO_PROFILE_", "CARGO_BUILD_", "CARGO_TARGET_", "CARGO_PKG_", "CARGO_MANIFEST_"]
            .iter()
            .any(|p| name.starts_with(p))
            || matches!(name.as_str(), "RUSTFLAGS" | "CARGO_ENCODED_RUSTFLAGS" | "RUSTC_WORKSPACE_WRAPPER");
        if leaks {
            command.env_remove(name);
        }
    }
    command
}

fn take(
    store: &Store,
    workspace: &Workspace,
    folder: &Path,
    want: &Wanted,
    progress: &dyn Progress,
) -> Result<Program> {
    let path = folder.join(&want.binary);
    let bad = |e| Problem::new("cargo left no program").in_file(&path).because(e);
    let mut writer = store.writer().map_err(store_problem)?;
    io::copy(&mut File::open(&path).map_err(bad)?, &mut writer).map_err(bad)?;
    let (digest, size) = writer.commit().map_err(store_problem)?;
    let crates = linked(workspace, &want.package)?;
    progress.log(&format!("{} is {size} bytes", want.binary));
    Ok(Program { package: want.package.clone(), binary: want.binary.clone(), digest, size, crates })
}

/// The crates that are linked into a package's programs on our target; not those that only build.
fn linked(workspace: &Workspace, package: &str) -> Result<Vec<CrateRecord>> {
    let output = cargo(workspace)
        .args(["tree", "--locked", "--offline", "-p", package, "--edges", "normal,no-proc-macro"])
        .args(["--target", TARGET, "--prefix", "none", "--format", "{p}"])
        .output()
        .map_err(|e| missing_tool("cargo", &e))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(
            Problem::new("the crates of our programs cannot be listed").because(io::Error::other(said))
        );
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let names = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.trim_start_matches('v').to_owned()))
    });
    Ok(workspace::crate_records(&workspace.lock, names))
}

#[cfg(test)]
#[path = "binaries_tests.rs"]
mod tests;
