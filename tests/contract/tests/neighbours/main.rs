//! The contract of the ports between contexts, within a process and over gRPC.

#![expect(clippy::unwrap_used, reason = "what fails in a test panics")]

mod stand;

mod in_process {
    use super::stand::InProcess;

    hive_contract::neighbours!(InProcess::new().await);
}

mod grpc {
    use super::stand::OverGrpc;

    hive_contract::neighbours!(OverGrpc::new().await);
}
