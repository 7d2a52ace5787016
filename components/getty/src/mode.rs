//! What a site wants on its consoles.

use hookos_guest::settings::Settings;

/// What each console shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// A log-in prompt; root's password as crypt(3) text.
    Login(String),
    /// A root shell without a password.
    Insecure,
    /// Nothing, with the reason when something was asked for that cannot be.
    Off(Option<String>),
}

impl Mode {
    /// Reads `GETTY` and `ROOT_PASSWORD_HASH`. What cannot be understood is [`Mode::Off`].
    pub fn of(settings: &Settings) -> Self {
        match settings.value("GETTY") {
            None | Some("off") => Self::Off(None),
            Some("insecure") => Self::Insecure,
            Some("login") => match settings.value("ROOT_PASSWORD_HASH") {
                Some(hash) if is_hash(hash) => Self::Login(hash.to_owned()),
                Some(_) => Self::Off(Some(
                    "the password hash in this image is not of the form $6$... or $5$...: nobody can log in"
                        .to_owned(),
                )),
                None => Self::Off(Some("this image has no password for root: nobody can log in".to_owned())),
            },
            Some(other) => Self::Off(Some(format!(
                "getty is {other:?} in this image, not login, insecure or off: consoles stay closed"
            ))),
        }
    }
}

/// `$id$salt$hash` of SHA-256 or SHA-512, which the log-in program here can check. The text goes into
/// a line of /etc/passwd.
fn is_hash(text: &str) -> bool {
    let known = ["$5$", "$6$"].iter().any(|id| text.starts_with(id));
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'/' | b'$' | b'=');
    known && (20..=200).contains(&text.len()) && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_unless_clearly_open() {
        let of = |text: &str| Mode::of(&Settings::parse(text));
        assert_eq!(of(""), Mode::Off(None));
        assert_eq!(of("GETTY=insecure"), Mode::Insecure);
        assert!(matches!(of("GETTY=Insecure"), Mode::Off(Some(_))));
        assert!(matches!(of("GETTY=login"), Mode::Off(Some(_))));
        assert!(matches!(of("GETTY=login\nROOT_PASSWORD_HASH=x"), Mode::Off(Some(_))));
        assert!(matches!(
            of("GETTY=login\nROOT_PASSWORD_HASH=$6$a:b$cccccccccccccccccccccc"),
            Mode::Off(Some(_))
        ));
        assert!(matches!(
            of("GETTY=login\nROOT_PASSWORD_HASH=$6$saltsalt$abcdefgh.ijkl/0123"),
            Mode::Login(_)
        ));
    }
}
