//! `hookos probe`: can a site's endpoints be reached from here, and would the image trust them?

use super::configure::field_named;
use super::context::Context;
use super::profile_arg::ProfileArg;
use super::render::Short;
use crate::probe::{self, Answer, Limits, endpoints, is_endpoint, target};
use crate::problem::{Exit, Problem, Result};
use crate::site::{FIELDS, FieldFlags, Id, ResolvedSite, certificates};
use serde_json::json;
use std::time::Duration;

/// Test the connection to the endpoints of a profile.
///
/// Each endpoint is tried as the image would: its name is looked up (dns; extra_hosts come first), a
/// connection is made (tcp), through https_proxy unless no_proxy names the host (proxy), and the server's
/// certificate must be valid for the name and signed by an authority in the profile's ca.pem (tls).
/// Nothing but the handshake is sent. All are tried at the same time; none takes longer than 10 seconds.
///
/// The test runs on this machine: one that boots the image may have another name server and another route.
///
/// Exit code 0 when every endpoint answers, 1 when one does not, 2 when the profile cannot be used.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hookos probe berlin                        every endpoint of the profile
  hookos probe berlin --only keycloak_url    one endpoint, with the host for release tokens
  hookos probe berlin --https-proxy http://proxy.example.com:3128    what if?")]
pub struct ProbeArgs {
    #[command(flatten)]
    profile: ProfileArg,
    /// Only the endpoints of these fields, such as keycloak_url; may be repeated.
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    only: Vec<String>,
    #[command(flatten)]
    fields: FieldFlags,
}

pub fn run(args: ProbeArgs, context: &Context) -> Result<()> {
    let site = context.site(args.profile.name(), args.fields)?;
    let ids = chosen(&site, &args.only)?;
    if context.dry_run {
        let targets = ids.iter().flat_map(|id| target::of_field(&site, *id));
        let lines: Vec<String> = targets.map(|target| format!("would connect to {target}")).collect();
        return context.answer(&lines, &lines.join("\n"));
    }
    let ca = certificates::of_site(&site, &context.root, certificates::now()).map(|found| found.ca);
    let progress = Short::start(context)?;
    progress.say("testing endpoints");
    let answers = probe::test(&site, &ids, &ca, Limits::default(), &progress)?;
    let answers = answers.ok_or_else(Problem::cancelled)?;
    drop(progress);
    let notes = probe::notes(&site);
    let shown: Vec<_> = answers.iter().map(row).collect();
    context.answer(
        &json!({ "profile": site.name, "endpoints": shown, "notes": notes }),
        &table(&answers, &notes),
    )?;
    let bad = answers.iter().filter(|answer| answer.outcome.failure.is_some()).count();
    if bad == 0 {
        return Ok(());
    }
    let what = format!("{bad} of {} endpoints cannot be used as the image would use them", answers.len());
    // Without anything to trust it is the profile that is at fault.
    Err(Problem::new(what).exit_with(ca.err().map_or(Exit::Failed, |problem| problem.exit())))
}

/// The endpoints to test: those that are named, else all that are set.
fn chosen(site: &ResolvedSite, only: &[String]) -> Result<Vec<Id>> {
    let all = endpoints(site);
    if only.is_empty() {
        if all.is_empty() {
            return Err(Problem::usage(format!("the profile {} has no endpoint", site.name))
                .remedy(format!("hookos configure --profile {} --cluster-domain DOMAIN", site.name)));
        }
        return Ok(all);
    }
    let mut ids = Vec::new();
    for name in only {
        let field = field_named(name)?;
        if !is_endpoint(field) {
            let keys: Vec<&str> = FIELDS.iter().filter(|f| is_endpoint(f)).map(|f| f.key).collect();
            return Err(Problem::usage(format!("{name} names no endpoint"))
                .remedy(format!("one of {}", keys.join(", "))));
        }
        if !all.contains(&field.id) {
            return Err(Problem::usage(format!("{} is not set in the profile {}", field.path(), site.name))
                .remedy(format!("--{} {}", field.flag, field.example)));
        }
        if !ids.contains(&field.id) {
            ids.push(field.id);
        }
    }
    Ok(ids)
}

fn row(answer: &Answer) -> serde_json::Value {
    let outcome = &answer.outcome;
    let ms = |took: &Duration| (took.as_secs_f64() * 10_000.0).round() / 10.0;
    let took: serde_json::Map<_, _> =
        outcome.took.iter().map(|(phase, took)| (phase.name().to_owned(), ms(took).into())).collect();
    json!({
        "field": answer.id.field().path(),
        "label": answer.label,
        "target": answer.target,
        "ok": outcome.failure.is_none(),
        "address": outcome.address.map(|address| address.to_string()),
        "proxy": outcome.proxy,
        "took_ms": took,
        "failure": outcome.failure,
    })
}

fn table(answers: &[Answer], notes: &[String]) -> String {
    let widest = |of: fn(&Answer) -> &String| answers.iter().map(|a| of(a).len()).max().unwrap_or(0);
    let (label, target) = (widest(|a| &a.label), widest(|a| &a.target));
    let mut lines = Vec::new();
    // Many endpoints often need the same remedy.
    let mut told: Vec<&str> = Vec::new();
    for answer in answers {
        let outcome = &answer.outcome;
        let word = if outcome.failure.is_none() { "ok" } else { "FAILED" };
        let by = outcome.proxy.as_ref().map_or_else(String::new, |proxy| format!(", through {proxy}"));
        let head = format!("{word:<6}  {:<label$}  {:<target$}", answer.label, answer.target);
        let Some(failure) = &outcome.failure else {
            lines.push(format!("{head}  {}{by}", outcome.times()));
            continue;
        };
        lines.push(format!("{head}  {}: {}{by}", failure.phase.name(), failure.brief));
        lines.push(format!("        {}", failure.why));
        if let Some(remedy) = &failure.remedy
            && !told.contains(&remedy.as_str())
        {
            told.push(remedy);
            lines.push(format!("        try: {}", remedy.replace('\n', "\n             ")));
        }
    }
    lines.extend(notes.iter().cloned());
    lines.join("\n")
}
