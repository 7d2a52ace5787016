//! `hookos certs`: takes, makes, shows and checks a site's certificates.

use super::configure::{print_json, say, warn, warnings_json};
use super::context::Context;
use super::fetch;
use crate::probe::hosts;
use crate::problem::{Problem, Result};
use crate::site::certificates::{self, Bundle, SiteCertificates, date};
use crate::site::resolve::Lookup;
use crate::site::{Id, Profile, ResolvedSite, Sources, Value, files, placeholder, resolve};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Take, make, show and check a site's certificates.
///
/// Without a file or --placeholder, shows what the profile's image gets and checks it. Certificates are
/// kept in certs/PROFILE/.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = false)]
pub struct CertsArgs {
    /// The profile.
    #[arg(long, short, global = true, value_name = "NAME")]
    profile: Option<String>,
    /// PEM (or DER) file of the authorities that the image shall trust. Servers' certificates in it are taken
    /// as if --server gave them, so that one file can have the whole chain.
    #[arg(long, value_name = "FILE", conflicts_with = "placeholder")]
    ca: Option<PathBuf>,
    /// PEM (or DER) file that the identity provider's server is checked against (default: as the authority).
    #[arg(long, value_name = "FILE", conflicts_with = "placeholder")]
    server: Option<PathBuf>,
    /// Forget the file of --server: the identity provider's server is checked against the authorities.
    #[arg(long, conflicts_with_all = ["server", "placeholder"])]
    no_server: bool,
    /// Make certificates that no server can use, to try an image out.
    #[arg(long)]
    placeholder: bool,
    /// With --placeholder: make new ones even if there are some.
    #[arg(long, requires = "placeholder")]
    renew: bool,
    /// Read the certificates that a server shows (default: the identity provider's) and take the authority
    /// at the end of their chain. What comes over the network is no reason to trust it: compare the
    /// fingerprint with one that the orchestrator's operator gave you. With --dry-run it is only shown.
    #[arg(long, value_name = "HOST:PORT", num_args = 0..=1, default_missing_value = "",
          conflicts_with_all = ["ca", "placeholder"])]
    fetch: Option<String>,
    /// With --fetch: the SHA-256 of the authority's certificate, as you were given it. Without it you are
    /// asked, where there is a terminal.
    #[arg(long, value_name = "SHA256", requires = "fetch")]
    fingerprint: Option<String>,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show what is in certificate files, by default the profile's. Checks nothing.
    Show { files: Vec<PathBuf> },
    /// Check that an image can use the profile's certificates.
    Check,
}

pub fn run(args: CertsArgs, context: &Context) -> Result<()> {
    if let Some(Action::Show { files }) = &args.action
        && !files.is_empty()
    {
        let bundles = files.iter().map(|file| Bundle::load(file)).collect::<Result<Vec<_>>>()?;
        return show(&bundles.iter().collect::<Vec<_>>(), context);
    }
    let Some(name) = &args.profile else {
        return Err(Problem::usage("no profile is named").remedy("hookos certs --profile NAME"));
    };
    let (found, mut profile) = files::load(&context.root, name)?;
    let env: &Lookup = &Sources::environment;
    let sources = Sources { profile: Some(&profile), env: Some(env), ..Sources::default() };
    let (site, warnings) = resolve(&found.name, &sources).into_result()?;
    warn(&warnings);
    if args.ca.is_some()
        || args.server.is_some()
        || args.no_server
        || args.placeholder
        || args.fetch.is_some()
    {
        if args.action.is_some() {
            return Err(Problem::usage("files to take and an action are given")
                .remedy("first take, then show or check"));
        }
        let import = Import { context, site: &site, args: &args };
        return import.run(&mut profile, &found.path);
    }
    let checked = certificates::of_site(&site, &context.root, certificates::now());
    if let Some(Action::Show { .. }) = args.action {
        let ca = site.path(Id::CaFile, &context.root);
        let folder = certificates::folder(&context.root, &site.name);
        let mut paths = vec![ca.clone().unwrap_or_else(|| folder.join("ca.pem"))];
        paths.extend(
            site.path(Id::ServerCertFile, &context.root)
                .or_else(|| Some(folder.join("server_cert.pem")).filter(|f| ca.is_none() && f.exists())),
        );
        let bundles = paths.iter().map(|file| Bundle::load(file)).collect::<Result<Vec<_>>>()?;
        return show(&bundles.iter().collect::<Vec<_>>(), context);
    }
    report(&checked?, &[], context)
}

/// Puts certificates where a build finds them.
struct Import<'a> {
    context: &'a Context,
    site: &'a ResolvedSite,
    args: &'a CertsArgs,
}

impl Import<'_> {
    fn run(&self, profile: &mut Profile, profile_path: &Path) -> Result<()> {
        self.would_be_used(Id::CaFile)?;
        let folder = certificates::folder(&self.context.root, &self.site.name);
        let (ca_file, server_file) = (folder.join("ca.pem"), folder.join("server_cert.pem"));
        let old = |file: &Path| if file.exists() { Bundle::load(file).map(Some) } else { Ok(None) };
        let is_placeholder = |b: &Bundle| b.certificates.iter().any(|c| c.info.placeholder);
        let mut done = Vec::new();
        let (ca, server) = if self.args.placeholder {
            if let Some(old) = old(&ca_file)? {
                if !is_placeholder(&old) {
                    return Err(Problem::usage("there is a real authority's certificate already")
                        .in_file(&ca_file)
                        .remedy("move it away if placeholders are to take its place"));
                }
                if !self.args.renew {
                    self.accept_placeholders(profile, profile_path, true, &mut done)?;
                    let kept =
                        certificates::check(old, self::old_server(&server_file)?, None, certificates::now())?;
                    done.push(
                        "the placeholder certificates are there already (--renew makes new ones)".to_owned(),
                    );
                    return report(&kept, &done, self.context);
                }
            }
            let made = placeholder::make(&self.site.name, &hosts(self.site))?;
            done.push("made placeholder certificates; their keys are thrown away".to_owned());
            (
                Bundle::from_bytes(&ca_file, made.ca.as_bytes())?,
                Some(Bundle::from_bytes(&server_file, made.server.as_bytes())?),
            )
        } else {
            let (ca, beside) = if let Some(server) = &self.args.fetch {
                let ca = fetch::authority(self.site, server, self.args.fingerprint.as_deref(), self.context)?;
                done.push(format!("took the authority that {} shows", ca.file.display()));
                (Bundle { file: ca_file.clone(), notes: Vec::new(), ..ca }, None)
            } else if let Some(file) = &self.args.ca {
                let bundle = Bundle::load(file)?;
                // Who says what the server's are gives authorities alone here.
                let said = self.args.server.is_some() || self.args.no_server;
                if said { (bundle, None) } else { bundle.split() }
            } else {
                let ca = old(&ca_file)?.ok_or_else(|| {
                    Problem::usage("the authority's certificate is missing").remedy("give it with --ca FILE")
                })?;
                (ca, None)
            };
            let server = match &self.args.server {
                Some(file) => Some(Bundle::load(file)?),
                None => beside,
            };
            if server.is_some() || self.args.no_server {
                self.would_be_used(Id::ServerCertFile)?;
            }
            let server = match server {
                None if self.args.no_server => None,
                // A placeholder goes with its authority; a real one stays and must fit the new one.
                None => old(&server_file)?.filter(|server| !is_placeholder(server) || is_placeholder(&ca)),
                given => given,
            };
            (ca, server)
        };
        let host = self.site.text(Id::KeycloakUrl);
        let host = host.as_deref().map(|h| h.split(':').next().unwrap_or(h));
        let has_server = server.is_some();
        let checked = certificates::check(ca, server, host, certificates::now())?;
        if !self.context.dry_run {
            files::write(&ca_file, &checked.ca.pem())?;
            done.push(format!("wrote {}", ca_file.display()));
            if has_server {
                files::write(&server_file, &checked.server.pem())?;
                done.push(format!("wrote {}", server_file.display()));
            } else if server_file.exists() {
                std::fs::remove_file(&server_file).map_err(|e| {
                    Problem::new("the old file cannot be removed").in_file(&server_file).because(e)
                })?;
                let what = if self.args.no_server { "removed" } else { "removed the placeholder" };
                done.push(format!("{what} {}", server_file.display()));
            }
        }
        self.accept_placeholders(profile, profile_path, checked.placeholder, &mut done)?;
        report(&checked, &done, self.context)
    }

    /// Nothing is taken that a setting outweighs.
    fn would_be_used(&self, id: Id) -> Result<()> {
        let Some(path) = self.site.path(id, &self.context.root) else { return Ok(()) };
        let (field, origin) = (id.field().path(), &self.site.resolved(id).origin);
        Err(Problem::usage(format!(
            "{field} says {} ({origin}), so files in certs/ would not be used",
            path.display()
        ))
        .remedy(format!("hookos configure --profile {} --unset {field}", self.site.name)))
    }

    /// Keeps the profile's word about placeholders true.
    fn accept_placeholders(
        &self,
        profile: &mut Profile,
        path: &Path,
        yes: bool,
        done: &mut Vec<String>,
    ) -> Result<()> {
        if self.site.placeholder_certificates() == yes || (yes && !self.args.placeholder) {
            return Ok(());
        }
        let field = Id::PlaceholderCertificates.field();
        if yes {
            profile.set(field, Some(Value::Bool(true)))?;
        } else {
            profile.unset(field);
        }
        if !self.context.dry_run {
            profile.save(path)?;
            done.push(format!("{} = {yes} in {}", field.path(), path.display()));
        }
        Ok(())
    }
}

fn old_server(file: &Path) -> Result<Option<Bundle>> {
    if file.exists() { Bundle::load(file).map(Some) } else { Ok(None) }
}

fn show(bundles: &[&Bundle], context: &Context) -> Result<()> {
    if context.json {
        return print_json(&bundles.iter().map(|b| json(b)).collect());
    }
    say(&bundles.iter().map(|b| text(b)).collect::<Vec<_>>().join("\n"))
}

fn report(checked: &SiteCertificates, done: &[String], context: &Context) -> Result<()> {
    let notes = checked.ca.notes.iter().map(|n| (&checked.ca, n));
    let notes = notes.chain(checked.server.notes.iter().map(|n| (&checked.server, n)));
    let notes: Vec<String> = notes.map(|(b, n)| format!("{}: {n}", b.file.display())).collect();
    if context.json {
        return print_json(&json!({
            "ca": json(&checked.ca),
            "server_cert": json(&checked.server),
            "placeholder": checked.placeholder,
            "done": done,
            "dry_run": context.dry_run,
            "notes": notes,
            "warnings": warnings_json(&checked.warnings),
        }));
    }
    let mut out = text(&checked.ca);
    if checked.server.pem() != checked.ca.pem() {
        out.push_str(&format!("\n{}", text(&checked.server)));
    }
    out.push('\n');
    for line in notes.iter().chain(done) {
        out.push_str(&format!("{line}\n"));
    }
    if context.dry_run {
        out.push_str("nothing is written (--dry-run)\n");
    }
    if checked.placeholder {
        out.push_str("These are placeholders: a machine with this image trusts no real server.\n");
    }
    say(&out)?;
    warn(&checked.warnings);
    Ok(())
}

pub(super) fn json(bundle: &Bundle) -> serde_json::Value {
    let certificates: Vec<_> = bundle.certificates.iter().map(|c| &c.info).collect();
    json!({ "file": bundle.file, "certificates": certificates, "notes": bundle.notes })
}

pub(super) fn text(bundle: &Bundle) -> String {
    let mut out = format!("{}\n", bundle.file.display());
    for certificate in &bundle.certificates {
        let i = &certificate.info;
        let kind = match (i.authority, i.self_signed) {
            (true, true) => "root authority",
            (true, false) => "authority",
            (false, _) => "server",
        };
        let mark = if i.placeholder { ", placeholder" } else { "" };
        out.push_str(&format!("  {} ({kind}{mark})\n", i.subject));
        if !i.self_signed {
            out.push_str(&format!("    issuer       {}\n", i.issuer));
        }
        if !i.names.is_empty() {
            out.push_str(&format!("    names        {}\n", i.names.join(", ")));
        }
        out.push_str(&format!("    valid        {} to {}\n", date(i.not_before), date(i.not_after)));
        out.push_str(&format!("    key          {}\n", i.key));
        out.push_str(&format!("    fingerprint  {}\n", i.fingerprint));
    }
    out
}
