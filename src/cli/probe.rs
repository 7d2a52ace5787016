//! `hookos probe`: can a site's endpoints be reached from here?

use super::context::Context;
use crate::probe::{Answer, Target, Trust, Way, probe_all, targets};
use crate::problem::{Problem, Result};
use crate::site::{FIELDS, Field, FieldFlags, certificates};
use serde_json::json;

/// Test the connection to every endpoint of a profile.
///
/// For each: the name is looked up (the profile's extra hosts first), a TCP connection is made (through the
/// profile's HTTPS proxy unless no_proxy names the host), and the server's certificate is checked against
/// the profile's authorities. Nothing else is sent. The test runs on this machine: a machine that boots the
/// image may have another name server and another route.
///
/// Exit code 0 when all answer, 1 when one does not.
#[derive(Debug, clap::Args)]
pub struct ProbeArgs {
    /// The profile: a name in profiles/ or ~/.config/hookos/profiles/, or a path.
    #[arg(default_value = "lab", value_name = "PROFILE")]
    profile: String,
    /// Only the endpoint of this field, such as keycloak_url; may be given several times.
    #[arg(long, value_name = "FIELD")]
    only: Vec<String>,
    #[command(flatten)]
    fields: FieldFlags,
}

pub fn run(args: ProbeArgs, context: &Context) -> Result<()> {
    let site = context.site(&args.profile, args.fields)?;
    let only: Vec<&Field> = args.only.iter().map(|name| endpoint(name)).collect::<Result<_>>()?;
    let mut targets = targets(&site);
    targets.retain(|target| only.is_empty() || only.iter().any(|field| field.id == target.id));
    if targets.is_empty() {
        return Err(Problem::usage("no endpoint is set")
            .remedy("hookos configure --profile NAME --cluster-domain DOMAIN"));
    }
    let found = certificates::of_site(&site, &context.root, certificates::now())?;
    let trust = Trust::authorities(found.ca.certificates.iter().chain(&found.server.certificates))?;
    let results = probe_all(&targets, &Way::of(&site), &trust);
    let bad = results.iter().filter(|result| result.is_err()).count();
    let rows: Vec<_> = targets.iter().zip(&results).map(|(t, r)| row(t, r)).collect();
    let text: Vec<String> = targets.iter().zip(&results).map(|(t, r)| line(t, r)).collect();
    context.answer(&rows, &text.join("\n"))?;
    if bad == 0 {
        return Ok(());
    }
    let of = targets.len();
    Err(Problem::new(format!("{bad} of {of} endpoints cannot be reached as the image would reach them")))
}

/// The field of an endpoint by its key or path.
fn endpoint(name: &str) -> Result<&'static Field> {
    let fields = FIELDS.iter().filter(|f| f.onboarding);
    let mut same = fields.clone().filter(|f| f.key == name || f.path() == name || f.flag == name);
    same.next().ok_or_else(|| {
        let names: Vec<&str> = fields.map(|f| f.key).collect();
        Problem::usage(format!("{name} is not the field of an endpoint"))
            .remedy(format!("one of {}", names.join(", ")))
    })
}

fn row(target: &Target, result: &Result<Answer>) -> serde_json::Value {
    let head = json!({ "field": target.id.field().path(), "target": target.to_string() });
    let more = match result {
        Ok(answer) => json!({ "ok": true, "answer": answer }),
        Err(problem) => json!({ "ok": false, "problem": problem }),
    };
    let (mut head, more) = (head, more);
    if let (Some(head), serde_json::Value::Object(more)) = (head.as_object_mut(), more) {
        head.extend(more);
    }
    head
}

fn line(target: &Target, result: &Result<Answer>) -> String {
    let name = format!("{:<26} {target}", target.id.field().key);
    match result {
        Ok(answer) => {
            let by = answer.proxy.as_ref().map_or_else(String::new, |proxy| format!(", through {proxy}"));
            format!(
                "ok      {name}\n          {}: name {} ms, connection {} ms, TLS {} ms{by}",
                answer.address, answer.name_ms, answer.connect_ms, answer.handshake_ms
            )
        }
        Err(problem) => {
            let mut text = format!("FAILED  {name}\n          {}", problem.what());
            for cause in problem.causes() {
                text.push_str(&format!("\n          because: {cause}"));
            }
            if let Some(remedy) = problem.remedy_text() {
                text.push_str(&format!("\n          try: {remedy}"));
            }
            text
        }
    }
}
