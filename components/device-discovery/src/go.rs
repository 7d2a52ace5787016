//! Values of `DEBUG` and `TIMEOUT`, as the Go programs that boot scripts were written for read them
//! (`strconv.ParseBool`, `time.ParseDuration`).

use std::time::Duration;

/// A truth value.
pub fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// A duration such as `120s`, `1m30s` or `1.5h`; negative ones and those past a century are not
/// taken.
pub fn duration(text: &str) -> Option<Duration> {
    const LONGEST: f64 = 100.0 * 366.0 * 86_400.0;
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        let (number, after) = rest.split_at(digits);
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let factor = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        // `parse` would also take `inf` and exponents, but only digits and points get here.
        seconds += number.parse::<f64>().ok()? * factor;
        rest = after;
    }
    (seconds <= LONGEST).then(|| Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_boot_scripts_write() {
        for (text, seconds) in
            [("120s", 120.0), ("1m30s", 90.0), ("1.5h", 5400.0), ("0", 0.0), ("+2ms", 0.002), (".5s", 0.5)]
        {
            assert_eq!(duration(text).map(|d| d.as_secs_f64()), Some(seconds), "{text}");
        }
        for bad in ["", "120", "s", "-3s", "1x", "1s2", "..s", "1e3s", "inf", "99999999999h", "+", " 1s"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
        assert_eq!(
            [truth("true"), truth("F"), truth("yes"), truth("")],
            [Some(true), Some(false), None, None]
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_fail(text in ".{0,24}") {
            let _ = duration(&text);
            let _ = truth(&text);
        }

        #[test]
        fn parts_add_up(h in 0u64..99, m in 0u64..600, s in 0u64..6000, ms in 0u64..999) {
            let want = Duration::from_millis(((h * 60 + m) * 60 + s) * 1000 + ms);
            let got = duration(&format!("{h}h{m}m{s}s{ms}ms")).unwrap();
            let apart = got.abs_diff(want);
            prop_assert!(apart < Duration::from_micros(10), "{got:?} {want:?}");
        }
    }
}
