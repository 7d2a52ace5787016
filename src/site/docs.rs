//! Texts generated from the table of fields: docs/fields.md and profiles/example.toml.

use super::field::Section;
use super::fields::FIELDS;
use super::profile::VERSION;
use super::value::Value;
use std::fmt::Write as _;

/// Comment lines of at most 100 columns.
pub(super) fn comment(text: &str) -> String {
    let mut out = String::new();
    let mut width = 0;
    for word in text.split(' ') {
        if width > 0 && width + 1 + word.len() > 100 {
            out.push('\n');
            width = 0;
        }
        out.push_str(if width == 0 { "# " } else { " " });
        width += if width == 0 { 2 } else { 1 } + word.len();
        out.push_str(word);
    }
    out.push('\n');
    out
}

/// docs/fields.md.
pub fn fields_md() -> String {
    let mut text = String::from(
        "# Fields\n\n\
         Every setting of a site. A value is taken from the strongest source that has one: default, profile,\n\
         environment, flag. An empty flag (`--http-proxy \"\"`) or an empty text in a profile means \"no value\".\n\
         Lists are arrays in profiles and have commas elsewhere.\n\n\
         This file is generated: `hookos configure --fields > docs/fields.md`.\n",
    );
    for section in Section::ALL {
        let _ = write!(text, "\n## [{}]\n\n{}.\n", section.name(), capital(section.about()));
        for f in FIELDS.iter().filter(|f| f.section == *section) {
            let _ = write!(text, "\n### {}\n\n{}.", f.key, f.help);
            if !f.more.is_empty() {
                let _ = write!(text, " {}", f.more);
            }
            let _ = write!(text, "\n\n| | |\n|---|---|\n");
            let _ = writeln!(text, "| flag | `--{}` |", f.flag);
            let ambient = if f.ambient.is_empty() {
                String::new()
            } else {
                format!("; `configure` also takes `{}`", f.ambient.join("`, `"))
            };
            let _ = writeln!(text, "| environment | `{}`{ambient} |", f.env);
            if f.needs.is_some() {
                let _ = writeln!(text, "| counts | {} |", f.when());
            }
            let _ = writeln!(text, "| accepts | {} |", f.kind.accepts().replace('|', "\\|"));
            if !f.default_text().is_empty() {
                let _ = writeln!(text, "| default | `{}` |", f.default_text());
            }
            let _ = writeln!(text, "| example | `{}` |", f.example);
            if let Some(key) = f.config_key {
                let _ = writeln!(text, "| key in `config` | `{key}` |");
            }
            if let Some(key) = f.image_key {
                let _ = writeln!(text, "| key in the image's env_config | `{key}` |");
            }
            if f.onboarding {
                let _ = writeln!(text, "| needed | to register a machine |");
            }
        }
    }
    text
}

/// profiles/example.toml: every field with its help and its example, none of them set.
pub fn example_profile() -> String {
    let mut text = format!(
        "# Every field of a profile with an example. Copy this file to profiles/NAME.toml and take the `#` off\n\
         # what your site needs, or let `hookos configure --profile NAME` write the file.\n\
         # This file is generated: hookos configure --example > profiles/example.toml\n\
         schema_version = {VERSION}\n"
    );
    for section in Section::ALL {
        let _ = write!(text, "\n# {}.\n[{}]\n", capital(section.about()), section.name());
        for f in FIELDS.iter().filter(|f| f.section == *section) {
            text.push_str(&comment(&format!("{}.", f.help)));
            if !f.more.is_empty() {
                text.push_str(&comment(f.more));
            }
            if f.needs.is_some() {
                text.push_str(&comment(&format!("Counts {}.", f.when())));
            }
            if !f.default_text().is_empty() {
                let _ = writeln!(text, "# Default: {}", f.default_text());
            }
            if f.kind.is_secret(f.example) {
                let _ = writeln!(text, "# Never here: {}=...", f.env);
            } else if let Ok(Some(value)) = Value::parse(f.kind, f.example) {
                let _ = writeln!(text, "#{} = {}", f.key, super::profile::item_of(&value));
            }
        }
    }
    text
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::super::{Profile, Sources, resolve};
    use super::*;
    use std::path::Path;

    #[test]
    fn the_generated_files_in_the_project_are_current() {
        let renew = "renew it: hookos configure --fields > docs/fields.md";
        assert_eq!(include_str!("../../docs/fields.md"), fields_md(), "{renew}");
        let renew = "renew it: hookos configure --example > profiles/example.toml";
        assert_eq!(include_str!("../../profiles/example.toml"), example_profile(), "{renew}");
    }

    #[test]
    fn the_example_profile_is_valid_with_every_line_on() {
        let text: String = example_profile()
            .lines()
            .map(|line| line.strip_prefix('#').filter(|l| !l.starts_with(' ')).unwrap_or(line))
            .map(|line| format!("{line}\n"))
            .collect();
        let profile = Profile::from_bytes(Path::new("example.toml"), text.as_bytes()).unwrap();
        let (site, warnings) = resolve("example", &Sources { profile: Some(&profile), ..Sources::default() })
            .into_result()
            .unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
        assert!(
            site.iter().all(|(f, r)| matches!(r.origin, super::super::Origin::Profile { .. })
                || f.kind.is_secret(f.example))
        );
    }
}
