//! `hookos certs --fetch`: an authority that comes over the network, and somebody who vouches for it.

use super::certs::{json, text};
use super::configure::print_json;
use super::context::Context;
use super::render::Short;
use crate::probe::Limits;
use crate::probe::chain::{self, Fetched};
use crate::problem::{Problem, Result};
use crate::site::ResolvedSite;
use crate::site::certificates::{Bundle, Certificate};
use std::io::{BufRead as _, IsTerminal as _, Write as _};

/// The authority that a server shows (an empty name: the identity provider's), confirmed by a fingerprint
/// or by a person. Exactly one certificate: whoever confirms one must not get others with it.
pub fn authority(
    site: &ResolvedSite,
    server: &str,
    fingerprint: Option<&str>,
    context: &Context,
) -> Result<Bundle> {
    // A signal ends the program as it is: nothing is written yet, and a question must not outlive Ctrl-C.
    let progress = Short::deaf(context);
    progress.say("reading the server's certificates");
    let server = Some(server).filter(|name| !name.is_empty());
    let fetched = chain::fetch(site, server, Limits::default(), &progress)?;
    let fetched = fetched.ok_or_else(Problem::cancelled)?;
    drop(progress);
    let ca = fetched.ca.certificates.first();
    let ca = ca.ok_or_else(|| Problem::new(format!("{} shows no authority", fetched.from)))?;
    match fingerprint {
        Some(given) => compare(given, ca, &fetched)?,
        // Without files to write there is nothing to confirm.
        None if context.dry_run => {}
        None => ask(ca, &fetched, context)?,
    }
    Ok(fetched.ca)
}

/// A fingerprint as people write it down: `sha256:`, colons and capitals as openssl has them.
fn hex(text: &str) -> String {
    let text = text.trim().to_ascii_lowercase();
    let text = text.rsplit('=').next().unwrap_or_default();
    text.trim_start_matches("sha256:").replace([':', ' '], "")
}

fn compare(given: &str, ca: &Certificate, fetched: &Fetched) -> Result<()> {
    let given = hex(given);
    if given.len() != 64 || !given.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(Problem::usage("--fingerprint is not a SHA-256 (64 hex digits)")
            .remedy("openssl x509 -in FILE -noout -fingerprint -sha256 shows that of a file"));
    }
    if ca.info.fingerprint.hex() == given {
        return Ok(());
    }
    let from = &fetched.from;
    if let Some(other) = fetched.chain.certificates.iter().find(|c| c.info.fingerprint.hex() == given) {
        return Err(Problem::new(format!(
            "this is the fingerprint of {}, not of the authority that {from} leads to",
            other.info.subject
        ))
        .remedy(format!("ask for the fingerprint of {}", ca.info.subject)));
    }
    Err(Problem::new(format!("the authority that {from} shows has another fingerprint")).remedy(format!(
        "it is {} with {}: somebody may be in between; ask who runs the orchestrator",
        ca.info.subject, ca.info.fingerprint
    )))
}

/// Shows the chain and asks whether its authority is the right one.
fn ask(ca: &Certificate, fetched: &Fetched, context: &Context) -> Result<()> {
    let nobody = context.json || !std::io::stdin().is_terminal();
    if context.json {
        print_json(&serde_json::json!({ "chain": json(&fetched.chain), "authority": ca.info }))?;
    } else {
        eprintln!("{} shows, its own certificate first:\n{}", fetched.from, text(&fetched.chain));
        for note in &fetched.ca.notes {
            eprintln!("{note}");
        }
    }
    if nobody {
        return Err(Problem::usage(format!("nobody can be asked here whether {} is right", ca.info.subject))
            .remedy(format!(
                "compare {} with what you were given, then add --fingerprint and that",
                ca.info.fingerprint
            )));
    }
    eprintln!("The authority to trust is {}", ca.info.subject);
    eprintln!("  {}", ca.info.fingerprint);
    eprint!("Is this the fingerprint that you were given? Type yes: ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let failed = |e| Problem::new("the answer cannot be read").because(e);
    std::io::stdin().lock().read_line(&mut answer).map_err(failed)?;
    if answer.trim() == "yes" { Ok(()) } else { Err(Problem::usage("not confirmed: nothing is taken")) }
}

#[cfg(test)]
mod tests {
    use super::hex;

    #[test]
    fn fingerprints_as_people_have_them() {
        for text in ["sha256:00ff", "00FF", " 00:FF\n", "sha256 Fingerprint=00:FF", "00 ff"] {
            assert_eq!(hex(text), "00ff", "{text}");
        }
    }
}
