//! The command line. Every command is a file here; this one only wires.

mod boot;
mod build;
mod cache;
mod certs;
mod components;
mod configure;
pub mod context;
mod doctor;
mod fetch;
mod images;
mod inspect;
mod kernel;
mod kernel_config;
mod lint;
mod matrix;
mod onboard;
mod probe;
mod profile_arg;
mod profiles;
mod publish;
mod relay;
pub mod render;
mod sites;
mod stamp;
mod verify;

use crate::build::Cancel;
use crate::problem::{Exit, Problem, Result};
use crate::progress::{Progress, Unit};
use crate::tui;
use clap::{Args, Parser, Subcommand};
use context::Context;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::OnceLock;

/// Turn a site's settings into a bootable HookOS image: a kernel and an initramfs.
///
/// The first command to try is `hookos build lab`, the second `hookos boot lab`.
#[derive(Debug, Parser)]
#[command(name = "hookos", version, max_term_width = 100, after_help = EXITS)]
struct Cli {
    #[command(flatten)]
    global: Global,
    /// Without one: the wizard, on a terminal.
    #[command(subcommand)]
    command: Option<Command>,
}

const EXITS: &str = "\
Exit codes: 0 ok; 1 a stage failed; 2 wrong usage or missing input; 7 the kernel image is neither
local nor in the release service; 130 or 143 cancelled.

Environment: HOOKOS_CACHE is the store's folder (default ~/.cache/hookos); HOOKOS_ROOT is the
project; every field has a variable of its own (hookos configure --help).";

#[derive(Debug, Args)]
struct Global {
    /// The project's folder (default: found upwards from the working folder).
    #[arg(long, global = true, env = "HOOKOS_ROOT", value_name = "FOLDER")]
    root: Option<PathBuf>,
    /// Print JSON for programs: events as lines, results as one document.
    #[arg(long, global = true)]
    json: bool,
    /// Print plain lines even on a terminal.
    #[arg(long, global = true)]
    plain: bool,
    /// Say what would be done, and do nothing.
    #[arg(long, global = true)]
    dry_run: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Build(Box<build::BuildArgs>),
    Binaries(Box<build::BinariesArgs>),
    Boot(boot::BootArgs),
    Components(Box<components::ComponentsArgs>),
    Cache(cache::CacheArgs),
    Certs(certs::CertsArgs),
    Configure(Box<configure::ConfigureArgs>),
    Doctor(doctor::DoctorArgs),
    Images(images::ImagesArgs),
    Inspect(inspect::InspectArgs),
    Kernel(Box<kernel::KernelArgs>),
    Lint(lint::LintArgs),
    Matrix(matrix::MatrixArgs),
    Probe(Box<probe::ProbeArgs>),
    Profiles(profiles::ProfilesArgs),
    /// Publish the kernel of a profile, unless the registry has its tag.
    PushKernelCi(Box<publish::PublishArgs>),
    /// Publish the image that a build left in out/PROFILE, with checksums, SBOM and build record.
    PublishBinariesCi(Box<publish::PublishArgs>),
    /// Publish both: kernel and image.
    ArtifactPublish(Box<publish::PublishArgs>),
    Stamp(Box<stamp::StampArgs>),
    Verify(verify::VerifyArgs),
    #[command(hide = true)]
    Relay(relay::RelayArgs),
}

/// Runs the program; returns its exit code.
pub fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(problem) => {
            let exit = match CANCEL.get() {
                Some(cancel) if problem.is_cancelled() => cancel.problem().exit(),
                _ => problem.exit(),
            };
            // The terminal may be gone, which is no reason to panic.
            let _ = writeln!(std::io::stderr(), "hookos: {problem}");
            ExitCode::from(exit as u8)
        }
    }
}

fn run() -> Result<ExitCode> {
    let cli = Cli::parse();
    let Global { root, json, plain, dry_run } = cli.global;
    // QEMU calls the relay wherever it works.
    let root = match cli.command {
        Some(Command::Relay(_)) => PathBuf::new(),
        _ => Context::find_root(root.as_deref())?,
    };
    let context = Context { root, json, plain, dry_run };
    let Some(command) = cli.command else { return wizard(&context) };
    match command {
        Command::Build(args) => build::run(*args, &context),
        Command::Binaries(args) => build::run_binaries(*args, &context),
        Command::Boot(args) => boot::run(args, &context),
        Command::Cache(args) => cache::run(args, &context),
        Command::Certs(args) => certs::run(args, &context),
        Command::Images(args) => images::run(args, &context),
        Command::Inspect(args) => inspect::run(&args, &context),
        Command::Matrix(args) => matrix::run(&args, &context),
        Command::Kernel(args) => kernel::run(*args, &context),
        Command::Lint(args) => lint::run(&args, &context),
        Command::Doctor(args) => doctor::run(&args, &context),
        Command::Configure(args) => configure::run(*args, &context),
        Command::Probe(args) => probe::run(*args, &context),
        Command::Profiles(args) => profiles::run(args, &context),
        Command::Components(args) => components::run(*args, &context),
        Command::PushKernelCi(args) => publish::run(*args, publish::What::Kernel, &context),
        Command::PublishBinariesCi(args) => publish::run(*args, publish::What::Binaries, &context),
        Command::ArtifactPublish(args) => publish::run(*args, publish::What::All, &context),
        Command::Stamp(args) => stamp::run(*args, &context),
        Command::Verify(args) => verify::run(&args, &context),
        Command::Relay(args) => relay::run(args),
    }
    .map(|()| ExitCode::SUCCESS)
}

/// No command: the wizard, as screens or line by line. Where nobody can answer, nothing is asked.
fn wizard(context: &Context) -> Result<ExitCode> {
    use std::io::IsTerminal;
    if context.json || context.dry_run || !std::io::stdin().is_terminal() {
        return Err(Problem::usage("no command is given, and nobody can be asked here")
            .remedy("hookos build PROFILE builds an image; hookos --help lists all commands"));
    }
    if !context.plain && tui::possible() {
        return tui::run(context);
    }
    tui::plain::run(&context.root, tui::environment())
}

/// What signals set, once something listens for them. They are the process's, and so is the exit code that they lead to.
static CANCEL: OnceLock<Cancel> = OnceLock::new();

/// A [`Cancel`] that Ctrl-C and SIGTERM set; a second signal ends the program at once.
fn cancel_on_signals() -> Result<Cancel> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    if let Some(cancel) = CANCEL.get() {
        return Ok(cancel.clone());
    }
    let cancel = CANCEL.get_or_init(Cancel::default).clone();
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])
        .map_err(|e| Problem::new("cannot listen for signals").because(e))?;
    let set = cancel.clone();
    std::thread::spawn(move || {
        for signal in signals.forever() {
            let exit = if signal == SIGINT { Exit::Interrupted } else { Exit::Terminated };
            // A terminal that goes away is told more than once.
            if signal != SIGHUP && set.is_cancelled() {
                std::process::exit(exit as i32);
            }
            set.cancel(exit);
        }
    });
    Ok(cancel)
}

/// As [`cancel_on_signals`]; a terminal that is gone sets it too, where no signal tells of that.
fn cancel_on_hang_up() -> Result<Cancel> {
    let cancel = cancel_on_signals()?;
    let set = cancel.clone();
    std::thread::spawn(move || {
        if crate::process::wait_for_hang_up().is_ok() {
            set.cancel(Exit::Terminated);
        }
    });
    Ok(cancel)
}

/// Work whose program has the terminal: nothing is shown beside it.
struct Lent(Cancel);

impl Progress for Lent {
    fn at(&self, _: u64, _: u64, _: Unit) {}
    fn log(&self, _: &str) {}
    fn warn(&self, _: &str) {}
    fn cancelled(&self) -> bool {
        self.0.is_cancelled()
    }
}

#[cfg(test)]
mod shown_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn every_command_names_its_profile_alike() {
        Cli::command().debug_assert();
        let parses = |words: &[&str]| Cli::try_parse_from(["hookos"].iter().chain(words)).is_ok();
        let first = ["build", "binaries", "boot", "configure", "kernel", "probe", "artifact-publish"];
        for command in first {
            assert!(parses(&[command]) && parses(&[command, "berlin"]), "{command}");
            assert!(!parses(&[command, "berlin", "-p", "lab"]), "{command}: two profiles");
        }
        for command in first.into_iter().chain(["certs", "components", "stamp"]) {
            let before: &[&str] = if command == "stamp" { &[command, "image"] } else { &[command] };
            for flag in ["--profile", "-p"] {
                assert!(parses(&[before, &[flag, "berlin"]].concat()), "{command} {flag}");
            }
        }
    }
}
