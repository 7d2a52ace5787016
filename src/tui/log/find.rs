//! Text to look for in lines: as it is typed, and without regard to case as long as it has no capital in
//! it. Case is that of ASCII.

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needle {
    text: String,
    exact: bool,
}

impl Needle {
    /// None for an empty text, which would be found everywhere.
    pub fn new(text: &str) -> Option<Self> {
        let exact = text.bytes().any(|b| b.is_ascii_uppercase());
        (!text.is_empty()).then(|| Self { text: text.to_owned(), exact })
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where it is found first at or behind byte `from`, in bytes.
    pub fn find(&self, text: &str, from: usize) -> Option<(usize, usize)> {
        let (hay, needle) = (text.as_bytes().get(from..)?, self.text.as_bytes());
        let at = if self.exact {
            memchr::memmem::find(hay, needle)?
        } else {
            let first = *needle.first()?;
            memchr::memchr2_iter(first, first.to_ascii_uppercase(), hay).find(|at| {
                hay.get(*at..*at + needle.len()).is_some_and(|part| part.eq_ignore_ascii_case(needle))
            })?
        };
        Some((from + at, from + at + needle.len()))
    }

    pub fn is_in(&self, text: &str) -> bool {
        self.find(text, 0).is_some()
    }

    /// Everything that is found, without overlaps.
    pub fn all<'t>(&'t self, text: &'t str) -> impl Iterator<Item = (usize, usize)> + 't {
        let mut from = 0;
        std::iter::from_fn(move || {
            let (start, end) = self.find(text, from)?;
            from = end;
            Some((start, end))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn small_letters_find_capitals_and_capitals_find_themselves() {
        let find = |needle: &str, text: &str| Needle::new(needle).unwrap().find(text, 0);
        assert_eq!(find("err", "an ERROR"), Some((3, 6)));
        assert_eq!(find("Err", "an ERROR"), None);
        assert_eq!(find("ß", "Straße"), Some((4, 6)));
        assert_eq!(Needle::new(""), None);
    }

    proptest! {
        #[test]
        fn what_is_found_is_there(needle in "[a-cA-Cé]{1,3}", text in "[a-cA-Cé ]{0,30}") {
            let wanted = Needle::new(&needle).unwrap();
            let lower = |t: &str| t.to_ascii_lowercase();
            let there = text.contains(&needle) || (needle == lower(&needle) && lower(&text).contains(&needle));
            prop_assert_eq!(wanted.is_in(&text), there);
            for (start, end) in wanted.all(&text) {
                prop_assert_eq!(lower(&text[start..end]), lower(&needle));
            }
        }
    }
}
