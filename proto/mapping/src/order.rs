//! Orders as messages.

use hive_application::error::{Error, invalid_id};
use hive_domain::ids::{AgentId, TicketId};
use hive_domain::json::Json;
use hive_domain::tickets::public::{Dispatch, Order};
use hive_domain::time::Timestamp;
use hive_proto::grpc::hive::tickets::v1 as wire;
use wire::order_ticket_request::Order as Word;

use crate::ticket::optional_json;

/// Levels of arrays and objects in the reasons of an allocation.
const MAX_NESTING: usize = 64;

/// The request that gives one ticket an order.
pub fn request(ticket_id: &TicketId, order: Order) -> wire::OrderTicketRequest {
    let order = match order {
        Order::Dispatch(dispatch) => Word::Dispatch(wire::DispatchOrder {
            agent_id: dispatch.agent.to_string(),
            epoch: dispatch.epoch,
            allocation: dispatch.allocation.to_string(),
            not_before: dispatch.not_before.map(Timestamp::millis),
        }),
        Order::Retry => Word::Retry(wire::RetryOrder {}),
        Order::Cancel(reason) => Word::Cancel(reason),
        Order::Fail(reason) => Word::Fail(reason),
        Order::Lose(agent_id, reason) => {
            Word::Lose(wire::LoseOrder { agent_id: agent_id.to_string(), reason })
        }
        Order::Compensate(reason) => Word::Compensate(reason),
        Order::Compensated => Word::Compensated(wire::CompensatedOrder {}),
    };
    wire::OrderTicketRequest { ticket_id: ticket_id.to_string(), order: Some(order) }
}

/// The ticket and the order of a request.
pub fn read(request: wire::OrderTicketRequest) -> Result<(TicketId, Order), Error> {
    let ticket_id = TicketId::parse(&request.ticket_id).map_err(invalid_id("ticket_id"))?;
    let order = request.order.ok_or_else(|| Error::invalid("order", "is required"))?;
    let order = match order {
        Word::Dispatch(dispatch) => Order::Dispatch(Dispatch {
            agent: AgentId::parse(&dispatch.agent_id).map_err(invalid_id("dispatch.agent_id"))?,
            epoch: dispatch.epoch,
            allocation: optional_json("dispatch.", "allocation", Some(&dispatch.allocation), MAX_NESTING)?
                .unwrap_or(Json::Null),
            not_before: dispatch.not_before.map(Timestamp::from_millis),
        }),
        Word::Retry(_) => Order::Retry,
        Word::Cancel(reason) => Order::Cancel(reason),
        Word::Fail(reason) => Order::Fail(reason),
        Word::Lose(lose) => {
            let agent_id = AgentId::parse(&lose.agent_id).map_err(invalid_id("lose.agent_id"))?;
            Order::Lose(agent_id, lose.reason)
        }
        Word::Compensate(reason) => Order::Compensate(reason),
        Word::Compensated(_) => Order::Compensated,
    };
    Ok((ticket_id, order))
}
