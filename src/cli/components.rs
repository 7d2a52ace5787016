//! `hookos components`: the parts of the OS, made one by one; and their package locks.

use super::context::Context;
use super::profile_arg::ProfileFlag;
use super::render::Face;
use crate::build::image::Request;
use crate::build::{Run, Stage};
use crate::component;
use crate::debian::lock::Mode;
use crate::problem::{Problem, Result};
use crate::site::FieldFlags;

/// Make components, renew their package locks, or list them.
///
/// Without names: every component in components/. The profile's settings decide where packages and images come from.
#[derive(Debug, clap::Args)]
pub struct ComponentsArgs {
    /// Names of folders in components/.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Resolve the Debian packages anew and write packages.lock.
    #[arg(long, conflicts_with = "locked")]
    update: bool,
    /// Take the Debian packages that packages.lock names, or fail.
    #[arg(long)]
    locked: bool,
    /// Only say which components there are.
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    profile: ProfileFlag,
    #[command(flatten)]
    fields: FieldFlags,
}

/// What `--list` says of one component.
#[derive(serde::Serialize)]
struct Row {
    name: String,
    description: String,
    role: Option<String>,
    source: &'static str,
}

pub fn run(args: ComponentsArgs, context: &Context) -> Result<()> {
    let all = component::load_all(&context.root.join("components"))?;
    if let Some(unknown) = args.names.iter().find(|name| !all.iter().any(|d| d.name == **name)) {
        let names: Vec<&str> = all.iter().map(|d| d.name.as_str()).collect();
        return Err(Problem::usage(format!("there is no component {unknown}"))
            .remedy(format!("components: {}", names.join(", "))));
    }
    let wanted = |name: &String| args.names.is_empty() || args.names.contains(name);
    let chosen: Vec<component::Definition> = all.into_iter().filter(|d| wanted(&d.name)).collect();
    if args.list || context.dry_run {
        return list(&chosen, context);
    }
    let site = context.site(args.profile.name(), args.fields)?;
    let store = context.store()?;
    let out = context.root.join("out/components");
    let locks = match (args.update, args.locked) {
        (true, _) => Mode::Update,
        (_, true) => Mode::Locked,
        _ => Mode::Default,
    };
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let request =
        Request { root: &context.root, out: &out, store: &store, site: &site, locks, jobs, cache: None };
    let cancel = super::cancel_on_signals()?;
    let (sender, face) = Face::choose(context.json, context.plain).show()?;
    let run = Run::start("components", &out, sender, cancel)?;
    let chosen = chosen.into_iter().map(|definition| (definition.name.clone(), definition)).collect();
    let result = run.stage(Stage::Components, |task| request.make_components(&chosen, task));
    run.finish(&result);
    drop(run);
    let _ = face.join();
    result
}

fn list(chosen: &[component::Definition], context: &Context) -> Result<()> {
    let rows: Vec<Row> = chosen
        .iter()
        .map(|definition| Row {
            name: definition.name.clone(),
            description: definition.description.clone(),
            role: definition.role.clone(),
            source: match definition.source {
                component::Source::Recipe(_) => "recipe",
                component::Source::Image(_) => "image",
                component::Source::Dockerfile(_) => "Dockerfile",
            },
        })
        .collect();
    let text: Vec<String> =
        rows.iter().map(|row| format!("{:<16} {:<10} {}", row.name, row.source, row.description)).collect();
    context.answer(&rows, &text.join("\n"))
}
