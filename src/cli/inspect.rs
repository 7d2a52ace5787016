//! `hookos inspect`: what is in an image, and how two differ.

use super::context::Context;
use super::render::Short;
use crate::build::inspect::{Difference, Inspection, Item, Kernel, difference, inspect};
use crate::problem::Result;
use crate::publish::Named;
use crate::site::certificates::{self, date};
use crate::store::Digest;
use crate::words::size;
use std::path::{Path, PathBuf};

/// Show what is in an image: members, services, settings, certificates with dates, kernel, which build it is.
///
/// The image may be ours or HookOS as others publish it. Given two images, shows how they differ: kernel, command
/// line, settings, and by name each file, folder and device: content, mode, owner, device number. Times are not
/// compared. Passwords are masked.
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
    let release = image.kernel.as_ref().map_or("none here", |kernel| kernel.release.as_str());
    let mut lines = vec![format!("kernel      {release}")];
    lines.extend(image.cmdline.iter().map(|words| format!("cmdline     {words}")));
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
        image.count()
    ));
    for (name, digest) in &image.beside {
        lines.push(format!("beside      {name}, {digest}"));
    }
    lines.push("members".to_owned());
    for member in &image.members {
        lines.push(format!(
            "  at {:>12}  {:<5} {:>12} packed {:>12} unpacked {:>7} files",
            member.offset,
            format!("{:?}", member.packing).to_lowercase(),
            size(member.packed),
            size(member.unpacked),
            member.files
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
    let word = |value: Option<&str>| value.unwrap_or("none").to_owned();
    if let Some((one, other)) = &found.kernel {
        let release = |kernel: &Option<Kernel>| word(kernel.as_ref().map(|kernel| kernel.release.as_str()));
        let (one, other) = (release(one), release(other));
        lines.push(if one == other {
            format!("kernel: both are {one}, of different bytes")
        } else {
            format!("kernel: {one} -> {other}")
        });
    }
    if let Some((one, other)) = &found.cmdline {
        lines.push(format!("cmdline: {} -> {}", word(one.as_deref()), word(other.as_deref())));
    }
    for (key, (one, other)) in &found.settings {
        lines.push(format!("{key}: {} -> {}", word(one.as_deref()), word(other.as_deref())));
    }
    for (name, both) in &found.files {
        lines.push(match both {
            (None, Some(item)) => format!("+ {name}{}", bytes(item)),
            (Some(item), None) => format!("- {name}{}", bytes(item)),
            (Some(one), Some(other)) => format!("~ {name} ({})", changes(one, other)),
            (None, None) => continue,
        });
    }
    for (name, (one, other)) in &found.beside {
        let digest =
            |digest: &Option<Digest>| digest.map_or_else(|| "none".to_owned(), |digest| digest.to_string());
        lines.push(format!("beside {name}: {} -> {}", digest(one), digest(other)));
    }
    if lines.is_empty() {
        return "The two images hold the same kernel, settings and files (times are not compared)."
            .to_owned();
    }
    lines.join("\n")
}

fn bytes(item: &Item) -> String {
    if item.is_folder() { "/".to_owned() } else { format!(" ({})", size(item.bytes)) }
}

/// In which ways two files of one name differ.
fn changes(one: &Item, other: &Item) -> String {
    let mut said = Vec::new();
    if one.bytes != other.bytes {
        said.push(format!("{} -> {}", size(one.bytes), size(other.bytes)));
    } else if one.digest != other.digest {
        said.push("content".to_owned());
    }
    if one.mode != other.mode {
        said.push(format!("mode {:o} -> {:o}", one.mode, other.mode));
    }
    if (one.uid, one.gid) != (other.uid, other.gid) {
        said.push(format!("owner {}:{} -> {}:{}", one.uid, one.gid, other.uid, other.gid));
    }
    if one.device != other.device {
        let device = |(major, minor): (u32, u32)| format!("{major}:{minor}");
        said.push(format!("device {} -> {}", device(one.device), device(other.device)));
    }
    said.join(", ")
}
