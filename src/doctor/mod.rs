//! What this machine can do: for each thing that a job needs, whether it is there, and how to get it.
//!
//! [`checks`] looks at one thing each, [`network`] at servers. Nothing is installed or changed, and what takes longer than a few
//! seconds is given up.

mod checks;
mod network;

use crate::site::ResolvedSite;
use serde::Serialize;
use std::path::Path;

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Good,
    /// Something that only some jobs need is not there.
    Limited,
    /// No image can be built like this.
    Bad,
}

impl State {
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Limited => "limited",
            Self::Bad => "MISSING",
        }
    }
}

/// What a check has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub name: &'static str,
    pub state: State,
    /// What there is, or what is wrong.
    pub found: String,
    /// What it is needed for.
    pub for_what: &'static str,
    /// How to put it right.
    pub fix: Option<String>,
}

impl Finding {
    fn good(name: &'static str, for_what: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Good, found: found.into(), for_what, fix: None }
    }

    /// Something is not there; `state` says how much that matters.
    fn lacks(
        name: &'static str,
        for_what: &'static str,
        state: State,
        found: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { name, state, found: found.into(), for_what, fix: Some(fix.into()) }
    }
}

/// Looks at everything. What needs the network is looked at only if `network` says so; `site` names more servers.
pub fn examine(root: &Path, store: &Path, network: bool, site: Option<&ResolvedSite>) -> Vec<Finding> {
    let servers = network.then(|| network::look(root, site));
    let behind = servers.as_ref().map_or(&[][..], |servers| &servers.behind);
    let mut findings = vec![
        checks::toolchain(),
        checks::compiler(),
        checks::apt(),
        checks::packages(root),
        checks::disk("store", store),
        checks::disk("output", root),
        checks::clock(root, behind),
        checks::qemu(),
        checks::kvm(root),
        checks::docker(),
        checks::kernel_tools(root),
    ];
    findings.extend(servers.into_iter().flat_map(|servers| servers.findings));
    findings
}

/// The worst of all.
pub fn worst(findings: &[Finding]) -> State {
    let rank = |state: State| match state {
        State::Good => 0,
        State::Limited => 1,
        State::Bad => 2,
    };
    findings.iter().map(|finding| finding.state).max_by_key(|state| rank(*state)).unwrap_or(State::Good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finding_that_is_not_good_says_how_to_put_it_right() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let store = tempfile::tempdir().unwrap();
        let findings = examine(root, store.path(), false, None);
        for finding in &findings {
            assert_eq!(finding.state == State::Good, finding.fix.is_none(), "{finding:?}");
            assert!(!finding.found.is_empty() && !finding.for_what.is_empty(), "{finding:?}");
        }
        let of = |name: &str| findings.iter().find(|f| f.name == name).unwrap();
        // This test was compiled here.
        assert_eq!(of("Rust").state, State::Good, "{:?}", of("Rust"));
        assert_eq!(of("C compiler").state, State::Good, "{:?}", of("C compiler"));
        assert_eq!(of("clock").state, State::Good, "{:?}", of("clock"));
        let bad = Finding::lacks("x", "y", State::Bad, "z", "w");
        assert_eq!((worst(&[]), worst(&[bad])), (State::Good, State::Bad));
    }
}
