//! `hookos boot PROFILE --onboard`: the image registers with the orchestrator stand-in, step by step.

use super::context::Context;
use super::render::Face;
use crate::boot::Machine;
use crate::boot::onboard::{STEPS, Told, Trial};
use crate::boot::trial;
use crate::build::Stage;
use crate::build::run::Run;
use crate::component::binaries::{self, Toolshed, Wanted};
use crate::problem::{Problem, Result};
use std::path::PathBuf;
use std::time::Duration;

/// Where the worker's image is, as the machine sees it: behind its own proxy.
const WORKER: &str = "localhost:7443/edge-orch/lab/tink-worker:latest";

pub struct Onboard<'a> {
    pub profile: &'a str,
    pub smbios: Option<&'a str>,
    pub misbehave: Option<&'a str>,
    pub patience: Duration,
}

pub fn run(onboard: &Onboard<'_>, mut machine: Machine, context: &Context) -> Result<()> {
    let (serial, uuid) = identity(onboard.smbios)?;
    machine.smbios = Some(format!("serial={serial},uuid={uuid}"));
    machine.append.push_str(&format!(" {}", trial::parameters(WORKER)));
    let cancel = super::cancel_on_signals()?;
    let store = context.store()?;
    let out = context.out(onboard.profile);
    let (stand_in, worker) = programs(context, &store, &out, cancel.clone())?;
    let relay = std::env::current_exe()
        .map_err(|e| Problem::new("this program does not know its own file").because(e))?;
    let console = out.join("logs/onboard-console.log");
    if !context.json {
        eprintln!(
            "hookos: {} boots; {} steps to go; its console is written to {}",
            onboard.profile,
            STEPS.len(),
            console.display()
        );
    }
    let trial = Trial {
        store: &store,
        stand_in: &stand_in,
        worker: &worker,
        relay: &relay,
        uuid: &uuid,
        serial: &serial,
        misbehave: onboard.misbehave,
        patience: onboard.patience,
        console: console.clone(),
    };
    let tell = |at: Duration, told: Told<'_>| match told {
        Told::Step { title, detail } if context.json => {
            println!("{}", serde_json::json!({ "at": at.as_secs_f64(), "step": title, "detail": detail }));
        }
        Told::Word { who, text } if context.json => {
            println!("{}", serde_json::json!({ "at": at.as_secs_f64(), "from": who, "text": text }));
        }
        Told::Step { title, detail: "" } => println!("{:>6.1} s  ✓ {title}", at.as_secs_f64()),
        Told::Step { title, detail } => println!("{:>6.1} s  ✓ {title}: {detail}", at.as_secs_f64()),
        Told::Word { who, text } => println!("{:>6.1} s      {who} | {text}", at.as_secs_f64()),
    };
    trial.run(machine, || cancel.is_cancelled(), tell)?;
    if !context.json {
        println!("The image onboards machines.");
    }
    Ok(())
}

/// Serial number and UUID from QEMU's SMBIOS settings.
fn identity(smbios: Option<&str>) -> Result<(String, String)> {
    let mut found = (Machine::SERIAL.to_owned(), Machine::UUID.to_owned());
    for part in smbios.into_iter().flat_map(|text| text.split(',')) {
        match part.split_once('=') {
            Some(("serial", value)) => value.clone_into(&mut found.0),
            Some(("uuid", value)) => value.clone_into(&mut found.1),
            _ => {
                return Err(Problem::usage(format!("--smbios has {part:?}, which a trial does not use"))
                    .remedy("with --onboard: serial=ABC12345,uuid=6f1c2a52-90d1-4a0e-8a3c-3e0d6b5a7c11"));
            }
        }
    }
    Ok(found)
}

/// Builds the stand-in and its worker, or takes them from the store; gives their files.
fn programs(
    context: &Context,
    store: &crate::store::Store,
    out: &std::path::Path,
    cancel: crate::build::Cancel,
) -> Result<(PathBuf, PathBuf)> {
    let wanted = ["orchestrator-stand-in", "lab-worker"]
        .map(|binary| Wanted { package: "orchestrator-stand-in".to_owned(), binary: binary.to_owned() });
    let (sender, face) = Face::choose(context.json, context.plain).show()?;
    let run = Run::start("onboard", out, sender, cancel)?;
    let result = run.stage(Stage::Components, |task| {
        task.item("orchestrator", |item| {
            let programs = binaries::programs(store, &Toolshed::open(&context.root)?, &wanted, item)?;
            // A file of the store is not executable, and must not become so.
            let folder = out.join("logs");
            let mut files = Vec::new();
            for program in programs {
                let file = folder.join(&program.binary);
                place(store, &program, &file)
                    .map_err(|e| Problem::new("a program cannot be written").in_file(&file).because(e))?;
                files.push(file);
            }
            Ok(files)
        })
    });
    run.finish(&result);
    drop(run);
    let _ = face.join();
    match <[PathBuf; 2]>::try_from(result?) {
        Ok([stand_in, worker]) => Ok((stand_in, worker)),
        Err(_) => Err(Problem::new("the orchestrator stand-in was not built")),
    }
}

fn place(
    store: &crate::store::Store,
    program: &binaries::Program,
    file: &std::path::Path,
) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let new = file.with_extension("new");
    std::fs::copy(store.path(&program.digest), &new)?;
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755))?;
    std::fs::rename(&new, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smbios_settings_are_the_machines_identity() {
        assert_eq!(identity(None).unwrap().0, Machine::SERIAL);
        assert_eq!(identity(Some("uuid=u,serial=s")).unwrap(), ("s".to_owned(), "u".to_owned()));
        assert!(identity(Some("family=x")).is_err());
    }
}
