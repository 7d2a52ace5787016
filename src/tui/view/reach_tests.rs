//! Nothing that a screen says is out of reach, however small the terminal is.

use super::super::data::{Pending, Source};
use super::super::model::{Model, Screen};
use super::super::msg::Msg;
use super::super::overlay::{Overlay, Text};
use super::super::step::Step;
use super::super::testing::*;
use super::super::update::update;
use super::rows::Extent;
use super::tests::{full_start, on, pictures};
use crate::site::certificates::Bundle;
use std::collections::BTreeSet;
use std::path::Path;

/// Every line of every row that is in sight at some moment, and every one that there is, on the way
/// down a screen by the arrow alone.
fn seen_by_arrow(model: &mut Model) -> (BTreeSet<(usize, usize)>, BTreeSet<(usize, usize)>) {
    let (mut seen, mut all) = (BTreeSet::new(), BTreeSet::new());
    press(model, &["Home"]);
    loop {
        let extent = Extent::of(model);
        let from = extent.from(model.scroll);
        for (row, spot) in extent.spots.iter().enumerate() {
            for line in 0..spot.tall {
                all.insert((row, line));
                if (from..from + extent.height).contains(&(spot.at + line)) {
                    seen.insert((row, line));
                }
            }
        }
        let before = (from, model.focus());
        press(model, &["Down"]);
        if (Extent::of(model).from(model.scroll), model.focus()) == before {
            return (seen, all);
        }
    }
}

#[test]
fn behaviour_25_every_line_of_a_screen_can_be_seen_at_the_least_size() {
    let mut models: Vec<Model> = Step::ALL.iter().filter(|s| **s != Step::Build).map(|s| on(*s)).collect();
    models.push(full_start());
    // Every field of these has an error below it.
    for step in [Step::Endpoints, Step::Network] {
        let mut model = on(step);
        let form = &mut model.site.as_mut().unwrap().form;
        let ids = || crate::site::FIELDS.iter().map(|f| f.id);
        ids().for_each(|id| form.set(id, "a b://".to_owned()));
        form.submit(ids());
        models.push(model);
    }
    for mut model in models {
        model.size = super::LEAST;
        let (seen, all) = seen_by_arrow(&mut model);
        let unseen: Vec<_> = all.difference(&seen).collect();
        let step = model.site.as_ref().map(|site| site.step);
        assert!(unseen.is_empty(), "{step:?}: {unseen:?}\n{}", screen(&model));
        assert!(all.len() > 8);
        // And back.
        press(&mut model, &["Home"]);
        assert_eq!(Extent::of(&model).from(model.scroll), 0);
        assert!(matches!(model.screen, Screen::Site | Screen::Start));
    }
}

/// The orchestrator's chain as it was fetched, and the question about it.
fn asked_to_trust() -> (Model, Vec<String>) {
    let mut model = on(Step::Certificates);
    let read = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles").join(name);
        Bundle::from_bytes(Path::new(name), &std::fs::read(path).unwrap()).unwrap()
    };
    let ca = read("lab-ca.pem");
    let prints = ca.certificates.iter().map(|c| c.info.fingerprint.hex()).collect();
    let run = model.site.as_mut().unwrap().fetched.begin(model.now);
    let source = Source::Fetched("keycloak.lab.example.com:443".to_owned());
    update(&mut model, Msg::Fetched(run, Ok(Box::new(Pending { ca, server: None, source }))));
    (model, prints)
}

#[test]
fn behaviour_10_the_fingerprint_is_seen_whole_before_it_can_be_confirmed() {
    for size in [super::LEAST, (80, 24), (120, 40)] {
        let (mut model, prints) = asked_to_trust();
        model.size = size;
        for answer in ["No", "Yes, it is the same"] {
            assert!(screen(&model).contains(answer), "{size:?}: {}", screen(&model));
        }
        let mut text = screen(&model);
        while matches!(&model.overlay, Some(Overlay::Ask(ask)) if ask.at == 0) {
            press(&mut model, &["Down"]);
            text.push_str(&screen(&model));
        }
        let digits: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
        assert!(!prints.is_empty());
        for print in prints {
            // Its lines are put together again without the box around them.
            let halves = print.split_at(32);
            assert!(digits.contains(halves.0) && digits.contains(halves.1), "{size:?} {print}\n{text}");
        }
        press(&mut model, &["Enter"]);
        assert!(model.overlay.is_none() && site(&model).pending.is_some());
    }
    pictures("chain", &mut asked_to_trust().0);
}

#[test]
fn a_long_text_is_read_to_its_last_line_and_no_further() {
    let mut model = on(Step::Endpoints);
    model.size = super::LEAST;
    let lines = (0..30).map(|n| format!("line {n} {}", "word ".repeat(20))).collect();
    model.overlay = Some(Overlay::Text(Text { title: "A text".to_owned(), lines, from: 0 }));
    assert!(screen(&model).contains("line 0") && screen(&model).contains("more lines below"));
    press(&mut model, &["PgDn"; 30]);
    let end = screen(&model);
    assert!(end.contains("line 29") && !end.contains("below"), "{end}");
    press(&mut model, &["Down", "Up"]);
    assert_ne!(screen(&model), end, "a key at the end is not one to be taken back");
    press(&mut model, &["Home"]);
    assert!(screen(&model).contains("line 0"));
}
