"""The functions that belong to the pack."""

from callsmith import FunctionPack
from callsmith_units import functions

pack = FunctionPack(
    "Units and dates.",
    [
        functions.convert,
        functions.units,
        functions.days_between,
        functions.add_to_date,
        functions.weekday,
        functions.minutes_between,
    ],
)
