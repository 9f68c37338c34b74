"""Reading the sentences of ProntoQA, ProofWriter and `deduction` as facts and rules, exactly.

They come from small grammars: ``Each yumpus is a dumpus.``, ``Max is not sour.``, ``If something is
quiet and cold then it is smart.``, ``The cow likes the lion.``. A sentence of any other kind is
refused rather than guessed at. ``Bald eagle`` becomes the name ``bald_eagle``; kinds, properties
and verbs are predicates, in lower case: ``yumpus``, ``sour``, ``likes``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from callsmith.chain import Problem
from callsmith.numerals import shorten
from callsmith_logic.errors import SentenceError
from callsmith_logic.worlds import VARIABLE, Literal, Rule, World

MAX_TEXT = 10_000
"""Characters of a text: some five times the longest in the public sets."""

_RESERVED = re.compile(
    "an?|the|is|are|do|does|if|then|and|or|not|xor|implies|iff|forall|exists|all|every|some|true|"
    "false|no|it|he|she|they|we|you|this|that|these|those|there|who|"
    "(?:any|every|some|no)(?:one|body|thing)"
)
"""Words that name nothing, here or in formulas."""

_SENTENCE = re.compile(r"[^.?!]*[.?!]\s*|[^.?!]+\Z")
_WORD = r"[A-Za-z]{2,}(?:['-][A-Za-z]+)*"  # a letter alone would be a variable
_THING = rf"(?:[Tt]he (?P<noun>{_WORD}(?: {_WORD})?)|(?P<name>(?=[A-Z]){_WORD}))"
_ANY = r"(?:(?P<any>someone|something)|(?P<it>it|they))"

_IF = re.compile(r"If (.+) then (.+)")
_EVERY = re.compile(rf"(?:Each|Every) ({_WORD}) (is .+)")
_GROUP = re.compile(rf"(?:All )?((?:{_WORD}, )*{_WORD}) (?:people|things) (are .+)", re.IGNORECASE)
_KINDS = re.compile(rf"(?:All )?({_WORD}) (are .+)", re.IGNORECASE)
# Looking ahead, so that in "the cow likes the lion" the cow is not called cow_likes.
_SUBJECT = re.compile(
    rf"(?:{_ANY}|{_THING}) "
    rf"(?P<said>(?=is |are |(?:do|does) not |{_WORD} (?:the |[A-Z])).+)"
)

_BE = re.compile(rf"(?:is|are) (?P<no>not )?(?:(?P<a>an? ))?(?P<what>{_WORD})")
_DO = re.compile(rf"(?:(?P<no>do|does) not )?(?P<verb>{_WORD}) (?P<object>.+)")
_OBJECT = re.compile(_THING)


@lru_cache(maxsize=512)
def read_world(text: str) -> World:
    """The facts and rules that a text states. Raises SentenceError, which names the sentence."""
    if len(text) > MAX_TEXT:
        raise SentenceError(
            f"the text has {len(text):,} characters: at most {MAX_TEXT:,} are read as facts and "
            "rules"
        )
    facts: list[Literal] = []
    rules: list[Rule] = []
    for sentence in split_sentences(text):
        found = read_sentence(sentence)
        if isinstance(found, Rule):
            rules.append(found)
        else:
            facts.append(found)
    return World(tuple(facts), tuple(rules))


def theory_of(problem: Problem) -> str:
    """The part of a problem's text that states facts and rules: its context, or what stands before
    the question where it has none."""
    return problem.context or _divided(problem.question)[0]


def goal_of(problem: Problem) -> Literal | None:
    """The statement that a problem asks about, the last one of its question; None if that can't be
    read as one."""
    try:
        return read_statement(_divided(problem.question)[1])
    except SentenceError:
        return None


def _divided(question: str) -> tuple[str, str]:
    """What stands before the sentence with the question mark, and what stands after it."""
    before, mark, after = question.rpartition("?")
    if not mark:
        return "", question
    return before[: max(before.rfind("."), before.rfind("\n")) + 1], after.strip()


def split_sentences(text: str) -> Sequence[str]:
    """The sentences, each with its closing mark."""
    return [part.strip() for part in _SENTENCE.findall(text) if part.strip()]


def read_sentence(sentence: str) -> Literal | Rule:
    """A fact or a rule. Raises SentenceError for a sentence of another kind."""
    text = " ".join(sentence.split()).removesuffix(".")
    if found := _IF.fullmatch(text):
        return _conditional(found[1], found[2], sentence)
    if found := _EVERY.fullmatch(text):
        return _about((found[1].lower(),), found[2], sentence)
    if found := _GROUP.fullmatch(text):
        return _about(found[1].lower().split(", "), found[2], sentence)
    if (found := _KINDS.fullmatch(text)) and (kind := singular(found[1].lower())):
        return _about((kind,), found[2], sentence)
    return read_statement(sentence)


def read_statement(sentence: str) -> Literal:
    """What a sentence says of a named thing. Raises SentenceError for any other sentence."""
    clause = _SUBJECT.fullmatch(" ".join(sentence.split()).removesuffix("."))
    literal = _clause(clause) if clause else None
    if literal is None or VARIABLE in literal.args:
        raise _unreadable(sentence)
    _check_names(sentence, literal)
    return literal


def singular(word: str) -> str:
    """The kind that a plural names; empty if the word is no plural: luminous, sour."""
    if word.endswith(("ses", "xes", "zes", "ches", "shes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else ""


def _about(subjects: Sequence[str], said: str, sentence: str) -> Rule:
    """The rule that what has all the predicates is as it is said."""
    conclusion = _said(VARIABLE, said)
    if conclusion is None:
        raise _unreadable(sentence)
    conditions = tuple(Literal(subject, (VARIABLE,)) for subject in subjects)
    _check_names(sentence, *conditions, conclusion)
    return Rule(conditions, conclusion)


def _conditional(conditions: str, conclusion: str, sentence: str) -> Rule:
    """``something is quiet and cold``: a condition without a subject goes on about the last one."""
    texts = (*conditions.split(" and "), conclusion)
    found: list[Literal] = []
    introduced = False
    for place, text in enumerate(texts):
        clause = _SUBJECT.fullmatch(text)
        if clause:
            literal = _clause(clause)
            # Something is introduced once, and is it or they from then on.
            if clause["any"] if introduced else clause["it"]:
                raise _unreadable(sentence)
            introduced = introduced or clause["any"] is not None
        else:
            goes_on = found and place < len(texts) - 1
            literal = _said(found[-1].subject, f"is {text}") if goes_on else None
        if literal is None:
            raise _unreadable(sentence)
        found.append(literal)
    *needed, last = found
    if VARIABLE in last.args and not any(VARIABLE in literal.args for literal in needed):
        raise _unreadable(sentence)
    _check_names(sentence, *found)
    return Rule(tuple(needed), last)


def _check_names(sentence: str, *literals: Literal) -> None:
    """Raises SentenceError if what was taken for a name is none."""
    for literal in literals:
        if any(_RESERVED.fullmatch(n.lower()) for n in (literal.predicate, *literal.args)):
            raise _unreadable(sentence)


def _clause(clause: re.Match[str]) -> Literal | None:
    """A subject and what is said of it."""
    subject = VARIABLE if clause["any"] or clause["it"] else _thing(clause)
    return _said(subject, clause["said"])


def _said(subject: str, text: str) -> Literal | None:
    """``is not sour``, ``are wumpuses``, ``does not like the cow``."""
    if found := _BE.fullmatch(text):
        what = found["what"].lower()
        if text.startswith("are ") and not found["a"]:
            what = singular(what) or what
        return Literal(what, (subject,), not found["no"])
    if (found := _DO.fullmatch(text)) and (thing := _OBJECT.fullmatch(found["object"])):
        verb = found["verb"].lower()
        if not _RESERVED.fullmatch(verb):
            return Literal(_third_person(verb), (subject, _thing(thing)), not found["no"])
    return None


def _third_person(verb: str) -> str:
    """They like, does not like and likes: one predicate."""
    if verb.endswith("s") and not verb.endswith("ss"):
        return verb
    return f"{verb}es" if verb.endswith(("ss", "sh", "ch", "x", "z")) else f"{verb}s"


def _thing(found: re.Match[str]) -> str:
    return found["name"] or found["noun"].lower().replace(" ", "_")


def _unreadable(sentence: str) -> SentenceError:
    return SentenceError(
        f"{shorten(sentence)} is no sentence that can be read as a fact or a rule, such as "
        "'Max is not sour.', 'Each yumpus is a dumpus.' or 'If something is red then it is big.'"
    )
