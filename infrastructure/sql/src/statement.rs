//! Statements over many rows. Their text depends only on a power of two, so that the connection's cache of prepared
//! statements stays small and always hits; rows that fill up to the power of two are all NULL and match nothing.

use std::sync::Arc;

use futures_util::TryStreamExt;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::sqlite::{
    SqliteArguments, SqliteArgumentsBuffer, SqliteConnection, SqliteQueryResult, SqliteTypeInfo,
};
use sqlx::{Arguments, AssertSqlSafe, Encode, Executor, Sqlite, Type};

/// A value to bind. Cloning is cheap: a batch that must be run again binds the same values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    Int(i64),
    Real(f64),
    Text(Arc<str>),
    Blob(Arc<[u8]>),
}

impl Cell {
    /// The text, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        if let Cell::Text(text) = self { Some(text) } else { None }
    }

    /// The number, if it is a whole one.
    pub(crate) fn int(&self) -> Option<i64> {
        if let Cell::Int(number) = self { Some(*number) } else { None }
    }

    /// The number, if it is a real one.
    pub(crate) fn real(&self) -> Option<f64> {
        if let Cell::Real(number) = self { Some(*number) } else { None }
    }

    /// The bytes, if it holds such.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        if let Cell::Blob(bytes) = self { Some(bytes) } else { None }
    }
}

impl Type<Sqlite> for Cell {
    fn type_info() -> SqliteTypeInfo {
        <str as Type<Sqlite>>::type_info()
    }

    fn compatible(_: &SqliteTypeInfo) -> bool {
        true
    }
}

impl Encode<'_, Sqlite> for Cell {
    fn encode(self, buffer: &mut SqliteArgumentsBuffer) -> Result<IsNull, BoxDynError> {
        match self {
            Cell::Null => Ok(IsNull::Yes),
            Cell::Int(value) => Encode::<Sqlite>::encode(value, buffer),
            Cell::Real(value) => Encode::<Sqlite>::encode(value, buffer),
            Cell::Text(value) => Encode::<Sqlite>::encode(value, buffer),
            Cell::Blob(value) => Encode::<Sqlite>::encode(value.to_vec(), buffer),
        }
    }

    fn encode_by_ref(&self, buffer: &mut SqliteArgumentsBuffer) -> Result<IsNull, BoxDynError> {
        self.clone().encode(buffer)
    }
}

impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        Cell::Text(value.into())
    }
}

impl From<String> for Cell {
    fn from(value: String) -> Self {
        Cell::Text(value.into())
    }
}

impl From<&Arc<str>> for Cell {
    fn from(value: &Arc<str>) -> Self {
        Cell::Text(Arc::clone(value))
    }
}

impl From<i64> for Cell {
    fn from(value: i64) -> Self {
        Cell::Int(value)
    }
}

impl From<i32> for Cell {
    fn from(value: i32) -> Self {
        Cell::Int(value.into())
    }
}

impl From<u64> for Cell {
    /// The same 64 bits: what was stored reads back, whatever it is.
    fn from(value: u64) -> Self {
        Cell::Int(value.cast_signed())
    }
}

impl From<f64> for Cell {
    fn from(value: f64) -> Self {
        Cell::Real(value)
    }
}

impl From<bool> for Cell {
    fn from(value: bool) -> Self {
        Cell::Int(value.into())
    }
}

impl From<&[u8]> for Cell {
    fn from(value: &[u8]) -> Self {
        Cell::Blob(value.into())
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Cell::Null, Into::into)
    }
}

/// A statement over a table of rows.
#[derive(Debug)]
pub(crate) struct Shape {
    /// What stands before the table of rows.
    pub(crate) before: String,
    /// Cells of a row, the first of which is never NULL: a row in which it is must be skipped.
    pub(crate) columns: usize,
    /// What stands after it.
    pub(crate) after: String,
}

impl Shape {
    /// Inserts rows into `table`; `conflict` is an ON CONFLICT clause or empty. The first column is never NULL.
    pub(crate) fn insert(table: &str, columns: &[&str], conflict: &str) -> Self {
        let before = format!("INSERT INTO {table} ({}) SELECT * FROM", columns.join(","));
        let after = format!("WHERE column1 IS NOT NULL {conflict}");
        Shape { before, columns: columns.len(), after }
    }

    /// Sets the `columns` of the row of `table` whose `key` and `version` are the first two cells of a row here.
    pub(crate) fn update(table: &str, key: &str, version: &str, columns: &[&str]) -> Self {
        let set: Vec<_> =
            columns.iter().zip(3..).map(|(column, number)| format!("{column}=v.column{number}")).collect();
        let before = format!("UPDATE {table} SET {} FROM", set.join(","));
        let after = format!("AS v WHERE {table}.{key} = v.column1 AND {table}.{version} = v.column2");
        Shape { before, columns: columns.len() + 2, after }
    }

    fn text(&self, rows: usize) -> String {
        let row = format!("({})", vec!["?"; self.columns].join(","));
        format!("{} (VALUES {}) {}", self.before, vec![row.as_str(); rows].join(","), self.after)
    }
}

/// Statements that run one after the other in a single hop to the connection's thread and back.
#[derive(Debug)]
pub(crate) struct Script {
    columns: Vec<usize>,
    /// By the binary logarithm of the number of rows.
    texts: Vec<Arc<str>>,
}

/// Opens the transaction of a batch.
pub(crate) const BEGIN: &str = "BEGIN IMMEDIATE; ";

/// Commits the transaction of a batch.
pub(crate) const COMMIT: &str = "; COMMIT";

impl Script {
    /// Rows of one script at most. A hop costs about as much as writing a row, so more gains little.
    pub(crate) const MAX_ROWS: usize = 64;

    /// Statements over equally many rows, with [`BEGIN`] or nothing before and [`COMMIT`] or nothing after them.
    pub(crate) fn new(before: &str, shapes: &[Shape], after: &str) -> Self {
        let text = |rows| {
            let texts: Vec<_> = shapes.iter().map(|shape| shape.text(rows)).collect();
            format!("{before}{}{after}", texts.join("; ")).into()
        };
        let sizes = (0..=Self::MAX_ROWS.ilog2()).map(|power| 1_usize << power);
        Script {
            columns: shapes.iter().map(|shape| shape.columns).collect(),
            texts: sizes.map(text).collect(),
        }
    }

    /// Binds `rows` rows, 1 to [`Self::MAX_ROWS`]: for each statement the cells of its rows.
    pub(crate) fn bind(
        &self,
        rows: usize,
        cells: &mut [&mut dyn Iterator<Item = &Cell>],
    ) -> Result<Bound, sqlx::Error> {
        let size = rows.next_power_of_two();
        let mut arguments = SqliteArguments::default();
        arguments.reserve(self.columns.iter().sum::<usize>() * size, 0);
        for (columns, cells) in self.columns.iter().zip(cells) {
            let filled = cells.chain(std::iter::repeat(&Cell::Null)).take(columns * size);
            for cell in filled {
                arguments.add(cell.clone()).map_err(sqlx::Error::Encode)?;
            }
        }
        let text = self.texts.get(size.ilog2() as usize).map(Arc::clone);
        let text = text.ok_or_else(|| sqlx::Error::Protocol(format!("{rows} rows in one script")))?;
        Ok(Bound { text, arguments })
    }
}

/// A script ready to run.
#[derive(Debug)]
pub(crate) struct Bound {
    text: Arc<str>,
    arguments: SqliteArguments,
}

/// A script that failed.
#[derive(Debug)]
pub(crate) struct Broken {
    /// Statements that ran before the one that failed.
    pub(crate) done: usize,
    /// Why.
    pub(crate) error: sqlx::Error,
}

impl Bound {
    /// Runs the script and hands back the result of each statement.
    pub(crate) async fn run(
        self,
        connection: &mut SqliteConnection,
    ) -> Result<Vec<SqliteQueryResult>, Broken> {
        let query = sqlx::query_with(AssertSqlSafe(self.text), self.arguments);
        let mut running = connection.execute_many(query);
        let mut results = Vec::with_capacity(4);
        loop {
            match running.try_next().await {
                Ok(Some(result)) => results.push(result),
                Ok(None) => return Ok(results),
                Err(error) => return Err(Broken { done: results.len(), error }),
            }
        }
    }
}

/// The numbers that an insert of `rows` rows gave them. Nobody else writes, so there is no gap between them.
pub(crate) fn numbers(insert: &SqliteQueryResult, rows: usize) -> impl Iterator<Item = i64> + use<> {
    let last = insert.last_insert_rowid();
    let rows = i64::try_from(rows).unwrap_or_default();
    last + 1 - rows..=last
}
