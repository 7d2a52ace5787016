//! `hookos cache`: look after the store.

use super::context::Context;
use crate::problem::{Problem, Result};
use crate::progress::Progress as _;
use crate::words::size;
use std::time::Duration;

/// Look after the store: list what it holds, verify it, prune what is not used.
#[derive(Debug, clap::Args)]
pub struct CacheArgs {
    #[command(subcommand)]
    command: Option<CacheCommand>,
}

#[derive(Debug, clap::Subcommand)]
enum CacheCommand {
    /// Say where the store is and how much it holds (the default).
    List,
    /// Read every blob and compare it with its digest; damaged ones are taken out.
    Verify,
    /// Remove what no build has used for some time.
    Prune {
        /// How many days; 0 removes everything.
        #[arg(long, default_value_t = 30, value_name = "DAYS")]
        unused_days: u32,
    },
}

pub fn run(args: CacheArgs, context: &Context) -> Result<()> {
    let store = context.store()?;
    match args.command.unwrap_or(CacheCommand::List) {
        CacheCommand::List => {
            let contents = store.contents()?;
            let text = format!(
                "{}: {} blobs, {}; {} results of work",
                store.root().display(),
                contents.blobs,
                size(contents.bytes),
                contents.work
            );
            context.answer(&contents, &text)
        }
        CacheCommand::Verify => {
            let progress = super::render::Short::start(context)?;
            let checked = store.verify_all(&progress)?;
            progress.check()?;
            drop(progress);
            let mut text = format!("{} blobs read, {} damaged", checked.blobs, checked.damaged.len());
            if checked.dangling > 0 {
                text.push_str(&format!(", {} results of work forgotten", checked.dangling));
            }
            context.answer(&checked, &text)?;
            if checked.damaged.is_empty() {
                return Ok(());
            }
            let names: Vec<String> = checked.damaged.iter().map(ToString::to_string).collect();
            Err(Problem::new(format!("damaged blobs were taken out of the store: {}", names.join(", ")))
                .remedy("build again: what is missing is made anew; if it happens again, check the disk and memory"))
        }
        CacheCommand::Prune { unused_days } => {
            if context.dry_run {
                println!("would remove what no build has used for {unused_days} days");
                return Ok(());
            }
            let pruned = store.prune(Duration::from_secs(u64::from(unused_days) * 24 * 3600))?;
            let text = format!("{} blobs removed, {}", pruned.blobs, size(pruned.bytes));
            context.answer(&pruned, &text)
        }
    }
}
