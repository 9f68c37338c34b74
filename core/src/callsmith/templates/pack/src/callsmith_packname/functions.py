"""What a model may call.

Types and docstrings become the JSON Schema and the help that a model reads; examples are executed,
so the help shows what really comes out. What a function raises is told to the model in one line.
"""

from typing import Annotated

from callsmith import Context, Example, Problem, function
from pydantic import Field

Price = Annotated[float, Field(ge=0, le=1_000_000)]
Count = Annotated[int, Field(ge=0, le=1_000)]

MENU = Problem("What is a tea?", context="tea: 2.50\ncake: 3")


@function(examples=[Example({"item": "tea"}, MENU)])
def price(item: str, ctx: Context) -> float:
    """Look up what one item costs, in the price list of the problem.

    Args:
        item: the item's name, as the list has it
    """
    # A Context is hidden from the model. It holds the problem, and a state to keep things in.
    prices = read_prices(ctx.problem.context)
    if item not in prices:
        raise ValueError(f"{item[:40]!r} is not on the list, which has {', '.join(prices)}")
    return prices[item]


# Cheap and bounded by its types, so it may run inline. Without that a function runs in a worker
# process with a limit of time and memory.
@function(examples=[{"prices": [2.5, 3], "counts": [2, 1]}], inline=True)
def total(
    prices: Annotated[list[Price], Field(max_length=100)],
    counts: Annotated[list[Count], Field(max_length=100)],
) -> float:
    """Add up what several items cost.

    Args:
        prices: what one of each item costs
        counts: how many there are of each, in the same order
    """
    if len(prices) != len(counts):
        raise ValueError(f"there are {len(prices)} prices and {len(counts)} counts: give as many")
    return round(sum(price * count for price, count in zip(prices, counts, strict=True)), 2)


def read_prices(text: str) -> dict[str, float]:
    """The prices in lines such as ``tea: 2.50``; other lines are passed over."""
    prices = {}
    for line in text.splitlines():
        item, colon, amount = line.partition(":")
        if colon and amount.strip().replace(".", "", 1).isdecimal():
            prices[item.strip()] = float(amount)
    return prices
