//! `hookos doctor`: what this machine can do.

use super::context::Context;
use crate::doctor::{Finding, State, examine, worst};
use crate::problem::{Problem, Result};
use crate::site::FieldFlags;
use crate::store::Store;

/// Say what this machine can do: toolchain, apt, disk, clock, QEMU, Docker, registries; each with a fix.
///
/// Nothing is installed or changed. Exit code 0 if an image can be built here, even if something that only
/// some jobs need is not there; 1 if none can.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// A profile, whose servers are looked at too: release service, mirrors, where it publishes to.
    #[arg(value_name = "PROFILE")]
    profile: Option<String>,
    /// Leave out what needs the network.
    #[arg(long)]
    offline: bool,
}

pub fn run(args: &DoctorArgs, context: &Context) -> Result<()> {
    let site = args.profile.as_deref().map(|name| context.site(name, FieldFlags::default())).transpose()?;
    let findings = examine(&context.root, &Store::default_root(), !args.offline, site.as_ref());
    let text: Vec<String> = findings.iter().map(line).collect();
    context.answer(&findings, &text.join("\n"))?;
    match worst(&findings) {
        State::Bad => {
            let bad = findings.iter().filter(|finding| finding.state == State::Bad);
            let names: Vec<&str> = bad.map(|finding| finding.name).collect();
            Err(Problem::new(format!(
                "no image can be built here before this is mended: {}",
                names.join(", ")
            )))
        }
        _ => Ok(()),
    }
}

fn line(finding: &Finding) -> String {
    let mut text = format!("{:<8} {:<11} {}", finding.state.word(), finding.name, finding.found);
    if let Some(fix) = &finding.fix {
        text.push_str(&format!("\n{:21}for: {}\n{:21}try: {fix}", "", finding.for_what, ""));
    }
    text
}
