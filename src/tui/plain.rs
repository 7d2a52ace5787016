//! The wizard as lines: for dumb terminals, screen readers and `--plain`. One question after the other, an
//! answer is a line, nothing moves and nothing is drawn twice.

use super::certificates as judge;
use super::components;
use super::data::Opened;
use super::effects::{Place, certs, sites, work};
use super::form::{self, Environment, Form};
use super::model::Site;
use super::msg::Save;
use super::rows;
use super::step::Step;
use crate::problem::{Problem, Result};
use crate::site::certificates::{date, now};
use crate::site::{FIELDS, Field, Id, Section};
use crate::words::{count_of, until};
use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What a person wants after all questions.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// Build this profile.
    Build(String),
    Leave,
}

/// The end of the input, or the wish to leave.
struct Over;

type Said<T> = std::result::Result<T, Over>;

/// Asks and tells.
pub struct Plain<'a, R, W> {
    pub input: R,
    pub output: W,
    pub place: &'a Place,
    pub env: Arc<Environment>,
}

const WAYS: &str = "Enter keeps what is there, - means no value, = restores the default, ? tells more, \
                    < goes back, ! leaves.";

impl<R: BufRead, W: Write> Plain<'_, R, W> {
    fn say(&mut self, text: &str) {
        // Whoever closed the output does not read it.
        let _ = writeln!(self.output, "{text}");
    }

    fn tell(&mut self, problem: &Problem) {
        for line in problem.to_string().lines() {
            self.say(&format!("  ! {}", line.trim()));
        }
    }

    /// A line, without its end.
    fn ask(&mut self, question: &str) -> Said<String> {
        let _ = write!(self.output, "{question}: ");
        let _ = self.output.flush();
        let mut line = String::new();
        match self.input.read_line(&mut line) {
            Ok(0) | Err(_) => {
                self.say("");
                Err(Over)
            }
            Ok(_) => {
                let line = super::line::one_line(&line).trim().to_owned();
                if line == "!" { Err(Over) } else { Ok(line) }
            }
        }
    }

    /// The whole wizard.
    pub fn run(&mut self) -> Result<End> {
        match self.site() {
            Err(Over) => Ok(End::Leave),
            Ok(None) => Ok(End::Leave),
            Ok(Some(mut site)) => match self.steps(&mut site) {
                Ok(end) => Ok(end),
                Err(Over) => {
                    if site.changed() {
                        self.say("Left; nothing is saved.");
                    }
                    Ok(End::Leave)
                }
            },
        }
    }

    /// Which site it is about.
    fn site(&mut self) -> Said<Option<Site>> {
        self.say("hookos: a site's settings become a bootable image.");
        loop {
            let found = match sites::list(self.place) {
                Ok(found) => found,
                Err(problem) => {
                    self.tell(&problem);
                    return Ok(None);
                }
            };
            self.say("Profiles:");
            for site in &found.sites {
                let state = site.problem.as_ref().map_or_else(String::new, |p| format!(" (not usable: {p})"));
                self.say(&format!("  {}{state}", site.name));
            }
            self.say("Give the name of one, a new name, or the path of a config file to import; ! leaves.");
            let answer = self.ask("Site")?;
            if answer.is_empty() {
                continue;
            }
            let opened = if found.sites.iter().any(|site| site.name == answer) {
                sites::open(self.place, &answer)
            } else if answer.contains('/') {
                let name = self.ask("Name of the site")?;
                sites::import(Path::new(&answer), &name)
            } else {
                sites::new(&answer)
            };
            match opened {
                Ok(opened) => return Ok(Some(self.opened(*opened))),
                Err(problem) => self.tell(&problem),
            }
        }
    }

    fn opened(&mut self, opened: Opened) -> Site {
        for warning in &opened.warnings {
            self.tell(warning);
        }
        Site::new(Form::new(&opened.name, opened.profile, Arc::clone(&self.env), opened.new))
    }

    fn steps(&mut self, site: &mut Site) -> Said<End> {
        let mut step = Step::Endpoints;
        loop {
            self.say("");
            self.say(&format!("Step {} of {}: {}", step.number(), Step::ALL.len(), step.title()));
            let forward = match step {
                Step::Certificates => self.certificates(site)?,
                Step::Components => self.components(site)?,
                Step::Review => {
                    if let Some(end) = self.review(site)? {
                        return Ok(end);
                    }
                    false
                }
                step => self.fields(site, step)?,
            };
            step = if forward { step.next() } else { step.previous() }.unwrap_or(step);
        }
    }

    /// Every field of a step; false: back to the step before.
    fn fields(&mut self, site: &mut Site, step: Step) -> Said<bool> {
        self.say(WAYS);
        let sections: Vec<Section> = step.sections().collect();
        let fields: Vec<&'static Field> = FIELDS.iter().filter(|f| sections.contains(&f.section)).collect();
        let mut at = 0;
        while let Some(field) = fields.get(at) {
            if self.field(site, field)? {
                at += 1;
            } else if at == 0 {
                return Ok(step == Step::Endpoints);
            } else {
                at -= 1;
            }
        }
        Ok(true)
    }

    /// One field; false: back to the field before.
    fn field(&mut self, site: &mut Site, field: &'static Field) -> Said<bool> {
        loop {
            let form = &site.form;
            let value = match form.text(field.id) {
                text if text.is_empty() => "no value".to_owned(),
                text => field.kind.masked(&text),
            };
            let origin = form.origin(field.id);
            let origin = if origin.is_empty() { String::new() } else { format!(", {origin}") };
            let answer = self.ask(&format!("{} [{value}{origin}]", field.label))?;
            let form = &mut site.form;
            match answer.as_str() {
                "" => {}
                "<" => return Ok(false),
                "-" => form.set(field.id, String::new()),
                "=" => form.restore(field.id),
                "?" => {
                    let why = form.why(field.id);
                    self.say(&format!("  {}. {}", field.help, field.more));
                    self.say(&format!("  {why}"));
                    self.say(&format!("  Takes {}, for example {}", field.kind.accepts(), field.example));
                    continue;
                }
                text => form.set(field.id, text.to_owned()),
            }
            site.form.submit([field.id].into_iter());
            match site.form.problem(field.id).cloned() {
                None => return Ok(true),
                Some(problem) => {
                    self.tell(&problem);
                    // A problem that a person does not want to solve now must not hold them.
                    if answer.is_empty() {
                        return Ok(true);
                    }
                }
            }
        }
    }

    fn certificates(&mut self, site: &mut Site) -> Said<bool> {
        loop {
            if site.pending.is_some() {
                judge::judge(site, now(), Duration::ZERO);
            } else {
                let run = site.certificates.begin(Duration::ZERO);
                site.certificates.finish(run, certs::read(self.place, site.form.site()), Duration::ZERO);
            }
            self.show_certificates(site);
            self.say(
                "Enter goes on; or give the path of a PEM file, `placeholder` for a trial, `fields`, or <.",
            );
            let answer = self.ask("Certificates")?;
            let taken = match answer.as_str() {
                "" => return Ok(true),
                "<" => return Ok(false),
                "fields" => {
                    self.fields(site, Step::Certificates)?;
                    continue;
                }
                "placeholder" => certs::placeholder(site.form.site()),
                path => certs::decode_file(Path::new(path)),
            };
            match taken {
                Ok(pending) => judge::take(site, *pending, now(), Duration::ZERO),
                Err(problem) => self.tell(&problem),
            }
        }
    }

    fn show_certificates(&mut self, site: &Site) {
        match site.certificates.value() {
            Some(Ok(found)) => {
                for certificate in rows::all_certificates(found) {
                    let info = &certificate.info;
                    self.say(&format!("  {}", info.subject));
                    self.say(&format!(
                        "    until {}, {}",
                        date(info.not_after),
                        until(info.not_after - now())
                    ));
                    self.say(&format!("    SHA-256 {}", info.fingerprint.hex()));
                }
                for warning in &found.warnings {
                    self.tell(warning);
                }
                if found.placeholder {
                    self.say("  Placeholders: the image trusts no real server.");
                }
            }
            Some(Err(problem)) => self.tell(problem),
            None => {}
        }
    }

    fn components(&mut self, site: &mut Site) -> Said<bool> {
        loop {
            let run = site.components.begin(Duration::ZERO);
            let entries = work::components(self.place, site.form.site());
            site.components.finish(run, entries, Duration::ZERO);
            match site.components.value() {
                Some(Ok(entries)) => {
                    let lines: Vec<String> = entries
                        .iter()
                        .map(|e| {
                            let on = if components::is_on(site, e) { "in " } else { "out" };
                            format!("  {on}  {}: {}", e.name, e.description)
                        })
                        .collect();
                    for line in lines {
                        self.say(&line);
                    }
                }
                Some(Err(problem)) => {
                    let problem = problem.clone();
                    self.tell(&problem);
                }
                None => {}
            }
            self.say("Enter goes on; or give a component's name to switch it, `fields`, or <.");
            match self.ask("Component")?.as_str() {
                "" => return Ok(true),
                "<" => return Ok(false),
                "fields" => {
                    self.fields(site, Step::Components)?;
                }
                name => {
                    if components::toggle(site, name).is_none() {
                        self.say(&format!("  ! {name} cannot be switched: it is part of the system, or there is no such component"));
                    }
                }
            }
        }
    }

    /// Everything, then what to do with it; none: back.
    fn review(&mut self, site: &mut Site) -> Said<Option<End>> {
        let problems: Vec<(Id, Problem)> = site.form.problems().map(|(id, p)| (id, p.clone())).collect();
        for (_, problem) in &problems {
            self.tell(problem);
        }
        for field in site.form.non_defaults() {
            let text = site.form.text(field.id);
            let shown = if text.is_empty() { "no value".to_owned() } else { field.kind.masked(&text) };
            let line = format!("  {}: {shown}, {}", field.path(), site.form.origin(field.id));
            self.say(&line);
        }
        let missing = site.form.site().missing_for_onboarding();
        if !missing.is_empty() {
            let names: Vec<String> = missing.iter().map(|f| f.path()).collect();
            self.say(&format!(
                "  A machine with this image cannot register: not set are {}.",
                names.join(", ")
            ));
        }
        if let Some(Err(problem)) = site.certificates.value().cloned() {
            self.tell(&problem);
        }
        match work::plan(self.place, site.form.site()) {
            Ok(planned) => {
                for row in planned.rows {
                    self.say(&format!("  {row}"));
                }
            }
            Err(problem) => self.tell(&problem),
        }
        self.say("The same as a command:");
        self.say(&format!("  {}", super::command::line(site)));
        if !problems.is_empty() {
            self.say(&format!("{} first: Enter goes back.", count_of(problems.len() as u64, "problem")));
        }
        loop {
            let answer = self.ask("save, build (saves first), or < to go back")?;
            match answer.as_str() {
                "<" => return Ok(None),
                "" if !problems.is_empty() => return Ok(None),
                "save" | "build" if problems.is_empty() => match self.save(site) {
                    Ok(name) if answer == "build" => return Ok(Some(End::Build(name))),
                    Ok(_) => return Ok(Some(End::Leave)),
                    Err(problem) => self.tell(&problem),
                },
                _ => {}
            }
        }
    }

    fn save(&mut self, site: &mut Site) -> Result<String> {
        let unset = site.form.edits().iter().filter(|(_, edit)| **edit == form::Edit::Default);
        let save = Save {
            name: site.form.name.clone(),
            profile: site.form.profile().clone(),
            site: site.form.site().clone(),
            unset: unset.map(|(id, _)| *id).collect(),
            certificates: site.pending.take(),
            build: false,
        };
        let saved = sites::save(self.place, save)?;
        for warning in &saved.warnings {
            self.tell(warning);
        }
        for path in &saved.wrote {
            self.say(&format!("saved {path}"));
        }
        Ok(saved.name)
    }
}

/// Asks on the terminal; gives the profile to build, if one is to be built.
pub fn ask(root: &Path, env: Environment) -> Result<End> {
    let place = Place::new(root);
    let (input, output) = (std::io::stdin().lock(), std::io::stderr());
    Plain { input, output, place: &place, env: Arc::new(env) }.run()
}
