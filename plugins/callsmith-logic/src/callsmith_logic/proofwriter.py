"""ProofWriter: worlds of rules with negation and two conditions, in an open world, depth 5.

Its labels come from forward chaining with explicit negation (`worlds.close`). Classical logic goes
further: it reads rules backwards and tells cases apart, and proves all of what contradicts itself.
"""

from __future__ import annotations

from collections.abc import Mapping

from callsmith.backends import Previous
from callsmith.chain import JSON, Call, Problem
from callsmith_logic.worldfiles import WorldFiles


class ProofWriter(WorldFiles):
    __doc__ = WorldFiles.__doc__
    name = "proofwriter"
    hub_name = "renma/ProofWriter"
    description = "facts and rules with negation (ProofWriter, open world), from its public files"
    examples = (
        (
            Problem(
                "Is the following statement true, false, or unknown? The owl is not happy.",
                context="The owl is brave. The owl chases the fox. The fox is tall. If someone "
                "chases the fox and they are brave then they are wise. Wise, brave people are "
                "happy. If the fox is happy then the owl is wise.",
            ),
            (
                Call("facts", {"of": "owl"}),
                Call("rules", {"to": "happy"}),
                Call("rules", {"to": "wise"}),
                Call(
                    "modus_ponens",
                    {
                        "rule": "forall x (chases(x, fox) and brave(x) -> wise(x))",
                        "fact": "chases(owl, fox) and brave(owl)",
                    },
                ),
                Call(
                    "modus_ponens",
                    {
                        "rule": "forall x (wise(x) and brave(x) -> happy(x))",
                        "fact": "wise(owl) and brave(owl)",
                    },
                ),
                Call("conclude", {"statement": "not happy(owl)"}),
                Call("answer", {"value": Previous()}),
            ),
        ),
        (
            Problem(
                "Is the following statement true, false, or unknown? Tom is wise.",
                context="Tom is tall. Ann is not brave. All brave people are wise. "
                "If someone is happy and not tall then they are brave.",
            ),
            (
                Call("facts", {"of": "Tom"}),
                Call("rules", {"to": "wise"}),
                Call("rules", {"to": "brave"}),
                Call("rules", {"to": "happy"}),
                Call("conclude", {"statement": "wise(Tom)"}),
                Call("answer", {"value": Previous()}),
            ),
        ),
    )

    def takes(self, row: Mapping[str, JSON]) -> bool:
        """Rows of an open world, in plain sentences. The set's authors have others too: of a closed
        world, where what can't be shown is False, and reworded by people."""
        name, config = str(row.get("id", "")), str(row.get("config", ""))
        return "-CWA-" not in name and "NatLang" not in config
