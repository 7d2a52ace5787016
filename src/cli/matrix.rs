//! `hookos matrix`: the jobs of a CI that builds every profile.

use super::configure::warn;
use super::context::Context;
use crate::problem::{Problem, Result};
use crate::site::{FieldFlags, certificates, files};
use serde_json::{Value, json};

/// Print the build matrix of all profiles, for GitHub Actions or GitLab.
///
/// One job for each profile in profiles/ that can be built; of one that cannot, the reason goes to standard
/// error. docs/scale.md shows the workflows that read it.
#[derive(Debug, clap::Args)]
pub struct MatrixArgs {
    /// Only profiles whose name matches, such as 'site-*'; may be given several times.
    #[arg(long, value_name = "PATTERN")]
    profiles: Vec<String>,
    /// What reads it.
    #[arg(long = "for", value_enum, default_value = "github", value_name = "CI")]
    reader: Reader,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Reader {
    /// The value of `strategy.matrix`.
    Github,
    /// A child pipeline with a job for each profile.
    Gitlab,
}

pub fn run(args: &MatrixArgs, context: &Context) -> Result<()> {
    let names = profiles(args, context)?;
    if names.is_empty() {
        return Err(Problem::usage("no profile can be built")
            .remedy("hookos profiles lists them; hookos certs gives one its certificates"));
    }
    let value = match args.reader {
        Reader::Github => github(&names),
        Reader::Gitlab => gitlab(&names),
    };
    // One line: that is what a job's output takes.
    println!("{value}");
    Ok(())
}

/// The names of the profiles that can be built, sorted.
fn profiles(args: &MatrixArgs, context: &Context) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for found in files::matching(&context.root, &args.profiles)? {
        if !found.path.starts_with(&context.root) {
            continue;
        }
        let site = context.site(&found.name, FieldFlags::default());
        match site.and_then(|site| certificates::of_site(&site, &context.root, certificates::now())) {
            Ok(_) => names.push(found.name),
            Err(problem) => warn(&[problem.while_doing(format!("{} is left out", found.name))]),
        }
    }
    Ok(names)
}

fn github(names: &[String]) -> Value {
    let include: Vec<Value> =
        names.iter().map(|name| json!({ "profile": name, "out": format!("out/{name}") })).collect();
    json!({ "include": include })
}

fn gitlab(names: &[String]) -> Value {
    let mut jobs = serde_json::Map::new();
    for name in names {
        let job = json!({
            "stage": "build",
            "script": [format!("hookos build {} --plain", shlex::try_quote(name).unwrap_or_default())],
            "artifacts": { "paths": [format!("out/{name}/")] },
        });
        jobs.insert(format!("build {name}"), job);
    }
    jobs.insert("stages".to_owned(), json!(["build"]));
    Value::Object(jobs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_profile_is_a_job() {
        let names = ["berlin".to_owned(), "site-7".to_owned()];
        assert_eq!(
            github(&names).to_string(),
            r#"{"include":[{"profile":"berlin","out":"out/berlin"},{"profile":"site-7","out":"out/site-7"}]}"#
        );
        let pipeline = gitlab(&names);
        assert_eq!(pipeline["build site-7"]["script"][0], "hookos build site-7 --plain");
        assert_eq!(pipeline["stages"][0], "build");
    }
}
