"""The words that fill templates: people with their pronouns, things with plural and article."""

from __future__ import annotations

import random
import re

# fmt: off
WOMEN = (
    "Aisha", "Anna", "Clara", "Ella", "Emma", "Fatima", "Grace", "Ida", "Leila", "Lena",
    "Maria", "Mia", "Nora", "Olga", "Priya", "Rosa", "Ruth", "Sara", "Yuki", "Zoe",
)
MEN = (
    "Adam", "Ali", "Ben", "Diego", "Erik", "Felix", "Hugo", "Ivan", "Jack", "Kenji",
    "Kofi", "Leo", "Liam", "Noah", "Omar", "Paul", "Ravi", "Sam", "Tom", "Victor",
)
# fmt: on

SHE = {"he": "she", "his": "her", "him": "her", "He": "She", "His": "Her"}
HE = {"he": "he", "his": "his", "him": "him", "He": "He", "His": "His"}

POOLS = {
    "toys": "marble | sticker | stamp | toy car | button | shell | coin | card | puzzle | doll",
    "school": "pencil | notebook | eraser | marker | crayon | folder | brush | ruler",
    "treats": "cookie | plum | walnut | cherry | peach | candy | apple | cracker | biscuit | grape",
    "fruit": "apple | pear | peach | plum | orange | mango | lemon",
    "baked": "muffin | bread roll | cupcake | bagel | pie | pretzel",
    "glass": "glass | plate | vase | cup | dish | bottle",
    "clothes": "shirt | hat | scarf | dress | belt | jacket | sock",
}
"""Things by kind. A template names a kind where any of its things will do."""

IRREGULAR = {"goose": "geese", "scarf": "scarves"}


class Noun(str):
    """A thing in the singular. In a template: ``{x}`` box, ``{x.s}`` boxes, ``{x.a}`` a box."""

    __slots__ = ()

    @property
    def s(self) -> str:
        """The plural: boxes, cherries, toy cars."""
        if self in IRREGULAR:
            return IRREGULAR[self]
        if re.search(r"[^aeiou]y$", self):
            return f"{self[:-1]}ies"
        if self.endswith("z"):
            return f"{self}zes"
        return f"{self}es" if re.search(r"(s|x|sh|ch)$|[^m]ango$", self) else f"{self}s"

    @property
    def a(self) -> str:
        """With its article: an orange, a box."""
        return f"{'an' if self[0] in 'aeiou' else 'a'} {self}"

    @property
    def A(self) -> str:
        """With its article, at the start of a sentence: An orange."""
        return self.a.capitalize()


def people(rng: random.Random) -> dict[str, str]:
    """Three people to fill ``{name}``, ``{other}``, ``{third}``; pronouns are the first one's."""
    name, other, third = rng.sample(WOMEN + MEN, 3)
    pronouns = SHE if name in WOMEN else HE
    return {"name": name, "other": other, "third": third, **pronouns}
