"""A number outside what its field says is refused, before anything is computed with it."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcore import bounds
from dlcore.bounds import FLOAT_MAX, INT_MAX, NonNegativeInt, PositiveInt, Range, Rate
from dlcore.cli import main as cli
from dlcore.cli.arguments import parse
from dlcore.errors import UsageError
from dlcore.options import RunOptions, flag_names
from dlcore.runs import catalog
from tests.child import tiny

pytestmark = pytest.mark.quick


@dataclasses.dataclass(frozen=True)
class Net:
    depth: PositiveInt = 3


@dataclasses.dataclass(frozen=True)
class Config:
    widths: tuple[PositiveInt, ...] = (3, 4)
    dropout: Rate = 0.1
    gamma: Annotated[float, Range(0, 1, "(]")] = 1.0
    warmup: NonNegativeInt = 0
    shift: float = 0.0
    count: int = 0
    most: Annotated[int, Range(1)] | None = None
    name: str = "x"
    net: Net = Net()
    batch: int = 1
    steps: int = 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"widths": (3, 0)}, "--widths 0 is too small: it must be at least 1"),
        ({"dropout": 1.0}, "--dropout 1.0 is too large: it must be at least 0 and below 1"),
        ({"dropout": -1e-9}, "--dropout -1e-09 is too small: it must be at least 0 and below 1"),
        ({"gamma": 0.0}, "--gamma 0.0 is too small: it must be above 0 and at most 1"),
        (
            {"gamma": math.nan},
            "--gamma nan is not allowed: it must be a finite number, above 0 and at most 1",
        ),
        ({"warmup": -1}, "--warmup -1 is too small: it must be at least 0"),
        (
            {"warmup": INT_MAX + 1},
            "--warmup 2147483648 is too large: it must be at least 0 and at most 2147483647",
        ),
        ({"shift": math.inf}, "--shift inf is not allowed: it must be a finite number"),
        (
            {"shift": -1e39},
            (
                "--shift -1e+39 is too small: it must be at least -3.4028234e+38 and at most"
                " 3.4028234e+38"
            ),
        ),
        (
            {"count": -(10**20)},
            (
                f"--count -{10**20} is too small: it must be at least -2147483647 and at most"
                " 2147483647"
            ),
        ),
        ({"most": 0}, "--most 0 is too small: it must be at least 1"),
        ({"net": Net(depth=0)}, "--depth 0 is too small: it must be at least 1"),
    ],
    ids=lambda x: str(x)[:30],
)
def test_what_is_refused_says_what_is_allowed(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        bounds.check(dataclasses.replace(Config(), **changes))
    assert str(error.value) == message


def test_what_is_allowed_passes() -> None:
    for changes in (
        {},
        {"dropout": 0.0},
        {"gamma": 1.0},
        {"shift": -FLOAT_MAX},
        {"count": -INT_MAX},
        {"most": 7},
        {"widths": ()},
    ):
        bounds.check(dataclasses.replace(Config(), **changes))


@given(
    low=st.floats(-5, 5),
    high=st.floats(-5, 5),
    ends=st.sampled_from(["[]", "[)", "(]", "()"]),
    x=st.floats(-6, 6),
)
def test_a_range_is_an_interval(low: float, high: float, ends: Any, x: float) -> None:
    inside = (
        low < x < high
        or (x == low and ends[0] == "[" and x <= high)
        or (x == high and ends[1] == "]" and x >= low)
    )
    if low < high:
        assert (x in Range(low, high, ends)) == inside


def test_a_config_inside_a_config_is_flags_too_and_two_of_a_name_have_their_path() -> None:
    nested, _ = parse(["--depth", "5"], "x", "", config=Config(), flags=RunOptions())
    assert nested.net == Net(5)

    @dataclasses.dataclass(frozen=True)
    class Twice:
        depth: int = 1
        net: Net = Net()
        batch: int = 1
        steps: int = 1

    assert flag_names(Twice()) == {
        "depth": "depth",
        "net.depth": "net.depth",
        "batch": "batch",
        "steps": "steps",
    }
    words = ["--depth", "2", "--net.depth", "7"]
    parsed, _ = parse(words, "x", "", config=Twice(), flags=RunOptions())
    assert (type(parsed), parsed.depth, parsed.net) == (Twice, 2, Net(7))

    @dataclasses.dataclass(frozen=True)
    class Seeded:
        seed: int = 1
        batch: int = 1
        steps: int = 1

    with pytest.raises(UsageError, match="a field seed that is an option already"):
        parse([], "x", "", config=Seeded(), flags=RunOptions())


@pytest.mark.parametrize("name", catalog.names())
def test_every_number_of_an_experiment_has_a_range_and_is_held_to_it(name: str) -> None:
    config = tiny(name)
    bounds.check(config)
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        found = list(bounds.numbers(dataclasses.replace(config)))
        ranges = {each: where for each, _, where in found}
        if field.name not in ranges or field.name in ("batch", "steps"):
            continue
        where = ranges[field.name]
        assert where is not None, f"{field.name} says nothing of what it may be"
        whole = isinstance(value[0] if isinstance(value, tuple) else value, int)
        outside = where.low - (1 if whole else 0.5)
        assert math.isfinite(outside)
        outside = int(outside) if whole else outside
        with pytest.raises(UsageError, match=f"--{field.name.replace('_', '-')} "):
            bounds.check(
                dataclasses.replace(
                    config, **{field.name: (outside,) if isinstance(value, tuple) else outside}
                )
            )


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        (["train", "gan_mnist", "--offline", "--width", "3"], "at least 4"),
        (["train", "gan_fashion_mnist", "--offline", "--width", "3"], "at least 4"),
        (["plan", "mlp_digits", "--topology", "cpu:1", "--price", "nan"], "at least 0"),
        (["plan", "mlp_digits", "--topology", "cpu:1", "--price", "-1"], "at least 0"),
        (["doctor", "--all"], "takes no argument"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else "",
)
def test_a_refused_command_line_names_the_word_and_what_is_allowed(
    words: list[str], allowed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1, said
    assert words[-1] in said or f"--width {words[-1]}" in said
    assert allowed in said


@dataclasses.dataclass(frozen=True)
class Unknown:
    """A config of a file that lacks an import."""

    rate: Missing = 0.1  # type: ignore[name-defined]  # noqa: F821


def test_a_type_that_is_unknown_is_named() -> None:
    with pytest.raises(UsageError, match="types of Unknown cannot be read: name 'Missing' is not"):
        bounds.hints_of(Unknown())
