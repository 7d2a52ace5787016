//! Below the rule: what there is to know of the row in focus.

use super::super::kernels::by_list;
use super::super::keys::Action;
use super::super::model::Model;
use super::super::rows::Row;
use super::super::theme::Role;
use super::text::{clip, wrap};
use crate::probe::Answer;
use crate::site::KernelSource;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

pub fn view(model: &Model, frame: &mut Frame, area: Rect) {
    let theme = &model.theme;
    let room = usize::from(area.width).saturating_sub(2);
    // The last line has the example; what stands before it gets the lines that are left.
    let mut texts = words(model);
    let last = if texts.len() > 2 { texts.pop() } else { None };
    let mut left = usize::from(area.height) - usize::from(last.is_some());
    let mut lines = Vec::new();
    // The first text is the longest: it gives way to the others.
    for (at, (role, text)) in texts.iter().enumerate().rev() {
        let part = some_lines(text, room, left.saturating_sub(at), theme.glyphs.ellipsis());
        left = left.saturating_sub(part.len());
        lines.splice(0..0, part.into_iter().map(|line| (*role, line)));
    }
    lines.extend(last.map(|(role, text)| (role, clip(&text, room, theme.glyphs.ellipsis()))));
    let lines: Vec<Line> =
        lines.into_iter().map(|(role, text)| Line::styled(format!(" {text}"), theme.style(role))).collect();
    frame.render_widget(Paragraph::new(lines), area);
}

/// At most so many lines of a text, with a mark where it is cut.
fn some_lines(text: &str, room: usize, most: usize, mark: &str) -> Vec<String> {
    let mut lines = wrap(text, room);
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            *last = format!("{}{mark}", clip(last, room.saturating_sub(1), ""));
        }
    }
    lines
}

/// All that there is to know of the row in focus, to read at leisure.
pub fn words(model: &Model) -> Vec<(Role, String)> {
    let plain = |text: &str| vec![(Role::Plain, text.to_owned())];
    match model.focus() {
        Some(row @ (Row::Field(id) | Row::Value(id))) => {
            let field = id.field();
            let Some(site) = &model.site else { return Vec::new() };
            let mut first = format!("{}.", field.help);
            if !field.more.is_empty() {
                first = format!("{first} {}", field.more);
            }
            let listed = by_list(id).filter(|_| matches!(row, Row::Field(_)));
            let listed = listed.map_or_else(String::new, |how| format!(" {how}."));
            let takes = field.kind.accepts();
            vec![
                (Role::Plain, first),
                (Role::Plain, site.form.why(id)),
                (Role::Muted, format!("Example: {}.{listed} Takes {takes}.", field.example)),
            ]
        }
        Some(Row::Component(name)) => {
            let entries = model.site.as_ref().and_then(|site| site.components.value());
            let entries = entries.and_then(|entries| entries.as_ref().ok());
            let Some(entry) = entries.and_then(|all| all.iter().find(|e| e.name == name)) else {
                return Vec::new();
            };
            let mut lines = plain(&entry.description);
            let role = if entry.available { Role::Muted } else { Role::Warn };
            lines.push((role, format!("Made from {}. {}", entry.source, entry.state)));
            if entry.fixed {
                lines.push((Role::Muted, "Part of the system itself: it cannot be left out.".to_owned()));
            } else if let Some(role) = &entry.role {
                lines.push((Role::Muted, format!("One component takes the role {role}.")));
            }
            lines
        }
        Some(Row::Problem(id)) => {
            let problem = model.site.as_ref().and_then(|site| site.form.problem(id));
            let mut lines = vec![(Role::Plain, "Enter goes to the field.".to_owned())];
            lines.extend(problem.map(|problem| (Role::Error, problem.what().to_owned())));
            lines
        }
        Some(Row::Release(version, from)) => {
            let text = match from {
                KernelSource::Debian => {
                    format!("Enter takes Debian's kernel {version}: it need not be compiled.")
                }
                KernelSource::Source => format!(
                    "Enter takes {version} from source: where neither the store nor the release service has it, it is compiled."
                ),
            };
            let all = model.site.as_ref().map(super::super::kernels::releases).unwrap_or_default().releases;
            let found = all.into_iter().find(|r| r.version == version && r.from == from);
            let places = found.map(|release| format!("Had from: {}.", release.places.join(", ")));
            let mut lines = vec![(Role::Plain, text)];
            lines.extend(places.map(|places| (Role::Muted, places)));
            lines
        }
        Some(Row::Group(slug)) => vec![
            (
                Role::Plain,
                "The drivers of this group in kernel/modules.list. What another group needs of it stays."
                    .to_owned(),
            ),
            (
                Role::Muted,
                format!("Its name in settings is {slug}. Sizes are those of the files before packing."),
            ),
        ],
        Some(Row::Site(name)) => {
            let entry = super::super::update::start_entry(model, &name);
            entry.map_or_else(Vec::new, |entry| {
                let mut lines = vec![(Role::Muted, entry.path.display().to_string())];
                if let Some(problem) = &entry.problem {
                    lines.push((Role::Error, problem.clone()));
                }
                lines
            })
        }
        Some(Row::Draft(_)) => plain("What you changed and did not save. Enter asks what to do with it."),
        Some(Row::Running(_)) => plain("Enter shows this build."),
        Some(Row::Certificate(_)) => {
            plain("A machine with this image trusts the servers that these authorities vouch for.")
        }
        Some(Row::Probe(at)) => {
            let tested = model.site.as_ref().and_then(|site| site.probe.value());
            let answer = tested.and_then(|tested| tested.as_ref().ok()?.answers.get(at));
            answer.map_or_else(Vec::new, endpoint)
        }
        Some(Row::Do(action, text)) => {
            let mut lines = about(action).map_or_else(Vec::new, plain);
            // A row has one line for it, and not every terminal has a clipboard.
            lines.extend((action == Action::CopyCommand).then_some((Role::Muted, text)));
            lines
        }
        _ => Vec::new(),
    }
}

/// What there is to know of an endpoint that was tested.
fn endpoint(answer: &Answer) -> Vec<(Role, String)> {
    let outcome = &answer.outcome;
    let by = outcome.proxy.as_ref().map_or_else(String::new, |proxy| format!(", through the proxy {proxy}"));
    match (&outcome.failure, outcome.address) {
        (Some(failure), _) => {
            let mut lines = vec![(Role::Error, format!("{}: {}{by}.", answer.target, failure.why))];
            let remedy = failure.remedy.as_ref();
            lines.extend(remedy.map(|remedy| (Role::Plain, format!("Try: {}.", remedy.replace('\n', " ")))));
            lines
        }
        (None, Some(address)) => vec![(Role::Plain, format!("{} answers at {address}{by}.", answer.target))],
        (None, None) => vec![(Role::Plain, format!("{} answers{by}.", answer.target))],
    }
}

fn about(action: Action) -> Option<&'static str> {
    use Action as A;
    Some(match action {
        A::NewSite => "A new profile. The defaults suit a trial; a site needs the orchestrator's domain.",
        A::NewFromExample => "A copy of profiles/example.toml: every field is in it, with its help.",
        A::ImportConfig => "A `config` file of a HookOS site becomes a profile; nothing in it is lost.",
        A::TestConnection => {
            "Looks up each endpoint's name, connects through the proxy if one is set, and checks the server's certificate against this profile's authority."
        }
        A::PasteCertificate => "Opens a field for PEM text. Pasting it here works too.",
        A::TakeCertificate => "A PEM or DER file. Private keys are refused.",
        A::FetchChain => {
            "Asks the identity provider's server for its certificates. You compare the fingerprint before they are trusted."
        }
        A::Placeholder => "For trying an image out. No machine can register with them.",
        A::StartBuild => "A question comes first: it names every file that will be written.",
        A::CopyCommand => {
            "This builds the same image without the wizard. Enter copies it, Ctrl-B shows it whole:"
        }
        A::NextProblem => "Goes to the field.",
        _ => return None,
    })
}
