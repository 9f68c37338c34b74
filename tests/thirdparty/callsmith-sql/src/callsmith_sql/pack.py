"""The functions that belong to the pack."""

from callsmith import FunctionPack
from callsmith_sql import functions

pack = FunctionPack(
    "A problem's database, to be read.",
    [functions.tables, functions.schema, functions.query, functions.value],
)
