//! The steps of a site, in order, and which sections of the table of fields each one shows.

use crate::site::{Field, Id, Section};

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    Endpoints,
    Network,
    Certificates,
    Kernel,
    Components,
    Review,
    Build,
}

impl Step {
    pub const ALL: [Self; 7] = [
        Self::Endpoints,
        Self::Network,
        Self::Certificates,
        Self::Kernel,
        Self::Components,
        Self::Review,
        Self::Build,
    ];

    pub fn title(self) -> &'static str {
        match self {
            Self::Endpoints => "Endpoints",
            Self::Network => "Network",
            Self::Certificates => "Certificates",
            Self::Kernel => "Kernel",
            Self::Components => "Components",
            Self::Review => "Review",
            Self::Build => "Build",
        }
    }

    /// The step that shows a section. A new section does not compile until it has one.
    pub fn of(section: Section) -> Self {
        match section {
            Section::Endpoints => Self::Endpoints,
            Section::Network => Self::Network,
            Section::Certificates => Self::Certificates,
            Section::Kernel => Self::Kernel,
            Section::Image | Section::Debian | Section::Publish => Self::Components,
        }
    }

    /// The sections that this step shows.
    pub fn sections(self) -> impl Iterator<Item = Section> {
        Section::ALL.iter().copied().filter(move |section| Self::of(*section) == self)
    }

    /// From 1.
    pub fn number(self) -> usize {
        self as usize + 1
    }

    pub fn next(self) -> Option<Self> {
        Self::ALL.get(self as usize + 1).copied()
    }

    pub fn previous(self) -> Option<Self> {
        (self as usize).checked_sub(1).map(|at| Self::ALL[at])
    }

    /// The steps that an answer reaches into, apart from its own, with the reason.
    pub fn affected_by(field: &Field) -> &'static [(Self, &'static str)] {
        match (field.section, field.id) {
            (_, Id::ClusterDomain) => &[(Self::Certificates, "the orchestrator's domain has changed")],
            (_, Id::KeycloakUrl) => &[(Self::Certificates, "the identity provider has changed")],
            (_, Id::ExtraHosts | Id::HttpsProxy | Id::NoProxy | Id::Nameservers) => {
                &[(Self::Endpoints, "the way to the endpoints has changed")]
            }
            (_, Id::KernelSource) => &[(Self::Components, "the kernel has changed")],
            _ => &[],
        }
    }
}

/// What the rail says of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Current,
    /// Seen, and nothing is wrong with it.
    Done,
    /// Something in it is not usable.
    Attention,
    /// An earlier answer that it depends on has changed.
    Review,
    /// Not seen yet.
    Open,
    /// Not to be had before something else.
    Locked,
}

impl State {
    pub fn word(self) -> &'static str {
        match self {
            Self::Current => "here",
            Self::Done => "done",
            Self::Attention => "needs attention",
            Self::Review => "needs review",
            Self::Open => "not seen",
            Self::Locked => "locked",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_section_is_on_one_step_and_steps_are_in_order() {
        for section in Section::ALL {
            let steps: Vec<_> = Step::ALL.iter().filter(|s| s.sections().any(|x| x == *section)).collect();
            assert_eq!(steps, [&Step::of(*section)]);
        }
        for (at, step) in Step::ALL.iter().enumerate() {
            assert_eq!(*step as usize, at);
            assert_eq!(step.next().and_then(Step::previous), step.next().map(|_| *step));
        }
    }
}
