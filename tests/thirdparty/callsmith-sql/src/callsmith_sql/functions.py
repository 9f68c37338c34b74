"""What a model may call: list the tables, read a schema, query them.

None is inline: SQLite runs what a model writes, in a worker process with limits of its own.
"""

import sqlite3
from typing import Annotated

from pydantic import Field

from callsmith import Context, Example, Problem, function
from callsmith_sql.databases import Database

SHOP = Problem("What does a lamp cost, in cents?", context="database: shop")
Cell = int | float | str | None
MOST_ROWS, MOST_CHARACTERS = 50, 2_000
Statement = Annotated[str, Field(min_length=1, max_length=MOST_CHARACTERS)]
LIMITS = {"timeout": 3.0, "memory_mb": 256}


@function(examples=[Example({}, SHOP)], **LIMITS)
def tables(ctx: Context) -> list[str]:
    """List the tables of the problem's database."""
    with Database(ctx.problem.context) as database:
        return names_of(database)


@function(examples=[Example({"table": "products"}, SHOP)], **LIMITS)
def schema(table: Annotated[str, Field(min_length=1, max_length=100)], ctx: Context) -> str:
    """Show how a table was created: its columns and their types.

    Args:
        table: the table's name
    """
    with Database(ctx.problem.context) as database:
        names = names_of(database)
        if table not in names:
            raise ValueError(f"there is no table {table[:40]!r}; there are {', '.join(names)}")
        found = database.connection.execute(
            "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)
        ).fetchone()
        return str(found[0])


@function(
    examples=[Example({"sql": "SELECT town, count(*) FROM customers GROUP BY town"}, SHOP)],
    **LIMITS,
)
def query(sql: Statement, ctx: Context) -> list[list[Cell]]:
    """Run one SELECT of SQLite's and give its rows, 50 at most.

    Args:
        sql: the statement; it can change nothing
    """
    return rows_of(sql, ctx)


@function(
    examples=[Example({"sql": "SELECT cents FROM products WHERE name = 'lamp'"}, SHOP)], **LIMITS
)
def value(sql: Statement, ctx: Context) -> Cell:
    """Run one SELECT of SQLite's that gives a single value, and give that.

    Args:
        sql: the statement; it can change nothing
    """
    rows = rows_of(sql, ctx)
    if len(rows) != 1 or len(rows[0]) != 1:
        columns = len(rows[0]) if rows else 0
        raise ValueError(
            f"that gives {len(rows)} rows of {columns} columns and not one value: "
            "select one column of one row, or call query"
        )
    return rows[0][0]


def rows_of(sql: str, ctx: Context) -> list[list[Cell]]:
    """The rows that a statement gives; raises ValueError in words for the model."""
    with Database(ctx.problem.context) as database:
        try:
            rows = database.connection.execute(sql).fetchmany(MOST_ROWS + 1)
        except UnicodeEncodeError:
            raise ValueError("the statement has half a character in it: write it anew") from None
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
            raise ValueError(database.refused or advice(str(error))) from None
    if len(rows) > MOST_ROWS:
        raise ValueError(f"there are more than {MOST_ROWS} rows: count them, or add a LIMIT")
    return [[readable(cell) for cell in row] for row in rows]


def advice(error: str) -> str:
    """SQLite's words for what is wrong, and what to do where they don't say it."""
    return {
        "interrupted": "the query takes too long: join on keys, and end every recursion",
        "string or blob too big": "a value of the result is too long: take a part with substr",
        "You can only execute one statement at a time.": "write one statement for each call",
        "the query contains a null character": "the statement has a null character in it",
    }.get(error, f"SQLite says: {error[:200]}")


def names_of(database: Database) -> list[str]:
    rows = database.connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
    )
    return [name for (name,) in rows]


def readable(value: int | float | str | bytes | None) -> Cell:
    """A value as JSON can say it. Infinities are texts, bytes are hexadecimal."""
    if isinstance(value, bytes):
        return value[:MOST_CHARACTERS].hex()
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return str(value)
    return value[:MOST_CHARACTERS] if isinstance(value, str) else value
