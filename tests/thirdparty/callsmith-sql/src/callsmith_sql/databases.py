"""A problem's database: how it is found, and what may be done with it."""

import re
import sqlite3
from pathlib import Path

FOLDER = Path(__file__).with_name("databases")
# Steps of SQLite's own machine, a few seconds of them at most. Counted and not timed, so that the
# same query ends in the same way on a busy machine.
MOST_STEPS = 20_000_000
STEPS_BETWEEN_LOOKS = 10_000
MOST_BYTES = 1_000_000

READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE}
MAKING = {
    *READING,
    sqlite3.SQLITE_CREATE_TABLE,
    sqlite3.SQLITE_CREATE_INDEX,
    sqlite3.SQLITE_INSERT,
    # What SQLite does to its own tables while it creates one.
    sqlite3.SQLITE_UPDATE,
    sqlite3.SQLITE_REINDEX,
}
# Those that give the same each time; random, load_extension and the clock's are not among them.
FUNCTIONS = {
    *("avg", "count", "group_concat", "max", "min", "sum", "total"),
    *("abs", "ceil", "floor", "mod", "pow", "power", "round", "sign", "sqrt"),
    *("char", "format", "glob", "hex", "instr", "length", "like", "lower", "ltrim", "printf"),
    *("quote", "replace", "rtrim", "substr", "substring", "trim", "unicode", "upper"),
    *("coalesce", "ifnull", "iif", "nullif", "typeof"),
    *("date", "datetime", "julianday", "strftime", "time"),
    *("dense_rank", "first_value", "lag", "last_value", "lead", "nth_value", "ntile", "rank"),
    "row_number",
}


class Database:
    """The database of a problem, in memory. A context manager that closes it.

    Raises ValueError, in words for the model, if the problem has none.
    """

    def __init__(self, context: str) -> None:
        self.refused = ""
        self._steps = 0
        self._allowed = MAKING
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_BYTES)
        self.connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        # Sorting must not spill to the disk, where no limit holds.
        self.connection.execute("PRAGMA temp_store = MEMORY")
        self.connection.set_authorizer(self._authorize)
        self.connection.set_progress_handler(self._stop, STEPS_BETWEEN_LOOKS)
        try:
            self.connection.executescript(script_of(context))
        except sqlite3.Error as error:
            self.connection.close()
            raise ValueError(f"the problem's database can't be made: {error}") from None
        self._allowed = READING
        self._steps = 0

    def __enter__(self) -> "Database":
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def _authorize(self, action: int, first: str | None, second: str | None, *_: object) -> int:
        if action == sqlite3.SQLITE_FUNCTION:
            if second and second.lower() in FUNCTIONS:
                return sqlite3.SQLITE_OK
            self.refused = f"the function {second} is not offered here"
        elif action in self._allowed:
            return sqlite3.SQLITE_OK
        else:
            self.refused = "the database can only be read: write one SELECT"
        return sqlite3.SQLITE_DENY

    def _stop(self) -> bool:
        self._steps += STEPS_BETWEEN_LOOKS
        return self._steps > MOST_STEPS


def script_of(context: str) -> str:
    """The script that makes the database which a problem's context names, or is.

    Raises ValueError, in words for the model, if it does neither.
    """
    named = re.search(r"^database: *(\w{1,40})$", context, re.MULTILINE)
    if named:
        # Looked up in what is there: a name can't lead to another folder.
        scripts = {path.stem: path for path in FOLDER.glob("*.sql")}
        if named[1] in scripts:
            return scripts[named[1]].read_text(encoding="utf-8")
    elif context.lstrip().upper().startswith("CREATE TABLE"):
        return context
    raise ValueError("this problem has no database: its functions can't help")
