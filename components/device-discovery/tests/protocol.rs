//! The program against the orchestrator's stand-in: every state, every misbehaviour and the way back.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod guest;
mod keycloak;
mod proxy;

use guest::{ADDRESS, Guest, MAC, SERIAL, UUID, wait};
use orchestrator_stand_in::{Config, Event, Known, Misbehaviour, Orchestrator, Record};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

struct Lab {
    // Before the folder that it works in.
    orchestrator: Orchestrator,
    _folder: tempfile::TempDir,
}

fn lab(change: impl FnOnce(&mut Config)) -> Lab {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config {
        domain: "lab.example.com".into(),
        listen: "127.0.0.1:0".parse().unwrap(),
        known: vec![Known { uuid: UUID.into(), serial: SERIAL.into() }],
        registered_rounds: 1,
        token_seconds: 300,
        user: ("operator".into(), "Correct-horse-7".into()),
        worker: None,
        folder: folder.path().into(),
    };
    change(&mut config);
    Lab { orchestrator: Orchestrator::start(config).unwrap(), _folder: folder }
}

fn a_stranger() -> Vec<Known> {
    vec![Known { uuid: "11111111-2222-3333-4444-555555555555".into(), serial: "OTHER1".into() }]
}

fn is_stream_answer(record: &Record, wanted: &str) -> bool {
    matches!(&record.event, Event::OnboardRequest { answer, .. } if answer == wanted)
}

fn requests(lab: &Lab) -> Vec<String> {
    let records = lab.orchestrator.records();
    let answers = records.iter().filter_map(|record| match &record.event {
        Event::OnboardRequest { answer, .. } => Some(answer.clone()),
        _ => None,
    });
    answers.collect()
}

fn grants(lab: &Lab) -> Vec<(String, u16)> {
    let records = lab.orchestrator.records();
    let grants = records.iter().filter_map(|record| match &record.event {
        Event::Token { grant, status, .. } => Some((grant.clone(), *status)),
        _ => None,
    });
    grants.collect()
}

#[test]
fn a_known_machine_waits_for_its_release_and_gets_its_tokens() {
    let lab = lab(|config| config.registered_rounds = 3);
    let mut guest = Guest::of(&lab.orchestrator);
    guest.start();
    guest.expect(
        "[console] registered with onboarding-stream.lab.example.com as LAB0001; waiting for its release",
    );
    guest.expect("[console] onboarded; tokens are valid until ");
    assert_eq!(requests(&lab), ["registered", "registered", "registered", "onboarded"]);
    assert_eq!(guest.said().matches("[console] registered").count(), 1, "told once");
    for record in lab.orchestrator.records() {
        if let Event::OnboardRequest { uuid, serial, mac, address, .. } = &record.event {
            assert_eq!(
                (uuid.as_str(), serial.as_str(), mac.as_str(), address.as_str()),
                (UUID, SERIAL, MAC, ADDRESS)
            );
        }
    }
    let mut before = 0;
    for name in ["project_id", "client_id", "client_secret", "release_token", "idp_access_token"] {
        let about = std::fs::metadata(guest.path(&format!("dev/shm/{name}"))).unwrap();
        assert_eq!(about.permissions().mode() & 0o7777, 0o600, "{name}");
        assert!(about.len() > 0, "{name}");
        let written = about.mtime() * 1_000_000_000 + about.mtime_nsec();
        assert!(written >= before, "{name} is written after those that are listed before it");
        before = written;
    }
    guest.keeps(&lab.orchestrator.secrets());
    assert_eq!(guest.terminate(), Some(0));
}

#[test]
fn tokens_of_20_seconds_are_renewed_before_they_end() {
    let lab = lab(|config| config.token_seconds = 20);
    let mut guest = Guest::of(&lab.orchestrator);
    guest.start();
    guest.expect_tokens();
    let first = (guest.shm("idp_access_token"), guest.shm("release_token"));
    let begun = std::time::Instant::now();
    wait(|| guest.shm("idp_access_token") != first.0, || format!("not renewed:\n{}", guest.said()));
    assert!((5..20).contains(&begun.elapsed().as_secs()), "renewed after {:?}", begun.elapsed());
    assert_ne!(guest.shm("release_token"), first.1);
    let secrets = lab.orchestrator.secrets();
    assert!(
        secrets.contains(&guest.shm("idp_access_token")) && secrets.contains(&guest.shm("release_token"))
    );
    guest.keeps(&secrets);
}

/// Misbehaves from the start, expects a reason on the console, behaves, and expects tokens.
fn recovers(how: Misbehaviour, reason: &str) {
    let lab = lab(|_| {});
    lab.orchestrator.misbehave(Some(how));
    let mut guest = Guest::of(&lab.orchestrator);
    guest.start();
    wait(
        || guest.said().lines().any(|line| line.contains("[console]") && line.contains(reason)),
        || format!("the console does not say {reason:?}:\n{}", guest.said()),
    );
    lab.orchestrator.misbehave(None);
    guest.expect_tokens();
    guest.keeps(&lab.orchestrator.secrets());
}

#[test]
fn a_certificate_of_an_unknown_authority() {
    recovers(Misbehaviour::WrongCa, "is not from an authority in this image's /etc/idp/ca.pem");
}

#[test]
fn an_expired_certificate() {
    recovers(Misbehaviour::ExpiredCertificate, "expired on ");
}

#[test]
fn http_401() {
    recovers(Misbehaviour::Http401, "refuses access");
}

#[test]
fn http_429() {
    recovers(Misbehaviour::Http429, "429");
}

#[test]
fn http_500() {
    recovers(Misbehaviour::Http500, "500");
}

#[test]
fn a_server_that_hangs() {
    recovers(Misbehaviour::Hang, "does not answer");
}

#[test]
fn a_stream_that_is_half_closed() {
    recovers(Misbehaviour::HalfClosed, "ended the conversation without an answer");
}

#[test]
fn a_machine_that_is_not_found_and_has_no_console() {
    recovers(Misbehaviour::NotFound, "there is no console to log in at");
}

#[test]
fn a_machine_that_may_not_onboard() {
    recovers(Misbehaviour::FailedPrecondition, "will not onboard this machine now");
}

#[test]
fn a_connection_that_is_dropped() {
    recovers(Misbehaviour::Drop, "broke the connection");
}

#[test]
fn a_slow_server_is_waited_for() {
    let lab = lab(|config| config.registered_rounds = 0);
    lab.orchestrator.misbehave(Some(Misbehaviour::Slow));
    let mut guest = Guest::of(&lab.orchestrator);
    guest.start_at("1");
    guest.expect_tokens();
    assert_eq!(
        (requests(&lab), grants(&lab).len()),
        (vec!["onboarded".to_owned()], 1),
        "nothing is asked twice"
    );
}

/// Misbehaves once there are tokens, and expects the renewal to say so and to go on.
fn renewal_recovers(how: Misbehaviour, reason: &str) {
    let lab = lab(|config| config.token_seconds = 6);
    let mut guest = Guest::of(&lab.orchestrator);
    guest.start();
    guest.expect_tokens();
    lab.orchestrator.misbehave(Some(how));
    guest.expect("no new tokens: ");
    guest.expect(reason);
    let before = guest.shm("idp_access_token");
    lab.orchestrator.misbehave(None);
    guest.expect("[console] tokens could be renewed again");
    assert_ne!(guest.shm("idp_access_token"), before);
    guest.keeps(&lab.orchestrator.secrets());
}

#[test]
fn renewal_after_401() {
    renewal_recovers(Misbehaviour::Http401, "does not accept the credentials");
}

#[test]
fn renewal_after_500() {
    renewal_recovers(Misbehaviour::Http500, "has an error of its own, HTTP 500");
}

#[test]
fn renewal_after_429() {
    renewal_recovers(Misbehaviour::Http429, "is overloaded, HTTP 429");
}

#[test]
fn renewal_after_a_hang() {
    renewal_recovers(Misbehaviour::Hang, "does not answer");
}

#[test]
fn renewal_after_another_authority() {
    renewal_recovers(Misbehaviour::WrongCa, "is not from an authority");
}

#[test]
fn a_server_that_is_not_there() {
    let lab = lab(|_| {});
    // A port that was free a moment ago.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut guest = Guest::new(address, lab.orchestrator.ca_pem());
    guest.start();
    guest.expect("refuses connections");
    assert_eq!(guest.terminate(), Some(0));
}

#[test]
fn two_consoles_one_log_in() {
    let lab = lab(|config| config.known = a_stranger());
    let mut guest = Guest::of(&lab.orchestrator);
    let mut screen = guest.console("tty1");
    let mut serial = guest.console("ttyS0");
    guest.start();
    serial.log_in("operator", "not the password");
    screen.expect("Somebody logs in on ttyS0.", 1);
    screen.expect("The log-in did not work: ", 1);
    assert!(guest.path("run/console/asking").exists());
    // Too short: asked again, without a try.
    screen.log_in("op", "xx");
    screen.log_in(" operator;", "  Correct-horse-7 ;");
    serial.expect("Somebody logs in on tty1.", 1);
    guest.expect("[console] onboarded; tokens are valid until ");
    wait(|| !guest.path("run/console/asking").exists(), || "getty still waits".into());
    wait(|| screen.is_as_before() && serial.is_as_before(), || "the terminals are not as before".into());
    assert!(guest.shm("client_id").is_empty() && guest.shm("client_secret").is_empty());
    assert!(!guest.shm("project_id").is_empty() && !guest.shm("release_token").is_empty());
    let created: Vec<_> = lab
        .orchestrator
        .records()
        .into_iter()
        .filter_map(|record| match record.event {
            Event::CreateNodes { uuid, serial, mac, address, .. } => Some((uuid, serial, mac, address)),
            _ => None,
        })
        .collect();
    let machine = (UUID.to_owned(), SERIAL.to_owned(), MAC.to_owned(), ADDRESS.to_owned());
    assert!(
        created.len() >= 2 && created.iter().all(|c| *c == machine),
        "the first call gives no project: {created:?}"
    );
    let log = guest.text("var/log/client-auth/client-auth.log");
    assert!(log.contains("failed") && log.contains("\"operator\" on tty1 was accepted"), "{log}");
    let mut secrets = lab.orchestrator.secrets();
    secrets.push("not the password".into());
    guest.keeps(&secrets);
    for shown in [screen.screen(), serial.screen()] {
        assert!(shown.contains(SERIAL));
        assert!(!secrets.iter().any(|secret| shown.contains(secret.as_str())), "{shown}");
    }
}

#[test]
fn three_failed_log_ins_and_a_registration_after_them() {
    let lab = lab(|_| {});
    lab.orchestrator.misbehave(Some(Misbehaviour::NotFound));
    let mut guest = Guest::of(&lab.orchestrator);
    let mut console = guest.console("ttyS0");
    guest.start();
    for times in 1..=3 {
        console.log_in("operator", "wrong-password");
        console.expect("The log-in did not work: ", times);
    }
    console.expect("Three log-ins failed.", 1);
    // Asked again after the pause, until an administrator registers the machine.
    console.expect("User name: ", 4);
    lab.orchestrator.misbehave(None);
    console.expect("no log-in is needed now", 1);
    guest.expect_tokens();
    wait(|| console.is_as_before(), || "the terminal is not as before".into());
    guest.keeps(&["wrong-password".to_owned()]);
}

#[test]
fn a_registration_takes_the_question_away() {
    let lab = lab(|_| {});
    lab.orchestrator.misbehave(Some(Misbehaviour::NotFound));
    let mut guest = Guest::of(&lab.orchestrator);
    let mut console = guest.console("hvc0");
    guest.start();
    console.expect("User name: ", 1);
    console.enter("operator");
    console.expect("Password (not shown): ", 1);
    lab.orchestrator.misbehave(None);
    console.expect("no log-in is needed now", 1);
    guest.expect_tokens();
    assert!(!guest.shm("client_secret").is_empty(), "the machine has an account of its own");
    assert!(!guest.path("run/console/asking").exists());
    assert!(console.is_as_before());
    assert!(grants(&lab).iter().all(|(grant, _)| grant == "client_credentials"));
}

#[test]
fn a_signal_gives_the_consoles_back() {
    let lab = lab(|config| config.known = a_stranger());
    let mut guest = Guest::of(&lab.orchestrator);
    let mut console = guest.console("ttyS0");
    guest.start();
    console.expect("User name: ", 1);
    console.enter("operator");
    console.expect("Password (not shown): ", 1);
    wait(|| !console.is_as_before(), || "the password would be shown".into());
    assert_eq!(guest.terminate(), Some(0));
    assert!(console.is_as_before());
    assert!(!guest.path("run/console/asking").exists());
}

#[test]
fn a_log_in_is_renewed_without_the_person_until_its_session_ends() {
    let lab = lab(|config| {
        config.known = a_stranger();
        config.token_seconds = 6;
    });
    let form =
        "grant_type=password&client_id=system-client&scope=openid&username=operator&password=Correct-horse-7";
    let keycloak = keycloak::Keycloak::start(lab.orchestrator.address(), lab.orchestrator.ca_pem(), form);
    let mut guest =
        Guest::new(lab.orchestrator.address(), &format!("{}{}", lab.orchestrator.ca_pem(), keycloak.ca));
    let site = guest.text("etc/hook/env_config");
    guest.put(
        "etc/hook/env_config",
        &site.replacen(
            &format!("keycloak.lab.example.com:{}", lab.orchestrator.address().port()),
            &format!("keycloak.lab.example.com:{}", keycloak.address.port()),
            1,
        ),
    );
    let mut console = guest.console("ttyS0");
    guest.start();
    console.log_in("operator", "Correct-horse-7");
    guest.expect_tokens();
    wait(|| keycloak.taken() >= 2, || format!("not renewed:\n{}", guest.said()));
    keycloak.end_session();
    guest.expect("[console] the log-in has ended: ");
    console.log_in("operator", "Correct-horse-7");
    guest.expect("[console] tokens could be renewed again");
    let created = |record: &Record| matches!(record.event, Event::CreateNodes { .. });
    assert_eq!(
        lab.orchestrator.records().iter().filter(|r| created(r)).count(),
        2,
        "added once, in two calls"
    );
    let mut secrets = lab.orchestrator.secrets();
    secrets.push("-of-a-person".to_owned());
    guest.keeps(&secrets);
}

#[test]
fn a_log_in_that_cannot_be_renewed_is_asked_for_again() {
    let lab = lab(|config| {
        config.known = a_stranger();
        config.token_seconds = 6;
    });
    let mut guest = Guest::of(&lab.orchestrator);
    let mut console = guest.console("ttyS0");
    guest.start();
    console.log_in("operator", "Correct-horse-7");
    guest.expect_tokens();
    let first = guest.shm("idp_access_token");
    console.expect("Log in again on any console", 1);
    console.log_in("operator", "Correct-horse-7");
    wait(|| guest.shm("idp_access_token") != first, || format!("not renewed:\n{}", guest.said()));
    guest.keeps(&lab.orchestrator.secrets());
}

#[test]
fn a_program_that_was_killed_goes_on_with_the_account_it_has() {
    let lab = lab(|_| {});
    let mut guest = Guest::of(&lab.orchestrator);
    guest.start();
    guest.expect_tokens();
    let asked = requests(&lab).len();
    guest.kill();
    guest.put("run/console/asking", "device-discovery\n");
    let before = guest.shm("idp_access_token");
    guest.start();
    wait(|| guest.shm("idp_access_token") != before, || format!("no new token:\n{}", guest.said()));
    assert_eq!(requests(&lab).len(), asked, "an account is handed out once only");
    assert!(!guest.path("run/console/asking").exists());
}

#[test]
fn an_address_that_comes_late() {
    let lab = lab(|_| {});
    let mut guest = Guest::of(&lab.orchestrator);
    guest.put("addresses", "lo 127.0.0.1\neth0 169.254.7.7\n");
    guest.start();
    guest.expect("[console] waiting for the network: eth0 (02:00:00:00:00:0a) has no IPv4 address yet");
    guest.put("addresses", &format!("eth0 {ADDRESS}\n"));
    guest.expect_tokens();
    assert!(lab.orchestrator.records().iter().any(|r| is_stream_answer(r, "onboarded")));
}

#[test]
fn a_time_limit_starts_anew() {
    let lab = lab(|_| {});
    lab.orchestrator.misbehave(Some(Misbehaviour::FailedPrecondition));
    let mut guest = Guest::of(&lab.orchestrator);
    guest.parameters("DEBUG=true TIMEOUT=500ms");
    guest.start();
    guest.expect("[console] not onboarded within 500ms");
    lab.orchestrator.misbehave(None);
    guest.expect_tokens();
}

#[test]
fn settings_that_are_missing_are_named_and_may_come() {
    let lab = lab(|_| {});
    let mut guest = Guest::of(&lab.orchestrator);
    let good = guest.text("etc/hook/env_config");
    guest.put("etc/hook/env_config", "OBM_PORT=443\n");
    guest.parameters("DEBUG=perhaps TIMEOUT=");
    guest.start();
    guest.expect(
        "[console] KEYCLOAK_URL is missing in /etc/hook/env_config: set the profile field `keycloak_url`",
    );
    guest.put("etc/hook/env_config", &good);
    guest.expect("DEBUG=\"perhaps\" is neither true nor false");
    guest.expect_tokens();
}

#[test]
fn a_proxy_is_used_and_its_password_not_told() {
    let lab = lab(|_| {});
    let proxy = proxy::Proxy::start(lab.orchestrator.address());
    let mut guest = Guest::of(&lab.orchestrator);
    // No EXTRA_HOSTS: only the proxy knows the names.
    let site = Guest::site(lab.orchestrator.address());
    guest
        .put("etc/hook/env_config", &format!("{site}https_proxy=http://me:Proxy-pass-9@{}\n", proxy.address));
    guest.start();
    guest.expect_tokens();
    let asked = proxy.asked();
    let port = lab.orchestrator.address().port();
    for name in ["onboarding-stream", "keycloak", "release"] {
        let line = format!("CONNECT {name}.lab.example.com:{port} HTTP/1.1");
        assert!(asked.contains(&line), "{line:?} is not in {asked}");
    }
    // me:Proxy-pass-9
    let credentials = "bWU6UHJveHktcGFzcy05";
    assert_eq!(
        asked.matches(&format!("Basic {credentials}")).count(),
        asked.matches("CONNECT ").count(),
        "{asked}"
    );
    let mut secrets = lab.orchestrator.secrets();
    secrets.extend(["Proxy-pass-9".to_owned(), credentials.to_owned()]);
    let said = guest.said();
    assert!(!secrets.iter().any(|secret| said.contains(secret.as_str())), "{said}");
}

#[test]
fn a_dry_run_tells_and_sends_nothing() {
    let lab = lab(|_| {});
    let guest = Guest::of(&lab.orchestrator);
    let output = guest.command().arg("--dry-run").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    for part in [
        UUID,
        SERIAL,
        MAC,
        ADDRESS,
        "keycloak.lab.example.com:",
        "release.lab.example.com:",
        "1 certificates",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    guest.put("etc/hook/env_config", "");
    guest.put("addresses", "");
    let output = guest.command().arg("--dry-run").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("`keycloak_url`") && text.contains("no IPv4 address yet"), "{text}");
    assert!(requests(&lab).is_empty());
}
