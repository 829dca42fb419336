//! Pages of tickets.

use hive_proto::grpc::neural_hive::execution::{
    CreateTicketsRequest, ExecutionTicket, ListTicketsRequest, TicketList,
};

use crate::desk::{Client, Desk, minimal, wrong_field};

async fn list(client: &mut Client, request: ListTicketsRequest) -> TicketList {
    client.list_tickets(request).await.unwrap().into_inner()
}

fn ids(page: &TicketList) -> Vec<&str> {
    page.tickets.iter().map(|ticket| ticket.ticket_id.as_str()).collect()
}

/// Seven tickets; three of them created at the same millisecond, so that only their order of arrival tells them apart.
async fn seven(client: &mut Client) {
    let ticket = |number: i64| ExecutionTicket {
        created_at: Some([1, 2, 2, 2, 3, 4, 5][number as usize]),
        plan_id: if number % 2 == 0 { "even" } else { "odd" }.into(),
        intent_id: if number == 6 { "last" } else { "intent-1" }.into(),
        priority: if number == 3 { "LOW" } else { "HIGH" }.into(),
        ..minimal(&format!("tk-{number}"))
    };
    let tickets = (0..7).map(ticket).collect();
    client.create_tickets(CreateTicketsRequest { tickets }).await.unwrap();
}

#[tokio::test]
async fn filters_all_apply_and_the_newest_comes_first() {
    let desk = Desk::open().await;
    let mut client = desk.client();
    seven(&mut client).await;
    let blank = ListTicketsRequest::default;
    let all = list(&mut client, blank()).await;
    assert_eq!((ids(&all), all.total), (vec!["tk-6", "tk-5", "tk-4", "tk-3", "tk-2", "tk-1", "tk-0"], 7));
    assert_eq!(all.next_page_token, "");
    let odd = list(&mut client, ListTicketsRequest { plan_id: "odd".into(), ..blank() }).await;
    assert_eq!((ids(&odd), odd.total), (vec!["tk-5", "tk-3", "tk-1"], 3));
    let high = ListTicketsRequest { plan_id: "odd".into(), priority: "high".into(), ..blank() };
    assert_eq!(ids(&list(&mut client, high).await), ["tk-5", "tk-1"]);
    let last = ListTicketsRequest { intent_id: "last".into(), status: "pending".into(), ..blank() };
    assert_eq!(ids(&list(&mut client, last).await), ["tk-6"]);
    for empty in [
        ListTicketsRequest { status: "RUNNING".into(), ..blank() },
        ListTicketsRequest { assigned_worker: "nobody".into(), ..blank() },
    ] {
        assert_eq!(list(&mut client, empty).await.total, 0);
    }
}

#[tokio::test]
async fn offsets_and_limits_are_brought_into_range() {
    let desk = Desk::open().await;
    let mut client = desk.client();
    seven(&mut client).await;
    for (offset, limit, expected) in
        [(0, 2, vec!["tk-6", "tk-5"]), (-3, 1, vec!["tk-6"]), (5, 0, vec!["tk-1", "tk-0"]), (7, 9, vec![])]
    {
        let page = list(&mut client, ListTicketsRequest { offset, limit, ..Default::default() }).await;
        assert_eq!((ids(&page), page.total), (expected, 7));
    }
    let tickets = vec![minimal(""); 1_000];
    client.create_tickets(CreateTicketsRequest { tickets }).await.unwrap();
    for (limit, expected) in [(0, 100), (-1, 100), (i32::MAX, 1_000)] {
        let page = list(&mut client, ListTicketsRequest { limit, ..Default::default() }).await;
        assert_eq!((page.tickets.len(), page.total), (expected, 1_007));
    }
}

#[tokio::test]
async fn tokens_walk_every_ticket_once_whatever_arrives_meanwhile() {
    let desk = Desk::open().await;
    let mut client = desk.client();
    seven(&mut client).await;
    for limit in 1..=8 {
        let mut request = ListTicketsRequest { limit, ..Default::default() };
        let mut seen = Vec::new();
        loop {
            let page = list(&mut client, request.clone()).await;
            seen.extend(ids(&page).into_iter().map(str::to_owned));
            if page.next_page_token.is_empty() {
                break;
            }
            client.create_ticket(minimal("")).await.unwrap();
            request.page_token = page.next_page_token;
        }
        let old: Vec<_> = seen.iter().filter(|id| id.starts_with("tk-")).collect();
        assert_eq!(old, ["tk-6", "tk-5", "tk-4", "tk-3", "tk-2", "tk-1", "tk-0"], "limit {limit}");
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_named() {
    let desk = Desk::open().await;
    let mut client = desk.client();
    seven(&mut client).await;
    let token =
        list(&mut client, ListTicketsRequest { limit: 1, ..Default::default() }).await.next_page_token;
    let blank = ListTicketsRequest::default;
    for (field, request) in [
        ("status", ListTicketsRequest { status: "assigned".into(), ..blank() }),
        ("priority", ListTicketsRequest { priority: "5".into(), ..blank() }),
        ("plan_id", ListTicketsRequest { plan_id: "\0".into(), ..blank() }),
        ("intent_id", ListTicketsRequest { intent_id: "x".repeat(37), ..blank() }),
        ("page_token", ListTicketsRequest { page_token: "' OR 1=1".into(), ..blank() }),
        ("page_token", ListTicketsRequest { page_token: token.clone(), plan_id: "odd".into(), ..blank() }),
        ("offset", ListTicketsRequest { page_token: token.clone(), offset: 1, ..blank() }),
    ] {
        assert_eq!(wrong_field(&client.list_tickets(request).await.unwrap_err()), field);
    }
}
