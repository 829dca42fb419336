//! Points in time: milliseconds since the Unix epoch, UTC, always handed in by the caller.

use std::fmt;

use jiff::civil::DateTime;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    /// A point from its milliseconds.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// The point `ms` later (earlier when negative); stays at the last representable one.
    pub const fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this point; negative when it lies before.
    pub const fn since(self, earlier: Timestamp) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Reads ISO 8601 with or without a zone; without one it is UTC.
    pub fn parse_iso(text: &str) -> Option<Self> {
        if let Ok(instant) = text.parse::<jiff::Timestamp>() {
            return Some(Self(instant.as_millisecond()));
        }
        let civil: DateTime = text.parse().ok()?;
        let zoned = jiff::tz::TimeZone::UTC.to_timestamp(civil).ok()?;
        Some(Self(zoned.as_millisecond()))
    }
}

impl fmt::Display for Timestamp {
    /// ISO 8601 with milliseconds and `Z`; the plain number where no calendar reaches.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(instant) => write!(f, "{instant:.3}"),
            Err(_) => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_with_and_without_zone() {
        let zulu = Timestamp::parse_iso("2026-02-22T10:18:08.352000Z").unwrap();
        assert_eq!(Timestamp::parse_iso("2026-02-22T10:18:08.352"), Some(zulu));
        assert_eq!(Timestamp::parse_iso("2026-02-22T12:18:08.352+02:00"), Some(zulu));
        assert_eq!(Timestamp::parse_iso("2025-11-29T18:21:42.217879").unwrap().millis() % 1000, 217);
        assert_eq!(zulu.to_string(), "2026-02-22T10:18:08.352Z");
        assert_eq!(Timestamp::parse_iso("yesterday"), None);
    }

    #[test]
    fn extremes_do_not_panic() {
        assert_eq!(Timestamp::from_millis(i64::MAX).plus_ms(1).millis(), i64::MAX);
        assert!(Timestamp::from_millis(i64::MAX).to_string().starts_with("9223"));
    }
}
