//! KVM or TCG: decided by trying.
//!
//! `/dev/kvm` may exist and open, and guests may still hang (nested virtualisation that is half
//! there). So the image's own kernel is started under KVM without an initramfs: on working hardware
//! it reaches the panic for want of a root file system, and QEMU ends, in a second or two.

use crate::problem::{Problem, Result};
use std::fs::OpenOptions;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How the guest's instructions are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accel {
    Kvm,
    /// QEMU's own translator: needs nothing, and is about ten times slower.
    Tcg,
}

impl Accel {
    pub fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }

    /// Longest time that the trial boot may take before KVM counts as broken.
    const PATIENCE: Duration = Duration::from_secs(5);

    /// KVM if a trial boot of `kernel` ends under it, else TCG; and the reason in words.
    pub fn probe(qemu: &Path, kernel: &Path) -> Result<(Self, &'static str)> {
        if OpenOptions::new().read(true).write(true).open("/dev/kvm").is_err() {
            return Ok((Self::Tcg, "/dev/kvm is absent or not ours to open"));
        }
        let mut trial = Command::new(qemu)
            .args(["-accel", "kvm", "-cpu", "host", "-m", "256", "-nodefaults", "-no-user-config"])
            .args(["-display", "none", "-no-reboot", "-append", "panic=-1 quiet", "-kernel"])
            .arg(kernel)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| Problem::new(format!("cannot start {}", qemu.display())).because(e))?;
        let started = Instant::now();
        loop {
            match trial.try_wait() {
                Ok(Some(status)) if status.success() => return Ok((Self::Kvm, "a trial boot worked")),
                Ok(Some(_)) => return Ok((Self::Tcg, "QEMU refused KVM")),
                Ok(None) if started.elapsed() < Self::PATIENCE => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                _ => {
                    // Best effort: a guest stuck in KVM may take a moment to die.
                    let _ = trial.kill();
                    let _ = trial.wait();
                    return Ok((Self::Tcg, "/dev/kvm is there, but a trial boot hung"));
                }
            }
        }
    }
}
