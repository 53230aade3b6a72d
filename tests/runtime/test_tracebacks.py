"""An error of an experiment file is shown at the file's own line, and leaves nothing behind."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dlcore.cli import main as cli
from dlcore.runtime import tracebacks
from dlcore.tasks import classification
from tests.child import REPOSITORY, card, flags_of, tiny

MLP = flags_of(tiny("mlp_digits"))
PAGE = (
    (REPOSITORY / "experiments" / "mlp_digits.py")
    .read_text(encoding="utf-8")
    .replace("import dlcore\n", "import jax.numpy as jnp\n\nimport dlcore\n")
    .replace(
        "image_inputs.unit",
        'lambda batch, key, train: batch["image"].astype(jnp.float32) / 255',
    )
)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))
    monkeypatch.delenv("JAX_TRACEBACK_FILTERING", raising=False)


def said_of(capsys: pytest.CaptureFixture[str], before: str, after: str, *words: str) -> str:
    """What is printed when mlp_digits is trained with `before` replaced by `after`: it is refused,
    and no run is left.
    """
    assert before in PAGE
    Path("mine.py").write_text(PAGE.replace(before, after))
    assert cli.main(["train", "mine.py", *MLP, *words]) == 2
    said = capsys.readouterr().err
    assert said.startswith("dlcore: ")
    assert "Traceback" not in said
    assert not Path("runs").exists()
    return said


def line_of(text: str) -> int:
    """The number of the line of mine.py that has this text."""
    return next(
        i for i, line in enumerate(Path("mine.py").read_text().splitlines(), 1) if text in line
    )


def own_lines(said: str) -> list[str]:
    """The files and lines that are shown."""
    return [line.strip() for line in said.splitlines() if line.startswith("  File ")]


def test_a_missing_key_in_a_loss_names_the_keys_of_the_batch(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = said_of(capsys, 'batch["image"].astype', 'batch["picture"].astype')
    head = said.splitlines()[0]
    line = line_of('batch["picture"]')
    assert f"mine.py, line {line}, in <lambda>: KeyError: 'picture'; batch has image, label" in head
    shown = own_lines(said)
    assert shown
    assert all("mine.py" in line for line in shown), said
    assert shown[-1].endswith(f"line {line}, in <lambda>")
    assert (
        said.rstrip()
        .splitlines()[-2]
        .strip()
        .endswith('batch["picture"].astype(jnp.float32) / 255)')
    )
    assert "JAX_TRACEBACK_FILTERING=off shows them" in said.splitlines()[1]


def test_shapes_that_do_not_fit_in_a_loss_are_shown_at_its_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = said_of(capsys, "astype(jnp.float32) / 255", "astype(jnp.float32) @ jnp.ones(7)")
    assert f"line {line_of('jnp.ones(7)')}, in <lambda>: TypeError: " in said.splitlines()[0]
    assert "@ jnp.ones(7)" in said
    assert "site-packages" not in said


def test_an_error_of_numpy_in_build_is_no_word_about_flags(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = said_of(
        capsys,
        "    net = MLP(",
        "    wrong = jnp.ones(2).__array__() + jnp.ones(3).__array__()\n    net = MLP(",
    )
    assert (
        f"line {line_of('wrong = ')}, in build: ValueError: operands could not be broadcast"
        " together" in said.splitlines()[0]
    )
    assert "wrong = " in said
    assert "--help" not in said


@pytest.mark.parametrize(
    "line",
    [
        'raise ValueError("a warmup of 9 steps leaves nothing")',
        "from dlcore.train import optim; optim.warmup_cosine(1.0, 9, 9)",
    ],
    ids=["its own", "ours"],
)
def test_a_value_that_build_refuses_is_one_line_with_the_way_to_its_flags(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = said_of(capsys, "    net = MLP(", f"    {line}\n    net = MLP(")
    assert said.count("\n") == 1
    assert "warmup of 9 steps leaves nothing" in said
    assert said.endswith("; dlcore train mine.py --help shows its flags\n")


def test_an_error_while_the_file_is_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    said = said_of(capsys, "cpu_devices=1", "cpu_devices=one")
    assert (
        f"mine.py, line {line_of('=one')}: NameError: name 'one' is not defined"
        in said.splitlines()[0]
    )
    assert "cpu_devices=one" in said


def test_a_module_beside_the_file_is_found_and_its_lines_are_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("beside_tracebacks.py").write_text("def scale(x):\n    return x / factor\n")
    said = said_of(
        capsys,
        "    net = MLP(",
        "    from beside_tracebacks import scale\n\n    scale(1.0)\n    net = MLP(",
    )
    assert "beside_tracebacks.py, line 2, in scale: NameError" in said.splitlines()[0]
    assert [line.rpartition(" ")[2] for line in own_lines(said)] == ["build", "scale"]


def test_a_module_beside_the_file_is_imported_from_any_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "beside_widths.py").write_text("WIDTHS = (8,)\n")
    text = PAGE.replace(
        "import dlcore\n", "import dlcore\nfrom beside_widths import WIDTHS\n"
    ).replace("= (256, 256)", "= WIDTHS")
    (folder / "mine.py").write_text(text)
    with pytest.raises(SystemExit) as end:
        cli.main(["train", "elsewhere/mine.py", "--help"])
    assert end.value.code == 0
    assert "8)" in "".join(capsys.readouterr().out.rpartition("--widths")[2].splitlines()[:3])


def test_all_frames_are_shown_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_TRACEBACK_FILTERING", "off")
    Path("mine.py").write_text(PAGE.replace('batch["image"].astype', 'batch["picture"].astype'))
    with pytest.raises(KeyError, match="picture"):
        cli.main(["train", "mine.py", *MLP])


def inside(error: Exception) -> Exception:
    """The error as it would be without this file's frame."""
    assert error.__traceback__
    return error.with_traceback(error.__traceback__.tb_next)


def test_a_key_that_a_loss_of_ours_misses() -> None:
    loss = classification.loss(lambda params, extra, batch, key, train: (jnp.zeros((2, 3)), extra))
    with pytest.raises(KeyError) as error_info:
        loss({}, {}, {"image": jnp.zeros(2), "mask": jnp.ones(2)}, jax.random.key(0), True)
    message = tracebacks.explain(inside(error_info.value))
    assert message
    assert "classification.py" in message
    assert "KeyError: 'label'; batch has image, mask" in message


def test_our_own_faults_and_those_of_libraries_keep_their_traceback() -> None:
    with pytest.raises(ValueError, match="broadcast") as error_info:
        optax.apply_updates(np.ones(3), np.ones(4))
    assert tracebacks.explain(inside(error_info.value)) is None
    with pytest.raises(ValueError, match="broadcast"):
        tracebacks.explained(functools.partial(optax.apply_updates, np.ones(3), np.ones(4)))


def test_an_error_of_orbax_is_one_line(tmp_path: Path) -> None:
    import orbax.checkpoint as ocp

    with pytest.raises(Exception) as error_info:  # noqa: PT011
        ocp.StandardCheckpointer().restore(tmp_path / "nothing")
    message = tracebacks.explain(inside(error_info.value))  # type: ignore[arg-type]
    assert message
    assert message.startswith("a checkpoint cannot be read or written: ")
    assert "\n" not in message


def test_a_raise_is_distinguished_from_an_operator() -> None:
    def raised(act: Any) -> Exception:
        with pytest.raises(ValueError) as error_info:  # noqa: PT011
            act()
        return error_info.value

    def by_hand() -> None:
        raise ValueError("no")

    assert tracebacks.deliberate(raised(by_hand))
    assert tracebacks.deliberate(
        raised(lambda: classification.loss(lambda *_: None, label_smoothing=2.0))
    )  # type: ignore[arg-type]
    assert not tracebacks.deliberate(raised(lambda: np.ones(3) + np.ones(4)))
    assert not tracebacks.deliberate(raised(lambda: int("x")))
    assert not tracebacks.deliberate(raised(lambda: np.ones(3).reshape(2, 2)))
    assert not tracebacks.deliberate(raised(lambda: jnp.stack([])))


@pytest.mark.slow
def test_a_failed_start_leaves_the_folder_that_was_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("mine.py").write_text(PAGE)
    assert cli.main(["train", "mine.py", *MLP]) == 0
    shutil.copytree("runs", "before")
    Path("mine.py").write_text(PAGE.replace('batch["image"].astype', 'batch["picture"].astype'))
    assert cli.main(["train", "mine.py", *MLP]) == 2
    assert sorted(p.name for p in Path("runs/mine").iterdir()) == ["001"]
    assert card(Path("runs/mine/001")) == card(Path("before/mine/001"))
