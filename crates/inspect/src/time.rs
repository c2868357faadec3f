//! Points in time, in UTC.
use std::fmt;

use serde::{Serialize, Serializer};

const DAY: i64 = 86_400;
/// Days of 400 years, after which the calendar repeats itself.
const DAYS_OF_400_YEARS: i64 = 146_097;
/// Days from the first of March of the year 0 to the beginning of 1970.
const DAYS_TO_1970: i64 = 719_468;

/// Seconds since the beginning of 1970. FAT keeps local time without its zone; it is taken for UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub i64);

impl Time {
    /// Out of a date and a time of day; nonsense such as month 15 gives some other day.
    pub fn of_parts(year: i64, month: i64, day: i64, hour: i64, minute: i64, second: i64) -> Self {
        // Years begin in March, so that the odd day is the last one.
        let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
        let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
        let days = year * 365 + leap_days + days_before(month) + day - 1 - DAYS_TO_1970;
        Self(days * DAY + hour * 3600 + minute * 60 + second)
    }

    /// Year, month and day.
    fn date(self) -> (i64, i64, i64) {
        let days = self.0.div_euclid(DAY) + DAYS_TO_1970;
        let (age, day_of_age) = (days.div_euclid(DAYS_OF_400_YEARS), days.rem_euclid(DAYS_OF_400_YEARS));
        // Every year that is guessed has at most 366 days, so the guess is right or one too high.
        let before = |year: i64| year * 365 + year / 4 - year / 100 + year / 400;
        let guess = day_of_age / 365;
        let year = if before(guess) > day_of_age { guess - 1 } else { guess };
        let day_of_year = day_of_age - before(year);
        let month = (0..12).rev().find(|month| days_before(*month) <= day_of_year).unwrap_or(0);
        let day = day_of_year - days_before(month) + 1;
        let (year, month) = if month > 9 { (year + 1, month - 9) } else { (year, month + 3) };
        (age * 400 + year, month, day)
    }
}

/// Days of a year before a month, both counted from March.
fn days_before(month: i64) -> i64 {
    (month * 153 + 2) / 5
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        let second = self.0.rem_euclid(DAY);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_dates() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_709_251_200, "2024-03-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(Time(seconds).to_string(), text);
        }
    }

    #[test]
    fn dates_are_days() {
        for days in -800_000..800_000 {
            let (year, month, day) = Time(days * DAY).date();
            assert_eq!(Time::of_parts(year, month, day, 0, 0, 0), Time(days * DAY), "{year}-{month}-{day}");
        }
        for extreme in [i64::MIN, i64::MAX] {
            assert!(!Time(extreme).to_string().is_empty());
        }
    }
}
