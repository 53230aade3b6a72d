"""README.md's commands as written, on files of the names that it uses; long trainings are cut."""

from __future__ import annotations

import io
import re
import shlex
from pathlib import Path

import jax
import numpy as np
import pytest

from dlcore.cli import main as cli
from tests.child import REPOSITORY
from tests.data.own import made

pytestmark = pytest.mark.nightly
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
SHORT = ["--steps", "20", "--cpu-devices", "1"]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the files that README.md names, and a home of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("SHELL", "/bin/bash")
    monkeypatch.setattr("sys.stdin", io.StringIO("To be\n/exit\n"))
    (tmp_path / "home").mkdir()
    made.image_folder(Path("photos"), 90)
    made.image(Path("new.png"), 7)
    made.image(Path("more/one.png"), 8, (40, 24), "RGB")
    made.texts(Path("reviews.csv"), 400)
    random = np.random.default_rng(0)
    rows = [f"{x:.2f},{'mf'[i % 2]},{'no' if x < 0 else 'yes'}" for i, x in
            enumerate(random.standard_normal(600))]  # fmt: skip
    Path("patients.csv").write_text("\n".join(["age,sex,diagnosis", *rows]), encoding="utf-8")
    Path("notes").mkdir()
    lines = "".join(f"Line {i} of the notes.\n" for i in range(2000))
    Path("notes/a.txt").write_text(lines, encoding="utf-8")
    # enough words for the vocabulary of subwords
    known = ["".join(random.choice(list("abcdefghijklmnop"), 6)) for _ in range(3000)]
    sentences = [" ".join(random.choice(known, 5)) for _ in range(4000)]
    pairs = "".join(f"{each}\t{each.upper()}\n" for each in sentences)
    Path("pairs.tsv").write_text(pairs, encoding="utf-8")


def commands() -> list[list[str]]:
    """The words of every `dlcore` command of the bash blocks, with an argument that is there."""
    found = []
    for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL):
        for line in block.splitlines():
            for part in " ".join(shlex.split(line, comments=True)).split(" && "):
                words = part.split()
                if words and words[0] == "dlcore":
                    found.append(words[1:])
    return found


def test_every_command_of_the_readme_runs() -> None:
    # what it takes for granted: a run of a page that it does not train
    tiny = ["--preset", "tiny", "--offline", *SHORT]
    assert cli.main(["train", "gan_mnist", *tiny]) == 0
    assert len(commands()) > 18
    for words in commands():
        if words[0] == "train":
            words = [*words, *SHORT]
            assert cli.main(words) == 0, words
        elif words[0] == "doctor":  # it may find something to say about a machine
            cli.main(words)
        else:
            assert cli.main(words) == 0, words
    assert Path("drawn/predictions.jsonl").is_file()
    assert Path("parameters.npz").is_file()
    assert (
        Path("runs/mlp_digits/001/report.html").is_file()
        or Path("runs/mlp_digits/002/report.html").is_file()
    )


def test_the_python_block_runs() -> None:
    (block,) = (
        each for each in re.findall(r"```python\n(.*?)```", README, re.DOTALL)
        if each.startswith("import dlcore")
    )  # fmt: skip
    assert "steps=500" in block
    names: dict[str, object] = {}
    code = compile(block.replace("steps=500", "steps=20, cpu_devices=1"), "README.md", "exec")
    exec(code, names)
    assert names["model"].classes == ["cat", "dog"]  # type: ignore[attr-defined]
