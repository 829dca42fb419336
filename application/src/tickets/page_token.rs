//! The token of the next page: opaque to callers, good only under the filters it was made for.

use std::fmt::Write;

use hive_domain::time::Timestamp;

use super::ports::{TicketCursor, TicketFilter};
use crate::error::Error;

/// Bytes of a token: time, number, seal.
const BYTES: usize = 8 + 8 + 8;

/// The token that leads to what comes after `cursor`.
pub(super) fn write(cursor: TicketCursor, filter: &TicketFilter) -> String {
    let mut bytes = [0; BYTES];
    bytes[..8].copy_from_slice(&cursor.created_at.millis().to_be_bytes());
    bytes[8..16].copy_from_slice(&cursor.number.to_be_bytes());
    bytes[16..].copy_from_slice(&seal(cursor, filter).to_be_bytes());
    bytes.iter().fold(String::with_capacity(2 * BYTES), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads a token; `InvalidArgument` for anything this service did not write under these filters.
pub(super) fn read(token: &str, filter: &TicketFilter) -> Result<TicketCursor, Error> {
    let refused = || Error::invalid("page_token", "is none that this service gave for these filters");
    let (millis, number, sealed) = parts(token).ok_or_else(refused)?;
    let cursor = TicketCursor { created_at: Timestamp::from_millis(millis.cast_signed()), number };
    if seal(cursor, filter) == sealed { Ok(cursor) } else { Err(refused()) }
}

fn parts(token: &str) -> Option<(u64, u64, u64)> {
    let plain = token.len() == 2 * BYTES && token.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = |from: usize| u64::from_str_radix(token.get(from..from + 16)?, 16).ok();
    plain.then_some(())?;
    Some((number(0)?, number(16)?, number(32)?))
}

/// FNV-1a over the cursor and every filter. It finds mistakes; it keeps no secret.
fn seal(cursor: TicketCursor, filter: &TicketFilter) -> u64 {
    let texts = [
        filter.plan_id.as_ref().map(|id| id.as_str()),
        filter.intent_id.as_ref().map(|id| id.as_str()),
        filter.status.map(|status| status.as_str()),
        filter.priority.map(|priority| priority.as_str()),
        filter.assigned_worker.as_ref().map(|id| id.as_str()),
    ];
    let place = cursor.created_at.millis().to_be_bytes().into_iter().chain(cursor.number.to_be_bytes());
    // Ids hold no control characters, so these bytes separate without doubt.
    let filters = texts.into_iter().flat_map(|text| text.unwrap_or("\u{1}").bytes().chain([0]));
    place.chain(filters).fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use hive_domain::ids::PlanId;
    use hive_domain::tickets::TicketStatus;

    use super::*;

    fn filters() -> Vec<TicketFilter> {
        let plan_id = PlanId::parse("plan-xyz").ok();
        let status = Some(TicketStatus::Pending);
        vec![
            TicketFilter::default(),
            TicketFilter { plan_id: plan_id.clone(), ..TicketFilter::default() },
            TicketFilter { status, ..TicketFilter::default() },
            TicketFilter { plan_id, status, ..TicketFilter::default() },
        ]
    }

    #[test]
    fn a_token_is_good_under_its_own_filters_only() {
        for (made, filter) in filters().iter().enumerate() {
            for millis in [i64::MIN, -1, 0, 1_700_000_000_123, i64::MAX] {
                let cursor =
                    TicketCursor { created_at: Timestamp::from_millis(millis), number: u64::MAX - 3 };
                let token = write(cursor, filter);
                for (read_under, filter) in filters().iter().enumerate() {
                    assert_eq!(read(&token, filter).ok(), (made == read_under).then_some(cursor));
                }
            }
        }
    }

    #[test]
    fn whatever_else_is_refused_by_name() {
        let filter = TicketFilter::default();
        let cursor = TicketCursor { created_at: Timestamp::from_millis(5), number: 9 };
        let token = write(cursor, &filter);
        let mut tampered = token.clone().into_bytes();
        for at in 0..tampered.len() {
            let kept =
                std::mem::replace(&mut tampered[at], if token.as_bytes()[at] == b'0' { b'1' } else { b'0' });
            assert!(read(std::str::from_utf8(&tampered).unwrap(), &filter).is_err(), "byte {at}");
            tampered[at] = kept;
        }
        let long = "0".repeat(1 << 20);
        for bad in ["", "next", "\0", &"é".repeat(24), &"+".repeat(48), &token[1..], &long] {
            assert_eq!(read(bad, &filter).unwrap_err().field(), Some("page_token"), "{bad:.60}");
        }
    }
}
