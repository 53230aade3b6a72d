"""Which experiment files run: the project's, those named on the command line, those trained with
before; a stranger's never.
"""

from __future__ import annotations

import importlib.util
import json
import os
import py_compile
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import pytest

from dlcore.cli import main as cli
from dlcore.errors import UsageError
from dlcore.runs import catalog, trust
from launch import kubernetes
from tests.child import REPOSITORY, card, flags_of, run, tiny

MLP = flags_of(tiny("mlp_digits"))
ON_A_RUN = {
    "resume": ("resume", "{run}"),
    "resume --accept-changes": ("resume", "{run}", "--accept-changes"),
    "eval": ("eval", "{run}"),
    "sample": ("sample", "{run}"),
    "export": ("export", "{run}", "p.npz"),
    "verify": ("verify", "{run}"),
    "verify KEPT.json": ("verify", "kept.json"),
}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))


def page(path: Path, mark: str = "executed") -> str:
    """An experiment file that leaves a folder of the name `mark` behind where it is executed."""
    text = (REPOSITORY / "experiments" / "mlp_digits.py").read_text(encoding="utf-8")
    text += f"\nimport pathlib\n\npathlib.Path({str(Path.cwd() / mark)!r}).mkdir(exist_ok=True)\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return text


def stranger(**fields: Any) -> None:
    """A stranger's run s1 and a card that was kept, neither of which says more than is needed to
    find the experiment file.
    """
    Path("s1").mkdir(exist_ok=True)
    text = json.dumps(
        {
            "experiment": "mlp_digits",
            "file": "gone.txt",
            "config": {},
            "run": {},
            "status": "stopped",
            **fields,
        }
    )
    Path("s1/card.json").write_text(text)
    Path("kept.json").write_text(text)


def code_of(words: tuple[str, ...], *more: str) -> int:
    return cli.main([word.format(run="s1") for word in (*words, *more)])


# A card's words, and where the file is that they lead to.
CARDS = [
    ({"experiment": "s1/experiment.py"}, "s1/experiment.py"),
    ({"file": "s2/idea.py"}, "s2/idea.py"),
    ({"file": "idea.py"}, "idea.py"),
    ({"experiment": "../s2/idea"}, "s2/idea.py"),
    ({"file": "s1/mlp_digits.py"}, "s1/mlp_digits.py"),
    ({"experiment": "mlp_digits"}, "experiments/mlp_digits.py"),
    ({"experiment": "idea", "file": "gone.py"}, "experiments/idea.py"),
]


@pytest.mark.quick
@pytest.mark.parametrize("command", ON_A_RUN)
@pytest.mark.parametrize(("fields", "file"), CARDS, ids=lambda x: str(x)[:40])
def test_what_a_stranger_s_card_names_is_refused_with_its_path(
    fields: dict[str, str], file: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (Path("experiments") if "../" in str(fields) else Path("s2")).mkdir(exist_ok=True)
    page(Path(file))
    stranger(**fields)
    assert code_of(ON_A_RUN[command]) == 2
    said = capsys.readouterr().err
    assert file in said or str(Path(file).resolve()) in said, "the path, not the name alone"
    assert "is not executed" in said
    assert "--trust" in said
    assert not Path("executed").exists()
    assert not Path("state").exists(), "nothing was trusted"


@pytest.mark.quick
@pytest.mark.parametrize("command", [name for name in ON_A_RUN if "accept" not in name])
def test_with_trust_it_runs(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    page(Path("s1/experiment.py"))
    stranger(experiment="s1/experiment.py")
    assert code_of(ON_A_RUN[command], "--trust") == 2, (
        "there is no checkpoint, nor are there hashes"
    )
    assert "is not executed" not in capsys.readouterr().err
    assert Path("executed").exists()


@pytest.mark.quick
def test_trust_in_python_and_from_then_on() -> None:
    text = page(Path("s2/idea.py"))
    fields = {"experiment": "idea", "file": "s2/idea.py"}
    with pytest.raises(UsageError, match="is not executed"):
        trust.page(Path("s1"), fields)
    assert trust.page(Path("s1"), fields, trust=True).source == text
    assert trust.page(Path("s1"), fields).name == "idea"
    (entry,) = trust.folder().iterdir()
    assert json.loads(entry.read_text())["path"] == str(Path("s2/idea.py").resolve())


@pytest.mark.quick
def test_a_known_file_is_known_by_its_path_and_its_text(tmp_path: Path) -> None:
    file, other = Path("mine.py"), Path("s2/mine.py")
    text = page(file)
    trust.remember(file, text)
    assert trust.is_known(tmp_path / "mine.py", text), "the path is absolute"
    page(other)
    fields = {"experiment": "mine", "file": "s2/mine.py"}
    with pytest.raises(UsageError, match="is not executed"):
        # the same text elsewhere may import another module beside it
        trust.page(Path("s1"), fields)
    fields["file"] = "mine.py"
    file.write_text(text + "# a comment changes nothing that is executed\n")
    assert trust.page(Path("s1"), fields).source.endswith("executed\n")
    Path("executed").rmdir()
    file.write_text(text + "CHANGED = 1\n")
    Path("s1").mkdir()
    Path("s1/experiment.py").write_text(text)
    with pytest.raises(
        UsageError,
        match=r"started differently[\s\S]*\+CHANGED = 1[\s\S]*--accept-changes[\s\S]*--trust",
    ):
        trust.page(Path("s1"), fields)
    assert not Path("executed").exists()
    assert trust.page(Path("s1"), fields, accept_changes=True).source.endswith("CHANGED = 1\n")
    with pytest.raises(UsageError, match="started differently"):
        # what trains remembers it; looking with another's consent does not
        trust.page(Path("s1"), fields)
    trust.remember(file, file.read_text())
    assert trust.page(Path("s1"), fields)
    file.write_text(text)
    assert trust.page(Path("s1"), fields), "every text that was trained with stays known"


@pytest.mark.quick
def test_a_link_is_its_target(tmp_path: Path) -> None:
    page(Path("s2/idea.py"))
    Path("mine.py").symlink_to("s2/idea.py")
    with pytest.raises(UsageError, match="is not executed"):
        trust.page(Path("s1"), {"experiment": "mine", "file": "mine.py"})
    Path("ours.py").symlink_to(REPOSITORY / "experiments" / "mlp_digits.py")
    assert trust.page(Path("s1"), {"experiment": "ours", "file": "ours.py"}).name == "ours"


@pytest.mark.quick
@pytest.mark.parametrize("mode", ["checked by its time", "never checked"])
def test_a_compiled_file_beside_it_is_not_what_runs(mode: str) -> None:
    """Python would take experiment.pyc for the file, by its time and size or without looking at
    all.
    """
    text = page(Path("mine.py"))
    evil = page(Path("evil.py"), "evil")
    if mode == "never checked":
        how = py_compile.PycInvalidationMode.UNCHECKED_HASH
    else:
        how = py_compile.PycInvalidationMode.TIMESTAMP
        Path("evil.py").write_text(evil + "#" * (len(text.encode()) - len(evil.encode())))
        Path("mine.py").write_text(
            text + "#" * (Path("evil.py").stat().st_size - len(text.encode()))
        )
        os.utime("evil.py", (1e9, 1e9))
        os.utime("mine.py", (1e9, 1e9))
    py_compile.compile(
        "evil.py",
        cfile=importlib.util.cache_from_source(str(Path("mine.py").resolve())),
        invalidation_mode=how,
    )
    Path("evil.py").unlink()
    catalog.load(Path("mine.py").resolve())
    assert Path("executed").exists()
    assert not Path("evil").exists()


@pytest.mark.quick
@pytest.mark.parametrize(
    "file", ["x" * 5000 + ".py", "a\0b.py", "\x1b[2Jgone.py", "", "/dev/zero", "folder.py"]
)
def test_strange_names_are_refused_as_any_other(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("folder.py").mkdir()
    for fields in ({"experiment": "nobody", "file": file}, {"experiment": file or "x", "file": ""}):
        stranger(**fields)
        assert cli.main(["eval", "s1"]) == 2
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert len(said) < 12_000


@pytest.mark.quick
def test_the_project_s_own_run_from_any_folder_with_an_empty_list() -> None:
    for file in (REPOSITORY / "experiments" / "results").glob("mlp_*.json"):
        fields = json.loads(file.read_text(encoding="utf-8"))
        assert trust.page(file, fields).name == fields["experiment"]
    assert not Path("state").exists()


@pytest.mark.quick
def test_the_list_is_in_the_user_s_state_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert trust.folder() == tmp_path / "state" / "dlcore" / "trusted"
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    # the standard tells to ignore a relative one, which a stranger's folder could hold
    for unset in ("", "relative"):
        monkeypatch.setenv("XDG_STATE_HOME", unset)
        assert trust.folder() == tmp_path / "home" / ".local" / "state" / "dlcore" / "trusted"


@pytest.mark.quick
def test_a_list_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    page(Path("mine.py"))
    Path("state").write_text("no folder")
    with pytest.warns(UserWarning, match=r"cannot write into .*state.*will need --trust"):
        trust.remember(Path("mine.py"), "text")


@pytest.fixture(scope="module")
def half() -> Iterator[Path]:
    """A run of a page of one's own as a launcher starts it, stopped after 6 of 12 steps."""
    folder = Path(tempfile.mkdtemp())
    shutil.copy(REPOSITORY / "experiments" / "mlp_digits.py", folder / "mine.py")
    code, said = run(
        *launched(folder), "--steps", "6", folder=folder, XDG_STATE_HOME=str(folder / "first-pod")
    )
    assert code == 0, said
    fields = card(folder / "run")
    assert list((folder / "first-pod").rglob("*.json")), "training with a file lists it"
    fields |= {"status": "stopped", "steps": 12, "config": fields["config"] | {"steps": 12}}
    (folder / "run" / "card.json").write_text(json.dumps(fields))
    yield folder
    shutil.rmtree(folder)


def launched(folder: Path) -> list[str]:
    """The words of a pod's command."""
    request = kubernetes.Request("image", claim="runs", name="run")
    _, job = kubernetes.manifests(
        ["train", str(folder / "mine.py"), *MLP, "--out", str(folder / "run")], request
    )
    words = job["spec"]["template"]["spec"]["containers"][0]["command"]
    assert words[:3] == ["python", "-m", "dlcore"]
    return words[3:]


@pytest.mark.nightly
def test_a_pod_that_is_started_again_with_an_empty_list_goes_on(half: Path, tmp_path: Path) -> None:
    """What a launcher starts names the experiment file; `resume` elsewhere does not, and wants
    --trust.
    """
    shutil.copytree(half / "run", "run")
    code, said = run("resume", "run", folder=tmp_path, XDG_STATE_HOME=str(tmp_path / "second-pod"))
    assert (code, "--trust" in said) == (2, True), said
    code, said = run(
        *launched(half),
        "--steps",
        "12",
        folder=tmp_path,
        XDG_STATE_HOME=str(tmp_path / "second-pod"),
    )
    assert (code, "done at step 12/12" in said) == (0, True), said
    assert card(half / "run")["resumed"] == 1
    code, said = run(
        "resume", "run", "--trust", folder=tmp_path, XDG_STATE_HOME=str(tmp_path / "third-pod")
    )
    assert (code, "done at step 12/12" in said) == (0, True), said


@pytest.mark.quick
def test_a_run_elsewhere_uses_its_own_copy_with_trust(tmp_path: Path) -> None:
    text = page(Path("mine.py"))
    fields = {"experiment": "mine", "file": str(tmp_path / "gone" / "mine.py")}
    run = tmp_path / "copied"
    run.mkdir()
    with pytest.raises(UsageError, match=r"no longer exists: restore it$"):
        trust.page(run, fields, trust=True)
    (run / "experiment.py").symlink_to(tmp_path / "mine.py")
    with pytest.raises(UsageError, match=r"no longer exists: restore it$"):
        trust.page(run, fields, trust=True)  # a link leads out of the run
    (run / "experiment.py").unlink()
    (run / "experiment.py").write_text(text)
    way = rf"restore it, or read the run's own copy {run}/experiment.py, which --trust executes"
    with pytest.raises(UsageError, match=way):
        trust.page(run, fields)
    assert not Path("executed").exists()
    found = trust.page(run, fields, trust=True)
    assert (found.name, found.source) == ("mine", text)
    assert trust.page(run, fields).source == text, "trusted from then on"
    (run / "experiment.py").write_text(text + "CHANGED = 1\n")
    with pytest.raises(UsageError, match="--trust"):
        trust.page(run, fields)
