//! When a call ends: by its deadline, by its client, by either side alone; and streams of nothing.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use serde_json::json;
use tonic::{Code, Request, Response, Status, Streaming};

use super::{Over, UNARY, framed, over_both, post};
use crate::servicer::{EchoReply, EchoRequest, ask};

fn within<T>(message: T, timeout: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(timeout);
    request
}

/// How a stream ends, whatever comes before.
async fn end(answer: Result<Response<Streaming<EchoReply>>, Status>) -> Code {
    let mut replies = match answer {
        Ok(answer) => answer.into_inner(),
        Err(status) => return status.code(),
    };
    loop {
        match replies.message().await {
            Ok(Some(_)) => {}
            Ok(None) => return Code::Ok,
            Err(status) => return status.code(),
        }
    }
}

async fn a_deadline_ends_every_kind(over: Over) {
    let served = over.serve(json!({})).await;
    let mut client = served.client();
    let short = Duration::from_millis(500);
    let status = client.unary(within(ask("wait"), short)).await.expect_err("too late");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    served.gate.one_was_dropped().await;
    let request = EchoRequest { text: "wait".into(), count: 1 };
    assert_eq!(end(client.server_stream(within(request, short)).await).await, Code::DeadlineExceeded);
    // Requests that do not end.
    let endless = || stream::iter([ask("a")]).chain(stream::pending());
    let joined = client.client_stream(within(endless(), short)).await;
    assert_eq!(joined.expect_err("too late").code(), Code::DeadlineExceeded);
    let request = within(endless(), short);
    assert_eq!(end(client.bidi(request).await).await, Code::DeadlineExceeded);
    for method in ["Unary", "ServerStream", "ClientStream", "Bidi"] {
        assert_eq!(served.handled(method, "DEADLINE_EXCEEDED"), 1.0, "{method}");
    }
    drop(client);
    served.end().await;
}

async fn times_that_are_none_are_not_counted(over: Over) {
    let served = over.serve(json!({})).await;
    let message = framed(0, &prost::Message::encode_to_vec(&ask("a")));
    for timeout in ["", "5", "S", "-1S", "1.5S", "123456789S", "5 S", "5Q", "99999999H"] {
        let raw = served.send(post(UNARY).header("grpc-timeout", timeout), message.clone()).await;
        assert_eq!(raw.code(), Some("0"), "{timeout}");
    }
    let waiting = framed(0, &prost::Message::encode_to_vec(&ask("wait")));
    let raw = served.send(post(UNARY).header("grpc-timeout", "0n"), waiting).await;
    assert_eq!(raw.code(), Some("4"));
    served.end().await;
}

/// One place on the server: a call that a cancelled one kept from running would not be answered.
async fn a_cancelled_call_leaves_nothing_behind(over: Over) {
    let served = over.serve(json!({"max_concurrent_rpcs": 1, "limits": {"low_priority_share": 100}})).await;
    for round in 1..=3 {
        let mut client = served.client();
        let call = tokio::spawn(async move { client.unary(ask("wait")).await });
        served.gate.one_waits().await;
        call.abort();
        served.gate.one_was_dropped().await;
        let mut client = served.client();
        let endless = stream::iter([ask("wait")]).chain(stream::pending());
        let call = tokio::spawn(async move { client.client_stream(endless).await });
        served.until_started("ClientStream", f64::from(round)).await;
        call.abort();
        let mut client = served.client();
        let request = EchoRequest { text: "wait".into(), count: 1 };
        let mut replies = client.server_stream(request).await.expect("a stream").into_inner();
        replies.message().await.expect("a message").expect("the first");
        served.gate.one_waits().await;
        drop(replies);
        served.gate.one_was_dropped().await;
        let mut replies = client.bidi(stream::iter([ask("wait")])).await.expect("a stream").into_inner();
        served.gate.one_waits().await;
        assert!(futures_util::poll!(Box::pin(replies.message())).is_pending());
        drop(replies);
        served.gate.one_was_dropped().await;
        served.until_answered().await;
    }
    for method in ["Unary", "ClientStream", "ServerStream", "Bidi"] {
        assert_eq!(served.handled(method, "CANCELLED"), 3.0, "{method}");
    }
    // The requests that were broken off had asked to wait: no servicer has taken them for whole.
    assert_eq!(served.gate.waiting.available_permits(), 0);
    served.end().await;
}

async fn either_side_may_end_first(over: Over) {
    let served = over.serve(json!({})).await;
    let mut client = served.client();
    // The client has nothing more to say, and still gets its answer.
    let requests = stream::iter(["count the rest", "a", "b"].map(ask));
    let mut replies = client.bidi(requests).await.expect("a stream").into_inner();
    assert_eq!(replies.message().await.expect("a message").expect("not the end").text, "2");
    assert!(replies.message().await.expect("the end").is_none());
    let request = EchoRequest { text: "wait".into(), count: 0 };
    let mut replies = client.server_stream(request).await.expect("a stream").into_inner();
    served.gate.one_waits().await;
    served.gate.open.add_permits(1);
    replies.message().await.expect("a message").expect("long after the request's end");
    assert!(replies.message().await.expect("the end").is_none());
    // The server has nothing more to say to a client that would go on.
    let endless = stream::iter(["a", "stop"].map(ask)).chain(stream::pending());
    let mut replies = client.bidi(endless).await.expect("a stream").into_inner();
    assert_eq!(replies.message().await.expect("a message").expect("not the end").text, "a");
    assert!(replies.message().await.expect("the end").is_none());
    assert_eq!(served.handled("Bidi", "OK"), 2.0);
    drop((client, replies));
    served.end().await;
}

async fn messages_pass_while_both_sides_are_open(over: Over) {
    let served = over.serve(json!({})).await;
    let mut client = served.client();
    let (say, said) = tokio::sync::mpsc::channel(1);
    let requests = stream::unfold(said, |mut said| async move { Some((said.recv().await?, said)) });
    let mut replies = client.bidi(requests).await.expect("a stream").into_inner();
    for number in 0..20 {
        say.send(ask(&number.to_string())).await.expect("still open");
        let reply = replies.message().await.expect("a message").expect("not the end");
        assert_eq!(reply.text, number.to_string());
    }
    drop(say);
    assert!(replies.message().await.expect("the end").is_none());
    drop((client, replies));
    served.end().await;
}

async fn nothing_is_something_too(over: Over) {
    let served = over.serve(json!({})).await;
    let mut client = served.client();
    assert_eq!(client.unary(EchoRequest::default()).await.expect("an answer").into_inner().text, "");
    assert_eq!(client.client_stream(stream::empty()).await.expect("an answer").into_inner().text, "");
    let mut replies = client.server_stream(ask("a")).await.expect("a stream").into_inner();
    assert!(replies.message().await.expect("the end").is_none());
    let mut replies = client.bidi(stream::empty()).await.expect("a stream").into_inner();
    assert!(replies.message().await.expect("the end").is_none());
    for method in ["Unary", "ClientStream", "ServerStream", "Bidi"] {
        assert_eq!(served.handled(method, "OK"), 1.0, "{method}");
    }
    drop((client, replies));
    served.end().await;
}

impl super::Served {
    /// Waits until so many calls of a method have reached the server.
    async fn until_started(&self, method: &str, count: f64) {
        let labels = [("grpc_method", method)];
        let name = hive_grpc_kit::layer::metrics::STARTED;
        crate::until(|| self.recorded.value(name, &labels) >= Some(count)).await;
    }

    /// Waits until a call is answered: a place is free again just after the client has seen the end.
    async fn until_answered(&self) {
        let mut client = self.client();
        let answered = async {
            while client.unary(ask("a")).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(crate::PATIENCE, answered).await.expect("in time");
    }
}

over_both!(
    a_deadline_ends_every_kind,
    times_that_are_none_are_not_counted,
    a_cancelled_call_leaves_nothing_behind,
    either_side_may_end_first,
    messages_pass_while_both_sides_are_open,
    nothing_is_something_too,
);
