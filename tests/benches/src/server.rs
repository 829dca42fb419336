//! A private PostgreSQL server as one that has run for a while: it writes into log files it has, since to make one costs as
//! much as to fill it.

use hive_postgres::Cluster;
use sqlx::{Connection as _, Executor as _, PgConnection};

/// Log files of 16 MiB; the server keeps as many for later.
const FILES: usize = 64;

/// Does at once what the server does by itself within minutes: its statistics are those of the tables as they are now.
pub(crate) async fn settle(cluster: &Cluster, database: &str) {
    let mut connection = PgConnection::connect(&cluster.url(database)).await.unwrap();
    for command in ["VACUUM (ANALYZE)", "CHECKPOINT"] {
        connection.execute(command).await.unwrap();
    }
    connection.close().await.unwrap();
}

/// Starts it.
pub(crate) async fn start() -> Cluster {
    let cluster = Cluster::start().unwrap();
    let mut connection = PgConnection::connect(&cluster.url("postgres")).await.unwrap();
    for _ in 0..FILES {
        connection.execute("SELECT pg_current_xact_id()").await.unwrap();
        connection.execute("SELECT pg_switch_wal()").await.unwrap();
    }
    for _ in 0..2 {
        connection.execute("CHECKPOINT").await.unwrap();
    }
    connection.close().await.unwrap();
    cluster
}
