//! The five routes, and which credentials each needs.

use hookos_onboarding::files::File;

/// Which headers a request gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credentials {
    /// The token for the release services.
    Release,
    /// The token for the orchestrator's services.
    Access,
    /// That token, and whose logs these are.
    Logs,
}

impl Credentials {
    pub const ALL: [Self; 3] = [Self::Release, Self::Access, Self::Logs];

    /// Where the token endpoint answers for them.
    pub fn path(self) -> &'static str {
        match self {
            Self::Release => "/credentials/release",
            Self::Access => "/credentials/access",
            Self::Logs => "/credentials/logs",
        }
    }

    /// The file with the token.
    pub fn token(self) -> File {
        match self {
            Self::Release => File::ReleaseToken,
            Self::Access | Self::Logs => File::AccessToken,
        }
    }

    /// Headers of the endpoint's answer that go into the request, spelled as Caddy's placeholders spell
    /// them; on the wire `X-Scope-OrgID` and `hostGuid` are the same names.
    pub fn headers(self) -> &'static [&'static str] {
        match self {
            Self::Release | Self::Access => &["Authorization"],
            Self::Logs => &["Authorization", "X-Scope-Orgid", "Hostguid"],
        }
    }
}

/// One way to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// TCP port on 127.0.0.1.
    pub port: u16,
    /// Caddy path patterns; none: every path of the port.
    pub paths: &'static [&'static str],
    /// The upstream's key in env_config, which is also its field in the profile.
    pub service: &'static str,
    pub credentials: Credentials,
    /// Messages go both ways while the request is open.
    pub streams: bool,
}

pub const ROUTES: [Route; 5] = [
    Route {
        port: 7443,
        paths: &[],
        service: "oci_release_svc",
        credentials: Credentials::Release,
        streams: false,
    },
    Route {
        port: 80,
        paths: &["/tink-stack/*"],
        service: "tink_stack_svc",
        credentials: Credentials::Access,
        streams: false,
    },
    Route {
        port: 80,
        paths: &["/files-edge-orch/repository/*"],
        service: "release_svc",
        credentials: Credentials::Release,
        streams: false,
    },
    Route {
        port: 42113,
        paths: &[],
        service: "tink_server_svc",
        credentials: Credentials::Access,
        streams: true,
    },
    Route { port: 24224, paths: &[], service: "logging_svc", credentials: Credentials::Logs, streams: false },
];
