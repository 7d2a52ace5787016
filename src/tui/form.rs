//! What a person has changed of a site, and what follows from it.
//!
//! A form knows no single field: it walks the table of fields. An edit is a flag that has not been typed
//! on a command line, so values, origins and problems come from the same resolution as everywhere.

use super::line::Line;
use crate::problem::Problem;
use crate::site::field::{Default, Kind};
use crate::site::resolve::{FlagValues, Lookup};
use crate::site::{FIELDS, Field, Id, Origin, Profile, ResolvedSite, Sources, resolve};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Variables of the environment that fields read.
pub type Environment = BTreeMap<String, String>;

/// What a person did to a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// This text, in the form that a flag takes; empty: no value.
    Text(String),
    /// The default again, whatever the profile says.
    Default,
}

/// The fields of one site while a person works on them.
#[derive(Debug, Clone)]
pub struct Form {
    pub name: String,
    /// The profile as it was read or last saved.
    profile: Profile,
    edits: BTreeMap<Id, Edit>,
    /// Variables of the environment that a field reads.
    env: Arc<Environment>,
    /// Whether the machine's own proxy variables count: for new sites.
    ambient: bool,
    /// Fields that a person has left or submitted: their problems may be shown.
    seen: BTreeSet<Id>,
    site: ResolvedSite,
    problems: BTreeMap<Id, Problem>,
    /// Problems of the file as a whole, and warnings.
    pub notes: Vec<Problem>,
    /// The text field that is being typed in.
    editor: Option<(Id, Line)>,
    /// What the last key did not do, and why.
    pub refused: Option<String>,
    /// The profile says something and is in no file: it was imported.
    unwritten: bool,
    /// Counts changes.
    revision: u64,
}

impl Form {
    pub fn new(name: &str, profile: Profile, env: Arc<Environment>, ambient: bool) -> Self {
        let mut form = Self {
            name: name.to_owned(),
            profile,
            edits: BTreeMap::new(),
            env,
            ambient,
            seen: BTreeSet::new(),
            site: resolve(name, &Sources::default()).site,
            problems: BTreeMap::new(),
            notes: Vec::new(),
            editor: None,
            refused: None,
            unwritten: false,
            revision: 0,
        };
        form.unwritten = form.profile.path().is_none() && form.profile.text() != Profile::new(name).text();
        form.settle();
        form
    }

    /// Resolves everything anew.
    fn settle(&mut self) {
        self.revision += 1;
        let mut flags = FlagValues::new();
        let mut profile = std::borrow::Cow::Borrowed(&self.profile);
        for (id, edit) in &self.edits {
            match edit {
                Edit::Text(text) => {
                    flags.insert(*id, text.clone());
                }
                Edit::Default => profile.to_mut().unset(id.field()),
            }
        }
        let env = Arc::clone(&self.env);
        let look = move |name: &str| env.get(name).cloned();
        let env: &Lookup = &look;
        let sources =
            Sources { profile: Some(profile.as_ref()), flags, env: Some(env), ambient: self.ambient };
        let resolution = resolve(&self.name, &sources);
        self.notes = resolution.warnings;
        self.problems.clear();
        for (id, problem) in resolution.problems {
            match id {
                Some(id) => {
                    self.problems.insert(id, problem);
                }
                None => self.notes.push(problem),
            }
        }
        self.site = resolution.site;
    }

    /// What everything is, with origins.
    pub fn site(&self) -> &ResolvedSite {
        &self.site
    }

    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    pub fn env(&self) -> &Arc<Environment> {
        &self.env
    }

    pub fn edits(&self) -> &BTreeMap<Id, Edit> {
        &self.edits
    }

    /// Whether something is not saved.
    pub fn changed(&self) -> bool {
        self.unwritten || !self.edits.is_empty()
    }

    /// Another number after each change.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Takes edits back from a draft.
    pub fn replay(&mut self, edits: BTreeMap<Id, Edit>) {
        self.edits = edits;
        self.seen.extend(self.edits.keys());
        self.settle();
    }

    /// The profile has been saved: what it says now is no edit any more.
    pub fn saved(&mut self, name: &str, profile: Profile) {
        name.clone_into(&mut self.name);
        self.profile = profile;
        self.ambient = false;
        self.unwritten = false;
        let edits = std::mem::take(&mut self.edits);
        self.settle();
        // What the file cannot hold (a secret), or what the environment outweighs, stays an edit.
        for (id, edit) in edits {
            if let Edit::Text(text) = &edit
                && self.text(id) != *text
                && self.canonical(id, text).as_ref() != Some(&self.text(id))
            {
                self.edits.insert(id, edit);
            }
        }
        self.settle();
    }

    fn canonical(&self, id: Id, text: &str) -> Option<String> {
        let value = crate::site::Value::parse(id.field().kind, text).ok()?;
        Some(value.map_or_else(String::new, |v| v.text()))
    }

    /// The text of a field: as typed, else as resolved.
    pub fn text(&self, id: Id) -> String {
        if let Some(Edit::Text(text)) = self.edits.get(&id) {
            return text.clone();
        }
        self.site.text(id).unwrap_or_default()
    }

    pub fn is_secret(&self, id: Id) -> bool {
        id.field().kind.is_secret(&self.text(id))
    }

    /// Where the value comes from, in a word or two.
    pub fn origin(&self, id: Id) -> String {
        if matches!(self.edits.get(&id), Some(Edit::Text(_))) {
            return "edited".to_owned();
        }
        match &self.site.resolved(id).origin {
            Origin::Default if self.site.get(id).is_none() => String::new(),
            Origin::Default => "default".to_owned(),
            Origin::Domain if self.site.get(id).is_none() => String::new(),
            Origin::Domain => "derived".to_owned(),
            Origin::Profile { file, .. } if file.as_os_str().is_empty() => "imported".to_owned(),
            Origin::Profile { .. } => format!("profile {}", self.name),
            Origin::Environment(_) => "environment".to_owned(),
            Origin::Ambient(name) => format!("${name}"),
            Origin::Flag(_) => "edited".to_owned(),
        }
    }

    /// Where the value comes from, in one short word.
    pub fn short_origin(&self, id: Id) -> String {
        let origin = self.origin(id);
        match &self.site.resolved(id).origin {
            _ if origin == "edited" => origin,
            Origin::Profile { file, .. } if !file.as_os_str().is_empty() => "profile".to_owned(),
            Origin::Environment(_) | Origin::Ambient(_) => "env".to_owned(),
            _ => origin,
        }
    }

    /// One sentence that says why the value is what it is.
    pub fn why(&self, id: Id) -> String {
        let field = id.field();
        if !self.site.counts(field) {
            return format!("Not used now: it counts {}.", field.when());
        }
        let default = match (field.default, self.default_text(id)) {
            (Default::OfDomain(_), Some(text)) => {
                format!("the default, made from the cluster domain, is {text}")
            }
            (Default::OfDomain(_), None) => {
                "the default follows from the cluster domain, once that is set".into()
            }
            (_, Some(text)) => format!("the default is {text}"),
            (_, None) if field.onboarding => "there is no default, and a machine needs it to register".into(),
            (_, None) => "nothing is set by default".into(),
        };
        let value = match &self.site.resolved(id).origin {
            _ if matches!(self.edits.get(&id), Some(Edit::Text(_))) => "Edited here".to_owned(),
            Origin::Default | Origin::Domain => return capital(&default) + ".",
            Origin::Profile { file, .. } if file.as_os_str().is_empty() => "Imported".to_owned(),
            Origin::Profile { file, line: 0 } => format!("From {}", file.display()),
            origin @ Origin::Profile { .. } => format!("From {origin}"),
            Origin::Ambient(name) | Origin::Environment(name) => format!("From the variable {name}"),
            Origin::Flag(_) => "Edited here".to_owned(),
        };
        format!("{value}; {default}.")
    }

    /// The default of a field with the cluster domain of now.
    pub fn default_text(&self, id: Id) -> Option<String> {
        let domain = self.site.text(Id::ClusterDomain);
        Some(id.field().default_value(domain.as_deref())?.text())
    }

    /// What was changed, as flags of a command. A flag cannot say "the default", so that is given in full.
    pub fn flags(&self) -> FlagValues {
        let text = |id: Id, edit: &Edit| match edit {
            Edit::Text(text) => text.clone(),
            Edit::Default => self.default_text(id).unwrap_or_default(),
        };
        self.edits.iter().map(|(id, edit)| (*id, text(*id, edit))).collect()
    }

    /// The problem of a field that may be shown: nothing is red before it has been left once.
    pub fn problem(&self, id: Id) -> Option<&Problem> {
        self.seen.contains(&id).then(|| self.problems.get(&id)).flatten()
    }

    /// Every field with a problem, shown or not.
    pub fn problems(&self) -> impl Iterator<Item = (Id, &Problem)> {
        self.problems.iter().map(|(id, problem)| (*id, problem))
    }

    /// From now on the problems of these fields are shown.
    pub fn submit(&mut self, ids: impl Iterator<Item = Id>) {
        self.seen.extend(ids);
    }

    /// Gives a text field the keys.
    pub fn focus(&mut self, id: Option<Id>) {
        let now = self.editor.as_ref().map(|(id, _)| *id);
        if now == id {
            return;
        }
        self.refused = None;
        if let Some(old) = now {
            self.seen.insert(old);
        }
        self.editor = id.filter(|id| is_text(id.field())).map(|id| (id, Line::new(self.text(id))));
    }

    /// The text field that has the keys.
    pub fn editor(&self) -> Option<(Id, &Line)> {
        self.editor.as_ref().map(|(id, line)| (*id, line))
    }

    /// Changes the text that is being typed; says whether the field's value is another one now.
    pub fn edit(&mut self, change: impl FnOnce(&mut Line)) -> Option<Id> {
        let (id, line) = self.editor.as_mut()?;
        let id = *id;
        let before = line.text().to_owned();
        self.refused = None;
        change(line);
        let text = line.text().to_owned();
        if text == before {
            return None;
        }
        self.set(id, text);
        Some(id)
    }

    /// A typed character: refused with a reason if no value of the field can have it.
    pub fn type_char(&mut self, c: char) -> Option<Id> {
        let (id, _) = self.editor.as_ref()?;
        if let Some(why) = id.field().kind.refuses(c) {
            self.refused = Some(why);
            return None;
        }
        self.edit(|line| line.insert(c.encode_utf8(&mut [0; 4])))
    }

    /// Sets a field to a text; the text that it would have anyway is no edit.
    pub fn set(&mut self, id: Id, text: String) {
        self.edits.remove(&id);
        self.settle();
        if self.problems.contains_key(&id) || self.site.text(id).unwrap_or_default() != text {
            self.edits.insert(id, Edit::Text(text));
            self.settle();
        }
    }

    /// Restores the default.
    pub fn restore(&mut self, id: Id) {
        self.edits.remove(&id);
        if self.profile.value(id.field()).map_or(true, |value| value.is_some()) {
            self.edits.insert(id, Edit::Default);
        }
        self.settle();
        let text = self.text(id);
        if let Some((at, line)) = &mut self.editor
            && *at == id
        {
            *line = Line::new(text);
        }
        self.refused = None;
    }

    /// The next or previous choice of a field that has choices.
    pub fn turn(&mut self, id: Id, forward: bool) -> bool {
        let choices: Vec<&str> = match id.field().kind {
            Kind::Bool => vec!["false", "true"],
            Kind::Choice(choices) => choices.to_vec(),
            _ => return false,
        };
        let now = self.text(id);
        let at = choices.iter().position(|c| *c == now);
        let next = match (at, forward) {
            (None, _) => 0,
            (Some(at), true) => (at + 1) % choices.len(),
            (Some(at), false) => (at + choices.len() - 1) % choices.len(),
        };
        self.set(id, choices[next].to_owned());
        self.seen.insert(id);
        choices.len() > 1
    }

    /// Fields whose value differs from the default.
    pub fn non_defaults(&self) -> impl Iterator<Item = &'static Field> {
        FIELDS.iter().filter(|f| self.site.text(f.id) != self.default_text(f.id))
    }
}

/// Whether a field is typed rather than switched.
pub fn is_text(field: &Field) -> bool {
    !matches!(field.kind, Kind::Bool | Kind::Choice(_))
}

/// The name of a server that was tested: its field's, or what else it is for.
pub fn server(answer: &crate::probe::Answer) -> String {
    let field = answer.id.field();
    if answer.label == field.key { field.label.to_owned() } else { capital(&answer.label) }
}

pub fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}
