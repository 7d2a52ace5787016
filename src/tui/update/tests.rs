//! Behaviours of the wizard (see docs/wizard.md), by number, without a terminal.

use super::super::data::{ComponentEntry, Pending, Tested};
use super::super::draft::Draft;
use super::super::form::Environment;
use super::super::keys::{self, Action, SETS};
use super::super::model::Screen;
use super::super::msg::{Effect, Msg, Saved};
use super::super::overlay::Overlay;
use super::super::rows::{self, Row};
use super::super::step::{State, Step};
use super::super::testing::*;
use super::super::theme::Role;
use super::update;
use crate::probe::{Answer, Failure, Outcome, Phase};
use crate::problem::Problem;
use crate::site::field::{Default, Kind};
use crate::site::{FIELDS, Id, Origin, Profile};
use proptest::prelude::*;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::time::Duration;

#[test]
fn behaviour_01_the_rail_and_the_header_say_the_same() {
    let mut model = opened(LAB);
    press(&mut model, &["Ctrl-N", "Ctrl-N"]);
    let narrow = screen(&model);
    assert!(narrow.contains("Step 3/7: Certificates") && narrow.contains("++>...-"), "{narrow}");
    model.size = (120, 40);
    for (step, word) in [("Endpoints", "done"), ("Network", "done"), ("Build", "locked")] {
        let (_, line) = line_with(&model, step);
        assert!(line.contains(word), "{line}");
    }
    // Something that is not usable needs attention, in both.
    go(&mut model, Step::Endpoints);
    fill(&mut model, "bad.");
    go(&mut model, Step::Kernel);
    assert!(line_with(&model, "Endpoints").1.contains("x Endpoints     needs attention"));
    model.size = (80, 24);
    assert!(screen(&model).contains("x+!>"), "{}", screen(&model));
}

#[test]
fn behaviour_02_any_step_can_be_reached_and_nothing_typed_is_lost() {
    let mut model = opened(LAB);
    fill(&mut model, "no such host!");
    let typed = site(&model).form.text(Id::ClusterDomain);
    for step in [Step::Review, Step::Kernel, Step::Endpoints, Step::Network] {
        go(&mut model, step);
        assert_eq!(site(&model).step, step, "an invalid field keeps nobody");
        assert_eq!(site(&model).form.text(Id::ClusterDomain), typed);
    }
    press(&mut model, &["Ctrl-P"]);
    assert_eq!(site(&model).step, Step::Endpoints);
    assert_eq!(model.focus(), Some(Row::Field(Id::ClusterDomain)), "where one was");
}

#[test]
fn behaviour_03_an_early_answer_marks_later_steps_and_deletes_nothing() {
    let mut model = opened(LAB);
    go(&mut model, Step::Certificates);
    let before = site(&model).form.text(Id::CaFile);
    go(&mut model, Step::Endpoints);
    fill(&mut model, "other.example.com");
    assert_eq!(site(&model).state(Step::Certificates), State::Review);
    let notice = model.notice.as_ref().unwrap();
    assert!(notice.text.contains("Certificates needs review: the orchestrator's domain"), "{notice:?}");
    assert_eq!(site(&model).form.text(Id::CaFile), before);
    // A step that nobody has seen needs no second look.
    assert_eq!(site(&model).state(Step::Kernel), State::Open);
    go(&mut model, Step::Certificates);
    go(&mut model, Step::Endpoints);
    assert_eq!(site(&model).state(Step::Certificates), State::Done, "looking at it is the review");
}

#[test]
fn behaviour_04_nothing_is_red_before_a_field_is_left_and_then_it_follows_each_key() {
    let mut model = new_site();
    fill(&mut model, "a..b");
    assert!(site(&model).form.problem(Id::ClusterDomain).is_none(), "not while typing");
    press(&mut model, &["Tab"]);
    assert!(site(&model).form.problem(Id::ClusterDomain).is_some());
    press(&mut model, &["Up"]);
    assert!(site(&model).form.problem(Id::ClusterDomain).is_some());
    press(&mut model, &["Backspace", "Backspace"]);
    assert!(site(&model).form.problem(Id::ClusterDomain).is_some(), "`a.` is no name either");
    press(&mut model, &["Backspace"]);
    assert!(site(&model).form.problem(Id::ClusterDomain).is_none(), "good again at the very key");
    types(&mut model, "-");
    assert!(site(&model).form.problem(Id::ClusterDomain).is_some(), "and bad at the very key");
}

#[test]
fn behaviour_05_the_error_stands_under_its_field_with_what_is_accepted_and_an_example() {
    // All fields, as the table has them: a field that is added tomorrow is tested tomorrow.
    for field in FIELDS.iter().filter(|f| super::super::form::is_text(f)) {
        let bad = ["\u{1}", "$$ $$", "-.-,x y z=", "99999999999"];
        let bad = bad.iter().find(|text| crate::site::Value::parse(field.kind, text).is_err());
        let bad = bad.unwrap_or_else(|| panic!("{} takes anything", field.key));
        let mut model = opened(LAB);
        go(&mut model, Step::of(field.section));
        to(&mut model, field.id);
        model.size = (120, 60);
        model.site.as_mut().unwrap().form.set(field.id, (*bad).to_owned());
        press(&mut model, &["Tab"]);
        let label = field.label;
        let lines = lines(&model);
        let at = lines.iter().position(|line| line.contains(&format!("{label}  ")));
        let at = at.unwrap_or_else(|| panic!("{label}:\n{}", lines.join("\n")));
        assert!(lines[at + 1].contains(" x "), "{label}: {:?}", &lines[at..at + 3]);
        let below = lines[at + 1..at + 5].join(" ");
        assert!(below.contains("Accepted: "), "{label}: {below}");
        let example: String = field.example.chars().take(12).collect();
        assert!(below.contains(&example), "{label}: {below}");
    }
}

#[test]
fn behaviour_06_a_key_that_no_value_can_have_is_refused_with_a_reason() {
    let mut model = new_site();
    types(&mut model, "edge ");
    assert_eq!(site(&model).form.text(Id::ClusterDomain), "edge");
    let notice = model.notice.as_ref().unwrap();
    assert_eq!(notice.role, Role::Warn);
    assert!(notice.text.starts_with("a space is not taken"), "{notice:?}");
    types(&mut model, ".x");
    assert_eq!(model.notice, None, "a good key takes the message away");
    // Pasted text is taken whole, and told of when the field is left: nothing vanishes in silence.
    update(&mut model, Msg::Paste("https://a b\r\n".to_owned()));
    assert_eq!(site(&model).form.text(Id::ClusterDomain), "edge.xhttps://a b");
    press(&mut model, &["Tab"]);
    assert!(site(&model).form.problem(Id::ClusterDomain).is_some());
    // Text for a place that takes none is not lost in silence either.
    press(&mut model, &["Ctrl-G", "4", "Enter"]);
    assert!(matches!(model.focus(), Some(Row::Field(Id::KernelSource))));
    update(&mut model, Msg::Paste("text".to_owned()));
    assert!(model.notice.as_ref().unwrap().text.contains("Nothing here takes a text"));
}

#[test]
fn behaviour_07_going_on_with_problems_goes_to_the_first_and_names_all() {
    let mut model = opened(LAB);
    for id in [Id::ReleaseSvc, Id::LoggingSvc] {
        to(&mut model, id);
        fill(&mut model, "-x");
    }
    press(&mut model, &["Ctrl-N"]);
    assert_eq!(site(&model).step, Step::Endpoints);
    assert_eq!(model.focus(), Some(Row::Field(Id::ReleaseSvc)));
    let text = &model.notice.as_ref().unwrap().text;
    assert_eq!(text, "2 problems on this step; Ctrl-X goes to the next");
    // They stand above the fields, each with what is wrong, and lead to them.
    for size in [(60, 16), (80, 24)] {
        model.size = size;
        to(&mut model, Id::ReleaseSvc);
        press(&mut model, &["Up"; 12]);
        let text = screen(&model);
        assert!(text.contains("2 problems on this step"), "{text}");
        for label in ["x Release service", "x Log collector"] {
            assert!(line_with(&model, label).1.contains("\"-x\" is not a host name"), "{text}");
        }
    }
    model.set_focus(Row::Problem(Id::LoggingSvc));
    press(&mut model, &["Enter"]);
    assert_eq!(model.focus(), Some(Row::Field(Id::LoggingSvc)), "each can be gone to from the list");
    to(&mut model, Id::ReleaseSvc);
    assert!(site(&model).form.problem(Id::LoggingSvc).is_some(), "both are shown");
    press(&mut model, &["Ctrl-X"]);
    assert_eq!(model.focus(), Some(Row::Field(Id::LoggingSvc)), "each can be gone to");
    press(&mut model, &["Ctrl-X"]);
    assert_eq!(model.focus(), Some(Row::Field(Id::ReleaseSvc)));
    // A person who insists goes on.
    press(&mut model, &["Ctrl-N", "Ctrl-N"]);
    assert_eq!(site(&model).step, Step::Network);
    // Certificates that cannot be used are a problem as any other.
    let effects = go(&mut model, Step::Certificates);
    let [.., Effect::ReadCertificates { run, .. }] = effects[..] else { panic!("{effects:?}") };
    update(&mut model, Msg::Certificates(run, Box::new(Err(Problem::usage("there is no ca.pem")))));
    press(&mut model, &["Ctrl-N"]);
    assert_eq!(site(&model).step, Step::Certificates);
    assert_eq!(model.notice.as_ref().unwrap().text, "1 problem on this step; Ctrl-X goes to the next");
    assert!(matches!(model.focus(), Some(Row::Do(Action::PasteCertificate, _))));
    press(&mut model, &["Ctrl-X"]);
    assert_eq!(site(&model).step, Step::Endpoints, "the next is on another step");
    press(&mut model, &["Ctrl-X", "Ctrl-X"]);
    assert_eq!(site(&model).step, Step::Certificates, "and round again");
}

#[test]
fn behaviour_08_checks_run_aside_show_late_stay_readable_and_can_be_cancelled_or_skipped() {
    let mut model = opened(LAB);
    let effects = press(&mut model, &["Ctrl-T"]);
    let [Effect::Probe { run, ids, .. }] = &effects[..] else { panic!("{effects:?}") };
    assert!(ids.contains(&Id::KeycloakUrl) && !ids.contains(&Id::OnboardingPort));
    let run = *run;
    at(&mut model, 100);
    assert!(!site(&model).probe.busy(model.now), "no sign yet");
    at(&mut model, 200);
    assert!(site(&model).probe.busy(model.now) && model.moving());
    assert!(screen(&model).contains("testing; Esc cancels"), "{}", screen(&model));
    // Keys are taken meanwhile.
    press(&mut model, &["Down"]);
    types(&mut model, "x");
    assert!(site(&model).form.text(Id::KeycloakUrl).ends_with('x'));
    press(&mut model, &["Esc"]);
    assert!(!site(&model).probe.running() && model.overlay.is_none());
    let answer = |target: &str, failure| {
        let took = vec![(Phase::Dns, Duration::from_millis(3))];
        let outcome = Outcome { proxy: None, address: None, took, failure };
        let (label, target) = ("keycloak_url".to_owned(), target.to_owned());
        Ok(Tested {
            answers: vec![Answer { id: Id::KeycloakUrl, label, target, outcome }],
            notes: Vec::new(),
        })
    };
    update(&mut model, Msg::Probed(run, answer("late", None)));
    assert!(site(&model).probe.value().is_none(), "an answer that nobody waits for is dropped");

    let effects = press(&mut model, &["Ctrl-T"]);
    let [Effect::Probe { run, .. }] = effects[..] else { panic!("{effects:?}") };
    at(&mut model, 1000);
    let failure = Failure {
        phase: Phase::Dns,
        brief: "no such name".to_owned(),
        why: "the name is not known".to_owned(),
        remedy: Some("check it".to_owned()),
    };
    update(&mut model, Msg::Probed(run, answer("keycloak.x", Some(failure))));
    assert!(site(&model).probe.busy(model.now), "a sign once shown can be read");
    at(&mut model, 2000);
    assert!(!site(&model).probe.busy(model.now) && !model.moving(), "and then nothing moves");
    model.size = (80, 40);
    assert!(screen(&model).contains("no such name"), "{}", screen(&model));
    model.set_focus(Row::Do(Action::NextStep, "Go on to Network".to_owned()));
    press(&mut model, &["Up"]);
    assert_eq!(model.focus(), Some(Row::Probe(0)), "what it says can be gone to");
    assert!(screen(&model).contains("the name is not known"), "{}", screen(&model));
    assert!(screen(&model).contains("just now"), "the answer has its time: {}", screen(&model));
    super::act(&mut model, Action::SkipCheck);
    assert!(screen(&model).contains("Skipped"), "{}", screen(&model));
}

#[test]
fn behaviour_09_every_value_has_its_origin_and_one_key_restores_the_default() {
    let mut env = Environment::new();
    env.insert("HOOKOS_GETTY".into(), "off".into());
    env.insert("https_proxy".into(), "http://ambient.example.com:1".into());
    let mut model = wizard_with(env.clone());
    open(&mut model, "lab", LAB);
    let origin = |model: &_, id| site(model).form.origin(id);
    assert_eq!(origin(&model, Id::ClusterDomain), "profile lab");
    assert_eq!(origin(&model, Id::KeycloakUrl), "derived");
    assert_eq!(origin(&model, Id::OnboardingPort), "default");
    assert_eq!(origin(&model, Id::Getty), "environment");
    assert_eq!(site(&model).form.text(Id::HttpsProxy), "", "an image does not depend on who builds it");
    to(&mut model, Id::KeycloakUrl);
    fill(&mut model, "keycloak.other.example.com");
    assert_eq!(origin(&model, Id::KeycloakUrl), "edited");
    let words: Vec<String> = screen(&model).split_whitespace().map(str::to_owned).collect();
    let why = "the default, made from the cluster domain, is keycloak.lab.example.com:443.";
    assert!(words.join(" ").contains(why), "{}", screen(&model));
    press(&mut model, &["Ctrl-D"]);
    assert_eq!(origin(&model, Id::KeycloakUrl), "derived");
    // The default of a field whose profile says something else.
    to(&mut model, Id::ReleaseSvc);
    press(&mut model, &["Ctrl-D"]);
    assert_eq!(site(&model).form.text(Id::ReleaseSvc), "files-rs.lab.example.com");
    assert!(site(&model).changed());
    // Every field has its origin or no value, and says why; every one with an edit can be undone.
    for field in FIELDS {
        let form = &mut model.site.as_mut().unwrap().form;
        assert!(!form.origin(field.id).is_empty() || form.text(field.id).is_empty(), "{}", field.key);
        assert!(!form.why(field.id).is_empty());
        form.set(field.id, field.example.to_owned());
        form.restore(field.id);
        if !matches!(form.site().resolved(field.id).origin, Origin::Environment(_)) {
            assert_eq!(form.text(field.id), form.default_text(field.id).unwrap_or_default(), "{}", field.key);
        }
    }
    let mut model = wizard_with(env);
    let profile = Profile::new("new");
    let opened = super::super::data::Opened {
        name: "new".into(),
        profile,
        new: true,
        imported: None,
        warnings: vec![],
        draft: None,
    };
    update(&mut model, Msg::Opened(Ok(Box::new(opened))));
    assert_eq!(
        site(&model).form.origin(Id::HttpsProxy),
        "$https_proxy",
        "a new site offers the machine's proxy"
    );
}

#[test]
fn behaviour_10_certificates_are_read_back_and_what_is_wrong_with_them_stops_a_build() {
    let mut model = opened("schema_version = 1\n[certificates]\nplaceholder = true\n");
    go(&mut model, Step::Certificates);
    let pem = include_bytes!("../../../profiles/lab-ca.pem");
    let ca = crate::site::certificates::Bundle::from_bytes("lab-ca.pem".as_ref(), pem).unwrap();
    let info = ca.certificates[0].info.clone();
    let source = super::super::data::Source::Pasted;
    update(&mut model, Msg::Decoded(Ok(Box::new(Pending { ca, server: None, source }))));
    model.set_focus(Row::Certificate(0));
    model.size = (120, 60);
    let text = screen(&model);
    for fact in [info.subject.as_str(), &info.key, &info.fingerprint.hex(), "expires in"] {
        assert!(text.contains(fact), "{fact}:\n{text}");
    }
    // The same certificate when its time is over.
    model.began = info.not_after + 1;
    super::site::refresh(&mut model, super::site::Look::Enter);
    go(&mut model, Step::Review);
    assert!(press(&mut model, &["b"]).iter().all(|effect| !matches!(effect, Effect::Build { .. })));
    assert_eq!(site(&model).step, Step::Certificates, "it leads to what is wrong");
    assert!(model.notice.as_ref().unwrap().text.contains("expired"), "{:?}", model.notice);
}

#[test]
fn behaviour_11_secrets_are_masked_and_leave_by_no_way() {
    const CANARY: &str = "c4n4ry";
    let hash = format!("$6$saltsalt${CANARY}canarycanarycanary");
    let mut model = opened(LAB);
    go(&mut model, Step::Network);
    to(&mut model, Id::HttpProxy);
    types(&mut model, &format!("http://user:{CANARY}@proxy.example.com:3128"));
    go(&mut model, Step::Components);
    to(&mut model, Id::RootPasswordHash);
    types(&mut model, &hash);
    let mut seen = Vec::new();
    for step in [Step::Endpoints, Step::Network, Step::Components, Step::Review] {
        let effects = go(&mut model, step);
        for row in rows::rows(&model).into_iter().filter(Row::can_focus) {
            model.set_focus(row);
            for size in [(80, 24), (120, 40)] {
                model.size = size;
                seen.push(screen(&model));
            }
        }
        // What is kept of unsaved input.
        for effect in effects {
            if let Effect::KeepDraft(draft) = effect {
                seen.push(serde_json::to_string(&draft).unwrap());
            }
        }
    }
    seen.push(super::super::command::whole(site(&model)));
    press(&mut model, &["Ctrl-C"]);
    seen.extend(model.farewell.clone());
    for text in &seen {
        assert!(!text.contains(CANARY), "{text}");
    }
    assert!(seen.iter().any(|text| text.contains("HOOKOS_HTTP_PROXY=")), "the command says where it goes");
    // One key shows it, for who wants to check what was typed.
    model.leaving = None;
    go(&mut model, Step::Network);
    to(&mut model, Id::HttpProxy);
    press(&mut model, &["Ctrl-R"]);
    assert!(screen(&model).contains(CANARY), "{}", screen(&model));
    press(&mut model, &["Ctrl-R"]);
    assert!(!screen(&model).contains(CANARY));
}

#[test]
fn behaviour_12_the_review_shows_every_value_marks_what_differs_and_leads_to_it() {
    let mut model = opened(LAB);
    to(&mut model, Id::LoggingSvc);
    fill(&mut model, "logs.example.com");
    go(&mut model, Step::Review);
    model.size = (100, 90);
    let text = screen(&model);
    for field in FIELDS.iter().filter(|f| site(&model).form.site().get(f.id).is_some()) {
        assert!(text.contains(field.label), "{}:\n{text}", field.key);
    }
    assert!(line_with(&model, "Release service").1.contains("* Release service"), "differs from the default");
    assert!(line_with(&model, "Onboarding port").1.contains("  Onboarding port"));
    assert!(!line_with(&model, "Onboarding port").1.contains('*'));
    let (at, line) = line_with(&model, "Log collector");
    assert!(line.contains("logs.example.com") && line.contains("edited"));
    assert!(lines(&model)[at + 1].contains("the profile says nothing"), "{text}");
    model.set_focus(Row::Value(Id::LoggingSvc));
    press(&mut model, &["Enter"]);
    assert_eq!(site(&model).step, Step::Endpoints);
    assert_eq!(model.focus(), Some(Row::Field(Id::LoggingSvc)));
}

#[test]
fn behaviour_13_nothing_is_written_before_the_start_is_confirmed() {
    let mut model = opened(LAB);
    let mut effects = Vec::new();
    fill(&mut model, "other.example.com");
    for step in Step::ALL {
        effects.extend(go(&mut model, step));
    }
    effects.extend(press(&mut model, &["Esc"]));
    effects.extend(go(&mut model, Step::Review));
    for effect in &effects {
        assert!(!writes(effect), "{effect:?}");
    }
    let effects = press(&mut model, &["b"]);
    assert!(!effects.iter().any(writes), "{effects:?}");
    let Some(Overlay::Ask(ask)) = &model.overlay else { panic!("{:?}", model.overlay) };
    let text = ask.text.join(" ");
    assert!(text.contains("/project/profiles/lab.toml") && text.contains("/project/out/lab"), "{text}");
    assert!(matches!(&press(&mut model, &["Enter"])[..], [Effect::Save(save)] if save.build));
    // What cannot be undone is never what Enter does at once, and names its target.
    let mut model = wizard();
    sites(&mut model);
    press(&mut model, &["Down", "d"]);
    let Some(Overlay::Ask(ask)) = &model.overlay else { panic!("{:?}", model.overlay) };
    assert!(ask.text.join(" ").contains("/project/profiles/lab.toml"));
    assert!(press(&mut model, &["Enter"]).is_empty() && model.overlay.is_none());
    assert!(
        matches!(&press(&mut model, &["d", "Down", "Enter"])[..], [Effect::Delete(name)] if name == "lab")
    );
}

/// Whether an effect changes a file outside of the state folder.
fn writes(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::Save(_)
            | Effect::Duplicate { .. }
            | Effect::Rename { .. }
            | Effect::Delete(_)
            | Effect::Build { .. }
    )
}

#[test]
fn behaviour_14_the_command_gives_the_same_site() {
    let mut model = opened(LAB);
    fill(&mut model, "other.example.com");
    to(&mut model, Id::TinkServerSvc);
    fill(&mut model, "tink.example.com");
    to(&mut model, Id::ReleaseSvc);
    press(&mut model, &["Ctrl-D"]);
    go(&mut model, Step::Network);
    types(&mut model, "192.0.2.1 a.example.com b,192.0.2.2 c");
    go(&mut model, Step::Kernel);
    to(&mut model, Id::KernelAppend);
    types(&mut model, "console=ttyS0 it's=\"quoted\" $HOME `x`");
    let command = super::super::command::whole(site(&model));
    let words = shlex::split(&command).unwrap();
    assert_eq!(&words[..3], ["hookos", "build", "lab"], "{command}");
    // As the program itself reads its flags.
    let matches = <crate::site::FieldFlags as clap::Args>::augment_args(clap::Command::new("build"))
        .arg(clap::Arg::new("profile"))
        .try_get_matches_from(&words[1..])
        .unwrap_or_else(|e| panic!("{command}: {e}"));
    let flags = crate::site::FieldFlags::from_matches(&matches).0;
    let profile = Profile::from_bytes("/project/profiles/lab.toml".as_ref(), LAB.as_bytes()).unwrap();
    let sources = crate::site::Sources { profile: Some(&profile), flags, ..crate::site::Sources::default() };
    let other = crate::site::resolve("lab", &sources).into_result().unwrap().0;
    for ((field, one), (_, two)) in site(&model).form.site().iter().zip(other.iter()) {
        assert_eq!(one.value, two.value, "{}: {command}", field.key);
    }
}

#[test]
fn behaviour_17_profiles_are_saved_copied_renamed_and_deleted() {
    let mut model = opened(LAB);
    fill(&mut model, "other.example.com");
    let effects = press(&mut model, &["Ctrl-S"]);
    let [Effect::Save(save)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!((save.name.as_str(), save.build), ("lab", false));
    let text = LAB.replace("lab.example.com\"\nrelease", "other.example.com\"\nrelease");
    let profile = Profile::from_bytes("/project/profiles/lab.toml".as_ref(), text.as_bytes()).unwrap();
    let saved =
        Saved { name: "lab".into(), profile, wrote: vec!["it".into()], warnings: vec![], build: false };
    let effects = update(&mut model, Msg::Saved(Ok(Box::new(saved))));
    assert!(matches!(&effects[..], [Effect::DiscardDraft(name), ..] if name == "lab"));
    assert!(!site(&model).changed(), "{:?}", site(&model).form.edits());
    assert_eq!(site(&model).form.origin(Id::ClusterDomain), "profile lab");
    super::act(&mut model, Action::SaveAs);
    assert!(press(&mut model, &["Ctrl-U", ".", "x", "Enter"]).is_empty(), "no name begins with a dot");
    assert!(screen(&model).contains("is not a name for a profile"));
    let effects = press(&mut model, &["Ctrl-U", "z", "9", "Enter"]);
    assert!(matches!(&effects[..], [Effect::Save(save)] if save.name == "z9"), "{effects:?}");

    let mut model = wizard();
    sites(&mut model);
    press(&mut model, &["Down", "c"]);
    types(&mut model, "factory-7");
    assert!(press(&mut model, &["Enter"]).is_empty(), "there is one of that name");
    assert!(screen(&model).contains("there is a profile factory-7 already"));
    types(&mut model, "b");
    let effects = press(&mut model, &["Enter"]);
    assert!(matches!(&effects[..], [Effect::Duplicate { from, to }] if from == "lab" && to == "factory-7b"));
    press(&mut model, &["r", "Ctrl-U"]);
    types(&mut model, "lab2");
    let effects = press(&mut model, &["Enter"]);
    assert!(matches!(&effects[..], [Effect::Rename { from, to }] if from == "lab" && to == "lab2"));
    assert!(matches!(&press(&mut model, &["Enter"])[..], [Effect::Open(name)] if name == "lab"));
}

#[test]
fn behaviour_18_unsaved_input_is_kept_after_each_step_and_offered_again() {
    let mut model = opened(LAB);
    fill(&mut model, "other.example.com");
    to(&mut model, Id::ReleaseSvc);
    press(&mut model, &["Ctrl-D"]);
    let effects = press(&mut model, &["Ctrl-N"]);
    let draft = effects
        .iter()
        .find_map(|e| if let Effect::KeepDraft(draft) = e { Some(draft.clone()) } else { None });
    let draft = draft.unwrap_or_else(|| panic!("{effects:?}"));
    // Through a file and back.
    let text = serde_json::to_string(&draft).unwrap();
    let back: Draft = serde_json::from_str(&text).unwrap();
    assert_eq!(back, *draft);
    let mut again = wizard();
    let profile = Profile::from_bytes("/project/profiles/lab.toml".as_ref(), LAB.as_bytes()).unwrap();
    let opened = super::super::data::Opened {
        name: "lab".into(),
        profile,
        new: false,
        imported: None,
        warnings: vec![],
        draft: Some(back),
    };
    update(&mut again, Msg::Opened(Ok(Box::new(opened))));
    assert_eq!(site(&again).step, Step::Network, "on the step where one was");
    assert_eq!(site(&again).form.edits(), site(&model).form.edits());
    for signal in [129, 143] {
        model.leaving = None;
        let effects = update(&mut model, Msg::Signal(signal));
        assert!(matches!(&effects[..], [Effect::KeepDraft(_)]), "{effects:?}");
        assert_eq!(model.leaving, Some(signal));
    }
}

#[test]
fn behaviour_23_leaving_is_at_once_where_nothing_runs() {
    let mut model = wizard();
    press(&mut model, &["q"]);
    assert_eq!(model.leaving, Some(0));
    let mut model = opened(LAB);
    types(&mut model, "q");
    assert_eq!(model.leaving, None, "a letter in a text field");
    press(&mut model, &["Ctrl-C"]);
    assert_eq!(model.leaving, Some(0));
    assert!(
        model.farewell.len() <= 20 && model.farewell[0].contains("not saved is kept"),
        "{:?}",
        model.farewell
    );
}

#[test]
fn behaviour_24_everything_can_be_found_and_reached_without_special_keys() {
    let mut model = opened(LAB);
    // The footer's words are the table's, and the menu is always one of them.
    for step in Step::ALL.into_iter().filter(|step| *step != Step::Build) {
        go(&mut model, step);
        for size in [(60, 16), (80, 24), (120, 40)] {
            model.size = size;
            let last = lines(&model).pop().unwrap();
            assert!(last.contains("Esc menu"), "{size:?} {step:?}: {last}");
            let hints = last.split("  ").filter(|hint| !hint.trim().is_empty()).count();
            assert!((4..=7).contains(&hints), "{size:?} {step:?}: {last}");
        }
    }
    // Every action of every screen is in its menu, where arrows and Enter reach it.
    model.size = (120, 40);
    for (step, field) in [(Step::Endpoints, true), (Step::Certificates, false), (Step::Review, false)] {
        go(&mut model, step);
        model.set_focus(
            rows::rows(&model)
                .into_iter()
                .find(|row| row.can_focus() && matches!(row, Row::Field(_)) == field)
                .unwrap(),
        );
        let contexts = model.contexts();
        press(&mut model, &["Esc"]);
        let Some(Overlay::Menu(menu)) = &model.overlay else { panic!("{:?}", model.overlay) };
        let offered: Vec<_> = menu.entries(&model).iter().map(|entry| entry.action).collect();
        let moves = [Action::Menu, Action::Up, Action::Down];
        for entry in keys::offered(&contexts).filter(|e| model.allows(e.action) && !moves.contains(&e.action))
        {
            assert!(offered.contains(&entry.action), "{:?} is not in the menu of {step:?}", entry.action);
        }
        press(&mut model, &["Esc"]);
    }
    // And every key that anything listens to is in the table, with what it does.
    for entry in SETS.iter().flat_map(|set| keys::offered(set)) {
        assert!(!entry.about.is_empty(), "{entry:?}");
    }
    go(&mut model, Step::Endpoints);
    press(&mut model, &["Esc"]);
    types(&mut model, "test the conn");
    let effects = press(&mut model, &["Enter"]);
    assert!(matches!(&effects[..], [Effect::Probe { .. }]), "found by a word: {effects:?}");
    press(&mut model, &["Esc"]);
    types(&mut model, "list of profiles");
    press(&mut model, &["Enter"]);
    assert_eq!(model.screen, Screen::Start);
    // Letters type in text fields, also those that mean something elsewhere.
    let mut model = new_site();
    types(&mut model, "q?mnb");
    assert_eq!(site(&model).form.text(Id::ClusterDomain), "qmnb");
    assert_eq!(model.leaving, None);
}

#[test]
fn behaviour_06_nothing_that_is_typed_or_pasted_is_dropped_in_silence() {
    let said = |model: &super::Model| model.notice.as_ref().map_or("", |notice| &notice.text).to_owned();
    let mut model = wizard();
    sites(&mut model);
    update(&mut model, Msg::Paste("text".to_owned()));
    assert!(said(&model).contains("Nothing here takes a text"));
    press(&mut model, &["z"]);
    assert!(said(&model).starts_with("z does nothing here"), "{:?}", model.notice);
    let alt = KeyEvent::new(KeyCode::Char('b'), KeyModifiers::ALT);
    let mut model = opened(LAB);
    update(&mut model, Msg::Key(alt));
    assert!(said(&model).contains("Alt"));
    go(&mut model, Step::Kernel);
    assert!(matches!(model.focus(), Some(Row::Field(Id::KernelSource))));
    press(&mut model, &["y"]);
    assert!(said(&model).starts_with("y does nothing here"), "{:?}", model.notice);
    // Many terminals send Ctrl-H for Backspace.
    go(&mut model, Step::Endpoints);
    to(&mut model, Id::ClusterDomain);
    press(&mut model, &["Ctrl-H"]);
    assert_eq!(site(&model).form.text(Id::ClusterDomain), "lab.example.co");
}

#[test]
fn a_new_site_begins_from_the_example_and_nothing_is_written() {
    let mut model = wizard();
    sites(&mut model);
    press(&mut model, &["e"]);
    types(&mut model, "depot");
    let effects = press(&mut model, &["Enter"]);
    let [Effect::Import { file, name }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!((file.to_str().unwrap(), name.as_str()), ("/project/profiles/example.toml", "depot"));
}

#[test]
fn behaviour_25_a_small_terminal_is_told_of_and_recovers() {
    let mut model = opened(LAB);
    model.size = (59, 16);
    assert!(screen(&model).contains("59x16 is too small") && screen(&model).contains("60x16"));
    model.size = (60, 16);
    assert!(screen(&model).contains("Step 1/7: Endpoints"));
}

#[test]
fn a_field_of_the_table_is_a_row_of_a_form_with_help_and_default() {
    for field in FIELDS {
        let mut model = opened(LAB);
        go(&mut model, Step::of(field.section));
        to(&mut model, field.id);
        assert_eq!(model.focus(), Some(Row::Field(field.id)), "{} has no row", field.key);
        model.size = (120, 40);
        let text = screen(&model);
        let label = field.label;
        assert!(text.contains(&format!("> {label}")), "{label}:\n{text}");
        let help: String = field.help.chars().take(40).collect();
        assert!(text.contains(&help), "{label}:\n{text}");
        let example: String = field.example.chars().take(40).collect();
        assert!(text.contains(&format!("Example: {example}")), "{label}:\n{text}");
        // All of it, in a box that can be scrolled.
        press(&mut model, &["Ctrl-B"]);
        let Some(Overlay::Text(about)) = &model.overlay else { panic!("{label}") };
        assert!(about.lines.iter().any(|line| line.contains(&field.kind.accepts())), "{label}: {about:?}");
        press(&mut model, &["Enter"]);
        match field.kind {
            Kind::Bool => {
                press(&mut model, &["Space"]);
                assert_eq!(site(&model).form.origin(field.id), "edited", "{label}");
            }
            Kind::Choice(choices) => {
                let effects = press(&mut model, &["Right"]);
                assert!(effects.is_empty() || choices.len() > 1);
            }
            _ => {
                fill(&mut model, field.example);
                assert_eq!(site(&model).form.text(field.id), field.example, "{label}");
                press(&mut model, &["Tab"]);
                assert!(site(&model).form.problem(field.id).is_none(), "{label}");
            }
        }
        if !matches!(field.default, Default::None) {
            press(&mut model, &["Ctrl-D"]);
        }
    }
}

#[test]
fn components_are_switched_by_space_and_by_enter() {
    let mut model = opened(LAB);
    let effects = go(&mut model, Step::Components);
    let run = effects
        .iter()
        .find_map(|e| if let Effect::ListComponents { run, .. } = e { Some(*run) } else { None });
    let entry = ComponentEntry {
        name: "acpid".into(),
        description: "Power button".into(),
        role: None,
        source: "2 Debian packages".into(),
        available: true,
        state: String::new(),
        container: Some("acpid".into()),
        fixed: false,
        bytes: Some(1 << 20),
    };
    update(&mut model, Msg::Components(run.unwrap(), Ok(vec![entry])));
    model.set_focus(Row::Component("acpid".into()));
    assert!(line_with(&model, "acpid").1.contains("[x]"));
    press(&mut model, &["Space"]);
    assert!(line_with(&model, "acpid").1.contains("[ ]"));
    assert_eq!(site(&model).form.text(Id::ComponentsOff), "acpid");
    press(&mut model, &["Enter"]);
    assert!(!site(&model).changed());
}

#[test]
fn problems_of_effects_are_told() {
    let mut model = opened(LAB);
    let problem = Problem::new("it cannot be written").remedy("make room");
    update(&mut model, Msg::Saved(Err(problem)));
    assert!(screen(&model).contains("it cannot be written") && screen(&model).contains("try: make room"));
    press(&mut model, &["Enter"]);
    assert!(model.overlay.is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// No key does harm, on no screen, at no size; what a form holds is what a draft brings back.
    #[test]
    fn any_keys_at_any_size(keys in prop::collection::vec(0usize..40, 0..60), width in 1u16..130, height in 1u16..45, fresh in any::<bool>()) {
        const KEYS: [&str; 40] = [
            "Enter", "Esc", "Tab", "Shift-Tab", "Space", "Up", "Down", "Left", "Right", "Home", "End", "PgUp", "PgDn",
            "Backspace", "Delete", "F1", "Ctrl-N", "Ctrl-P", "Ctrl-G", "Ctrl-S", "Ctrl-D", "Ctrl-R", "Ctrl-X", "Ctrl-O",
            "Ctrl-T", "Ctrl-V", "Ctrl-F", "Ctrl-U", "a", "b", "-", ".", "q", "n", "i", "c", "d", "7", "é", "Ctrl-L",
        ];
        let mut model = if fresh { new_site() } else { opened(LAB) };
        sites(&mut model);
        model.size = (width, height);
        for key in keys {
            press(&mut model, &[KEYS[key]]);
            buffer(&model);
            prop_assert!(model.contexts().len() >= 3);
            if let Some(site) = &model.site {
                let draft = Draft::of(site);
                prop_assert_eq!(&draft.edits(), site.form.edits());
            }
        }
    }
}
