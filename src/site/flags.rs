//! Every field as a flag, for any command: `#[command(flatten)] fields: FieldFlags`.

use super::field::{Field, Kind};
use super::fields::FIELDS;
use super::resolve::FlagValues;
use clap::{Arg, ArgAction, ArgMatches, Command};

/// The fields that were given as flags.
#[derive(Debug, Clone, Default)]
pub struct FieldFlags(pub FlagValues);

/// Adds a flag for each field to a command, under a heading for each section. Values are not
/// validated here: [`mod@super::resolve`] tells all problems of all sources together.
pub fn clap_args(command: Command) -> Command {
    FIELDS.iter().fold(command, |command, field| command.arg(arg(field)))
}

fn arg(field: &'static Field) -> Arg {
    let arg = Arg::new(field.flag)
        .long(field.flag)
        .value_name(field.kind.value_name())
        .help(field.help)
        .long_help(long_help(field))
        .hide_short_help(true)
        .help_heading(format!("Settings: {} ({})", field.section.name(), field.section.about()));
    match field.kind {
        Kind::Bool => {
            arg.num_args(0..=1).require_equals(true).default_missing_value("true").action(ArgAction::Set)
        }
        kind if kind.is_list() => arg.action(ArgAction::Append),
        _ => arg.action(ArgAction::Set),
    }
}

fn long_help(field: &Field) -> String {
    let mut text = format!("{}.", field.help);
    for part in [field.more.to_owned(), accepted(field)] {
        if !part.is_empty() {
            text.push(' ');
            text.push_str(&part);
        }
    }
    if !field.default_text().is_empty() {
        text.push_str(&format!(" [default: {}]", field.default_text()));
    }
    text.push_str(&format!(" [env: {}] [profile: {}] [example: {}]", field.env, field.path(), field.example));
    text
}

fn accepted(field: &Field) -> String {
    match field.kind {
        Kind::Choice(choices) => format!("One of {}.", choices.join(", ")),
        Kind::Integer(least, most) => format!("From {least} to {most}."),
        kind if kind.is_list() => "May be repeated.".to_owned(),
        _ => String::new(),
    }
}

impl FieldFlags {
    /// The flags in a command's matches.
    pub fn from_matches(matches: &ArgMatches) -> Self {
        let given = |field: &Field| -> Option<String> {
            let values: Vec<&String> = matches.get_many::<String>(field.flag)?.collect();
            Some(values.into_iter().map(String::as_str).collect::<Vec<_>>().join(","))
        };
        Self(FIELDS.iter().filter_map(|field| Some((field.id, given(field)?))).collect())
    }
}

impl clap::FromArgMatches for FieldFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self::from_matches(matches))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.extend(Self::from_matches(matches).0);
        Ok(())
    }
}

impl clap::Args for FieldFlags {
    fn augment_args(command: Command) -> Command {
        clap_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        clap_args(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::Id;

    fn flags(words: &[&str]) -> FlagValues {
        let matches = clap_args(Command::new("x")).try_get_matches_from(words).unwrap();
        FieldFlags::from_matches(&matches).0
    }

    #[test]
    fn flags_are_taken_as_they_are() {
        clap_args(Command::new("x")).debug_assert();
        let got = flags(&[
            "x",
            "--http-proxy",
            "",
            "--nameservers",
            "192.0.2.1",
            "--nameservers=192.0.2.2,192.0.2.3",
            "--placeholder-certificates",
        ]);
        assert_eq!(got[&Id::HttpProxy], "");
        assert_eq!(got[&Id::Nameservers], "192.0.2.1,192.0.2.2,192.0.2.3");
        assert_eq!(got[&Id::PlaceholderCertificates], "true");
        assert_eq!(got.len(), 3);
    }
}
