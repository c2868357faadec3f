//! Between seconds since 1970 and the date.

/// A moment, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Date {
    pub(super) year: i64,
    pub(super) month: u8,
    pub(super) day: u8,
    /// 1 is Sunday.
    pub(super) weekday: u8,
    pub(super) hours: u8,
    pub(super) minutes: u8,
    pub(super) seconds: u8,
}

const DAY: i64 = 86_400;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_DAYS: i64 = 719_468;
const DAYS_PER_ERA: i64 = 146_097;

impl Date {
    /// The date of a number of seconds since 1970 (the proleptic Gregorian calendar, years counted from March).
    pub(super) fn from_unix(seconds: i64) -> Self {
        let (days, rest) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
        let from_march = days + EPOCH_DAYS;
        let era = from_march.div_euclid(DAYS_PER_ERA);
        let day_of_era = from_march.rem_euclid(DAYS_PER_ERA);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        Self {
            year: era * 400 + year_of_era + i64::from(month <= 2),
            month: month as u8,
            day: (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u8,
            weekday: (days + 4).rem_euclid(7) as u8 + 1,
            hours: (rest / 3_600) as u8,
            minutes: (rest / 60 % 60) as u8,
            seconds: (rest % 60) as u8,
        }
    }
    /// Seconds since 1970. Fields out of range overflow into the next ones.
    pub(super) fn to_unix(self) -> i64 {
        let month = i64::from(self.month.clamp(1, 12));
        let year = self.year - i64::from(month <= 2);
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let month_from_march = (month + 9) % 12;
        let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(self.day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let days = era * DAYS_PER_ERA + day_of_era - EPOCH_DAYS;
        days * DAY + i64::from(self.hours) * 3_600 + i64::from(self.minutes) * 60 + i64::from(self.seconds)
    }
}
