//! `hookos inspect`: what is in an image, and how two differ.

use super::context::Context;
use super::render::Short;
use crate::build::inspect::{Difference, Inspection, difference, inspect};
use crate::problem::Result;
use crate::publish::Named;
use crate::site::certificates::{self, date};
use crate::words::size;
use std::path::{Path, PathBuf};

/// Show what is in an image: members, services, settings, certificates with dates, kernel, which build it is.
///
/// The image may be ours or HookOS as others publish it. Given two images, shows how they differ: kernel,
/// settings, and files by name. Passwords are masked.
#[derive(Debug, clap::Args)]
pub struct InspectArgs {
    /// A hook_x86_64.tar.gz, a folder with kernel and initramfs, an initramfs, or a published image
    /// (registry/repository:tag).
    #[arg(value_name = "IMAGE")]
    image: PathBuf,
    /// Another one, to compare it with.
    #[arg(value_name = "OTHER")]
    other: Option<PathBuf>,
}

pub fn run(args: &InspectArgs, context: &Context) -> Result<()> {
    let (store, options) = (context.store()?, context.registry()?);
    let progress = Short::deaf(context);
    let named = |image: &Path| Named::find(image, &store, &options, &progress);
    let one = inspect(&named(&args.image)?.path)?;
    match &args.other {
        None => context.answer(&one, &text(&one)),
        Some(other) => {
            let found = difference(&one, &inspect(&named(other)?.path)?);
            context.answer(&found, &compared(&found))
        }
    }
}

fn text(image: &Inspection) -> String {
    let mut lines = vec![format!("kernel      {}", image.kernel.as_deref().unwrap_or("none here"))];
    if let Some(site) = &image.site {
        let word = |key: &str| site.get(key).and_then(|v| v.as_str()).unwrap_or("?").to_owned();
        lines.push(format!("profile     {}, built by hookos {}", word("profile"), word("hookos")));
        if site.get("placeholder_certificates").and_then(serde_json::Value::as_bool) == Some(true) {
            lines.push(
                "            with placeholder certificates: it can register with no real server".to_owned(),
            );
        }
    }
    lines.push(format!(
        "size        {} packed, {} in {} files unpacked",
        size(image.packed()),
        size(image.unpacked()),
        image.files.len()
    ));
    lines.push("members".to_owned());
    for member in &image.members {
        lines.push(format!(
            "  at {:>12}  {:<5} {:>12} packed {:>12} unpacked {:>7} entries",
            member.offset,
            format!("{:?}", member.packing).to_lowercase(),
            size(member.packed),
            size(member.unpacked),
            member.entries
        ));
    }
    for (stage, names) in &image.containers {
        lines.push(format!("{stage:<11} {}", names.iter().cloned().collect::<Vec<_>>().join(", ")));
    }
    for (title, pairs) in [("env_config", &image.env_config), ("settings", &image.settings)] {
        if !pairs.is_empty() {
            lines.push(title.to_owned());
            lines.extend(pairs.iter().map(|(key, value)| format!("  {key} = {value}")));
        }
    }
    let now = certificates::now();
    for (file, infos) in &image.certificates {
        lines.push(file.clone());
        for info in infos {
            let word = if info.not_after < now { "EXPIRED" } else { "valid" };
            let (from, to) = (date(info.not_before), date(info.not_after));
            lines.push(format!(
                "  {}\n    {word}, {from} to {to}, SHA-256 {}",
                info.subject,
                info.fingerprint.hex()
            ));
        }
        if infos.is_empty() {
            lines.push("  it cannot be read as certificates".to_owned());
        }
    }
    lines.join("\n")
}

fn compared(found: &Difference) -> String {
    let mut lines = Vec::new();
    let word = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
    if let Some((one, other)) = &found.kernel {
        lines.push(format!("kernel: {} -> {}", word(one), word(other)));
    }
    for (key, (one, other)) in &found.settings {
        lines.push(format!("{key}: {} -> {}", word(one), word(other)));
    }
    for (name, (one, other)) in &found.files {
        lines.push(match (one, other) {
            (None, Some(bytes)) => format!("+ {name} ({})", size(*bytes)),
            (Some(bytes), None) => format!("- {name} ({})", size(*bytes)),
            (Some(one), Some(other)) if one != other => {
                format!("~ {name} ({} -> {})", size(*one), size(*other))
            }
            _ => format!("~ {name}"),
        });
    }
    if lines.is_empty() { "The two images hold the same.".to_owned() } else { lines.join("\n") }
}
