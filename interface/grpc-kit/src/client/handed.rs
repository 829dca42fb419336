//! What a server says for this client only, and what may go on to the caller. A servicer that fails because a call of its
//! own failed passes the status on as it is, and its caller must not take it for the servicer's own word: that a call
//! changed nothing, or when to send it again, says nothing about the call it was made for.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use prost::Message as _;
use tonic::{
    Status,
    metadata::{Binary, MetadataMap, MetadataValue},
};
use tonic_types::pb;

use super::retry::failed::PUSHBACK;
use crate::failure::{
    Effect, Failure, codes,
    render::{self, DETAILS, EFFECT_KEY},
};

/// The domain of errors that arose in the client. Not the empty one, which the next server would fill in with its own.
const DOMAIN: &str = "client";

/// A failure that arose in the client.
pub(super) fn status(failure: &Failure) -> Status {
    render::log_hidden(failure);
    render::status_of(failure, DOMAIN)
}

/// Leaves what may go on to the caller.
pub(super) fn strip(headers: &mut HeaderMap) {
    headers.remove(PUSHBACK);
    let Some(details) = details(headers).and_then(|details| without_effect(&details)) else { return };
    let value = MetadataValue::<Binary>::from_bytes(&details);
    match HeaderValue::from_bytes(value.as_encoded_bytes()) {
        Ok(value) => _ = headers.insert(DETAILS, value),
        Err(_) => _ = headers.remove(DETAILS),
    }
}

fn details(headers: &HeaderMap) -> Option<Bytes> {
    let mut one = HeaderMap::with_capacity(1);
    one.insert(DETAILS, headers.get(DETAILS)?.clone());
    MetadataMap::from_headers(one).get_bin(DETAILS)?.to_bytes().ok()
}

/// The details with what they say of the effect taken back; `None` when they say nothing that could be misread.
fn without_effect(details: &[u8]) -> Option<Vec<u8>> {
    let mut status = pb::Status::decode(details).ok()?;
    let mut changed = false;
    for detail in &mut status.details {
        if !detail.type_url.ends_with("/google.rpc.ErrorInfo") {
            continue;
        }
        let Ok(mut info) = pb::ErrorInfo::decode(&*detail.value) else { continue };
        if let Some(effect) = info.metadata.get_mut(EFFECT_KEY) {
            codes::effect(Effect::Unknown).clone_into(effect);
            detail.value = info.encode_to_vec();
            changed = true;
        }
    }
    changed.then(|| status.encode_to_vec())
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt as _;

    use super::*;
    use crate::failure::Kind;

    fn headers(failure: &Failure) -> HeaderMap {
        let mut headers = HeaderMap::new();
        render::write(&render::status_of(failure, "shop.v1.Items"), &mut headers);
        headers
    }

    #[test]
    fn an_effect_and_a_pushback_are_for_this_client_only() {
        let failure = Failure::invalid("sku", "must not be empty").with_reason("SKU_EMPTY");
        let mut headers = headers(&failure);
        headers.insert(PUSHBACK, HeaderValue::from_static("100"));
        strip(&mut headers);
        assert!(!headers.contains_key(PUSHBACK));
        let status = Status::from_header_map(&headers).expect("a status");
        let details = status.get_error_details();
        let info = details.error_info().expect("error info");
        assert_eq!(
            (&*info.reason, &*info.domain, &*info.metadata[EFFECT_KEY]),
            ("SKU_EMPTY", "shop.v1.Items", "unknown")
        );
        assert_eq!(details.bad_request().expect("bad request").field_violations[0].field, "sku");
    }

    #[test]
    fn what_arose_here_is_nobody_elses_word() {
        let status = status(&Failure::new(Kind::Unavailable, "nobody there").untouched());
        let (finished, _) = render::finish(&status, "shop.v1.Items", "r");
        assert_eq!(finished.get_details_error_info().expect("error info").domain, DOMAIN);
    }
}
