//! gRPC, HTTP, the process.

use super::{CALLS, Family};

const RPC: &[super::Label] = &[("grpc_service", &[]), ("grpc_method", &[]), ("grpc_type", &[])];
const RPC_ENDED: &[super::Label] =
    &[("grpc_service", &[]), ("grpc_method", &[]), ("grpc_type", &[]), ("grpc_code", &[])];

/// A call to another process, which begins to count when there is another process.
const CALL: &[super::Label] = &[
    ("grpc_type", &["unary"]),
    ("grpc_service", &["neural_hive.service_registry.ServiceRegistry"]),
    ("grpc_method", &["DiscoverAgents"]),
];
const CALL_ENDED: &[super::Label] = &[
    ("grpc_type", &["unary"]),
    ("grpc_service", &["neural_hive.service_registry.ServiceRegistry"]),
    ("grpc_method", &["DiscoverAgents"]),
    ("grpc_code", &["OK"]),
];
const TARGET: &[&str] = &["service-registry"];
const CALLED: &str = "another process is called";

/// Labels without values here belong to the gRPC kit, which makes a series for every method served.
pub(super) const FAMILIES: &[Family] = &[
    Family::gauge(
        "service_info",
        &[("name", &["hive"]), ("version", &[env!("CARGO_PKG_VERSION")])],
        "always 1",
    ),
    Family::counter("grpc_server_started_total", RPC, "calls begun"),
    Family::counter("grpc_server_handled_total", RPC_ENDED, "calls ended, by code"),
    Family::histogram(
        "grpc_server_handling_seconds",
        CALLS,
        RPC,
        "seconds from a call's first byte to its last",
    ),
    Family::counter("grpc_server_msg_received_total", RPC, "messages read from clients"),
    Family::counter("grpc_server_msg_sent_total", RPC, "messages written to clients"),
    Family::gauge("grpc_server_in_flight", RPC, "calls running now").when("a call runs while it is scraped"),
    Family::gauge("grpc_server_connections", &[], "connections open now")
        .when("a client is connected while it is scraped"),
    Family::counter(
        "grpc_server_connections_refused_total",
        &[],
        "connections refused because their address had its share",
    )
    .when("an address has its share of connections"),
    Family::counter("grpc_client_started_total", CALL, "attempts of calls begun").when(CALLED),
    Family::counter("grpc_client_handled_total", CALL_ENDED, "attempts of calls ended, by code").when(CALLED),
    Family::histogram("grpc_client_handling_seconds", CALLS, CALL, "seconds of one attempt").when(CALLED),
    Family::counter("grpc_client_msg_received_total", CALL, "messages read from servers").when(CALLED),
    Family::counter("grpc_client_msg_sent_total", CALL, "messages written to servers").when(CALLED),
    Family::gauge("grpc_client_in_flight", CALL, "attempts of calls running now")
        .when("a call runs while it is scraped"),
    Family::counter("grpc_client_retries_total", &[("grpc_target", TARGET)], "attempts after the first")
        .when("a call to another process is sent again"),
    Family::gauge(
        "grpc_client_breaker_endpoints",
        &[("grpc_target", TARGET), ("state", &["closed", "half_open", "open"])],
        "addresses of a target by the state of their circuit breaker",
    )
    .when(CALLED),
    Family::counter(
        "api_requests_total",
        &[("method", &["GET"]), ("endpoint", &["/health"]), ("status_code", &["200"])],
        "HTTP requests; the endpoint is the pattern of the path",
    ),
    Family::histogram(
        "api_request_duration_seconds",
        CALLS,
        &[("method", &["GET"]), ("endpoint", &["/health"])],
        "seconds of HTTP requests",
    ),
    Family::counter(
        "api_errors_total",
        &[("endpoint", &["unmatched"])],
        "HTTP requests answered with a status from 400 on",
    )
    .when("a request is refused or fails"),
];
