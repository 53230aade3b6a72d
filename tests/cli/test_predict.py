"""`dlcore predict`: the evaluation's own answers, from the run's folder alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image

import dlcore
from dlcore.cli import main as cli
from dlcore.cli import predict
from dlcore.data.sets import embedded
from dlcore.tasks import stories
from tests.child import REPOSITORY, card, environment

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose best state is not its last."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    settings: dict[str, Any] = {"steps": 60, "lr": 0.1, "eval_every": 10}
    return dlcore.run("mlp_digits", preset="tiny", out=folder, **settings).folder  # type: ignore[union-attr]


@pytest.mark.quick
def test_a_predictor_may_say_what_it_takes() -> None:
    each = stories.StoryPredictor(None, None, stories.StoryOptions())  # type: ignore[arg-type]
    assert predict._takes(each).startswith('name files of JSON lines {"question"')


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The test split as PNGs in folders by class."""
    folder = tmp_path_factory.mktemp("pictures")
    arrays = embedded.load("digits", "published").test.arrays
    for number, (image, label) in enumerate(zip(arrays["image"], arrays["label"], strict=True)):
        (folder / str(label)).mkdir(exist_ok=True)
        Image.fromarray(image[..., 0]).save(folder / str(label) / f"{number}.png")
    return folder


def records(capsys: Capture) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.slow
def test_the_accuracy_over_the_test_split_is_the_evaluations(
    run: Path, pictures: Path, capsys: Capture
) -> None:
    assert cli.main(["predict", str(run), str(pictures), "--json", "--top", "10"]) == 0
    found = records(capsys)
    right = [each["class"] == Path(each["file"]).parent.name for each in found]
    reported = card(run)["results"]["test"]["accuracy"]
    assert 0.2 < reported < 1
    assert sum(right) == round(reported * len(right))
    assert np.mean(right) == pytest.approx(reported, abs=1e-6)
    assert all(abs(sum(each["classes"].values()) - 1) < 1e-4 for each in found)


def test_a_corrupt_file_is_skipped_and_named_and_the_code_says_so(
    run: Path, pictures: Path, tmp_path: Path, capsys: Capture
) -> None:
    good = sorted((pictures / "3").glob("*.png"))[:2]
    bad = tmp_path / "bad.png"
    bad.write_bytes(good[0].read_bytes()[:60])
    assert cli.main(["predict", str(run), str(good[0]), str(bad), str(good[1])]) == 3
    said = capsys.readouterr()
    assert [line.partition(": ")[0] for line in said.out.splitlines()] == [str(f) for f in good]
    assert said.err.count(str(bad)) == 1
    assert "1 of 3 inputs could not be read and were skipped" in said.err


def test_a_path_that_is_not_there_is_skipped_where_others_are(
    run: Path, pictures: Path, capsys: Capture
) -> None:
    good = str(next((pictures / "3").glob("*.png")))
    assert cli.main(["predict", str(run), good, "typo.png", "typo.png", "--json"]) == 3
    said = capsys.readouterr()
    assert [json.loads(line)["file"] for line in said.out.splitlines()] == [good]
    assert "skipped: typo.png: nothing is there\n" in said.err
    assert "1 of 2 inputs could not be read" in said.err


def test_other_sizes_and_modes_are_brought_to_the_models(
    run: Path, tmp_path: Path, capsys: Capture
) -> None:
    """A picture enlarged by whole factors, in colour or 16 bits, answers like itself."""
    pixels = embedded.load("digits", "published").test.arrays["image"][0, ..., 0]
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(np.stack([pixels] * 3, -1)).save(tmp_path / "b.png")
    Image.fromarray(pixels.astype(np.uint16) << 8).save(tmp_path / "c.png")
    turned = Image.fromarray(np.rot90(pixels).copy())
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter to the right
    turned.save(tmp_path / "d.png", exif=exif)
    assert cli.main(["predict", str(run), str(tmp_path), "--json"]) == 0
    found = [each["classes"] for each in records(capsys)]
    assert found[1:] == found[:1] * 3


def test_the_out_folder_has_pictures_and_records_and_is_not_overwritten(
    run: Path, pictures: Path, tmp_path: Path, capsys: Capture
) -> None:
    words = ["predict", str(run), str(pictures / "0"), "--out", str(tmp_path / "out"), "--json"]
    assert cli.main(words) == 0
    printed = records(capsys)
    kept = (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in kept] == printed
    files = [name for each in printed for name in each["files"]]
    assert len({*files}) == len(printed)
    for each in printed:
        with Image.open(tmp_path / "out" / each["files"][0]) as a, Image.open(each["file"]) as b:
            assert (np.asarray(a) == np.asarray(b)).all()
    assert cli.main(words) == 2
    assert "not overwritten" in capsys.readouterr().err


@pytest.mark.slow
def test_the_best_state_answers_and_with_last_the_last(
    run: Path, pictures: Path, tmp_path: Path, capsys: Capture
) -> None:
    file = next((pictures / "1").glob("*.png"))

    def classes(folder: Path, *more: str) -> tuple[Any, str]:
        assert cli.main(["predict", str(folder), str(file), "--json", *more]) == 0
        said = capsys.readouterr()
        return json.loads(said.out)["classes"], said.err

    assert card(run)["best"]["step"] < card(run)["step"], "the fixture's best state is not its last"
    best, said = classes(run)
    assert not said
    assert classes(run, "--last")[0] != best
    older = tmp_path / "older"
    shutil.copytree(run, older)
    (older / "model.safetensors").unlink()
    again, said = classes(older)
    assert again == best
    assert "keeps no model.safetensors: its best checkpoint is read" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing to answer: name files"),
        (["nowhere.png", "either.png"], "nowhere.png: nothing is there"),
        (["--count", "3", "--out", "o"], "does not generate"),
        (["--text", "seven"], "reads files"),
        (["--text", "six", "--text", "seven"], "give --text once"),
        (["-"], "reads files"),
        (["x.png", "--top", "0"], "top"),
    ],
)
def test_bad_input_has_a_message(
    run: Path, words: list[str], message: str, capsys: Capture
) -> None:
    assert cli.main(["predict", str(run), *words]) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert not said.out


def test_a_damaged_model_and_a_stranger_are_refused(
    run: Path, tmp_path: Path, capsys: Capture
) -> None:
    copied = tmp_path / "run"
    shutil.copytree(run, copied)
    (copied / "model.safetensors").write_bytes(b"nothing")
    assert cli.main(["predict", str(copied), "x.png"]) == 2
    assert "model.safetensors cannot be read" in capsys.readouterr().err
    text = (REPOSITORY / "experiments" / "mlp_digits.py").read_text()
    (tmp_path / "theirs.py").write_text(text)
    changed = card(run) | {"experiment": "theirs", "file": str(tmp_path / "theirs.py")}
    (copied / "card.json").write_text(json.dumps(changed))
    assert cli.main(["predict", str(copied), "x.png"]) == 2
    assert "--trust" in capsys.readouterr().err


CHILD = """
import sys
import dlcore
from dlcore.cli.main import main
run, file = sys.argv[1:]
code = main(["predict", run, file])
print(code, sorted({"orbax", "tensorflow_datasets", "grain", "sklearn"} & {*sys.modules}))
print(dlcore.load(run)(file)["class"])
print(main(["export", run, run + "/p.npz"]), main(["report", run]))
"""


@pytest.mark.slow
def test_a_copied_run_is_used_without_data_orbax_or_tfds(
    run: Path, pictures: Path, tmp_path: Path
) -> None:
    copied = tmp_path / "elsewhere" / "run"
    shutil.copytree(run, copied, ignore=shutil.ignore_patterns("checkpoints", "samples"))
    file = next((pictures / "2").glob("*.png"))
    variables = environment(PYTHONPATH=str(REPOSITORY))
    variables.pop("TFDS_DATA_DIR", None)
    command = [sys.executable, "-c", CHILD, str(copied), str(file)]
    found = subprocess.run(
        command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False
    )
    answer, modules, name, *_, codes = found.stdout.splitlines()
    assert answer.startswith(f"{file}: {name} ")
    assert modules == "0 []"
    assert codes == "0 0"
    assert (copied / "report.html").is_file()
    assert os.listdir(tmp_path) == ["elsewhere"]
