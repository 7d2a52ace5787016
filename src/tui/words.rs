//! Numbers as people say them.

/// How long ago, from seconds.
pub fn ago(seconds: i64) -> String {
    let (count, unit) = match seconds.max(0) {
        0..60 => return "just now".to_owned(),
        s @ 60..3600 => (s / 60, "minute"),
        s @ 3600..86_400 => (s / 3600, "hour"),
        s => (s / 86_400, "day"),
    };
    format!("{} ago", count_of(count.unsigned_abs(), unit))
}

/// `1 problem`, `2 problems`.
pub fn count_of(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Days until a time, in words.
pub fn until(seconds: i64) -> String {
    match seconds.div_euclid(86_400) {
        days @ ..0 => format!("expired {} ago", count_of(days.unsigned_abs(), "day")),
        0 => "expires within a day".to_owned(),
        days @ 1..731 => format!("expires in {}", count_of(days.unsigned_abs(), "day")),
        days => format!("expires in {} years", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_words() {
        assert_eq!(ago(-5), "just now");
        assert_eq!(ago(60), "1 minute ago");
        assert_eq!(ago(7300), "2 hours ago");
        assert_eq!(ago(86_400 * 3), "3 days ago");
        assert_eq!(until(-1), "expired 1 day ago");
        assert_eq!(until(3600), "expires within a day");
        assert_eq!(until(86_400 * 40), "expires in 40 days");
        assert_eq!(until(86_400 * 365 * 30), "expires in 30 years");
    }
}
