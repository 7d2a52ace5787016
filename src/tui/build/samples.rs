//! A build of `lab` as tests see it, at several points of its life.

use super::pace::Estimates;
use super::result::ResultState;
use super::sizes::Sizes;
use super::state::BuildState;
use crate::build::manifest::{Manifest, SegmentRecord};
use crate::build::plan::{self, Row};
use crate::build::{Event, Outcome, Stage};
use crate::problem::{Exit, Problem};
use crate::progress::Unit;
use crate::store::Digest;
use std::path::PathBuf;
use std::time::Duration;

pub const COMPONENTS: [&str; 14] = [
    "acpid",
    "bootkit",
    "caddy",
    "device-discovery",
    "dhcpcd",
    "getty",
    "hook-docker",
    "init",
    "modprobe",
    "network",
    "ntp",
    "syslog-ng",
    "sysctl",
    "udev",
];

pub fn seconds(n: f64) -> Duration {
    Duration::from_secs_f64(n)
}

/// The first eight components are in the store.
pub fn plan() -> Vec<Row> {
    let row = |stage, item: &str, state, key: bool| Row::new(stage, item, state, key.then(|| "0".repeat(64)));
    let cached = |at: usize| if at < 8 { plan::State::Cached } else { plan::State::Todo };
    let mut rows: Vec<Row> = COMPONENTS
        .iter()
        .enumerate()
        .map(|(at, name)| row(Stage::Components, name, cached(at), at < 8))
        .collect();
    rows.push(row(Stage::Kernel, "debian", plan::State::Cached, true));
    rows.push(row(Stage::Binaries, "segments (known once the above are made)", plan::State::Todo, false));
    rows.push(row(Stage::Package, "site segment", plan::State::Always, false));
    rows
}

pub fn estimates() -> Estimates {
    let mut all = Estimates::default();
    for (stage, seconds) in [
        (Stage::Configure, 0.1),
        (Stage::Certs, 0.1),
        (Stage::Components, 90.0),
        (Stage::Kernel, 40.0),
        (Stage::Binaries, 30.0),
        (Stage::Package, 6.0),
    ] {
        all.set(stage, None, seconds);
    }
    for name in COMPONENTS {
        all.set(Stage::Components, Some(name), 12.0);
    }
    all
}

/// A build and its clock.
pub struct Script {
    pub state: BuildState,
    pub now: f64,
}

impl Script {
    pub fn new() -> Self {
        Self { state: BuildState::new("lab", &plan(), estimates()), now: 1.0 }
    }

    pub fn take(&mut self, event: Event) -> &mut Self {
        self.state.take(&event, seconds(self.now));
        self
    }

    pub fn wait(&mut self, n: f64) -> &mut Self {
        self.now += n;
        self.state.tick(seconds(self.now));
        self
    }

    pub fn start(&mut self, stage: Stage, item: &str) -> &mut Self {
        self.take(Event::ItemStarted { stage, item: item.to_owned() })
    }

    pub fn end(&mut self, stage: Stage, item: &str, outcome: Outcome, took: f64) -> &mut Self {
        self.take(Event::ItemFinished { stage, item: item.to_owned(), outcome, seconds: took })
    }

    pub fn stage(&mut self, stage: Stage) -> &mut Self {
        self.take(Event::StageStarted { stage })
    }

    pub fn stage_end(&mut self, stage: Stage, outcome: Outcome, took: f64) -> &mut Self {
        self.take(Event::StageFinished { stage, outcome, seconds: took })
    }

    pub fn log(&mut self, stage: Stage, item: &str, line: &str) -> &mut Self {
        let item = (!item.is_empty()).then(|| item.to_owned());
        self.take(Event::Log { stage, item, line: line.to_owned() })
    }

    pub fn progress(&mut self, stage: Stage, item: &str, done: u64, total: u64) -> &mut Self {
        self.take(Event::Progress { stage, item: Some(item.to_owned()), done, total, unit: Unit::Bytes })
    }

    fn reuse(&mut self, stage: Stage, item: &str) {
        self.start(stage, item).take(Event::Cached { stage, item: item.to_owned() });
        self.end(stage, item, Outcome::Ok, 0.02);
    }

    fn begin(&mut self) -> &mut Self {
        let logs = PathBuf::from("out/lab/logs/20261123T120000Z-4711");
        self.take(Event::RunStarted { run: "20261123T120000Z-4711".into(), profile: "lab".into(), logs });
        for stage in [Stage::Configure, Stage::Certs] {
            self.stage(stage).wait(0.1).stage_end(stage, Outcome::Ok, 0.1);
        }
        self.log(Stage::Certs, "", "warning: the placeholder certificates are for trials only")
    }
}

/// In the middle of the components.
pub fn running() -> Script {
    let mut script = Script::new();
    let stage = Stage::Components;
    script.begin().stage(stage);
    for name in &COMPONENTS[..8] {
        script.reuse(stage, name);
    }
    script.start(stage, "modprobe").start(stage, "network").start(stage, "ntp");
    script.log(stage, "modprobe", "Get:1 http://deb.example/debian trixie/main amd64 kmod 34.2-2 [95 kB]");
    script.log(stage, "network", "\x1b[32mGet:1\x1b[0m dhcpcd-base 1:10.1.0-11+deb13u1 [295 kB]");
    script.log(stage, "modprobe", "W: the mirror answers slowly");
    script.progress(stage, "network", 0, 60 << 20).wait(1.0).progress(stage, "network", 4 << 20, 60 << 20);
    script.wait(1.0).progress(stage, "network", 9 << 20, 60 << 20);
    for n in 0..40 {
        script.log(stage, "network", &format!("unpacking part {n} of dhcpcd-base ({} files)", n * 3));
    }
    script.end(stage, "modprobe", Outcome::Ok, 2.0);
    script.wait(2.0).log(stage, "network", "Setting up: 1 user");
    script.progress(stage, "network", 21 << 20, 60 << 20);
    script
}

/// One component works and says nothing.
pub fn silent() -> Script {
    let mut script = running();
    script.wait(41.0);
    script
}

/// What a component failed with.
pub fn problem() -> Problem {
    Problem::new("the package dhcpcd-base cannot be read")
        .in_file("components/network/packages.lock")
        .because(std::io::Error::other("its sha256 differs from the one in the lock"))
        .remedy("run `hookos components network --update`, if the archive is to be trusted")
        .exit_with(Exit::Failed)
}

pub fn failed() -> Script {
    let mut script = running();
    let stage = Stage::Components;
    script.log(stage, "network", "error: dhcpcd-base_10.1.0-11+deb13u1_amd64.deb: sha256 differs");
    script.log(stage, "network", "failed: the package dhcpcd-base cannot be read");
    script.end(stage, "network", Outcome::Failed, 4.3);
    script.end(stage, "ntp", Outcome::Ok, 4.4);
    script.stage_end(stage, Outcome::Failed, 4.6);
    script.take(Event::Problem(problem()));
    script.take(Event::RunFinished { outcome: Outcome::Failed, seconds: 4.8 });
    script
}

pub fn cancelled() -> Script {
    let mut script = running();
    let stage = Stage::Components;
    for name in ["network", "ntp"] {
        script.end(stage, name, Outcome::Cancelled, 4.0);
    }
    script.stage_end(stage, Outcome::Cancelled, 4.6);
    script.take(Event::Problem(Problem::new("cancelled").exit_with(Exit::Interrupted)));
    script.take(Event::RunFinished { outcome: Outcome::Cancelled, seconds: 4.8 });
    script
}

pub fn done() -> Script {
    let mut script = running();
    let stage = Stage::Components;
    for name in ["network", "ntp", "syslog-ng", "sysctl", "udev"] {
        script.end(stage, name, Outcome::Ok, 5.0);
    }
    script.wait(20.0).stage_end(stage, Outcome::Ok, 24.0);
    script.stage(Stage::Kernel);
    script.reuse(Stage::Kernel, "debian");
    script.stage_end(Stage::Kernel, Outcome::Ok, 0.1).stage(Stage::Binaries);
    for name in ["init/0", "modules", "onboot/000-rng", "services/caddy"] {
        script.start(Stage::Binaries, name).wait(1.0).end(Stage::Binaries, name, Outcome::Ok, 1.0);
    }
    script.stage_end(Stage::Binaries, Outcome::Ok, 4.0).stage(Stage::Package).wait(1.5);
    script.stage_end(Stage::Package, Outcome::Ok, 1.5);
    for (name, bytes) in [
        ("site.cpio.zst", 2671),
        ("cmdline-x86_64", 45),
        ("vmlinuz-x86_64", 7_101_824),
        ("initramfs-x86_64", 154_316_173),
        ("hook_x86_64.tar.gz", 161_444_941),
        ("sbom.cdx.json", 134_969),
        ("manifest.json", 16_384),
    ] {
        let path = PathBuf::from("out/lab").join(name);
        script.take(Event::Artifact { path, bytes, sha256: Digest::of(name.as_bytes()) });
    }
    script.take(Event::RunFinished { outcome: Outcome::Ok, seconds: 33.4 });
    script
}

pub fn manifest(caddy: u64, extra: &str) -> String {
    let segment = |name: &str, compressed: u64, unpacked: u64| {
        let digest = Digest::of(name.as_bytes());
        SegmentRecord { name: name.to_owned(), digest, compressed, unpacked, memory: unpacked, files: 3 }
    };
    let mut all = vec![
        segment("init/0", 9_578_982, 26_801_097),
        segment("modules", 22_323_506, 110_314_863),
        segment("onboot/003-udev-coldplug", 8_949_569, 24_151_299),
        segment("onboot/004-network", 6_209_900, 16_997_584),
        segment("services/udev", 1361, 9589),
        segment("services/caddy", caddy, 47_716_423),
        segment("services/hook-docker", 58_927_978, 191_733_668),
        segment("services/syslog-ng", 14_213_968, 37_327_321),
        segment("files", 151, 0),
        segment("site", 2671, 4719),
    ];
    if !extra.is_empty() {
        all.push(segment(extra, 1_027_459, 2_379_466));
    }
    let mut manifest = Manifest::new("lab", "5.10.0-42-amd64", 0);
    manifest.segments = all;
    String::from_utf8(manifest.text().unwrap()).unwrap()
}

pub fn result() -> ResultState {
    let mut result = ResultState::of(&done().state, "hookos build lab --kernel-append='quiet splash'");
    let sizes = Sizes::read(
        &manifest(15_242_752, "services/bootkit"),
        Some(&manifest(14_000_000, "services/fluent-bit")),
    );
    result.sizes = Some(sizes);
    result
}
