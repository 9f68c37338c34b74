from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callsmith.errors import DataError
from callsmith.numerals import Quantity, read_number
from callsmith.verifiers import ExactVerifier, LabelVerifier, NumberVerifier, SetVerifier

numbers = NumberVerifier()
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("72", 72),
        ("72.", 72),
        (" 72 clips. ", 72),
        ("Answer: 72", 72),
        ("x = -72", -72),
        ("**72**", 72),
        ("#### 1,234", 1234),
        ("1,234,567.50", "1234567.5"),
        ("$5", 5),
        ("-$5.00", -5),
        ("$-5", -5),
        ("5€", 5),
        ("−3", -3),
        ("+3", 3),
        (".5", "1/2"),
        ("3/4", "3/4"),
        ("3 / 4 cup", "3/4"),
        ("1 1/2 cups", "3/2"),
        ("-1 1/2", "-3/2"),
        ("1.5e3", 1500),
        ("2E-2", "1/50"),
        ("60 km/h", 60),
        ("a 5-year-old dog", None),
        ("12 well-fed dogs", 12),
        ("72.5.", "145/2"),
        (7, 7),
        (0.5, "1/2"),
    ],
)
def test_reads_what_people_write(text: object, value: object) -> None:
    expected = None if value is None else Fraction(str(value))
    found = read_number(text)
    assert (found.value if isinstance(found, Quantity) else None) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "clips", "seventy-two", None, True, [72], {"value": 72}),
        *("72 or 73", "48/2 = 24", "2*2", "5 x", "3:30", "1:1", "10-12", "1 2", "12/12/2012"),
        *("1,23", "1.234,5", "1,2345", "1.2.3", "72/", "1/0", "3/4/5", "1 5/4", "12e", "1e5000"),
        *("5 million", "5k", "5M", "2 dozen", "half of 5", "5 and a half", "5 squared", "5!"),
        *("> 5", "~5", "5+", "- 5", "minus 5", "--5", "-$-5", "not 5", "5 or more", "5^2", "√5"),
        *("2π", "2pi", "3x", "x2", "0x1F", "1_000", "½", "3½", "٣", "twenty-5", "5 - x", "m²"),
        *(float("nan"), float("inf"), 10**400, "9" * 201, "1e999", "(" * 10_000),
    ],
)
def test_refuses_what_might_be_another_number(text: object) -> None:
    assert isinstance(read_number(text), str)


@given(json_values)
def test_reading_a_number_never_raises(value: object) -> None:
    read_number(value)


@given(st.text(alphabet="0123456789,./%$-+eE xkm*=:()", max_size=30))
def test_a_number_that_is_read_has_only_its_own_digits(text: str) -> None:
    # Whatever else the text holds, no digit of it may be dropped on the way.
    found = read_number(text)
    if isinstance(found, Quantity) and not any(sign in text for sign in "/eE"):
        digits = int("".join(c for c in text if c.isdigit()))
        assert any(abs(found.value) * 10**places == digits for places in range(len(text)))


@given(st.integers(-(10**12), 10**12))
def test_whole_numbers_are_equal_in_every_spelling_and_to_no_other(number: int) -> None:
    for spelling in (str(number), f"{number:,}", f"{number}.00", f"{number} clips.", float(number)):
        assert numbers.compare(spelling, number) == (True, "")
        assert not numbers.compare(spelling, number + 1)[0]


@pytest.mark.parametrize(
    ("answer", "gold", "correct"),
    [
        ("50%", 50, True),
        ("50%", "50%", True),
        ("50%", 0.5, True),
        (0.5, "50%", True),
        ("50 percent", 50, True),
        ("0.5%", 0.5, False),
        ("0.5%", "50%", False),
        ("5000%", 0.5, False),
        ("3/4", 0.75, True),
        (1 / 3, "1/3", True),
        (33.33, "100/3", False),
        (0.1 + 0.2, "0.3", True),
        (10**17 + 1, 10**17, False),
        ("abc", 5, False),
        (5, "abc", False),
    ],
)
def test_compares_numbers(answer: object, gold: object, correct: bool) -> None:
    found, reason = numbers.compare(answer, gold)
    assert found is correct
    assert bool(reason) is not correct


def test_tolerance_is_for_numbers_that_are_not_whole() -> None:
    near = NumberVerifier(tolerance=0.02)
    assert near.compare(33.33, "100/3")[0]
    assert not near.compare(33.3, "100/3")[0]
    assert not near.compare(73, 72)[0]


def test_labels_are_read_in_any_of_their_spellings() -> None:
    labels = LabelVerifier({"True": ["A", "yes"], "False": ["B", "no"], "Unknown": ["Uncertain"]})
    for spelling in ("True", "true.", " YES ", "(a)", "**True**", "A)", True):
        assert labels.compare(spelling, "True") == (True, "")
    assert labels.compare("uncertain", "Unknown")[0]
    assert labels.compare("no", "A") == (False, "answered False, not 'A'")
    for other in ("True or False", "It is True", "", None, 1, ["True"], "True" * 1000):
        assert "none of True, False, Unknown" in labels.compare(other, "True")[1]
    assert labels.answer == {"enum": ["True", "False", "Unknown"]}
    assert LabelVerifier(["3", "4"]).compare(3, "3")[0]


def test_labels_that_share_a_spelling_are_refused() -> None:
    with pytest.raises(DataError, match="'True' and 'False' are both spelt 'a'"):
        LabelVerifier({"True": ["A"], "False": ["a"]})


def test_exact_tells_kinds_of_values_apart() -> None:
    exact = ExactVerifier()
    assert exact.compare(" Paris. ", "paris")[0]
    assert exact.compare({"a": 1, "b": [2.0]}, {"b": [2], "a": 1})[0]
    for answer, gold in ((1, "1"), (True, 1), ("Paris, France", "Paris"), (None, ""), ([1], [2])):
        assert not exact.compare(answer, gold)[0]


def test_exact_survives_an_answer_too_deep_to_compare() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert not ExactVerifier().compare(deep, "x")[0]


def test_sets_have_no_order() -> None:
    texts = SetVerifier()
    assert texts.compare(["b", "A"], ["a", "b"])[0]
    assert texts.compare("b, a", ["a", "b"])[0]
    assert texts.compare(["a"], ["a", "b"]) == (False, "'b' is missing")
    assert texts.compare(["a", "b", "c"], ["a", "b"]) == (False, "'c' is too much")
    assert not texts.compare(["a"] * 101, ["a"])[0]
    assert not texts.compare(None, ["a"])[0]
    assert SetVerifier(numbers).compare("1,234; 5", [5, 1234])[0]


@pytest.mark.parametrize(
    ("verifier", "golds"),
    [
        (numbers, [0, 72, -3, 0.5, 1e12, "3/4", "50%", "1,234", 10**20, 0.001]),
        (NumberVerifier(tolerance=5), [0, 72, 0.5]),
        (LabelVerifier(["True", "False"]), ["True", "False"]),
        (ExactVerifier(), ["Paris", "", 5, None, {"a": [1]}, [], False]),
        (SetVerifier(), [["a", "b"], ["a"], []]),
        (SetVerifier(numbers), [[1, 2], [2, 1, 3]]),
    ],
)
def test_gold_is_right_and_what_is_made_from_it_is_wrong(verifier, golds) -> None:
    for gold in golds:
        assert verifier.compare(gold, gold) == (True, "")
        wrong = verifier.corrupted(gold)
        assert wrong
        for answer in wrong:
            assert not verifier.compare(answer, gold)[0], (answer, gold)


@given(json_values, json_values)
def test_comparing_never_raises(answer: object, gold: object) -> None:
    for verifier in (numbers, LabelVerifier(["a", "b"]), ExactVerifier(), SetVerifier(numbers)):
        correct, reason = verifier.compare(answer, gold)
        assert correct or reason
