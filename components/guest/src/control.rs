//! What PID 1 and its clients (`service`, `reboot`, the watcher of the Docker component) say to each
//! other over [`SOCKET`]: one JSON line each way.

use crate::report::ServiceState;
use serde::{Deserialize, Serialize};

/// PID 1's socket. Only root may connect.
pub const SOCKET: &str = "/run/hookos/init.sock";
/// Longest request in bytes.
pub const LONGEST: usize = 4096;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Request {
    /// Everything that PID 1 looks after.
    List,
    Start {
        name: String,
    },
    Stop {
        name: String,
    },
    Restart {
        name: String,
    },
    /// Take the machine down.
    Shutdown {
        action: Action,
    },
}

/// How the machine goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    Poweroff,
    Reboot,
    Halt,
}

impl Action {
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "poweroff" => Some(Self::Poweroff),
            "reboot" => Some(Self::Reboot),
            "halt" => Some(Self::Halt),
            _ => None,
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Poweroff => "poweroff",
            Self::Reboot => "reboot",
            Self::Halt => "halt",
        }
    }
}

/// Exactly one of `error` and the rest.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(default)]
    pub units: Vec<UnitInfo>,
}

/// One container, as the world sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnitInfo {
    pub name: String,
    pub kind: Kind,
    pub state: ServiceState,
    pub pid: Option<i32>,
    /// Seconds since the container's process started, while it runs.
    pub uptime: Option<f64>,
    /// On its way up or down.
    #[serde(default)]
    pub busy: bool,
    pub restarts: u32,
    /// Exit code of the last run that ended (128 + signal; 125 when it could not be started).
    pub last_exit: Option<i32>,
    /// Why it could not be started, or how it ended, in words.
    pub message: Option<String>,
    pub log: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Onboot,
    Service,
    Onshutdown,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn requests_are_one_json_object() {
        let text = serde_json::to_string(&Request::Restart { name: "ntp".into() }).unwrap();
        assert_eq!(text, r#"{"command":"restart","name":"ntp"}"#);
        let back: Request = serde_json::from_str(r#"{"command":"shutdown","action":"poweroff"}"#).unwrap();
        assert_eq!(back, Request::Shutdown { action: Action::Poweroff });
        assert!(serde_json::from_str::<Request>(r#"{"command":"dance"}"#).is_err());
    }

    proptest! {
        #[test]
        fn reading_a_request_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = serde_json::from_slice::<Request>(&bytes);
        }
    }
}
