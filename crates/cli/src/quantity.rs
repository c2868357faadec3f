//! Sizes and durations as users write them: `512M`, `2G`, `90s`, `5m`.
use std::time::Duration;

/// Reads a size in bytes; `K`, `M`, `G` and `T` are powers of 1024.
pub fn size(text: &str) -> Result<u64, String> {
    let (digits, unit) = split(text);
    if digits.is_empty() {
        return Err("not a size; write for example 512M or 2G".to_owned());
    }
    let shift = match unit.trim_end_matches("iB").trim_end_matches('B') {
        "" => 0,
        "k" | "K" => 10,
        "m" | "M" => 20,
        "g" | "G" => 30,
        "t" | "T" => 40,
        _ => return Err(format!("'{unit}' is no unit of size; write for example 512M or 2G")),
    };
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
    number.ok_or_else(|| "more than any machine has; write for example 512M or 2G".to_owned())
}

/// Reads a duration; without a unit it is in seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = split(text);
    let milliseconds: u64 = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return Err(format!("'{unit}' is no unit of time; write for example 90s or 5m")),
    };
    if digits.is_empty() {
        return Err("not a duration; write for example 90s or 5m".to_owned());
    }
    match digits.parse::<u64>().ok().and_then(|number| number.checked_mul(milliseconds)) {
        Some(0) => Err("a duration of 0 leaves no time to do anything".to_owned()),
        Some(milliseconds) => Ok(Duration::from_millis(milliseconds)),
        None => Err("longer than any machine lives".to_owned()),
    }
}

/// Reads an I/O port, decimal or hexadecimal with `0x`.
pub fn port(text: &str) -> Result<u16, String> {
    let number = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u16::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map_err(|_| "not an I/O port; write for example 0xf4".to_owned())
}

/// A size for people: the largest unit that divides it, or one decimal.
pub fn show_size(bytes: u64) -> String {
    for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if bytes >= 1 << shift {
            let value = bytes as f64 / f64::from(1u32 << shift);
            return if bytes.trailing_zeros() >= shift {
                format!("{value:.0} {unit}")
            } else {
                format!("{value:.1} {unit}")
            };
        }
    }
    format!("{bytes} bytes")
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in
            [("512M", 512 << 20), ("2G", 2 << 30), ("3", 3), ("64KiB", 64 << 10), ("1gB", 1 << 30), ("0", 0)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "M", "-1", "1.5G", "12Q", "99999999999999T", "1 2", "²M"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for text in ["0", "", "s", "-1s", "1d", "99999999999999999999"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ports() {
        assert_eq!(port("0xf4"), Ok(0xf4));
        assert_eq!(port("233"), Ok(233));
        assert!(port("0x10000").is_err());
        assert!(port("f4").is_err());
    }

    #[test]
    fn sizes_for_people() {
        assert_eq!(show_size(512 << 20), "512 MiB");
        assert_eq!(show_size(3 << 29), "1.5 GiB");
        assert_eq!(show_size(3), "3 bytes");
    }
}
