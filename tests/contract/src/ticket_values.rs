//! The suite of `TicketRepository` over the values it stores: each reads back as itself, or is refused by its name.

use std::collections::BTreeMap;

use hive_application::error::{Error, ErrorKind};
use hive_application::tickets::Creation;
use hive_domain::json::{Json, object};
use hive_domain::tickets::{Ticket, TicketContent};

use crate::fixture::TicketFixture;
use crate::samples::{self, BY, agent, at, content, plan};
use crate::ticket_races::whole_log;

/// Texts that databases have been seen to change or to refuse.
const TEXTS: [&str; 12] = [
    "",
    " ",
    "a\0b",
    "\0",
    "\u{1}\u{7f}\u{80}\u{feff}",
    "é e\u{301} 🐝 \u{10ffff}",
    "'; DROP TABLE execution_tickets; --",
    "\\u0000 \\ \" $1 {} {NULL} NULL \\N",
    "{\"a\": 1}",
    "tab\tline\r\nend",
    "\u{2028}\u{2029}",
    "ß ſ İ ı",
];

/// Numbers that databases have been seen to rewrite.
const NUMBERS: [f64; 12] = [
    0.0,
    -0.0,
    1.0,
    1e3,
    1e21,
    1e300,
    0.1 + 0.2,
    f64::MIN_POSITIVE,
    5e-324,
    f64::MAX,
    f64::EPSILON,
    9_007_199_254_740_993.0,
];

fn refused(error: &Error) -> Option<&str> {
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error:?}");
    error.field()
}

/// Stores it, and expects it back as it was from everywhere it can be read.
async fn reads_back(fixture: &impl TicketFixture, contents: Vec<TicketContent>) {
    let store = fixture.open().await;
    let count = contents.len();
    let tickets = contents.iter().cloned().map(samples::of).collect();
    let created = store.repository.create(tickets).await.unwrap();
    assert!(created.iter().all(|creation| matches!(creation, Creation::Created(_))));
    for content in &contents {
        let found = store.repository.find(&content.ticket_id).await.unwrap().unwrap();
        assert_eq!(**found.content(), *content);
        assert_eq!(found.content_hash(), samples::of(content.clone()).content_hash());
    }
    let log = whole_log(&*store.log).await;
    assert_eq!(log.len(), count);
    for (change, content) in log.iter().zip(&contents) {
        assert_eq!(*change.ticket.content, *content);
    }
    store.close.await;
}

/// JSON values come back as themselves, every number to the last bit and every text to the last character.
pub async fn json_reads_back(fixture: &impl TicketFixture) {
    let numbers = NUMBERS.into_iter().flat_map(|number| [Json::from(number), Json::from(-number)]);
    let ints = [0, 1_000, -1, i64::MIN, i64::MAX].map(Json::from);
    let texts = TEXTS.map(Json::from);
    let keys = TEXTS.map(|text| (text.to_owned(), Json::Null)).into_iter().collect();
    let values = numbers.chain(ints).chain([Json::Int(u64::MAX.into())]).chain(texts);
    let all = Json::List(values.chain([Json::Object(keys), Json::List(Vec::new())]).collect());
    let mut rich = content(&plan("p"), "rich");
    rich.parameters = BTreeMap::from([("all".to_owned(), all.clone()), ("\0".to_owned(), Json::Null)]);
    rich.predictions = Some(all);
    let mut texts = content(&plan("p"), "texts");
    texts.required_capabilities = TEXTS.map(str::to_owned).to_vec();
    reads_back(fixture, vec![rich, texts]).await;
}

/// Any description is stored, or refused by its name; so is any text of a change.
pub async fn any_text_is_stored_or_refused_by_name(fixture: &impl TicketFixture) {
    let store = fixture.open().await;
    for (n, text) in TEXTS.iter().enumerate() {
        let mut content = content(&plan("p"), &format!("t{n}"));
        content.description = (*text).to_owned();
        match store.repository.create(vec![samples::of(content.clone())]).await {
            Ok(_) => {
                let found = store.repository.find(&content.ticket_id).await.unwrap().unwrap();
                assert_eq!(**found.content(), content);
            }
            Err(error) => {
                assert_eq!(refused(&error), Some("description"));
                assert_eq!(store.repository.find(&content.ticket_id).await.unwrap(), None);
                content.description = "plain".to_owned();
                store.repository.create(vec![samples::of(content.clone())]).await.unwrap();
            }
        }
        let before = store.repository.find(&content.ticket_id).await.unwrap().unwrap();
        for (field, by) in [("changed_by", *text), ("error_message", BY)] {
            let mut cancel = |ticket: &mut Ticket| ticket.cancel(text, at(1), by);
            match store.repository.update(&content.ticket_id, &mut cancel).await {
                Ok((ticket, _)) => assert_eq!(ticket.state().error_message.as_deref(), Some(*text)),
                Err(error) => {
                    assert!(refused(&error).is_some_and(|name| [field, "error_message"].contains(&name)));
                    let found = store.repository.find(&content.ticket_id).await.unwrap();
                    assert_eq!(found.as_ref(), Some(&before));
                }
            }
        }
    }
    store.close.await;
}

/// What is longer than its column is refused by its name, alone, or stored whole.
pub async fn a_long_text_is_stored_whole_or_refused_by_name(fixture: &impl TicketFixture) {
    let store = fixture.open().await;
    for field in ["correlation_id", "trace_id", "span_id", "description"] {
        let mut content = content(&plan("p"), field);
        let long = "é".repeat(70_000);
        match field {
            "correlation_id" => content.correlation_id = Some(long),
            "trace_id" => content.trace_id = Some(long),
            "span_id" => content.span_id = Some(long),
            _ => content.description = long,
        }
        match store.repository.create(vec![samples::of(content.clone())]).await {
            Ok(_) => {
                let found = store.repository.find(&content.ticket_id).await.unwrap().unwrap();
                assert_eq!(**found.content(), content);
            }
            Err(error) => assert_eq!(refused(&error), Some(field)),
        }
    }
    // The longest names that are let in are let in everywhere.
    let mut longest = content(&plan(&"é".repeat(36)), &"🐝".repeat(255));
    longest.correlation_id = Some("é".repeat(36));
    longest.trace_id = Some("é".repeat(64));
    longest.span_id = Some("é".repeat(32));
    store.repository.create(vec![samples::of(longest.clone())]).await.unwrap();
    let mut dispatch =
        |ticket: &mut Ticket| ticket.dispatch(samples::dispatch_to(&agent(&"é".repeat(255))), at(1), BY);
    store.repository.update(&longest.ticket_id, &mut dispatch).await.unwrap();
    store.close.await;
}

/// What a JSON value is made of does not matter: objects deep inside each other read back.
pub async fn deep_values_read_back(fixture: &impl TicketFixture) {
    let mut value = Json::from("inside");
    for _ in 0..64 {
        value = object([("a", Json::List(vec![value]))]);
    }
    let mut deep = content(&plan("p"), "deep");
    deep.predictions = Some(value);
    reads_back(fixture, vec![deep]).await;
}

/// Stamps the suite.
#[macro_export]
macro_rules! ticket_values {
    ($fixture:expr) => {
        $crate::stamp!($fixture; ticket_values:
            json_reads_back,
            any_text_is_stored_or_refused_by_name,
            a_long_text_is_stored_whole_or_refused_by_name,
            deep_values_read_back,
        );
    };
}
