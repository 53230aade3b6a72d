"""Faults in the data of a run: named before the first step, or at the step that they spoil, and
never taken for the learning rate's.
"""

from __future__ import annotations

import json
from pathlib import Path

import jax
import numpy as np
import pytest

from dlcore.cli import main as cli
from dlcore.runs.resuming import data_changes
from tests.child import flags_of, tiny

pytestmark = pytest.mark.slow

PAGE = """
'''The digits, with something wrong.'''
import dataclasses
import numpy as np
from dlcore.data.source import Info, arrays
from experiments.mlp_digits import Config, PRESETS, build as usual, data

class Made:
    '''Examples that lie in no arrays.'''
    def __init__(self, contents):
        self.contents, self.info = contents, Info("made", "1", "train", "", 1078)
    def __len__(self): return 1078
    def gather(self, index): return {name: array[index] for name, array in self.contents.items()}

def build(c, splits):
    image, label = (np.asarray(splits.train.arrays[name]) for name in ("image", "label"))
    more = {}
    CHANGE
    more = {"train": arrays("digits", "1", "train", {"image": image, "label": label}), **more}
    built = usual(c, splits)
    return dataclasses.replace(built, splits=dataclasses.replace(splits, **more))
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))


def trained(change: str, *words: str) -> int:
    """The exit code of training the digits with a change, which sets image, label or more."""
    Path("page.py").write_text(PAGE.replace("CHANGE", change))
    return cli.main(
        [
            "train",
            "page.py",
            *flags_of(tiny("mlp_digits")),
            "--out",
            "run",
            "--log-every",
            "1",
            *words,
        ]
    )


NAN = (
    "image = np.where(np.arange(1078)[:, None, None, None] == 500, np.nan,"
    " image).astype(np.float32)"
)
REFUSED = {
    "labels from 1": (
        "label = label + 1",
        "'label' of example 4 is 10, and the loss uses 'label' as an index of 10 outputs",
    ),
    "label -1": (
        "label = np.where(np.arange(1078) == 9, -1, label)",
        "'label' of example 9 is -1, and the loss uses",
    ),
    "label in validation": (
        "more = {'validation': arrays('digits', '1', 'v', {'image': image, 'label': label + 5})}",
        "split validation (digits 1): 'label' of example 2 is 10",
    ),
    "int64": (
        "label = label.astype(np.int64) + 2**32",
        "'label' of example 0 is 4294967299, which does not fit into the 32 bits",
    ),
    "NaN": (NAN, "split train (digits 1): 'image' of example 500 is nan"),
    "NaN in test": (
        (
            "more = {'test': arrays('digits', '1', 'test', {'image': image * np.float32('nan'),"
            " 'label': label})}"
        ),
        "split test (digits 1): 'image' of example 0 is nan",
    ),
    "no test": (
        "more = {'test': arrays('digits', '1', 'test', {'image': image[:0], 'label': label[:0]})}",
        "split test (digits 1) has no examples",
    ),
    "fewer than a batch": (
        "image, label = image[:20], label[:20]",
        "--batch 32 is larger than the 20 examples of split train",
    ),
}


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        *((fault, ()) for fault in REFUSED),
        *((fault, ("--seeds", "2")) for fault in ("labels from 1", "NaN", "fewer than a batch")),
    ],
)
def test_refused_before_the_first_step(
    fault: str, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    change, message = REFUSED[fault]
    assert trained(change, *words) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert "learning rate" not in said.err
    assert not Path("run").exists()


@pytest.mark.parametrize("words", [(), ("--seeds", "2")], ids=["alone", "seeds"])
def test_a_wrong_label_that_is_made_later_ends_the_run_at_its_step(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    change = (
        "more = {'train': Made({'image': image, 'label': np.where(np.arange(1078) > 999, -1,"
        " label)})}"
    )
    assert trained(change, *words) == 2
    said = capsys.readouterr().err
    assert (
        "split train (made 1): 'label' holds -1, and the loss uses 'label' as an index of 10"
        " outputs: it must be 0 to 9" in said
    )


@pytest.mark.parametrize(
    "words",
    [
        pytest.param((), id="alone"),
        pytest.param(("--seeds", "2"), id="seeds", marks=pytest.mark.nightly),
    ],
)
def test_a_number_that_is_none_is_named_where_a_step_fails(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        trained(
            f"{NAN}; more = {{'train': Made({{'image': image, 'label': label}})}}",
            "--steps",
            "33",
            *words,
        )
        == 70
    )
    said = capsys.readouterr().err
    assert "The data are the cause: 'image' of example 500 is nan" in said
    assert "learning rate" not in said
    cards = [json.loads(path.read_text()) for path in Path("run").rglob("card.json")]
    assert {card["status"] for card in cards} == {"failed"}


def test_without_a_fault_in_the_data_the_learning_rate_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert trained("pass", "--lr", "1e38") == 70
    said = capsys.readouterr().err
    assert "Lower the learning rate" in said
    assert "The data are the cause" not in said


VOCABULARY = """
'''A network whose inputs are as wide as the data have symbols, as a language model's are.'''
import dataclasses
import numpy as np
from dlcore.data.source import arrays
from dlcore.data.splits import Splits
from experiments.mlp_digits import Config, PRESETS, build, data as usual

def data(c, source):
    splits = usual(c, source)
    image, label = (np.asarray(splits.train.arrays[name])[:COUNT] for name in ("image", "label"))
    few = arrays("digits", "1", "train", {"image": image[:, :WIDTH], "label": label})
    return Splits(few, validation=few, test=few, facts=splits.facts, scored=('validation',))
"""


def page_on(count: int, width: int) -> None:
    """Write that page, on so many examples of so many rows of pixels."""
    Path("page.py").write_text(VOCABULARY.replace("COUNT", str(count)).replace("WIDTH", str(width)))


@pytest.fixture
def begun(capsys: pytest.CaptureFixture[str]) -> None:
    """A run that was stopped after 6 of 12 steps."""
    page_on(100, 8)
    assert (
        cli.main(
            ["train", "page.py", *flags_of(tiny("mlp_digits")), "--save-every", "3", "--out", "run"]
        )
        == 0
    )
    record = json.loads(Path("run/card.json").read_text())
    record |= {"status": "stopped", "steps": 12, "config": record["config"] | {"steps": 12}}
    Path("run/card.json").write_text(json.dumps(record))
    capsys.readouterr()


# a read by Orbax that failed
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "words",
    [["eval", "run", "--trust"], ["resume", "run", "--accept-changes"]],
    ids=["eval", "resume"],
)
def test_checkpoints_of_a_model_that_other_data_made_are_not_called_damaged(
    words: list[str], begun: None, capsys: pytest.CaptureFixture[str]
) -> None:
    page_on(100, 7)
    assert cli.main(words) == 2
    said = capsys.readouterr().err
    assert "the data of run have changed: train fingerprint: " in said
    assert "Its checkpoints do not fit the model of the new data" in said
    assert "cannot be read" not in said
    assert "damaged" not in said


@pytest.mark.filterwarnings("default:run was trained on other data")
def test_an_evaluation_on_other_data_says_so(
    begun: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["eval", "run"]) == 0
    assert "other data" not in capsys.readouterr().err
    page_on(90, 8)
    assert cli.main(["eval", "run", "--trust"]) == 0
    said = capsys.readouterr()
    assert (
        "run was trained on other data: train examples: 100 then, 90 now; validation examples: 100"
        " then, 90 now;" in said.err
    )
    assert "validation: accuracy" in said.out


def test_changes_of_data_are_reported_split_by_split() -> None:
    a = {"name": "set", "version": "1", "split": "train", "fingerprint": "a", "examples": 5}
    assert data_changes({}, {"data": {}}) == ""
    assert data_changes({"data": {"train": a}}, {"data": {"train": a}}) == ""
    now = {"train": a | {"fingerprint": "b"}, "test": a}
    expected = "split dev is gone; split test is new; train fingerprint: a then, b now"
    assert data_changes({"data": {"train": a, "dev": a}}, {"data": now}) == expected
    now = {"train": a | {"fingerprint": "b", "version": "2", "examples": 6}}
    assert (
        data_changes({"data": {"train": a}}, {"data": now})
        == "train version: 1 then, 2 now; train examples: 5 then, 6 now"
    )


def test_the_largest_seed_is_another_than_the_smallest_and_larger_ones_are_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    most, seen = 2**32 - 1, []
    for seed in (0, most):
        Path("page.py").write_text(PAGE.replace("CHANGE", "pass"))
        words = [
            "train",
            "page.py",
            *flags_of(tiny("mlp_digits")),
            "--steps",
            "1",
            "--seed",
            str(seed),
            "--out",
            f"run{seed}",
        ]
        assert cli.main(words) == 0
        seen.append(json.loads(Path(f"run{seed}/card.json").read_text())["params_sha256"]["start"])
    assert seen[0] != seen[1]
    capsys.readouterr()
    for seed in (2**32, 2**32 + 1, 2**63, 2**64, 10**30):
        assert trained("pass", "--seed", str(seed)) == 2
        said = capsys.readouterr().err
        assert f"--seed {seed} is too large: it must be at" in said
        assert str(most) in said
        assert not Path("run").exists()


def test_streams_of_seeds_below_the_limit_stay_as_they_are() -> None:
    """Cards are verified against these orders."""
    from dlcore.data.stream import permutation

    assert permutation(10, 0, 0).tolist() == [0, 7, 8, 6, 9, 5, 1, 3, 2, 4]
    assert permutation(10, 2**32 - 1, 3).tolist() == [8, 4, 9, 0, 2, 5, 6, 1, 7, 3]
    np.testing.assert_array_equal(jax.random.key_data(jax.random.key(2**32 - 1)), [0, 2**32 - 1])
