//! The engine's errors in plain words.

use bollard::errors::Error;

/// Parts of a message in lower case, and what it means to a person at the machine.
type Meaning = (&'static [&'static str], &'static str);

/// Of this machine. In each list the first that fits counts: what is certain comes before what is vague.
const MACHINE: &[Meaning] = &[
    (&["no space left"], "the engine's storage is full: the image needs a machine with more memory"),
    (&["exec format error", "no matching manifest"], "the image is for another kind of machine"),
];

/// Of a registry, or the way to it.
const REGISTRY: &[Meaning] = &[
    (&["x509", "certificate", "tls: "], "the registry's TLS certificate is not accepted"),
    (&["gave http response to https"], "the registry speaks plain HTTP: name it in insecure_registries="),
    (
        &["unauthorized", "authentication required", "no basic auth", " 401"],
        "the registry refuses the credentials, or wants some",
    ),
    (&["denied", "forbidden", " 403"], "the registry does not allow this image to be pulled"),
    (&["toomanyrequests", "too many requests", " 429"], "the registry says: too many requests"),
    (&["no such host", "server misbehaving", "name resolution"], "the registry's name cannot be resolved"),
    (
        &["manifest unknown", "name unknown", "not found", " 404", "does not exist"],
        "the registry has no such image",
    ),
    (&["proxyconnect"], "the proxy does not answer"),
    (&["connection refused"], "nothing answers at the registry's address"),
    (&["no route to host", "network is unreachable"], "there is no route to the registry"),
    (
        &[" 503", "service unavailable", " 502", " 504", " 500"],
        "the registry, or the way to it, is not ready",
    ),
    (&["timeout", "deadline exceeded", "timed out", "no progress"], "the registry does not answer in time"),
    (&["connection reset", "eof", "broken pipe"], "the connection was cut"),
];

/// The message of an error, without the words that bollard puts before it.
pub fn message(error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } => message.trim().to_owned(),
        Error::DockerStreamError { error } => error.trim().to_owned(),
        Error::RequestTimeoutError => "timeout: the engine did not answer".to_owned(),
        other => other.to_string(),
    }
}

/// A failure of the engine itself: the message, after what it means if that is known.
pub fn of_machine(message: &str) -> String {
    explained(message, MACHINE.iter())
}

/// A failed pull: the message, after what it means if that is known.
pub fn of_pull(message: &str) -> String {
    explained(message, MACHINE.iter().chain(REGISTRY))
}

fn explained<'a>(message: &str, mut meanings: impl Iterator<Item = &'a Meaning>) -> String {
    let text = message.to_ascii_lowercase();
    match meanings.find(|(words, _)| words.iter().any(|word| text.contains(word))) {
        Some((_, meaning)) => format!("{meaning} ({message})"),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn messages_of_real_engines() {
        for (message, word) in [
            (
                "Get \"http://localhost:7443/v2/\": dial tcp 127.0.0.1:7443: connect: connection refused",
                "nothing answers",
            ),
            ("Get \"https://r/v2/\": x509: certificate signed by unknown authority", "certificate"),
            ("received unexpected HTTP status: 503 Service Unavailable", "not ready"),
            (
                "pull access denied for x, repository does not exist or may require 'docker login': denied",
                "not allow",
            ),
            (
                "manifest for localhost:5000/a:b not found: manifest unknown: manifest unknown",
                "no such image",
            ),
            ("Get \"https://r/v2/\": dial tcp: lookup r on 10.0.2.3:53: no such host", "resolved"),
            ("failed to register layer: write /x: no space left on device", "full"),
            ("Get \"https://r/v2/\": unauthorized: authentication required", "credentials"),
            ("Get \"https://r/v2/\": http: server gave HTTP response to HTTPS client", "insecure_registries"),
            (
                "Get \"http://localhost:7443/v2/\": net/http: request canceled (Client.Timeout exceeded)",
                "in time",
            ),
        ] {
            let got = of_pull(message);
            assert!(got.contains(word) && got.ends_with(&format!("({message})")), "{got}");
        }
        assert_eq!(of_pull("something new"), "something new");
        let program = "exec: \"/worker\": executable file not found in $PATH";
        assert_eq!(of_machine(program), program, "no registry is to blame");
    }

    proptest! {
        #[test]
        fn any_message(text in ".{0,80}") {
            prop_assert!(of_pull(&text).contains(&text));
        }
    }
}
