//! Writing tickets on PostgreSQL, without anything around: the repository, which batches, against the very statement that
//! it sends for one ticket, sent for each ticket alone over eight connections, and against pgbench sending the same.

use std::io::Write as _;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use hive_application::tickets::TicketRepository;
use hive_domain::ids::AgentId;
use hive_domain::json::Json;
use hive_domain::tickets::{Dispatch, Report as TicketReport, Ticket, TicketStatus};
use hive_postgres::programs;
use hive_sql::{Config, Server, TicketDatabase};
use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgPool, PgPoolOptions};

use crate::report::Report;
use crate::server;
use crate::tickets::content;

const CALLERS: usize = 64;
const ROUNDS: usize = 3;
const SPAN: Duration = Duration::from_millis(1_500);

/// A write, and what it is measured as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Create,
    Change,
}

/// A statement as the repository sends it for one ticket.
struct Statement {
    text: String,
    /// Type and column of each parameter.
    parameters: Vec<(String, String)>,
}

pub(crate) async fn measure(report: &mut Report) {
    let cluster = server::start().await;
    cluster.create("writes").unwrap();
    let url = cluster.url("writes");
    let database = TicketDatabase::open(&Config::postgres(Server::from_url(&url).unwrap())).await.unwrap();
    let repository = database.repository();
    let pool =
        PgPoolOptions::new().max_connections(8).test_before_acquire(false).connect(&url).await.unwrap();
    for (kind, what, of_own, of_pgbench) in [
        (Kind::Create, "create", "(at least 1.6, goal 2.1)", "(at least 1.0, goal 1.35)"),
        (Kind::Change, "change", "", "(at least 1.2)"),
    ] {
        let (mut own, mut bench, mut alone, mut rates) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let batched = repository_rate(&repository, kind, CALLERS).await;
            let statement = Statement::sent(&pool, kind).await;
            let single = single_rate(&pool, &statement, kind, CALLERS, &format!("m{round}")).await;
            let mut best = 0.0_f64;
            for clients in [4, 8, 16] {
                let name = format!("b{round}-{clients}");
                best = best.max(pgbench(&url, &pool, &statement, kind, clients, &name).await);
            }
            own.push(batched / single);
            bench.push(batched / best);
            let one = repository_rate(&repository, kind, 1).await;
            alone.push(one / single_rate(&pool, &statement, kind, 1, &format!("o{round}")).await);
            rates.push(batched);
        }
        let line = format!("{what}, {CALLERS} callers");
        report.add("postgres", format!("{line}, through the repository"), median(rates), "/s");
        report.add("postgres", format!("{line} ÷ one statement each"), median(own), of_own);
        report.add("postgres", format!("{line} ÷ pgbench at its best"), median(bench), of_pgbench);
        let what = format!("{what}, one caller ÷ one statement each");
        report.add("postgres", what, median(alone), "(at least 0.9)");
    }
    database.close().await.unwrap();
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[expect(clippy::cast_precision_loss, reason = "a count of seconds' worth of writes")]
fn rate(counts: &[usize], begin: Instant) -> f64 {
    counts.iter().sum::<usize>() as f64 / begin.elapsed().as_secs_f64()
}

fn ticket() -> Ticket {
    let mut content = content();
    content.sla.max_retries = i32::MAX;
    Ticket::create(content, std::collections::BTreeMap::new(), "bench").unwrap()
}

async fn repository_rate(repository: &Arc<dyn TicketRepository>, kind: Kind, callers: usize) -> f64 {
    let begin = Instant::now();
    let calls = (0..callers).map(|_| {
        let repository = Arc::clone(repository);
        tokio::spawn(async move {
            let mut count = 0;
            let own = ticket();
            let id = own.id().clone();
            repository.create(vec![own]).await.unwrap();
            while begin.elapsed() < SPAN {
                match kind {
                    Kind::Create => drop(repository.create(vec![ticket()]).await.unwrap()),
                    Kind::Change => {
                        let mut change = |ticket: &mut Ticket| step(ticket, count);
                        repository.update(&id, &mut change).await.unwrap();
                    }
                }
                count += 1;
            }
            count
        })
    });
    let counts: Vec<usize> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
    rate(&counts, begin)
}

/// Round and round: handed out, failed, put back.
fn step(
    ticket: &mut Ticket,
    count: usize,
) -> Result<hive_domain::tickets::Applied, hive_domain::tickets::TicketError> {
    let now = hive_application::clock::Clock::now(&crate::tickets::WallClock);
    let agent = AgentId::parse("agent-1").unwrap();
    match count % 3 {
        0 => {
            let order = Dispatch { agent, epoch: 1, allocation: Json::Null, not_before: None };
            ticket.dispatch(order, now, "bench")
        }
        1 => ticket.report(TicketStatus::Failed, &TicketReport::default(), now, "bench"),
        _ => ticket.report(TicketStatus::Pending, &TicketReport::default(), now, "bench"),
    }
}

impl Statement {
    /// What the repository sent last for a single ticket, as the server shows it.
    async fn sent(pool: &PgPool, kind: Kind) -> Self {
        let begins =
            if kind == Kind::Create { "WITH i AS%1::bigint AS ord%" } else { "WITH u AS%1::bigint AS ord%" };
        let shown = "SELECT query FROM pg_stat_activity WHERE datname = 'writes' AND query LIKE $1";
        // A lone caller's statement is the last one after a while without others.
        let repository =
            TicketDatabase::open(&Config::postgres(Server::from_url(&url_of(pool)).unwrap())).await.unwrap();
        let own = ticket();
        let id = own.id().clone();
        repository.repository().create(vec![own]).await.unwrap();
        if kind == Kind::Change {
            let mut change = |ticket: &mut Ticket| step(ticket, 0);
            repository.repository().update(&id, &mut change).await.unwrap();
        }
        let text: String = sqlx::query_scalar(shown).bind(begins).fetch_one(pool).await.unwrap();
        repository.close().await.unwrap();
        let parameters = text.split('$').skip(1).map(|part| {
            let (_, typed) = part.split_once("::").unwrap();
            let kind = typed.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap();
            let (_, named) = typed.split_once(" AS ").unwrap();
            (kind.to_owned(), named.split([',', ')', ' ']).next().unwrap().to_owned())
        });
        let parameters = parameters.collect();
        Statement { text, parameters }
    }

    /// A value for a parameter, as SQL.
    fn value(column: &str, of: &Row<'_>) -> String {
        let text = |value: &str| format!("'{value}'");
        match column {
            "ticket_id" => of.ticket_id.to_owned(),
            "number" => of.number.to_owned(),
            "expected" => format!("({})", of.version),
            "version" => format!("(({}) + 1)", of.version),
            "dependencies" | "required_capabilities" => text("[\"read\", \"compute\"]"),
            "sla" | "qos" | "parameters" | "metadata" => {
                text("{\"deadline\":1700000060000,\"timeout_ms\":60000,\"max_retries\":2}")
            }
            "payload" => text(&format!("{{\"event\":\"{}\"}}", "x".repeat(300))),
            "status" | "new_status" => text("PENDING"),
            "created_at" | "updated_at" | "at" => "1700000000000".to_owned(),
            "schema_version" => "1".to_owned(),
            "retry_count" => "0".to_owned(),
            "plan_id" | "intent_id" | "decision_id" | "task_id" | "task_type" | "priority" | "risk_band"
            | "security_level" | "action" | "changed_by" => text("bench"),
            "description" => text("Aggregate the readings of a district and store them"),
            "hash" => text(&"0".repeat(64)),
            _ => "NULL".to_owned(),
        }
    }

    /// The statement with values in the place of its parameters, for pgbench.
    fn script(&self, of: &Row<'_>) -> String {
        let mut script = String::new();
        for (at, part) in self.text.split('$').enumerate() {
            if at == 0 {
                script.push_str(part);
                continue;
            }
            let (_, rest) = part.split_once("::").unwrap();
            let (_, column) = &self.parameters[at - 1];
            script.push_str(&format!("({})::{rest}", Statement::value(column, of)));
        }
        script
    }
}

/// What differs from row to row, as SQL.
struct Row<'a> {
    ticket_id: &'a str,
    number: &'a str,
    version: &'a str,
}

fn url_of(pool: &PgPool) -> String {
    let options = pool.connect_options();
    format!("postgres://postgres@127.0.0.1:{}/writes", options.get_port())
}

/// Tickets that nobody else writes: the number of the first, the others follow it.
async fn rows(pool: &PgPool, kind: Kind, count: usize, name: &str) -> i64 {
    if kind == Kind::Create {
        return 0;
    }
    let make = format!(
        "WITH made AS (INSERT INTO execution_tickets \
        SELECT (jsonb_populate_record(one.row, jsonb_build_object('id', \
        (SELECT coalesce(max(id), 0) FROM execution_tickets) + 1000000 + n, \
        'ticket_id', '{name}-' || n, 'version', 0, 'status', 'PENDING'))).* \
        FROM (SELECT e AS row FROM execution_tickets e LIMIT 1) one, generate_series(1, {count}) n RETURNING id) SELECT min(id) FROM made"
    );
    let first: i64 = sqlx::query_scalar(AssertSqlSafe(make)).fetch_one(pool).await.unwrap();
    let _: i64 = sqlx::query_scalar(
        "SELECT setval('execution_tickets_id_seq', (SELECT max(id) FROM execution_tickets))",
    )
    .fetch_one(pool)
    .await
    .unwrap();
    first
}

async fn single_rate(pool: &PgPool, statement: &Statement, kind: Kind, callers: usize, name: &str) -> f64 {
    let first = rows(pool, kind, callers, name).await;
    let begin = Instant::now();
    let calls = (0..callers).map(|caller| {
        let (pool, text, parameters) = (pool.clone(), statement.text.clone(), statement.parameters.clone());
        let name = name.to_owned();
        tokio::spawn(async move {
            let mut count = 0;
            while begin.elapsed() < SPAN {
                let (id, version) = match kind {
                    Kind::Create => (format!("{name}-{caller}-{count}"), "0".to_owned()),
                    Kind::Change => (format!("{name}-{}", caller + 1), count.to_string()),
                };
                let number = (first + i64::try_from(caller).unwrap()).to_string();
                let of = Row { ticket_id: &id, number: &number, version: &version };
                let mut query = sqlx::query(AssertSqlSafe(text.as_str()));
                for (kind, column) in &parameters {
                    query = bind(query, kind, column, &of);
                }
                query.fetch_all(&pool).await.unwrap();
                count += 1;
            }
            count
        })
    });
    let counts: Vec<usize> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
    rate(&counts, begin)
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn bind<'q>(query: Query<'q>, kind: &str, column: &str, of: &Row<'_>) -> Query<'q> {
    let version: i64 = of.version.parse().unwrap();
    let value = match column {
        "expected" => Some(version.to_string()),
        "version" => Some((version + 1).to_string()),
        _ => Some(Statement::value(column, of)).filter(|value| value != "NULL"),
    };
    match kind {
        "bigint" => query.bind(value.map(|value| value.parse::<i64>().unwrap())),
        _ => query.bind(value.map(|value| value.trim_matches('\'').to_owned())),
    }
}

/// Transactions a second of pgbench.
async fn pgbench(
    url: &str,
    pool: &PgPool,
    statement: &Statement,
    kind: Kind,
    clients: usize,
    name: &str,
) -> f64 {
    let first = rows(pool, kind, clients, name).await;
    let (id, number) = match kind {
        Kind::Create => (format!("'{name}-' || (:client_id)::text || '-' || (:n)::text"), String::new()),
        Kind::Change => (
            format!("'{name}-' || ((:client_id)::bigint + 1)::text"),
            format!("(:client_id)::bigint + {first}"),
        ),
    };
    let script = statement.script(&Row { ticket_id: &id, number: &number, version: "(:n)::bigint" });
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(file, "{script};\n\\set n :n + 1\n").unwrap();
    let mut command = Command::new(programs().unwrap().join("pgbench"));
    command.args(["-n", "-M", "prepared", "-D", "n=0", "-j", "2", "-T", "2", "-c", &clients.to_string()]);
    let output = command.arg("-f").arg(file.path()).arg(url).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = told.lines().find_map(|line| line.strip_prefix("tps = "));
    let line = line.unwrap_or_else(|| panic!("{told}{}", String::from_utf8_lossy(&output.stderr)));
    line.split(' ').next().unwrap().parse().unwrap()
}
