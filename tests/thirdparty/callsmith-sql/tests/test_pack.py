"""The pack keeps to what callsmith relies on, and reads the database of the problem."""

import pytest

from callsmith import Context, Problem
from callsmith.testing import check_pack
from callsmith_sql.functions import query, schema, tables, value

SHOP = Context(Problem("?", context="database: shop"))


def test_the_pack_is_a_good_one() -> None:
    check_pack("sql", fuzz=30).raise_if_failed()


def test_a_database_is_named_or_written_out() -> None:
    assert tables(SHOP) == ["customers", "orders", "products"]
    assert value("SELECT name FROM products WHERE cents > 10000", SHOP) == "table"
    script = Context(Problem("?", context="CREATE TABLE t (x);\nINSERT INTO t VALUES (1), (NULL);"))
    assert query("SELECT x FROM t ORDER BY x", script) == [[None], [1]]
    assert query("SELECT x FROM t WHERE x > 5", script) == []
    with pytest.raises(ValueError, match="this problem has no database"):
        tables(Context(Problem("?", context="database: ../shop")))


def test_a_fault_says_how_to_mend_the_call() -> None:
    with pytest.raises(ValueError, match="no table 'product'; there are customers, orders"):
        schema("product", SHOP)
    with pytest.raises(ValueError, match="no such column: price"):
        query("SELECT price FROM products", SHOP)
    with pytest.raises(ValueError, match="2 rows of 1 columns and not one value"):
        value("SELECT id FROM products LIMIT 2", SHOP)
    with pytest.raises(ValueError, match="can only be read"):
        query("DROP TABLE products", SHOP)


def test_a_script_may_make_tables_and_nothing_else() -> None:
    for more in ("ATTACH '/tmp/other.db' AS other", "PRAGMA journal_mode = OFF", "DROP TABLE t"):
        with pytest.raises(ValueError, match="can't be made: not authorized"):
            tables(Context(Problem("?", context=f"CREATE TABLE t (x);\n{more};")))
