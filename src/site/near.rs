//! "Did you mean": the known name nearest to an unknown one.

/// The name that differs least, if it differs little: by at most a third of its letters.
pub fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    names
        .into_iter()
        .map(|name| (distance(word, name), name))
        .min()
        .filter(|(distance, name)| *distance * 3 <= name.chars().count().max(3))
        .map(|(_, name)| name)
}

/// Levenshtein's edit distance. Long words are not worth it.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > 100 {
        return usize::MAX / 4;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_found_and_another_word_is_not() {
        let names = ["keycloak_url", "release_svc", "no_proxy"];
        assert_eq!(nearest("keyclock_url", names), Some("keycloak_url"));
        assert_eq!(nearest("noproxy", names), Some("no_proxy"));
        assert_eq!(nearest("banana", names), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
