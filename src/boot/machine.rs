//! A QEMU machine for a built image: settings in, command line out.

use super::accel::Accel;
use crate::problem::{Exit, Problem, Result};
use hookos_guest::report;
use std::ffi::OsString;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};

/// Where the guest's serial console goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Console {
    /// This terminal; Ctrl-A x ends QEMU, Ctrl-A c reaches its monitor.
    Terminal,
    /// A Unix socket on which QEMU listens.
    Socket(PathBuf),
}

/// One machine.
#[derive(Debug, Clone)]
pub struct Machine {
    pub qemu: PathBuf,
    pub accel: Accel,
    pub kernel: PathBuf,
    pub initramfs: PathBuf,
    pub append: String,
    pub memory_mib: u32,
    pub cpus: u32,
    /// SMBIOS type 1 settings as QEMU takes them, such as `serial=ABC12,uuid=...`.
    pub smbios: Option<String>,
    /// MAC address of the first NIC.
    pub mac: String,
    pub console: Console,
    /// Unix socket on which QEMU offers init's report, if wanted.
    pub report: Option<PathBuf>,
    /// Unix socket on which QEMU offers QMP, if wanted.
    pub qmp: Option<PathBuf>,
    /// A raw disk image to attach, if any.
    pub disk: Option<PathBuf>,
    /// Addresses of the guest's network behind which a program answers.
    pub forwards: Vec<Forward>,
}

/// A TCP port that the guest sees in its network. For each connection QEMU starts `command`, whose
/// standard input and output are the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// In 10.0.2.0/24, and none of QEMU's own (.2, .3, .15).
    pub guest: SocketAddrV4,
    pub command: Vec<String>,
}

impl Machine {
    /// MAC of the guest's NIC unless another is asked for (QEMU's own range).
    pub const MAC: &'static str = "52:54:00:12:34:56";
    /// SMBIOS serial number and UUID unless others are asked for: QEMU's own are empty, and a machine
    /// without them cannot be onboarded.
    pub const SERIAL: &'static str = "HOOKOSLAB01";
    pub const UUID: &'static str = "6f1c2a52-90d1-4a0e-8a3c-3e0d6b5a7c11";

    /// Finds `qemu-system-x86_64` on PATH.
    pub fn find_qemu() -> Result<PathBuf> {
        const NAME: &str = "qemu-system-x86_64";
        std::env::var_os("PATH")
            .iter()
            .flat_map(std::env::split_paths)
            .map(|folder| folder.join(NAME))
            .find(|path| path.is_file())
            .ok_or_else(|| {
                Problem::new(format!("{NAME} is not installed"))
                    .remedy("on Debian: apt-get install qemu-system-x86")
                    .exit_with(Exit::Usage)
            })
    }

    /// The arguments for QEMU.
    pub fn arguments(&self) -> Vec<OsString> {
        let mut out: Vec<OsString> = Vec::new();
        let mut arg = |name: &str, value: OsString| {
            out.push(name.into());
            out.push(value);
        };
        let (cpu, more) = match self.accel {
            Accel::Kvm => ("host", ""),
            // An interrupt of the timer comes late on a busy host, and a kernel that waits for one to see whether
            // it comes at all then panics ("IO-APIC + timer doesn't work"). Linux's kernel-parameters.txt.
            Accel::Tcg => ("max", " no_timer_check"),
        };
        arg("-name", "hookos".into());
        arg("-machine", "q35".into());
        arg("-accel", self.accel.name().into());
        arg("-cpu", cpu.into());
        arg("-smp", self.cpus.to_string().into());
        arg("-m", format!("{}M", self.memory_mib).into());
        arg("-kernel", self.kernel.clone().into());
        arg("-initrd", self.initramfs.clone().into());
        arg("-append", format!("{}{more}", self.append).into());
        arg("-display", "none".into());
        arg("-vga", "none".into());
        let mut network = String::from("user,id=net0");
        for forward in &self.forwards {
            // QEMU splits at commas, and the command as a shell would.
            let command: Vec<&str> = forward.command.iter().map(String::as_str).collect();
            let command = shlex::try_join(command).unwrap_or_default().replace(',', ",,");
            network.push_str(&format!(",guestfwd=tcp:{}-cmd:{command}", forward.guest));
        }
        arg("-netdev", network.into());
        arg("-device", format!("virtio-net-pci,netdev=net0,mac={}", self.mac).into());
        arg("-object", "rng-random,id=rng0,filename=/dev/urandom".into());
        arg("-device", "virtio-rng-pci,rng=rng0".into());
        if let Some(smbios) = &self.smbios {
            arg("-smbios", format!("type=1,{smbios}").into());
        }
        if let Some(disk) = &self.disk {
            arg("-drive", joined("if=virtio,format=raw,file=", disk));
        }
        match &self.console {
            Console::Terminal => {
                arg("-chardev", "stdio,id=console,mux=on,signal=off".into());
                arg("-mon", "chardev=console,mode=readline".into());
            }
            Console::Socket(path) => {
                arg("-chardev", socket("console", path, true));
            }
        }
        arg("-serial", "chardev:console".into());
        if let Some(path) = &self.report {
            arg("-device", "virtio-serial-pci".into());
            arg("-chardev", socket("report", path, true));
            arg("-device", format!("virtserialport,chardev=report,name={}", report::PORT).into());
        }
        if let Some(path) = &self.qmp {
            arg("-chardev", socket("qmp", path, false));
            arg("-mon", "chardev=qmp,mode=control".into());
        }
        out.push("-nodefaults".into());
        out.push("-no-user-config".into());
        out.push("-no-reboot".into());
        out
    }
}

/// `prefix` and a path, with commas doubled as QEMU's option syntax asks.
fn joined(prefix: &str, path: &Path) -> OsString {
    let mut text = OsString::from(prefix);
    text.push(path.to_string_lossy().replace(',', ",,"));
    text
}

/// A chardev that listens on a Unix socket; `wait` holds the guest until somebody connects, so that
/// no byte is lost.
fn socket(id: &str, path: &Path, wait: bool) -> OsString {
    let mut text = joined(&format!("socket,id={id},server=on,path="), path);
    text.push(if wait { ",wait=on" } else { ",wait=off" });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_paths_are_doubled() {
        assert_eq!(joined("file=", Path::new("/a,b")), OsString::from("file=/a,,b"));
    }
}
