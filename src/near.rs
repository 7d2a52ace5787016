//! "Did you mean": the known name nearest to an unknown one.

/// The name that differs least, whatever its case, if it differs by at most a third of its letters.
pub fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Longer ones are no slips, and comparing takes the product of the lengths.
    if word.len() > 100 {
        return None;
    }
    let word = word.to_lowercase();
    names
        .into_iter()
        .map(|name| (strsim::osa_distance(&word, &name.to_lowercase()), name))
        .min()
        .filter(|(distance, name)| *distance * 3 <= name.chars().count().max(3))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_found_and_another_word_is_not() {
        let names = ["keycloak_url", "release_svc", "no_proxy", "workingDir"];
        assert_eq!(nearest("keyclock_url", names), Some("keycloak_url"));
        assert_eq!(nearest("noproxy", names), Some("no_proxy"));
        assert_eq!(nearest("WORKINGDIR", names), Some("workingDir"));
        assert_eq!(nearest("banana", names), None);
        assert_eq!(nearest(&"no_proxy".repeat(20), names), None);
    }
}
