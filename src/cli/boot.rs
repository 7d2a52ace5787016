//! `hookos boot`: the built image in QEMU.

use super::context::Context;
use super::onboard::Onboard;
use super::profile_arg::ProfileArg;
use crate::boot::check::check;
use crate::boot::machine::Console;
use crate::boot::{Accel, Machine};
use crate::build::image::{self, CMDLINE};
use crate::problem::{Exit, Problem, Result};
use crate::process::at_terminal;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// How long QEMU has to end after it was asked to.
const PATIENCE: Duration = Duration::from_secs(10);

/// Boot a built image in QEMU, with its console in this terminal (Ctrl-A x ends it).
#[derive(Debug, clap::Args)]
pub struct BootArgs {
    #[command(flatten)]
    profile: ProfileArg,
    /// Words to add to the kernel command line; may be given several times.
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    append: Vec<String>,
    /// Memory of the machine in MiB.
    #[arg(long, default_value_t = 2048, value_name = "MIB", value_parser = clap::value_parser!(u32).range(256..))]
    memory: u32,
    /// CPUs of the machine.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=255))]
    cpus: u32,
    /// SMBIOS system settings, such as serial=ABC12345,uuid=4c4c4544-0042-... (default: a serial number
    /// and UUID of the lab).
    #[arg(long, value_name = "SETTINGS")]
    smbios: Option<String>,
    /// MAC address of the machine's NIC, which is also its worker_id.
    #[arg(long, default_value = Machine::MAC)]
    mac: String,
    /// A raw disk image to attach as /dev/vda.
    #[arg(long, value_name = "FILE")]
    disk: Option<PathBuf>,
    /// What runs the guest: auto tries KVM and falls back to TCG.
    #[arg(long, value_enum, default_value_t = AccelChoice::Auto)]
    accel: AccelChoice,
    /// Wait until all is up, print the breakdown, power off; the exit code tells the result.
    #[arg(long)]
    check: bool,
    /// Let the machine register with an orchestrator stand-in on this machine's loopback, show each step
    /// until its worker runs, power off. The image stays as it is; only this boot is led there.
    #[arg(long, conflicts_with = "check")]
    onboard: bool,
    /// With --onboard: how the stand-in shall misbehave, such as wrong-ca, http500 or hang
    /// (tests/orchestrator/README.md has the list); see what the machine says of it.
    #[arg(long, requires = "onboard", value_name = "HOW")]
    misbehave: Option<String>,
    /// With --check or --onboard: how long the machine may take, in seconds.
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    patience: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum AccelChoice {
    Auto,
    Kvm,
    Tcg,
}

pub fn run(args: BootArgs, context: &Context) -> Result<()> {
    let machine = machine(&args, context)?;
    if context.dry_run {
        let words = std::iter::once(machine.qemu.clone().into_os_string()).chain(machine.arguments());
        let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
        let line = shlex::try_join(words.iter().map(String::as_str))
            .map_err(|e| Problem::new("the command cannot be shown").because(e))?;
        println!("{line}");
        return Ok(());
    }
    if args.onboard {
        let onboard = Onboard {
            profile: args.profile.name(),
            smbios: args.smbios.as_deref(),
            misbehave: args.misbehave.as_deref(),
            patience: Duration::from_secs(args.patience),
        };
        return super::onboard::run(&onboard, machine, context);
    }
    if args.check { checked(machine, &args, context) } else { interactive(&machine) }
}

fn machine(args: &BootArgs, context: &Context) -> Result<Machine> {
    let out = context.out(args.profile.name());
    let (kernel, initramfs) = (out.join(image::VMLINUZ), out.join(image::INITRAMFS));
    for file in [&kernel, &initramfs] {
        if !file.is_file() {
            return Err(Problem::usage(format!("there is no {}", file.display()))
                .remedy(format!("build the image first: hookos build {}", args.profile.name())));
        }
    }
    let file = out.join(CMDLINE);
    let mut append = std::fs::read_to_string(&file)
        .map_err(|e| Problem::usage("the kernel command line cannot be read").in_file(&file).because(e))?
        .trim()
        .to_owned();
    if !args.append.iter().any(|words| words.contains("worker_id=")) {
        append.push_str(&format!(" worker_id={}", args.mac.to_lowercase()));
    }
    for words in &args.append {
        append.push(' ');
        append.push_str(words);
    }
    let qemu = Machine::find_qemu()?;
    let accel = match args.accel {
        AccelChoice::Kvm => Accel::Kvm,
        AccelChoice::Tcg => Accel::Tcg,
        AccelChoice::Auto if context.dry_run => Accel::Tcg,
        AccelChoice::Auto => {
            let (accel, why) = Accel::probe(&qemu, &kernel)?;
            eprintln!("hookos: using {} ({why})", accel.name().to_uppercase());
            accel
        }
    };
    Ok(Machine {
        qemu,
        accel,
        kernel,
        initramfs,
        append,
        memory_mib: args.memory,
        cpus: args.cpus,
        smbios: Some(args.smbios.clone().unwrap_or_else(default_smbios)),
        mac: args.mac.clone(),
        console: Console::Terminal,
        report: None,
        qmp: None,
        disk: args.disk.clone(),
        forwards: Vec::new(),
    })
}

fn default_smbios() -> String {
    format!("serial={},uuid={}", Machine::SERIAL, Machine::UUID)
}

/// QEMU has the terminal. A signal that ends this program ends it first, so that it puts the terminal back.
fn interactive(machine: &Machine) -> Result<()> {
    let lent = super::Lent(super::cancel_on_signals()?);
    let mut qemu = Command::new(&machine.qemu);
    let status = at_terminal(qemu.args(machine.arguments()), &lent, PATIENCE)
        .map_err(|e| Problem::new(format!("cannot start {}", machine.qemu.display())).because(e))?;
    match status {
        None => lent.0.check(),
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(Problem::new(format!("QEMU ended with {status}"))),
    }
}

fn checked(machine: Machine, args: &BootArgs, context: &Context) -> Result<()> {
    let cancel = super::cancel_on_signals()?;
    let patience = Duration::from_secs(args.patience);
    let verdict = check(machine, std::io::stderr(), patience, || cancel.is_cancelled())?;
    context.answer(&verdict, &format!("\n{}", verdict.text()))?;
    if verdict.good() {
        return Ok(());
    }
    Err(Problem::new(format!("the image booted, and this failed: {}", verdict.failed.join(", ")))
        .remedy("boot it without --check and look at `service list` and /var/log")
        .exit_with(Exit::Failed))
}
