//! Rows as the parameters of a PostgreSQL statement: one array a column, so that the text is the same for any number of
//! rows. A single row goes as plain values, which the server reads in two thirds of the time.

use sqlx::postgres::PgArguments;
use sqlx::{Arguments, Encode, Postgres, Type};

use hive_application::error::Error;

use crate::statement::Cell;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Json,
    /// 64 bits.
    Long,
    /// 32 bits.
    Int,
    Real,
    Flag,
    Bytes,
}

impl Kind {
    /// The type of the parameter.
    fn parameter(self) -> &'static str {
        match self {
            Kind::Text | Kind::Json => "text",
            Kind::Long | Kind::Int | Kind::Flag => "bigint",
            Kind::Real => "double precision",
            Kind::Bytes => "bytea",
        }
    }

    /// The parameter as the column takes it.
    fn read(self, value: &str) -> String {
        match self {
            Kind::Text | Kind::Long | Kind::Real | Kind::Bytes => value.to_owned(),
            Kind::Json => format!("{value}::json"),
            Kind::Int => format!("{value}::integer"),
            Kind::Flag => format!("({value} <> 0)"),
        }
    }
}

/// A column of a table of parameters.
pub(crate) type Column = (&'static str, Kind);

/// The form of all tables of one statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    /// At most one row each.
    Single,
    Many,
}

/// `name AS (…)` with the rows whose parameters begin after `taken`, which grows by theirs. The rows are numbered from
/// 1 on as `ord`; `more` are further columns.
pub(crate) fn table(name: &str, columns: &[Column], more: &str, form: Form, taken: &mut usize) -> String {
    let first = *taken + 1;
    *taken += columns.len();
    let numbered = || columns.iter().zip(first..);
    match form {
        Form::Single => {
            let value = |((column, kind), number): (&Column, usize)| {
                format!("{} AS {column}", kind.read(&format!("${number}::{}", kind.parameter())))
            };
            let values: Vec<String> = numbered().map(value).collect();
            format!("{name} AS MATERIALIZED (SELECT {more}1::bigint AS ord, {})", values.join(", "))
        }
        Form::Many => {
            let array = |((_, kind), number): (&Column, usize)| format!("${number}::{}[]", kind.parameter());
            let arrays: Vec<String> = numbered().map(array).collect();
            let names: Vec<&str> = columns.iter().map(|(column, _)| *column).collect();
            let values: Vec<String> =
                columns.iter().map(|(column, kind)| format!("{} AS {column}", kind.read(column))).collect();
            format!(
                "{name} AS MATERIALIZED (SELECT {more}ord, {} FROM unnest({}) WITH ORDINALITY AS v({}, ord))",
                values.join(", "),
                arrays.join(", "),
                names.join(", ")
            )
        }
    }
}

/// Binds a table: `cells` tells the cell of a row and a column.
pub(crate) fn bind<'a>(
    arguments: &mut PgArguments,
    columns: &[Column],
    form: Form,
    rows: usize,
    cells: impl Fn(usize, usize) -> &'a Cell,
) -> Result<(), sqlx::Error> {
    for (at, (_, kind)) in columns.iter().enumerate() {
        let column = (0..rows).map(|row| cells(row, at));
        match kind.parameter() {
            "bigint" => add(arguments, form, column.map(Cell::int)),
            "double precision" => add(arguments, form, column.map(Cell::real)),
            "bytea" => add(arguments, form, column.map(Cell::bytes)),
            _ => add(arguments, form, column.map(Cell::text)),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(())
}

fn add<'q, T>(
    arguments: &mut PgArguments,
    form: Form,
    mut values: impl Iterator<Item = Option<T>>,
) -> Result<(), sqlx::error::BoxDynError>
where
    T: Encode<'q, Postgres> + Type<Postgres> + 'q,
    Vec<Option<T>>: Encode<'q, Postgres> + Type<Postgres>,
{
    match form {
        Form::Single => arguments.add(values.next().flatten()),
        Form::Many => arguments.add(values.collect::<Vec<_>>()),
    }
}

/// Refuses a text that PostgreSQL cannot store: it ends texts at NUL. JSON texts write it as an escape.
pub(crate) fn refuse_nul<'a>(
    columns: impl IntoIterator<Item = &'static str>,
    cells: impl IntoIterator<Item = &'a Cell>,
) -> Result<(), Error> {
    for (column, cell) in columns.into_iter().zip(cells) {
        if cell.text().is_some_and(|text| text.contains('\0')) {
            return Err(Error::invalid(column, "must not contain the character NUL"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_numbers_its_parameters() {
        let columns = [("a", Kind::Text), ("b", Kind::Json), ("c", Kind::Flag)];
        let mut taken = 2;
        assert_eq!(
            table("t", &columns, "", Form::Many, &mut taken),
            "t AS MATERIALIZED (SELECT ord, a AS a, b::json AS b, (c <> 0) AS c \
            FROM unnest($3::text[], $4::text[], $5::bigint[]) WITH ORDINALITY AS v(a, b, c, ord))"
        );
        assert_eq!(taken, 5);
        assert_eq!(
            table("t", &columns[..2], "x AS y, ", Form::Single, &mut taken),
            "t AS MATERIALIZED (SELECT x AS y, 1::bigint AS ord, $6::text AS a, $7::text::json AS b)"
        );
    }

    #[test]
    fn nul_is_refused_by_its_column() {
        let cells = [Cell::from("fine"), Cell::Null, Cell::from("a\0b")];
        let error = refuse_nul(["a", "b", "c"], &cells).unwrap_err();
        assert_eq!(error.field(), Some("c"));
        assert!(refuse_nul(["a", "b"], &cells[..2]).is_ok());
    }
}
