//! The kernel command line (`/proc/cmdline`), read so that no input can make a program fail.
//!
//! Words are split on white space outside double quotes, as the kernel's `next_arg` does
//! (lib/cmdline.c). A word without `=` is a flag; of repeated keys the last one wins for
//! [`Cmdline::value`], and [`Cmdline::values`] gives all of them in order.

/// A parsed kernel command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cmdline {
    words: Vec<(String, Option<String>)>,
}

impl Cmdline {
    /// Parses a command line; bytes that are not UTF-8 become U+FFFD.
    pub fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let mut words = Vec::new();
        let mut word = String::new();
        let mut quoted = false;
        let mut push = |word: &mut String| {
            let taken = std::mem::take(word);
            match taken.split_once('=') {
                Some((key, value)) if !key.is_empty() => {
                    words.push((key.to_owned(), Some(value.to_owned())));
                }
                _ if taken.is_empty() => {}
                _ => words.push((taken, None)),
            }
        };
        for c in text.chars() {
            match c {
                '"' => quoted = !quoted,
                c if !quoted && (c.is_whitespace() || c == '\0') => push(&mut word),
                c => word.push(c),
            }
        }
        push(&mut word);
        Self { words }
    }

    /// Reads `/proc/cmdline`; an unreadable file is an empty command line.
    pub fn of_this_machine() -> Self {
        Self::parse(&std::fs::read("/proc/cmdline").unwrap_or_default())
    }

    /// The last value given for `key`; a flag without `=` has none, so `k=v k` still gives `v`.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.words.iter().rev().find_map(|(k, v)| (k == key).then_some(v.as_deref()).flatten())
    }

    /// Every value given for `key`, in order.
    pub fn values<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.words.iter().filter(move |(k, _)| k == key).filter_map(|(_, v)| v.as_deref())
    }

    /// Every word with a `=`, in order.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.words.iter().filter_map(|(key, value)| Some((key.as_str(), value.as_deref()?)))
    }

    /// Whether `key` stands on the command line, with or without a value.
    pub fn has(&self, key: &str) -> bool {
        self.words.iter().any(|(k, _)| k == key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_flags_and_quotes() {
        let c =
            Cmdline::parse(b"quiet worker_id=aa:bb console=tty0 console=\"ttyS0,115200 x\"  =odd k=a=b\n");
        assert!(c.has("quiet"));
        assert_eq!(c.value("quiet"), None);
        assert_eq!(c.value("worker_id"), Some("aa:bb"));
        assert_eq!(c.values("console").collect::<Vec<_>>(), ["tty0", "ttyS0,115200 x"]);
        assert_eq!(c.value("k"), Some("a=b"));
        assert!(c.has("=odd"));
        assert_eq!(
            c.pairs().map(|(key, _)| key).collect::<Vec<_>>(),
            ["worker_id", "console", "console", "k"]
        );
    }
}

#[cfg(test)]
mod laws {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_a_command_line(bytes in proptest::collection::vec(any::<u8>(), 0..300), key in ".{0,8}") {
            let c = Cmdline::parse(&bytes);
            let all = c.values(&key).count();
            prop_assert_eq!(c.value(&key).is_some(), all > 0);
            prop_assert!(all == 0 || c.has(&key));
        }

        #[test]
        fn words_come_back(words in proptest::collection::vec(("[a-z_.]{1,8}", "[a-zA-Z0-9:,/=]{0,10}"), 0..10)) {
            let text: Vec<String> = words.iter().map(|(k, v)| format!("{k}={v}")).collect();
            let c = Cmdline::parse(text.join(" \n ").as_bytes());
            for (key, _) in &words {
                let want: Vec<&str> = words.iter().filter(|(k, _)| k == key).map(|(_, v)| v.as_str()).collect();
                prop_assert_eq!(c.values(key).collect::<Vec<_>>(), want);
            }
        }
    }
}
