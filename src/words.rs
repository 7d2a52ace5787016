//! Numbers as people say them: sizes, times, counts. Every face and every message has them from here.

use crate::progress::Unit;

/// Bytes in at most eight columns: three digits and a binary unit, as in `2.61 KiB`, `16.0 KiB`, `154 MiB`.
pub fn size(bytes: u64) -> String {
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut scaled = bytes as f64 / 1024.0;
    let mut units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    // 1000 KiB would have a digit more than 0.98 MiB.
    while scaled >= 999.5
        && let Some(next) = units.next()
    {
        scaled /= 1024.0;
        unit = next;
    }
    match scaled {
        s if s < 9.995 => format!("{s:.2} {unit}"),
        s if s < 99.95 => format!("{s:.1} {unit}"),
        s => format!("{s:.0} {unit}"),
    }
}

/// An amount of a unit.
pub fn amount(n: u64, unit: Unit) -> String {
    match unit {
        Unit::Bytes => size(n),
        Unit::Items => n.to_string(),
    }
}

/// Seconds in at most eight columns: `4.2 s`, `42 s`, `3:05`, `1:02:03`.
pub fn time(seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    if seconds < 9.95 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round().min(359_999.0) as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{}:{:02}", whole / 60, whole % 60),
        _ => format!("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60),
    }
}

/// A time that is guessed: no more exact than the guess. `about 40 s`, `about 3 min`.
pub fn about(seconds: f64) -> String {
    match seconds.max(0.0) {
        s if s < 10.0 => "a few seconds".to_owned(),
        s if s < 90.0 => format!("about {} s", (s / 10.0).round() as u64 * 10),
        s if s < 5400.0 => format!("about {} min", (s / 60.0).round() as u64),
        s => format!("about {:.1} h", s / 3600.0),
    }
}

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

/// A fingerprint for the eye: two lines in groups of eight digits.
pub fn fingerprint(hex: &str) -> Vec<String> {
    let groups: Vec<&str> = (0..hex.len()).step_by(8).filter_map(|at| hex.get(at..at + 8)).collect();
    let line = |(at, part): (usize, &[&str])| {
        format!("{}  {}", if at == 0 { "SHA-256" } else { "       " }, part.join(" "))
    };
    groups.chunks(4).enumerate().map(line).collect()
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
    fn sizes_have_three_digits_and_times_eight_columns() {
        let sizes: Vec<_> = [
            0,
            151,
            999,
            1000,
            2673,
            16 << 10,
            640 << 10,
            1_027_461,
            1 << 20,
            38 << 20,
            154_316_173,
            3 << 40,
        ]
        .map(size)
        .into();
        let said = [
            "0 B", "151 B", "999 B", "0.98 KiB", "2.61 KiB", "16.0 KiB", "640 KiB", "0.98 MiB", "1.00 MiB",
            "38.0 MiB", "147 MiB", "3.00 TiB",
        ];
        assert_eq!(sizes, said);
        for bits in 0..64 {
            for bytes in [(1 << bits) - 1, 1 << bits, (1 << bits) / 100 * 99 + 7] {
                assert!(size(bytes).len() <= 8, "{bytes} {}", size(bytes));
            }
        }
        assert!(size(u64::MAX).len() <= 8);
        let times: Vec<_> = [0.04, 9.94, 9.96, 59.4, 59.6, 185.0, 3723.0].map(time).into();
        assert_eq!(times, ["0.0 s", "9.9 s", "10 s", "59 s", "1:00", "3:05", "1:02:03"]);
        let guesses: Vec<_> = [3.0, 38.0, 89.0, 200.0, 7200.0].map(about).into();
        assert_eq!(guesses, ["a few seconds", "about 40 s", "about 90 s", "about 3 min", "about 2.0 h"]);
    }

    #[test]
    fn a_fingerprint_is_two_lines_of_groups() {
        let hex: String = (0..64).map(|n| char::from_digit(n % 16, 16).unwrap()).collect();
        let lines = fingerprint(&hex);
        assert_eq!(lines[0], "SHA-256  01234567 89abcdef 01234567 89abcdef");
        assert_eq!(lines[1], "         01234567 89abcdef 01234567 89abcdef");
        assert_eq!(lines.len(), 2);
    }

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
