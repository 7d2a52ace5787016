//! A line more in the table of fields is a row more in its form, and all that goes with it: no word of it is
//! in the wizard.

use super::super::command;
use super::super::effects::{Place, sites};
use super::super::msg::{Effect, Msg};
use super::super::rows::{Row, rows};
use super::super::step::Step;
use super::super::testing::*;
use super::update;
use crate::site::{Field, FieldFlags, Id, Profile, Section, docs, one_more};
use clap::Args as _;

#[test]
fn a_field_that_is_added_to_the_table_is_in_its_form_in_commands_and_in_profiles() {
    one_more::add();
    let folder = tempfile::tempdir().unwrap();
    let mut model = new_site();
    fill(&mut model, "depot.example.com");

    // Its form: label, value, origin, help.
    go(&mut model, Step::Network);
    to(&mut model, Id::OneMore);
    let row = line_with(&model, "Link patience").1;
    assert!(row.contains(" 30 ") && row.contains("default"), "{row}");
    let text = screen(&model);
    for part in ["Seconds to wait for a link before DHCP", "Some switches take", "from 1 to 600"] {
        assert!(text.contains(part), "{part}: {text}");
    }

    // Its validation: refused keys, and a value that is none once the field is left.
    fill(&mut model, "9000");
    assert!(!screen(&model).contains("x 9000"), "nothing is red while it is typed");
    press(&mut model, &["Up"]);
    let (at, row) = line_with(&model, "Link patience");
    assert!(row.contains("9000") && row.contains("edited"), "{row}");
    let below = lines(&model)[at + 1..at + 3].join("\n");
    assert!(below.contains("x ") && below.contains("9000") && below.contains("from 1 to 600"), "{below}");
    press(&mut model, &["Ctrl-N"]);
    assert!(screen(&model).contains("1 problem on this step"), "{}", screen(&model));
    to(&mut model, Id::OneMore);
    fill(&mut model, "90");
    assert!(!screen(&model).contains("problem"), "{}", screen(&model));

    // The review and its command.
    go(&mut model, Step::Review);
    assert!(rows(&model).contains(&Row::Value(Id::OneMore)));
    assert!(command::whole(site(&model)).contains(" --link-patience=90"), "{}", command::whole(site(&model)));

    // The profile, and back from it.
    let place = Place { root: folder.path().to_owned(), store: folder.path().to_owned(), drafts: None };
    let effects = press(&mut model, &["Ctrl-S"]);
    let save = effects.into_iter().find_map(|effect| match effect {
        Effect::Save(save) => Some(save),
        _ => None,
    });
    let saved = sites::save(&place, *save.unwrap());
    let path = folder.path().join("profiles/site.toml");
    let profile = std::fs::read_to_string(&path).unwrap();
    assert!(profile.contains("link_patience = 90"), "{profile}");
    update(&mut model, Msg::Saved(saved));
    assert_eq!(site(&model).form.origin(Id::OneMore), "profile site");
    let read = Profile::load(&path).unwrap();
    assert_eq!(read.value(Id::OneMore.field()).unwrap().unwrap().value.unwrap().text(), "90");

    // What else the table drives: the command line, names, docs.
    let words = clap::Command::new("x");
    let matches = FieldFlags::augment_args(words).get_matches_from(["x", "--link-patience", "45"]);
    assert_eq!(FieldFlags::from_matches(&matches).0[&Id::OneMore], "45");
    assert_eq!(Field::in_profile(Section::Network, "link_patience").unwrap().id, Id::OneMore);
    assert!(docs::fields_md().contains("link_patience") && docs::example_profile().contains("link_patience"));
}
