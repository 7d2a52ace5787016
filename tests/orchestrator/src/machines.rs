//! The machines that the orchestrator knows, and the rules by which it takes a message.

use crate::Known;
use crate::tokens::random;
use hookos_onboarding::messages::{NodeState, OnboardNodeStreamRequest, OnboardNodeStreamResponse, Status};
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};

/// gRPC status codes (google/rpc/code.proto).
pub const INVALID_ARGUMENT: i32 = 3;
pub const NOT_FOUND: i32 = 5;
pub const FAILED_PRECONDITION: i32 = 9;

/// An account that a machine was given.
pub struct Account {
    pub id: String,
    pub secret: String,
}

pub struct Machines {
    everyone: bool,
    registered_rounds: u32,
    pub project_id: String,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// By UUID, in lower case.
    machines: HashMap<String, Machine>,
    /// Secrets by client id.
    accounts: HashMap<String, String>,
}

struct Machine {
    /// None: any.
    serial: Option<String>,
    rounds_left: u32,
    onboarded: bool,
    /// A person added it, and the first call was answered without a project.
    answered_without_project: bool,
}

impl Machines {
    pub fn new(known: &[Known], registered_rounds: u32) -> Self {
        let machine = |known: &Known| {
            let machine = Machine {
                serial: Some(known.serial.clone()),
                rounds_left: registered_rounds,
                onboarded: false,
                answered_without_project: true,
            };
            (known.uuid.to_lowercase(), machine)
        };
        let kept = Kept { machines: known.iter().map(machine).collect(), ..Kept::default() };
        Self {
            everyone: known.is_empty(),
            registered_rounds,
            project_id: format!("project-{}", random(8)),
            kept: Mutex::new(kept),
        }
    }

    /// The answer to a message on the stream, a word for it, and the account if one is in it.
    pub fn answer(
        &self,
        asked: &OnboardNodeStreamRequest,
    ) -> (OnboardNodeStreamResponse, &'static str, Option<Account>) {
        if let Err(why) = validate(&asked.uuid, &asked.serialnum, &asked.mac_id, &asked.host_ip) {
            return (refusal(INVALID_ARGUMENT, &why), "invalid", None);
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let uuid = asked.uuid.to_lowercase();
        if self.everyone {
            kept.machines.entry(uuid.clone()).or_insert(Machine {
                serial: None,
                rounds_left: self.registered_rounds,
                onboarded: false,
                answered_without_project: true,
            });
        }
        let found = kept.machines.get_mut(&uuid);
        let Some(machine) =
            found.filter(|m| m.serial.as_ref().is_none_or(|serial| *serial == asked.serialnum))
        else {
            return (refusal(NOT_FOUND, "Device not found"), "not-found", None);
        };
        if machine.onboarded {
            return (refusal(FAILED_PRECONDITION, "Node is already onboarded"), "failed-precondition", None);
        }
        let mut answer = OnboardNodeStreamResponse {
            status: Some(Status::default()),
            node_state: NodeState::Registered.into(),
            project_id: self.project_id.clone(),
            ..OnboardNodeStreamResponse::default()
        };
        if machine.rounds_left > 0 {
            machine.rounds_left -= 1;
            return (answer, "registered", None);
        }
        machine.onboarded = true;
        let account = Account { id: format!("edgenode-{uuid}"), secret: format!("secret-{}", random(20)) };
        kept.accounts.insert(account.id.clone(), account.secret.clone());
        answer.node_state = NodeState::Onboarded.into();
        answer.client_id.clone_from(&account.id);
        answer.client_secret.clone_from(&account.secret);
        (answer, "onboarded", Some(account))
    }

    /// A person adds a machine. The first answer for a new one has no project.
    pub fn add(&self, uuid: &str, serial: &str, mac: &str, address: &str) -> Result<String, String> {
        validate(uuid, serial, mac, address)?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let machine = kept.machines.entry(uuid.to_lowercase()).or_insert(Machine {
            serial: Some(serial.to_owned()),
            rounds_left: 0,
            onboarded: false,
            answered_without_project: false,
        });
        if !machine.answered_without_project {
            machine.answered_without_project = true;
            return Ok(String::new());
        }
        Ok(self.project_id.clone())
    }

    pub fn account_is(&self, id: &str, secret: &str) -> bool {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.accounts.get(id).is_some_and(|known| known == secret)
    }
}

/// An answer that is no state but a status.
pub fn refusal(code: i32, message: &str) -> OnboardNodeStreamResponse {
    let status = Status { code, message: message.to_owned(), details: Vec::new() };
    OnboardNodeStreamResponse { status: Some(status), ..OnboardNodeStreamResponse::default() }
}

/// The onboarding manager's rules, of the version that is strictest.
fn validate(uuid: &str, serial: &str, mac: &str, address: &str) -> Result<(), String> {
    let groups: Vec<&str> = uuid.split('-').collect();
    let hex = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit());
    if groups.iter().map(|g| g.len()).ne([8, 4, 4, 4, 12]) || !groups.iter().all(|g| hex(g)) {
        return Err(format!("uuid {uuid:?} is not a UUID"));
    }
    if !(5..=20).contains(&serial.len()) || !serial.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(format!("serialnum {serial:?} does not match ^[A-Za-z0-9]{{5,20}}$"));
    }
    let pairs: Vec<&str> = mac.split([':', '-']).collect();
    if pairs.len() != 6 || !pairs.iter().all(|pair| pair.len() == 2 && hex(pair)) {
        return Err(format!("mac_id {mac:?} is not a MAC address"));
    }
    address.parse::<Ipv4Addr>().map(drop).map_err(|_| format!("host_ip {address:?} is not an IPv4 address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "0e5f1d5c-6f0a-4a8e-9d51-2f8b6a7c9d10";

    fn asked(uuid: &str, serial: &str) -> OnboardNodeStreamRequest {
        OnboardNodeStreamRequest {
            uuid: uuid.into(),
            serialnum: serial.into(),
            mac_id: "52:54:00:12:34:56".into(),
            host_ip: "10.0.2.15".into(),
        }
    }

    #[test]
    fn a_known_machine_is_registered_then_onboarded_then_refused() {
        let known = Known { uuid: UUID.to_uppercase(), serial: "ABC123".into() };
        let machines = Machines::new(&[known], 2);
        let words = |serial| machines.answer(&asked(UUID, serial)).1;
        assert_eq!(words("OTHER1"), "not-found");
        assert_eq!([words("ABC123"), words("ABC123")], ["registered"; 2]);
        let (answer, word, account) = machines.answer(&asked(UUID, "ABC123"));
        let account = account.unwrap();
        assert_eq!(word, "onboarded");
        assert_eq!((&answer.client_id, &answer.client_secret), (&account.id, &account.secret));
        assert!(machines.account_is(&account.id, &account.secret));
        assert!(!machines.account_is(&account.id, "x"));
        let (answer, _, _) = machines.answer(&asked(UUID, "ABC123"));
        assert_eq!(answer.status.unwrap().code, FAILED_PRECONDITION);
    }

    #[test]
    fn a_person_adds_a_machine_in_two_calls() {
        let machines = Machines::new(&[Known { uuid: UUID.replace('0', "1"), serial: "ABC123".into() }], 0);
        let add = || machines.add(UUID, "XYZ99", "52-54-00-12-34-56", "10.0.2.15");
        assert_eq!(add(), Ok(String::new()));
        assert_eq!(add(), Ok(machines.project_id.clone()));
        assert_eq!(machines.answer(&asked(UUID, "XYZ99")).1, "onboarded");
    }

    #[test]
    fn what_does_not_validate_is_refused() {
        let machines = Machines::new(&[], 0);
        for bad in [asked("x", "ABC12"), asked(UUID, "AB"), asked(UUID, "AB-123"), asked("", "")] {
            let (answer, word, _) = machines.answer(&bad);
            assert_eq!((answer.status.unwrap().code, word), (INVALID_ARGUMENT, "invalid"));
        }
        let mut bad = asked(UUID, "ABC12");
        bad.host_ip = "fe80::1".into();
        assert_eq!(machines.answer(&bad).1, "invalid");
        assert_eq!(machines.answer(&asked(UUID, "ABC12")).1, "onboarded");
    }
}
