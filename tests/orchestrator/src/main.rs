//! The stand-in as a program.
#![forbid(unsafe_code)]

use clap::{Parser, ValueEnum as _};
use orchestrator_stand_in::{Config, Known, Misbehaviour, NAMES, Orchestrator};
use std::fs::File;
use std::io::BufRead as _;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::ExitCode;

const MORE: &str = "\
Names and paths, all on the one port, over TLS with HTTP/2 or HTTP/1.1:
  onboarding-stream  gRPC, onboardingmgr.v1.NonInteractiveOnboardingService
  onboarding         gRPC, onboardingmgr.v1.InteractiveOnboardingService
  keycloak           /realms/master/protocol/openid-connect/token
  release            /token
  tink-stack         /tink-stack/hello.txt, and gRPC, proto.WorkflowService (tink-server too)
  files-rs           /files-edge-orch/repository/hello.txt
  registry-rs        /v2/edge-orch/lab/hello and, with --worker, /v2/edge-orch/lab/tink-worker
  logs-node          /v1/logs (OTLP)

To try it, with the names led to its port:
  orchestrator-stand-in --listen 127.0.0.1:8443 --folder /tmp/orchestrator --json
  curl --cacert /tmp/orchestrator/ca.pem --connect-to ::127.0.0.1:8443 \\
    -d grant_type=password -d client_id=system-client -d scope=openid \\
    -d username=engineer -d password=engineer-password \\
    https://keycloak.lab.example.com/realms/master/protocol/openid-connect/token";

/// A small Edge Orchestrator on loopback, to try a HookOS image with.
///
/// While it runs, lines on standard input change it: `misbehave HOW`, `behave`, `quit`. It ends when
/// standard input does.
#[derive(Parser)]
#[command(name = "orchestrator-stand-in", version, after_long_help = MORE)]
struct Arguments {
    /// Its services are keycloak.DOMAIN, onboarding.DOMAIN and so on.
    #[arg(long, default_value = "lab.example.com")]
    domain: String,
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// Where ca.pem and the worker's image are written.
    #[arg(long, default_value = "orchestrator")]
    folder: PathBuf,
    /// A machine that is registered; may be given several times. Without any, every machine is.
    #[arg(long, value_name = "UUID,SERIAL")]
    known: Vec<String>,
    /// How often a machine hears that it is registered before it gets its credentials.
    #[arg(long, default_value_t = 1, value_name = "N")]
    registered_rounds: u32,
    /// How long tokens are valid.
    #[arg(long, default_value_t = 3600, value_name = "SECONDS")]
    token_seconds: u64,
    /// The person who may log in for a machine that is not registered.
    #[arg(long, default_value = "engineer:engineer-password", value_name = "NAME:PASSWORD")]
    user: String,
    /// A static program to serve as the worker's image.
    #[arg(long, value_name = "FILE")]
    worker: Option<PathBuf>,
    /// Write what happens to this file, as JSON lines.
    #[arg(long, value_name = "FILE")]
    records: Option<PathBuf>,
    /// Print what happens as JSON lines.
    #[arg(long)]
    json: bool,
    /// Misbehave from the start.
    #[arg(long, value_enum, value_name = "HOW")]
    misbehave: Option<Misbehaviour>,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("orchestrator-stand-in: {text}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), String> {
    let known = arguments.known.iter().map(|text| match text.split_once(',') {
        Some((uuid, serial)) => Ok(Known { uuid: uuid.to_owned(), serial: serial.to_owned() }),
        None => Err(format!("--known {text:?} is not UUID,SERIAL")),
    });
    let (name, password) =
        arguments.user.split_once(':').ok_or_else(|| "--user is not NAME:PASSWORD".to_owned())?;
    let orchestrator = Orchestrator::start(Config {
        domain: arguments.domain.clone(),
        listen: arguments.listen,
        known: known.collect::<Result<_, _>>()?,
        registered_rounds: arguments.registered_rounds,
        token_seconds: arguments.token_seconds,
        user: (name.to_owned(), password.to_owned()),
        worker: arguments.worker,
        folder: arguments.folder.clone(),
    })
    .map_err(|e| e.to_string())?;
    if arguments.misbehave.is_some() {
        orchestrator.misbehave(arguments.misbehave);
    }
    if let Some(path) = &arguments.records {
        let kept = File::create(path).and_then(|file| orchestrator.record_to(file));
        kept.map_err(|e| format!("{}: {e}", path.display()))?;
    }
    if arguments.json {
        let out = std::io::stdout().as_fd().try_clone_to_owned();
        let shown = out.and_then(|out| orchestrator.record_to(File::from(out)));
        shown.map_err(|e| format!("standard output: {e}"))?;
    } else {
        println!("listening on {} for the names", orchestrator.address());
        NAMES.iter().for_each(|name| println!("  {name}.{}", arguments.domain));
        println!("its authority's certificate: {}", arguments.folder.join("ca.pem").display());
    }
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [] => {}
            ["quit"] => break,
            ["behave"] => orchestrator.misbehave(None),
            ["misbehave", how] => match Misbehaviour::from_str(how, true) {
                Ok(how) => orchestrator.misbehave(Some(how)),
                Err(_) => {
                    let names: Vec<String> = Misbehaviour::ALL.iter().map(|how| how.name()).collect();
                    eprintln!("{how:?} is not a misbehaviour; accepted: {}", names.join(", "));
                }
            },
            _ => eprintln!("say `misbehave HOW`, `behave` or `quit`"),
        }
    }
    Ok(())
}
