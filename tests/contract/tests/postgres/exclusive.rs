//! What one of several processes does alone.

use std::time::Duration;

use hive_sql::{Exclusive, Server};
use sqlx::Executor;

use crate::scratch;

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn one_of_several_has_the_right_until_it_ends() {
    let fixture = scratch!();
    let other_schema = scratch!();
    let [server, beside] = [&fixture, &other_schema].map(|of| Server::from_url(&of.url()).unwrap());
    let first = Exclusive::take(&server, "one thing").await.unwrap().unwrap();
    assert!(Exclusive::take(&server, "one thing").await.unwrap().is_none());
    assert!(Exclusive::take(&server, "another thing").await.unwrap().is_some());
    assert!(Exclusive::take(&beside, "one thing").await.unwrap().is_some(), "it has flows of its own");
    drop(first);
    // The server hears of the end a moment later.
    let again = async { while Exclusive::take(&server, "one thing").await.unwrap().is_none() {} };
    tokio::time::timeout(LIMIT, again).await.unwrap();
}

#[tokio::test]
async fn who_loses_the_right_hears_of_it() {
    let fixture = scratch!();
    let url = format!("{}?application_name={}", fixture.url(), fixture.name());
    let server = Server::from_url(&url).unwrap();
    let mut right = Exclusive::take(&server, "one thing").await.unwrap().unwrap();
    let end =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = current_database()";
    fixture.beside().await.execute(end).await.unwrap();
    let error = tokio::time::timeout(LIMIT, right.lost()).await.unwrap();
    assert!(error.is_transient(), "{error:?}");
}
