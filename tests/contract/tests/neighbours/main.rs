//! The contract of the ports between contexts, within a process and over gRPC.

#![expect(clippy::unwrap_used, reason = "what fails in a test panics")]

mod stand;

mod in_process {
    use super::stand::InProcess;

    hive_contract::neighbours!(InProcess::new().await);
}

mod grpc {
    use futures_util::StreamExt;
    use hive_application::error::ErrorKind;
    use hive_contract::fixture::NeighbourFixture;
    use hive_contract::samples::{agent, plan};

    use super::stand::OverGrpc;

    hive_contract::neighbours!(OverGrpc::new().await);

    #[tokio::test(flavor = "multi_thread")]
    async fn a_stream_says_that_its_server_is_gone() {
        let fixture = OverGrpc::new().await;
        let of = fixture.open().await;
        let mut changes = of.tickets.watch(&plan("p"), 0).await.unwrap();
        let mut own = of.desk.watch(&agent("w-1"), 0).await.unwrap();
        let mut agents = of.agents.watch().await.unwrap();
        assert!(agents.next().await.unwrap().is_ok(), "who is there");
        fixture.stop();
        for ended in [changes.next().await.unwrap().err(), own.next().await.unwrap().err()] {
            assert_eq!(ended.unwrap().kind(), ErrorKind::Unavailable);
        }
        assert_eq!(agents.next().await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
        assert!(changes.next().await.is_none());
        let error = of.tickets.list(&plan("p")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
}
