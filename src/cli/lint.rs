//! `hookos lint`: are the project's own files in order?

use super::context::Context;
use crate::lint::{Finding, Report, lint};
use crate::problem::{Problem, Result};

/// Check the project's own files: licences, scripts, Markdown, the image definition, components, profiles.
///
/// Each finding has its file and line. shellcheck and reuse are run where they are installed; what was not
/// checked for the lack of one is said. Exit code 0 if all is in order, 1 if not.
#[derive(Debug, clap::Args)]
pub struct LintArgs {
    /// Put right what can be without a doubt: blanks at line ends, line ends, the end of a file.
    #[arg(long)]
    fix: bool,
}

pub fn run(args: &LintArgs, context: &Context) -> Result<()> {
    let report = lint(&context.root, args.fix && !context.dry_run)?;
    context.answer(&report, &text(&report))?;
    match report.findings.len() {
        0 => Ok(()),
        count => {
            let problem = Problem::new(format!("{count} findings"));
            let fixable = report.findings.iter().filter(|finding| finding.fixable).count();
            Err(if fixable > 0 {
                problem.remedy(format!("hookos lint --fix puts {fixable} of them right"))
            } else {
                problem
            })
        }
    }
}

fn text(report: &Report) -> String {
    let mut lines: Vec<String> = report.findings.iter().map(line).collect();
    lines.extend(report.fixed.iter().map(|file| format!("{}: put right", file.display())));
    lines.extend(report.skipped.iter().map(|text| format!("skipped: {text}")));
    lines.push(format!("{} files, {} findings", report.files, report.findings.len()));
    lines.join("\n")
}

fn line(finding: &Finding) -> String {
    let place = match finding.line {
        Some(line) => format!("{}:{line}", finding.file.display()),
        None => finding.file.display().to_string(),
    };
    format!("{place}: {}: {}", finding.rule, finding.message)
}
