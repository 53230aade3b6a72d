"""The search space of a sweep: values and ranges of fields, and how trials are chosen."""

from __future__ import annotations

import dataclasses
import itertools
import math
import random
from collections.abc import Callable, Sequence

from dlcore.errors import UsageError

Values = dict[str, str]  # as on the command line


@dataclasses.dataclass(frozen=True)
class Field:
    """The candidates for a field: words, or a range of numbers.

    Attributes:
        name: of the field's flag.
        words: the candidates; (): a range.
        low, high: the ends of the range, both included.
        log: draw uniformly in the logarithm.
        whole: integers only, as both ends are integers.
    """

    name: str
    words: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False

    def draw(self, dice: random.Random) -> str:
        """Draws a candidate as text, uniformly from the words, the range, or its logarithm."""
        if self.words:
            return dice.choice(self.words)
        if self.whole and not self.log:
            return str(dice.randint(int(self.low), int(self.high)))
        ends = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        drawn = dice.uniform(*ends)
        return self.rounded(math.exp(drawn) if self.log else drawn)

    def rounded(self, number: float) -> str:
        """Returns a number, clipped to the range, as text: %d where `whole`, else %.6g."""
        number = min(max(number, self.low), self.high)
        return str(round(number)) if self.whole else f"{number:.6g}"


def field(word: str) -> Field:
    """Parses the candidates for a field.

    Args:
        word: such as `lr=1e-4..1e-2:log`, `width=64..256` or `activation=relu,gelu`.

    Raises:
        UsageError: it is neither a list of values nor a range.
    """
    name, equals, space = word.partition("=")
    name = name.lstrip("-").replace("_", "-")
    if not equals or not space or not name:
        raise UsageError(f"{word!r} has no candidates: write FIELD=1,2,3 or FIELD=1e-4..1e-2:log")
    if ".." not in space:
        return Field(name, tuple(dict.fromkeys(space.split(","))))
    ends, _, how = space.partition(":")
    low, _, high = ends.partition("..")
    try:
        a, b = float(low), float(high)
    except ValueError:
        raise UsageError(
            f"{word!r}: {low!r} and {high!r} are not the ends of a range of numbers"
        ) from None
    if how not in ("", "log") or not a < b or (how and a <= 0) or not math.isfinite(b - a):
        raise UsageError(
            f"{word!r} is no range: the first end is below the second, and above 0 for :log"
        )
    return Field(
        name,
        low=a,
        high=b,
        log=bool(how),
        whole=all(end.lstrip("-").isdecimal() for end in (low, high)),
    )


def grid(fields: Sequence[Field]) -> list[Values]:
    """Returns all combinations of the values of fields.

    Returns:
        {field: word} of each trial; the last field changes fastest.

    Raises:
        UsageError: a field is a range.
    """
    for each in fields:
        if not each.words:
            raise UsageError(
                f"a grid needs values of {each.name}, not a range: use --by random for ranges"
            )
    return [
        dict(zip([each.name for each in fields], words, strict=True))
        for words in itertools.product(*[f.words for f in fields])
    ]


def drawn(fields: Sequence[Field], trials: int, seed: int) -> list[Values]:
    """Draws random trials.

    Args:
        fields: the candidates.
        trials: the number of trials; a larger one with the same seed continues the sequence.
        seed: of the draws.

    Returns:
        {field: word} of each trial, drawn independently of the others.
    """
    dice = random.Random(seed)
    return [{each.name: each.draw(dice) for each in fields} for _ in range(trials)]


def suggested(
    fields: Sequence[Field],
    trials: int,
    seed: int,
    lower: bool,
    score: Callable[[Values], float | None],
) -> None:
    """Runs trials that Optuna chooses by the scores of earlier ones (tree of Parzen estimators).

    Source: Akiba et al. 2019.

    Args:
        fields: the candidates.
        trials: the number of trials.
        seed: of the sampler.
        lower: whether lower scores are better.
        score: runs a trial of {field: word}; returns its score, or None if it has none, which
            Optuna counts as a failed trial.

    Raises:
        UsageError: Optuna is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise UsageError("--by optuna needs Optuna: pip install 'dlcore[sweep]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="minimize" if lower else "maximize", sampler=optuna.samplers.TPESampler(seed=seed)
    )
    for _ in range(trials):
        trial = study.ask()
        values = {}
        for each in fields:
            if each.words:
                values[each.name] = trial.suggest_categorical(each.name, each.words)
            elif each.whole:
                values[each.name] = str(
                    trial.suggest_int(each.name, int(each.low), int(each.high), log=each.log)
                )
            else:
                values[each.name] = each.rounded(
                    trial.suggest_float(each.name, each.low, each.high, log=each.log)
                )
        found = score(values)
        study.tell(trial, found, state=None if found is not None else optuna.trial.TrialState.FAIL)
