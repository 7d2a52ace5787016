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
    /// A repository from which the jobs take results that other builders have sent there.
    #[arg(long, value_name = "REPOSITORY")]
    cache_from: Option<String>,
    /// A repository to which the jobs send their results.
    #[arg(long, value_name = "REPOSITORY")]
    cache_to: Option<String>,
    /// For GitLab: a file of the project that the pipeline includes, with image and preparation of its jobs.
    #[arg(long, value_name = "FILE")]
    include: Option<String>,
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
        Reader::Github => github(&names, args),
        Reader::Gitlab => gitlab(&names, args),
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

/// What a job runs.
fn command(name: &str, args: &MatrixArgs) -> String {
    let mut words = vec!["hookos", "build", name, "--plain"];
    for (flag, value) in [("--cache-from", &args.cache_from), ("--cache-to", &args.cache_to)] {
        words.extend(value.iter().flat_map(|value| [flag, value.as_str()]));
    }
    shlex::try_join(words).unwrap_or_default()
}

fn github(names: &[String], args: &MatrixArgs) -> Value {
    let job = |name: &String| json!({ "profile": name, "out": format!("out/{name}"), "command": command(name, args) });
    json!({ "include": names.iter().map(job).collect::<Vec<_>>() })
}

fn gitlab(names: &[String], args: &MatrixArgs) -> Value {
    let mut jobs = serde_json::Map::new();
    for name in names {
        let job = json!({
            "stage": "build",
            "script": [command(name, args)],
            "artifacts": { "paths": [format!("out/{name}/")] },
        });
        jobs.insert(format!("build {name}"), job);
    }
    jobs.insert("stages".to_owned(), json!(["build"]));
    if let Some(file) = &args.include {
        jobs.insert("include".to_owned(), json!([{ "local": file }]));
    }
    Value::Object(jobs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_profile_is_a_job() {
        let args = MatrixArgs {
            profiles: Vec::new(),
            reader: Reader::Github,
            cache_from: None,
            cache_to: Some("r.example/a b".to_owned()),
            include: None,
        };
        let names = ["berlin".to_owned(), "site-7".to_owned()];
        let jobs = github(&names, &args);
        assert_eq!(jobs["include"][0]["profile"], "berlin");
        assert_eq!(jobs["include"][1]["out"], "out/site-7");
        assert_eq!(jobs["include"][0]["command"], "hookos build berlin --plain --cache-to 'r.example/a b'");
        let pipeline = gitlab(&names, &args);
        assert_eq!(
            pipeline["build site-7"]["script"][0],
            "hookos build site-7 --plain --cache-to 'r.example/a b'"
        );
        assert_eq!(pipeline["stages"][0], "build");
    }
}
