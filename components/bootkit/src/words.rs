//! The engine's errors in plain words.

use bollard::errors::Error;

/// A word in the engine's or registry's message, and what it means to a person at the machine. The first
/// that fits counts, so what is certain comes before what is vague.
const MEANINGS: &[(&[&str], &str)] = &[
    (
        &["no space left", "enospc"],
        "the engine's storage is full: the image needs a machine with more memory",
    ),
    (&["x509", "certificate", "tls: "], "the registry's TLS certificate is not accepted"),
    (&["gave http response to https"], "the registry speaks plain HTTP: name it in insecure_registries="),
    (
        &["unauthorized", "authentication required", "no basic auth", " 401"],
        "the registry refuses the credentials, or wants some",
    ),
    (&["denied", "forbidden", " 403"], "the registry does not allow this image to be pulled"),
    (&["toomanyrequests", "too many requests", " 429"], "the registry says: too many requests"),
    (
        &["manifest unknown", "name unknown", "not found", " 404", "does not exist"],
        "the registry has no such image",
    ),
    (&["no such host", "server misbehaving", "name resolution"], "the registry's name cannot be resolved"),
    (&["proxyconnect"], "the proxy does not answer"),
    (&["connection refused"], "nothing answers at the registry's address"),
    (&["no route to host", "network is unreachable"], "there is no route to the registry"),
    (
        &[" 503", "service unavailable", " 502", " 504", " 500"],
        "the registry, or the way to it, is not ready",
    ),
    (&["timeout", "deadline exceeded", "timed out", "no progress"], "the registry does not answer in time"),
    (&["exec format error", "no matching manifest"], "the image is for another kind of machine"),
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

/// What a message means, if that is known.
pub fn meaning(message: &str) -> Option<&'static str> {
    let text = message.to_ascii_lowercase();
    let fits = |words: &&(&[&str], &str)| words.0.iter().any(|word| text.contains(word));
    MEANINGS.iter().find(fits).map(|(_, meaning)| *meaning)
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
            let got = meaning(message).unwrap();
            assert!(got.contains(word), "{message}: {got}");
        }
        assert_eq!(meaning("something new"), None);
    }

    proptest! {
        #[test]
        fn any_message(text in ".{0,80}") {
            let _ = meaning(&text);
        }
    }
}
