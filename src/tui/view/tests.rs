//! Every screen at three sizes, without colours in ASCII and in sixteen colours. To renew the pictures
//! after a change that is meant: `INSTA_UPDATE=always cargo test -p hookos --lib tui::view`, then look at
//! what git says has changed.

use super::super::data::{
    Begun, ChosenKernel, ComponentEntry, DraftEntry, FileEntry, GroupEntry, Kernels, LastRun, Planned,
    RunningEntry, SiteEntry, Sites, Tested,
};
use super::super::model::Model;
use super::super::msg::Msg;
use super::super::rows::Row;
use super::super::step::Step;
use super::super::testing::*;
use super::super::theme::Theme;
use super::super::update::update;
use crate::build::kernel::KernelPlace;
use crate::build::plan::{self, State};
use crate::build::record::{self, RunRecord, Took};
use crate::build::releases::{Release, Releases};
use crate::build::{Event, Outcome, Stage};
use crate::kernel::list::slug;
use crate::kernel::report::Amount;
use crate::probe::{self, Answer, Failure, Phase};
use crate::problem::Problem;
use crate::site::certificates::{self, Bundle};
use crate::site::{Id, KernelSource};
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(super) const SIZES: [(u16, u16); 3] = [(60, 16), (80, 24), (120, 40)];

/// The text of a screen, then where its styles begin and end: `line: columns style`.
pub(super) fn picture(buffer: &Buffer) -> String {
    let mut text = String::new();
    let mut styles = String::new();
    for y in 0..buffer.area.height {
        let mut line = String::new();
        let mut runs: Vec<(u16, u16, String)> = Vec::new();
        for x in 0..buffer.area.width {
            let cell = &buffer[(x, y)];
            line.push_str(cell.symbol());
            let style = style_name(cell.fg, cell.modifier);
            if style.is_empty() {
                continue;
            }
            match runs.last_mut() {
                Some((_, end, name)) if *end == x && *name == style => *end = x + 1,
                _ => runs.push((x, x + 1, style)),
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
        let runs: Vec<String> =
            runs.into_iter().map(|(from, to, name)| format!("{from}-{to} {name}")).collect();
        if !runs.is_empty() {
            styles.push_str(&format!("{y}: {}\n", runs.join(", ")));
        }
    }
    format!("{text}~~~\n{styles}")
}

fn style_name(fg: Color, modifier: Modifier) -> String {
    let mut words = Vec::new();
    if fg != Color::Reset {
        words.push(format!("{fg:?}").to_lowercase());
    }
    for (bit, word) in [
        (Modifier::BOLD, "bold"),
        (Modifier::DIM, "dim"),
        (Modifier::ITALIC, "italic"),
        (Modifier::UNDERLINED, "underlined"),
        (Modifier::REVERSED, "reversed"),
    ] {
        if modifier.contains(bit) {
            words.push(word.to_owned());
        }
    }
    words.join("+")
}

/// Takes the pictures of a screen.
#[track_caller]
pub(super) fn pictures(name: &str, model: &mut Model) {
    for (theme, word) in [(Theme::mono_ascii(), "mono"), (Theme::sixteen(), "colours")] {
        for (columns, lines) in SIZES {
            model.theme = theme;
            model.size = (columns, lines);
            let buffer = buffer(model);
            assert!(
                word == "colours"
                    || buffer.content.iter().all(|cell| cell.symbol().is_ascii() && cell.fg == Color::Reset),
                "{name}: a sign or colour that such a terminal does not have"
            );
            assert!(buffer.content.iter().all(|cell| cell.bg == Color::Reset), "{name}: a background");
            insta::with_settings!({ snapshot_path => "pictures", prepend_module_to_snapshot => false, omit_expression => true }, {
                insta::assert_snapshot!(format!("{name}_{columns}x{lines}_{word}"), picture(&buffer));
            });
        }
    }
}

pub(super) fn full_start() -> Model {
    let mut model = wizard();
    let entry = |name: &str, shipped, problem: Option<&str>, last| SiteEntry {
        name: name.to_owned(),
        path: PathBuf::from(format!("/project/profiles/{name}.toml")),
        shipped,
        problem: problem.map(str::to_owned),
        last,
    };
    let last = |outcome, ago| Some(LastRun { outcome, at: NOON - ago, seconds: 61.0 });
    let sites = vec![
        entry("factory-7", false, None, last(Outcome::Ok, 7300)),
        entry("lab", true, None, last(Outcome::Failed, 120)),
        entry("north", false, None, last(Outcome::Cancelled, 90_000)),
        entry("old-format", false, Some("the profile is not valid TOML"), None),
        entry("warehouse", false, None, None),
    ];
    let drafts =
        vec![DraftEntry { name: "warehouse".to_owned(), at: NOON - 240, edits: 3, more: Vec::new() }];
    let running = vec![RunningEntry { profile: "north".to_owned(), since: NOON - 65 }];
    let run = model.start.begin(model.now);
    update(&mut model, Msg::Sites(run, Ok(Sites { sites, drafts, running })));
    model
}

pub(super) fn lab_certificates() -> crate::tui::data::Certificates {
    let read = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles").join(name);
        Bundle::from_bytes(Path::new(name), &std::fs::read(path).unwrap()).unwrap()
    };
    certificates::check(read("lab-ca.pem"), Some(read("lab-server.pem")), None, NOON)
}

pub(super) fn components() -> Vec<ComponentEntry> {
    let entry = |name: &str, role: Option<&str>, on: bool, fixed, bytes, description: &str| ComponentEntry {
        name: name.to_owned(),
        description: description.to_owned(),
        role: role.map(str::to_owned),
        source: "2 Debian packages".to_owned(),
        available: name != "own",
        state: match name {
            "own" => {
                "To be fetched: 4 packages of trixie, and http://deb.example.com/debian does not answer: \
                      Could not connect."
                    .to_owned()
            }
            _ => "All packages are in the store.".to_owned(),
        },
        container: on.then(|| name.to_owned()),
        fixed,
        bytes,
    };
    vec![
        entry(
            "acpid",
            None,
            true,
            false,
            Some(640 << 10),
            "The power button powers the machine off in order",
        ),
        entry("fluent-bit", Some("logging"), true, false, Some(38 << 20), "Sends the machine's logs"),
        entry("init", None, true, true, Some(12 << 20), "The machine's own root"),
        entry("own", None, false, false, None, "A component that somebody has added"),
        entry("syslog-ng", Some("logging"), false, false, Some(9 << 20), "Sends the machine's logs"),
    ]
}

fn plan() -> Vec<plan::Row> {
    let row = |stage, item: &str, state| plan::Row::new(stage, item, state, Some(String::new()));
    vec![
        row(Stage::Components, "acpid", State::Cached),
        row(Stage::Components, "fluent-bit", State::Todo),
        row(Stage::Components, "init", State::Cached),
        row(Stage::Kernel, "debian", State::Cached),
        row(Stage::Binaries, "base", State::Todo),
        row(Stage::Package, "site segment", State::Always),
    ]
}

fn release(version: &str, from: KernelSource, point: i64, places: &[&str]) -> Release {
    let places = places.iter().map(|place| (*place).to_owned()).collect();
    Release { version: version.to_owned(), from, series: "5.10".to_owned(), point, places }
}

/// What the release service and kernel.org say.
pub(super) fn elsewhere() -> Releases {
    Releases {
        places: vec![
            KernelPlace {
                name: "release service",
                has: "does not have registry-rs.lab.example.com/edge-orch/edge-node/hook-kernel:5.10.228-01234567"
                    .to_owned(),
            },
            KernelPlace {
                name: "kernel.org",
                has: "newest of 5.10 is 5.10.259; chosen is 5.10.228".to_owned(),
            },
        ],
        releases: vec![
            release("5.10.259", KernelSource::Source, 259, &["kernel.org, the newest"]),
            release("5.10.228", KernelSource::Source, 228, &["release service"]),
        ],
        newest: [("5.10", 259), ("5.15", 210), ("6.1", 180), ("6.6", 140), ("6.12", 70), ("6.18", 9)]
            .map(|(series, point)| (series.to_owned(), point))
            .into(),
    }
}

pub(super) fn kernels() -> Kernels {
    let group = |name: &str, amount: Option<(u64, u64)>| GroupEntry {
        name: name.to_owned(),
        slug: slug(name),
        amount: amount.map(|(modules, bytes)| Amount { modules, bytes }),
    };
    Kernels {
        chosen: Ok(ChosenKernel {
            version: "5.10.262-1".to_owned(),
            place: "Debian bullseye".to_owned(),
            stored: true,
            tag: "5.10.262-1-0123456789ab".to_owned(),
        }),
        here: Releases {
            places: vec![
                KernelPlace { name: "Debian", has: "5.10.262-1, in the store".to_owned() },
                KernelPlace { name: "source", has: "5.10.228-01234567, not in the store".to_owned() },
            ],
            releases: vec![
                release("5.10.262-1", KernelSource::Debian, 262, &["Debian bullseye", "in the store"]),
                release("5.10.228", KernelSource::Source, 228, &["in the store"]),
            ],
            newest: BTreeMap::new(),
        },
        configurations: vec![
            ("generic".to_owned(), "5.10".to_owned()),
            ("tiny".to_owned(), "5.10".to_owned()),
        ],
        groups: vec![
            group("Wired network cards", Some((312, 24_117_248))),
            group("USB network cards", Some((41, 1_887_436))),
            group("Graphics", None),
        ],
    }
}

/// The plan, and a build of two hours ago with another domain.
pub(super) fn planned() -> Planned {
    let took =
        |stage, item: &str, seconds| Took { stage, item: Some(item.to_owned()), seconds, cached: false };
    let site =
        opened(&LAB.replacen("lab.example.com", "old.example.com", 1)).site.unwrap().form.site().clone();
    let mut fields = record::fields(&site);
    fields.insert(Id::ClusterDomain.field().path(), "old.example.com".to_owned());
    let last = RunRecord {
        run: "20261123T100000Z-1".to_owned(),
        profile: "lab".to_owned(),
        outcome: Outcome::Ok,
        ended: NOON - 7200,
        seconds: 33.0,
        fields,
        took: vec![took(Stage::Components, "fluent-bit", 12.0), took(Stage::Binaries, "base", 8.0)],
    };
    Planned { rows: plan(), last: Some(last), bytes: Some(323_000_000) }
}

/// The wizard on a step, with everything that effects would have answered.
pub(super) fn on(step: Step) -> Model {
    let mut model = opened(LAB);
    go(&mut model, step);
    let site = model.site.as_mut().unwrap();
    let now = Duration::ZERO;
    let run = site.certificates.begin(now);
    site.certificates.finish(run, lab_certificates(), now);
    let run = site.components.begin(now);
    site.components.finish(run, Ok(components()), now);
    let run = site.kernels.begin(now);
    site.kernels.finish(run, Ok(kernels()), now);
    let run = site.elsewhere.begin(now);
    site.elsewhere.finish(run, Ok(elsewhere()), now);
    let run = site.plan.begin(now);
    site.plan.finish(run, Ok(planned()), now);
    model
}

#[test]
fn start() {
    pictures("start", &mut full_start());
    let mut model = wizard();
    let run = model.start.begin(model.now);
    update(&mut model, Msg::Sites(run, Ok(Sites::default())));
    pictures("start_empty", &mut model);
}

#[test]
fn endpoints() {
    pictures("endpoints", &mut on(Step::Endpoints));
    pictures("endpoints_new", &mut new_site());
    let mut model = on(Step::Endpoints);
    fill(&mut model, "edge..example.com");
    to(&mut model, Id::LoggingSvc);
    fill(&mut model, "-logs");
    press(&mut model, &["Ctrl-N"]);
    pictures("endpoints_problems", &mut model);
    let mut model = on(Step::Endpoints);
    press(&mut model, &["End"]);
    let site = model.site.as_mut().unwrap();
    let run = site.probe.begin(Duration::ZERO);
    let answer = |id: Id, host: &str, ms: [u64; 3], failure| {
        let phases = [Phase::Dns, Phase::Tcp, Phase::Tls];
        let took = phases.into_iter().zip(ms.map(Duration::from_millis)).filter(|(_, took)| !took.is_zero());
        let outcome = probe::Outcome { proxy: None, address: None, took: took.collect(), failure };
        let target = format!("{host}.lab.example.com:443");
        Answer { id, label: id.field().key.to_owned(), target, outcome }
    };
    let failure = |phase, brief: &str, why: &str, remedy: &str| {
        let remedy = Some(remedy.to_owned());
        Some(Failure { phase, brief: brief.to_owned(), why: why.to_owned(), remedy })
    };
    let answers = vec![
        answer(Id::KeycloakUrl, "keycloak", [2, 10, 22], None),
        answer(
            Id::OnboardingStreamSvc,
            "onboarding-stream",
            [2, 10, 0],
            failure(
                Phase::Tls,
                "certificate of another name",
                "the server's certificate is for *.example.org, not for onboarding-stream.lab.example.com",
                "check the name of this endpoint; or the server needs a certificate with this name",
            ),
        ),
        answer(
            Id::LoggingSvc,
            "logs-node",
            [0, 0, 0],
            failure(
                Phase::Dns,
                "no such name",
                "the name logs-node.lab.example.com is not known to DNS",
                "check the name, or give its address in network.extra_hosts",
            ),
        ),
    ];
    let probes = Ok(Tested { answers, notes: Vec::new() });
    update(&mut model, Msg::Probed(run, probes));
    model.set_focus(super::super::rows::Row::Probe(1));
    pictures("endpoints_tested", &mut model);
}

#[test]
fn network() {
    let mut model = on(Step::Network);
    to(&mut model, Id::HttpsProxy);
    types(&mut model, "http://user:secret@proxy.example.com:3128");
    pictures("network", &mut model);
}

#[test]
fn certificates_of_the_image() {
    pictures("certificates", &mut on(Step::Certificates));
    let mut model = on(Step::Certificates);
    let site = model.site.as_mut().unwrap();
    let run = site.certificates.begin(Duration::ZERO);
    let expired = certificates::check(
        Bundle::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/lab-ca.pem")).unwrap(),
        None,
        None,
        NOON * 3,
    );
    let problem = expired.unwrap_err();
    // The place is this checkout's.
    let problem = Problem::usage(problem.what().to_owned()).remedy(problem.remedy_text().unwrap_or_default());
    site.certificates.finish(run, Err(problem), Duration::ZERO);
    pictures("certificates_expired", &mut model);
    let mut model = on(Step::Certificates);
    press(&mut model, &["Ctrl-V"]);
    update(&mut model, Msg::Paste("-----BEGIN CERTIFICATE-----\rMIIBszCCAVmgAwIBAgIU\rAAAA\r".to_owned()));
    update(
        &mut model,
        Msg::Decoded(Err(Problem::usage("the block that begins here does not end").at("pasted", 1, None))),
    );
    pictures("certificates_paste", &mut model);
}

#[test]
fn kernel() {
    pictures("kernel", &mut on(Step::Kernel));
    let mut model = on(Step::Kernel);
    model.set_focus(Row::Release("5.10.259".to_owned(), KernelSource::Source));
    pictures("kernel_releases", &mut model);
    model.set_focus(Row::Group("graphics".to_owned()));
    pictures("kernel_groups", &mut model);
    let mut model = on(Step::Kernel);
    press(&mut model, &["Right"]);
    let site = model.site.as_mut().unwrap();
    let run = site.kernels.begin(Duration::ZERO);
    let chosen = ChosenKernel {
        version: "5.10.228".to_owned(),
        place: "source, configuration generic".to_owned(),
        stored: true,
        tag: "5.10.228-01234567".to_owned(),
    };
    site.kernels.finish(run, Ok(Kernels { chosen: Ok(chosen), ..kernels() }), Duration::ZERO);
    pictures("kernel_source", &mut model);
}

#[test]
fn components_of_the_image() {
    pictures("components", &mut on(Step::Components));
    let mut model = on(Step::Components);
    to(&mut model, Id::PublishRegistry);
    pictures("components_publish", &mut model);
}

#[test]
fn review() {
    let mut model = on(Step::Endpoints);
    fill(&mut model, "other.example.com");
    go(&mut model, Step::Review);
    let site = model.site.as_mut().unwrap();
    let run = site.plan.begin(Duration::ZERO);
    site.plan.finish(run, Ok(planned()), Duration::ZERO);
    pictures("review", &mut model);
    press(&mut model, &["b"]);
    pictures("review_start", &mut model);
}

#[test]
fn boxes() {
    let mut model = on(Step::Endpoints);
    press(&mut model, &["Esc"]);
    pictures("menu", &mut model);
    types(&mut model, "cert");
    types(&mut model, "x");
    pictures("menu_nothing", &mut model);
    press(&mut model, &["Esc", "Ctrl-G"]);
    pictures("steps", &mut model);
    let mut model = full_start();
    press(&mut model, &["Down", "Enter"]);
    pictures("draft", &mut model);
    press(&mut model, &["Esc"]);
    let lines = ["Cluster domain", "    profile  lab.example.com", "    draft    edge.example.com"];
    update(&mut model, Msg::Compared(Ok(lines.map(str::to_owned).to_vec())));
    pictures("draft_compare", &mut model);
    press(&mut model, &["Esc", "n"]);
    types(&mut model, ".x");
    press(&mut model, &["Enter"]);
    pictures("new_site", &mut model);
    press(&mut model, &["Esc", "Down", "d"]);
    pictures("delete", &mut model);
    press(&mut model, &["Esc", "i"]);
    if let Some(super::super::overlay::Overlay::Files(files)) = &mut model.overlay {
        let run = files.entries.begin(Duration::ZERO);
        let entry = |name: &str, folder| FileEntry { name: name.to_owned(), folder };
        let entries = vec![
            entry("certs", true),
            entry("profiles", true),
            entry("config", false),
            entry("notes", false),
        ];
        files.entries.finish(run, Ok(entries), Duration::ZERO);
    }
    press(&mut model, &["Down", "Down"]);
    pictures("files", &mut model);
    press(&mut model, &["Esc"]);
    update(
        &mut model,
        Msg::Opened(Err(Problem::usage("the profile is not valid TOML")
            .at("profiles/x.toml", 3, Some(7))
            .remedy("look at the line"))),
    );
    pictures("problem", &mut model);
}

#[test]
fn leaving_a_build() {
    let mut model = on(Step::Review);
    press(&mut model, &["b", "Enter"]);
    let begun = Begun {
        run: "r1".into(),
        logs: "/project/out/lab/logs".into(),
        since: Some(NOON),
        took: vec![],
        flags: Default::default(),
    };
    update(&mut model, Msg::Begun(1, Ok(Box::new(begun))));
    let logs = "/project/out/lab/logs/r1".into();
    for event in [
        Event::RunStarted { run: "r1".into(), profile: "lab".into(), logs },
        Event::StageStarted { stage: Stage::Components },
        Event::ItemStarted { stage: Stage::Components, item: "fluent-bit".into() },
    ] {
        update(&mut model, Msg::Events(1, vec![(Duration::ZERO, event)]));
    }
    press(&mut model, &["q"]);
    pictures("leave", &mut model);
}

#[test]
fn no_size_is_too_small_to_draw() {
    let mut models = vec![
        full_start(),
        on(Step::Endpoints),
        on(Step::Certificates),
        on(Step::Components),
        on(Step::Review),
    ];
    let mut menu = on(Step::Endpoints);
    press(&mut menu, &["Esc"]);
    let mut paste = on(Step::Certificates);
    press(&mut paste, &["Ctrl-V"]);
    models.extend([menu, paste]);
    for model in &mut models {
        for width in 0..40 {
            for height in 0..12 {
                model.size = (width.max(1), height.max(1));
                buffer(model);
            }
        }
        model.size = (300, 100);
        buffer(model);
    }
}

/// The text of a picture, as it stands in docs/wizard.md.
fn text_of(picture: &Path) -> String {
    let text = std::fs::read_to_string(picture).unwrap();
    let screen = text.splitn(3, "---\n").nth(2).unwrap();
    screen.split("~~~\n").next().unwrap().trim_end().to_owned()
}

/// docs/wizard.md with the pictures and the keys of now.
fn wizard_md(old: &str) -> String {
    let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tui/view/pictures");
    let mut new = String::new();
    let mut lines = old.lines().peekable();
    while let Some(line) = lines.next() {
        new.push_str(line);
        new.push('\n');
        let word = line.strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->"));
        if let Some(name) = word.and_then(|word| word.strip_prefix("picture ")) {
            if lines.next_if_eq(&"```text").is_some() {
                while lines.next().is_some_and(|line| line != "```") {}
            }
            let text = text_of(&pictures.join(format!("{name}.snap")));
            new.push_str(&format!("```text\n{text}\n```\n"));
        } else if word == Some("keys") {
            while lines.next_if(|line| *line != "<!-- end of keys -->").is_some() {}
            new.push_str(&super::super::keys::table());
            new.push('\n');
        }
    }
    new
}

#[test]
fn the_screens_and_keys_in_the_docs_are_those_of_the_program() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/wizard.md");
    let old = std::fs::read_to_string(&path).unwrap();
    let new = wizard_md(&old);
    if std::env::var_os("RENEW_DOCS").is_some() {
        std::fs::write(&path, &new).unwrap();
        return;
    }
    assert!(old == new, "renew it: RENEW_DOCS=1 cargo test -p hookos --lib the_screens_and_keys_in_the_docs");
    // Every step and screen has its picture, and sentences before it.
    let steps = Step::ALL.iter().map(|step| step.title());
    for title in ["Start", "Result"].into_iter().chain(steps) {
        let section = old.split(&format!("\n## {title}\n")).nth(1).unwrap_or_else(|| panic!("{title}"));
        let section = section.split("\n## ").next().unwrap();
        let before = section.split("<!-- picture").next().unwrap();
        assert!(section.contains("```text") && before.trim().ends_with('.'), "{title}");
    }
}
