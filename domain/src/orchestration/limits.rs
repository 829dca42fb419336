//! How large a message may be, checked before any work is done on it; and how long its tasks may take.

use super::finding::{Code, Finding};
use crate::json::Json;
use crate::tickets::public::RiskBand;

/// The longest timeout the resource policy allows in a risk band, in milliseconds.
pub const fn ceiling_ms(band: RiskBand) -> i64 {
    match band {
        RiskBand::Critical => 7_200_000,
        RiskBand::High => 3_600_000,
        RiskBand::Medium => 1_800_000,
        RiskBand::Low => 900_000,
    }
}

/// The longest estimate of a task in a risk band, in milliseconds. The resource policy wants a timeout of at least 1.5
/// estimates, so a task estimated above ceiling ÷ 1.5 could never be given the time it needs.
pub const fn longest_estimate_ms(band: RiskBand) -> i64 {
    ceiling_ms(band) * 2 / 3
}

/// The largest message accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Tasks of a plan.
    pub max_tasks: usize,
    /// UTF-8 bytes of one text.
    pub max_field_bytes: usize,
    /// Arrays and objects inside each other; `[]` is one level.
    pub max_nesting: usize,
    /// Bytes of the message as it arrived.
    pub max_message_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_tasks: 10_000,
            max_field_bytes: 64 * 1024,
            max_nesting: 64,
            max_message_bytes: 16 * 1024 * 1024,
        }
    }
}

impl Limits {
    /// For what this system wrote itself: a limit lowered since must not keep a running plan from resuming.
    pub(super) const NONE: Limits = Limits {
        max_tasks: u32::MAX as usize,
        max_field_bytes: usize::MAX,
        max_nesting: usize::MAX,
        max_message_bytes: usize::MAX,
    };

    /// Checks the size of a message in bytes, whatever its encoding.
    pub fn check_size(&self, bytes: usize) -> Result<(), Finding> {
        if bytes > self.max_message_bytes {
            let max = self.max_message_bytes;
            let message = format_args!("the message has {bytes} bytes, at most {max} are accepted");
            return Err(Finding::new(Code::MessageTooLarge, "$", message));
        }
        Ok(())
    }

    /// Checks JSON text before it meets a parser, which may recurse: its size and its nesting. `path` is where the text
    /// stands, `$` for the message itself. Text that is no JSON passes: saying so is the parser's business.
    pub fn check_json_text(&self, json: &[u8], path: &str) -> Result<(), Finding> {
        self.check_size(json.len())?;
        let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
        for byte in json {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_text => escaped = true,
                b'"' => in_text = !in_text,
                _ if in_text => {}
                b'[' | b'{' => {
                    depth += 1;
                    self.check_level(depth, path)?;
                }
                b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        Ok(())
    }

    /// Checks the nesting of a value that was decoded by other means.
    pub fn check_nesting(&self, value: &Json, path: &str) -> Result<(), Finding> {
        let mut open = vec![(value, 1)];
        while let Some((value, depth)) = open.pop() {
            match value {
                Json::List(items) => {
                    self.check_level(depth, path)?;
                    open.extend(items.iter().map(|item| (item, depth + 1)));
                }
                Json::Object(members) => {
                    self.check_level(depth, path)?;
                    open.extend(members.values().map(|member| (member, depth + 1)));
                }
                Json::Null | Json::Bool(_) | Json::Int(_) | Json::Float(_) | Json::Text(_) => {}
            }
        }
        Ok(())
    }

    fn check_level(&self, depth: usize, path: &str) -> Result<(), Finding> {
        if depth > self.max_nesting {
            let message = format_args!("nested more than {} levels deep", self.max_nesting);
            return Err(Finding::new(Code::NestingTooDeep, path, message));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(levels: usize) -> Json {
        (1..levels).fold(Json::List(Vec::new()), |inner, _| Json::List(vec![inner]))
    }

    #[test]
    fn size() {
        let limits = Limits { max_message_bytes: 10, ..Limits::default() };
        assert!(limits.check_size(10).is_ok());
        let finding = limits.check_json_text(b"[1,2,3,4,5]", "$").unwrap_err();
        assert_eq!(
            finding.to_string(),
            "MESSAGE_TOO_LARGE at $: the message has 11 bytes, at most 10 are accepted"
        );
    }

    #[test]
    fn nesting_of_text_and_of_values_is_counted_alike() {
        let limits = Limits::default();
        for (levels, accepted) in [(1, true), (64, true), (65, false)] {
            let value = nested(levels);
            assert_eq!(limits.check_nesting(&value, "$").is_ok(), accepted);
            assert_eq!(limits.check_json_text(value.to_string().as_bytes(), "$").is_ok(), accepted);
        }
        let finding = limits.check_json_text(&[b'{'; 100_000], "cognitive_plan").unwrap_err();
        assert_eq!(
            finding.to_string(),
            "NESTING_TOO_DEEP at cognitive_plan: nested more than 64 levels deep"
        );
    }

    #[test]
    fn brackets_inside_text_do_not_nest() {
        let text = format!("[\"{}\\\"{}\"]", "[".repeat(100), "{".repeat(100));
        assert!(Limits::default().check_json_text(text.as_bytes(), "$").is_ok());
        let escapes = format!("[\"\\\\\",{}]", "[".repeat(70));
        assert!(Limits::default().check_json_text(escapes.as_bytes(), "$").is_err());
    }
}
