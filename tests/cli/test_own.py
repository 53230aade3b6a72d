"""`dlcore train --data PATH`: own images, texts, corpora and pairs, from the command line to the
card.
"""

from __future__ import annotations

from pathlib import Path

import jax
import pytest

from dlcore.cli import main as cli
from tests.child import card
from tests.data.own import made


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))


def train(experiment: str, path: str | Path, *more: str) -> int:
    words = ["--preset", "tiny", "--data", str(path), "--steps", "6", "--out", "run"]
    return cli.main(["train", experiment, *words, "--cpu-devices", "1", *more])


def data(kind: str) -> Path:
    """Data of a kind in the present folder."""
    match kind:
        case "images":
            return made.image_folder(Path("pets"))
        case "texts":
            return made.texts(Path("films.csv"))
        case "corpus":
            Path("book.txt").write_text("".join(f"Line {i} of it.\n" for i in range(200)))
            return Path("book.txt")
    Path("pairs.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in made.sentence_pairs(300)))
    return Path("pairs.tsv")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("experiment", "kind", "metric"),
    [
        ("cnn_mnist", "images", "accuracy"),
        pytest.param("bert_clinc", "texts", "accuracy", marks=pytest.mark.nightly),
        pytest.param("gpt_tiny_shakespeare", "corpus", "loss", marks=pytest.mark.nightly),
        pytest.param("transformer_multi30k", "pairs", "bleu", marks=pytest.mark.nightly),
        pytest.param("resnet_cifar10", "images", "accuracy", marks=pytest.mark.nightly),
        pytest.param("vit_fashion_mnist", "images", "accuracy", marks=pytest.mark.nightly),
        pytest.param("mlp_digits", "images", "accuracy", marks=pytest.mark.nightly),
        pytest.param("mlp_fashion_mnist", "images", "accuracy", marks=pytest.mark.nightly),
        pytest.param("cnn_fashion_mnist", "images", "accuracy", marks=pytest.mark.nightly),
        pytest.param("rnn_sequential_mnist", "images", "accuracy", marks=pytest.mark.nightly),
        pytest.param("lru_sequential_mnist", "images", "accuracy", marks=pytest.mark.nightly),
        pytest.param("vae_fashion_mnist", "images", "loss", marks=pytest.mark.nightly),
        pytest.param("bert_polarity", "texts", "accuracy", marks=pytest.mark.nightly),
        pytest.param("bert_sst2", "texts", "macro_f1", marks=pytest.mark.nightly),
        pytest.param("cnn_sst2", "texts", "accuracy", marks=pytest.mark.nightly),
        pytest.param("rnn_sst2", "texts", "accuracy", marks=pytest.mark.nightly),
        pytest.param("intents_banking77", "texts", "accuracy", marks=pytest.mark.nightly),
        pytest.param("rnn_tiny_shakespeare", "corpus", "loss", marks=pytest.mark.nightly),
        pytest.param("gru_multi30k", "pairs", "bleu", marks=pytest.mark.nightly),
    ],
)
def test_an_experiment_trains_on_own_data(experiment: str, kind: str, metric: str) -> None:
    path = data(kind)
    assert train(experiment, path) == 0
    run = card(Path("run"))
    assert run["status"] == "done"
    assert run["data"]["train"]["name"] == path.name
    assert run["data"]["train"]["version"] == "own"
    assert metric in run["results"]["validation"]
    if kind != "corpus":
        assert run["data"]["test"]["split"] == "test by hash"
        assert metric in run["results"]["test"]
    assert "out_of_scope_recall" not in run["results"]["validation"]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("few", "--batch 32 is larger than the"),
        ("broken", "dog/003.png cannot be read as an image"),
        ("nothing", "none: there is no such file or folder"),
        ("kind", "book.txt is none of .csv, .tsv, .jsonl: name such a file"),
    ],
)
def test_faults_end_before_a_run_is_begun(
    fault: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path("none")
    if fault in ("few", "broken"):
        path = made.image_folder(Path("pets"), each=15 if fault == "few" else 30)
    if fault == "broken":
        (path / "dog/003.png").write_text("")
    assert train("cnn_mnist", data("corpus") if fault == "kind" else path) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not Path("run").exists()
