//! The long-term series of Linux, and until when kernel.org looks after them.

/// A series, as in `5.10`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Series {
    pub name: &'static str,
    /// The month of its end: year and month. Projected, as kernel.org says.
    pub end: (u16, u8),
}

/// From <https://www.kernel.org/category/releases.html>, as announced in March 2026.
pub const SERIES: &[Series] = &[
    Series { name: "5.10", end: (2026, 12) },
    Series { name: "5.15", end: (2026, 12) },
    Series { name: "6.1", end: (2027, 12) },
    Series { name: "6.6", end: (2027, 12) },
    Series { name: "6.12", end: (2028, 12) },
    Series { name: "6.18", end: (2028, 12) },
];

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

impl Series {
    /// The series of a version such as `5.10.262-1`.
    pub fn of(version: &str) -> Option<&'static Self> {
        SERIES.iter().find(|series| {
            let rest = version.strip_prefix(series.name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }

    /// `December 2026`
    pub fn end_text(&self) -> String {
        let (year, month) = self.end;
        format!("{} {year}", MONTHS.get(usize::from(month) - 1).unwrap_or(&""))
    }

    /// Whole months from a moment (seconds since 1970) to the end of the last month; negative afterwards.
    pub fn months_left(&self, now: i64) -> i32 {
        let Ok(now) = jiff::Timestamp::from_second(now) else { return 0 };
        let date = now.to_zoned(jiff::tz::TimeZone::UTC).date();
        let (year, month) = self.end;
        (i32::from(year) - i32::from(date.year())) * 12 + i32::from(month) - i32::from(date.month())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_has_the_series_of_its_first_two_numbers() {
        let name = |version| Series::of(version).map(|series| series.name);
        assert_eq!(name("5.10.262-1"), Some("5.10"));
        assert_eq!(name("6.1.9"), Some("6.1"));
        assert_eq!(name("6.12"), Some("6.12"));
        assert_eq!((name("5.1.3"), name("6.123.1"), name("7.0")), (None, None, None));
    }

    #[test]
    fn the_end_in_words_and_months() {
        let series = Series::of("5.10.1").unwrap();
        assert_eq!(series.end_text(), "December 2026");
        // 2026-11-23, 2027-01-01
        assert_eq!((series.months_left(1_795_435_200), series.months_left(1_798_761_600)), (1, -1));
        assert!(SERIES.iter().all(|s| (1..=12).contains(&s.end.1)));
    }
}
