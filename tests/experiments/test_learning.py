"""Every experiment learns: it beats what can be said without learning, and does not once answers
are torn from questions.
"""

from __future__ import annotations

import pytest

from dlcore.runs import catalog
from tests.experiments import learning, learning_pictures
from tests.experiments import learning_baselines as baselines
from tests.experiments.learning import scrambled, torn
from tests.experiments.learning_baselines import majority, unigram
from tests.experiments.learning_rows import Row, classifier, detector, language, tagger, translator

ROWS = {
    "autoencoder_denoise": Row(
        "validation/psnr",
        baselines.pixel_by_pixel,
        1.0,
        scrambled("image"),
        {"widths": (8, 16), "steps": 150},
    ),
    "autoencoder_mnist": Row(
        "validation/squared_error",
        baselines.mean_image,
        10.0,
        scrambled("image"),
        {"widths": (64,), "code": 16, "steps": 200},
        "lower",
    ),
    "autoencoder_sparse": Row(
        "validation/squared_error",
        baselines.mean_image,
        10.0,
        scrambled("image"),
        {"steps": 400},
        "lower",
    ),
    "bert_clinc": classifier(0.12, steps=1000, lr=5e-3),
    "bert_english": Row(
        "validation/loss",
        baselines.without_context,
        0.3,
        scrambled("tokens", whole=True),
        {"steps": 1500, "width": 32, "lr": 5e-3},
        "lower",
    ),
    "bert_polarity": classifier(0.2, steps=200, lr=5e-3),
    "bert_sst2": classifier(0.2, steps=200, tuning="full", lr=5e-3),
    "captioning_emoji": Row(
        "validation/loss",
        baselines.learnt_from(scrambled("image", seed=1), "validation/loss"),
        0.1,
        scrambled("image"),
        {"steps": 400, "width": 32, "lr": 3e-3, "dropout": 0.0, "label_smoothing": 0.0},
        "lower",
    ),
    "chat_dialogues": Row(
        "validation/loss",
        unigram,
        0.3,
        scrambled("targets", whole=True),  # synthetic orders are alike at the same positions
        {"steps": 400, "lr": 5e-3},
        "lower",
    ),
    "chat_preference": Row(
        "validation/reward_accuracy",
        lambda e: 0.5,
        0.2,
        torn("desirable"),
        {"steps": 300, "width": 32, "dropout": 0.0, "lr": 5e-3},
    ),
    "cnn_fashion_mnist": classifier(steps=300, widths=(16, 32), hidden=32, norm="batch"),
    "cnn_mnist": classifier(steps=200),
    "cnn_sst2": classifier(0.2, steps=200, width=16, lr=5e-3),
    "detection_bccd": detector(0.15, widths=(16, 32), steps=400, lr=5e-3),
    "detr_scenes": detector(0.05, widths=(16, 32), features=32, steps=1500, lr=3e-3),
    "cnn_pneumonia": Row(
        "validation/auc",
        lambda e: 0.5,
        0.25,
        torn("label"),
        {"steps": 600, "widths": (16, 32, 64), "hidden": 64, "max_shift": 0, "lr": 1e-3},
    ),
    "driving_udacity": Row(
        "validation/mse",
        lambda e: float((e.evaluated["validation"].steering ** 2).mean()),  # type: ignore[attr-defined]
        0.015,
        torn("target"),
        {"steps": 150, "lr": 3e-3, "ema": 0.9},
        "lower",
    ),
    "faces_orl": Row(
        "test/auc",
        baselines.untrained("test/auc"),
        0.12,
        scrambled("image"),
        {"steps": 500, "widths": (8, 16), "size": 16, "lr": 5e-3, "ema": 0.9},
    ),
    "faces_yale": Row(
        "test/auc",
        baselines.untrained("test/auc"),
        0.12,
        scrambled("image"),
        # drawn faces differ by areas larger than the neighbourhoods of photographs
        {
            **{"steps": 300, "widths": (16, 16), "size": 8, "neighbourhoods": (0.0,)},
            **{"scale": 16.0, "margin": 0.2, "lr": 6e-3, "ema": 0.95},
        },
    ),
    "cyclegan": Row(
        "test/error_to_b",
        learning_pictures.mean_of_style,
        0.004,  # the mean has an error of 0.0098
        scrambled("b"),
        {"steps": 1000, "width": 16, "lr": 1e-3},
        "lower",
    ),
    "flow_mnist": Row(
        "test/frechet_on_classifier_features",
        baselines.drawn_pixel_by_pixel("mnist"),
        130.0,
        scrambled("image"),
        {"steps": 600, "width": 10, "num_samples": 200, "solver_steps": 8, "ema": 0.98},
        "lower",
    ),
    "gan_fashion_mnist": Row(
        "test/frechet_on_classifier_features",
        baselines.drawn_pixel_by_pixel("fashion_mnist"),
        8.0,
        scrambled("image"),
        {"steps": 800, "width": 16, "num_samples": 200, "ema": 0.98, "lr": 1e-3},
        "lower",
    ),
    "gan_mnist": Row(
        "test/predicted_as_requested",
        lambda e: 0.1,
        0.12,
        torn("label"),
        {"steps": 1500, "width": 16, "num_samples": 500, "ema": 0.98, "lr": 1e-3},
    ),
    "gpt_english": language(steps=400),
    "gpt_large": language(steps=400, lr=5e-3),
    "gpt_speeches": language(steps=400),
    "gpt_tiny_shakespeare": language(steps=400),
    "gru_multi30k": translator("gru_multi30k", 0.2, width=64, vocabulary=400, steps=600),
    "intents_banking77": classifier(0.12, steps=1000, lr=5e-3),
    "lru_sequential_mnist": classifier(steps=150),
    "mlp_breast_cancer": Row(
        "test/accuracy", lambda e: majority(e, "y", "test"), 0.15, torn("y"), {"steps": 100}
    ),
    "mlp_diabetes": Row("test/loss", lambda e: 1.0, 0.2, torn("y"), {"steps": 100}, "lower"),
    "mlp_digits": classifier(steps=100),
    "mlp_fashion_mnist": classifier(steps=100),
    "mlp_table": classifier(steps=200, lr=1e-2),
    **dict.fromkeys(("ner_conll", "ner_wnut17"), tagger("f1", "f1_of_majority", 0.2)),
    "pos_ewt": tagger("accuracy", "accuracy_of_majority", 0.08),
    "qa_babi": Row(
        "validation/accuracy", majority, 0.2, torn("label"), {"width": 32, "steps": 800}
    ),
    "qa_squad": Row(
        "validation/f1",
        baselines.sliding_window,
        0.2,
        torn("start", "end"),
        {"width": 32, "words": 32, "steps": 400, "ema": 0.9, "lr": 4e-3},
    ),
    "resnet_cifar10": classifier(steps=400, cutmix=0.0),
    "rnn_adding": Row(
        "validation/loss",
        lambda e: 1 / 6,
        0.08,
        torn("target"),
        {"width": 32, "steps": 400},
        "lower",
    ),
    "rnn_copy_memory": Row(
        "validation/loss",
        lambda e: 10 * 2.0794 / 25,
        0.2,
        torn("targets"),
        {"width": 64, "steps": 300},
        "lower",
    ),
    "rnn_sequential_mnist": classifier(steps=100, width=32),
    "rnn_sst2": classifier(0.2, steps=200, embedding=16, width=16, lr=5e-3),
    "rnn_tiny_shakespeare": language(steps=100),
    "segmentation_camvid": Row(
        "validation/miou",
        baselines.same_map,
        0.2,
        torn("label_map"),
        {"steps": 150, "widths": (8, 16), "norm": "batch", "lovasz": 0.0},
    ),
    "segmentation_nuclei": Row(
        "validation/dice",
        baselines.all_foreground,
        0.2,
        torn("label_map"),
        {"steps": 100, "widths": (8, 16), "norm": "batch"},
    ),
    "simclr_cifar10": Row(
        "validation/views_matched",
        baselines.untrained("validation/views_matched"),
        0.1,
        learning.constant("image"),
        {"steps": 300, "lr": 1e-2},
    ),
    "slots_atis": tagger("f1", "f1_of_majority", 0.2),
    "style_transfer": Row(
        # crops of one colour teach the texture of a style, but not to keep the content
        "test/loss_over_photograph",
        baselines.learnt_from(learning_pictures.one_colour, "test/loss_over_photograph"),
        0.1,
        learning_pictures.one_grey,
        {"steps": 150, "width": 16, "lr": 3e-3},
        "lower",
    ),
    "transformer_multi30k": translator(
        "transformer_multi30k", 0.2, width=64, heads=4, vocabulary=400, steps=400
    ),
    "vae_fashion_mnist": Row(
        "validation/loss",
        baselines.learnt_from(scrambled("image", seed=1), "validation/loss"),
        0.1,
        scrambled("image"),
        {"widths": (8, 16), "steps": 800},
        "lower",
    ),
    "vae_mnist": Row(
        "validation/loss",
        baselines.independent_pixels,
        10.0,
        scrambled("image"),
        {"steps": 200, "latent": 8},
        "lower",
    ),
    "video_moving_mnist": Row(
        "validation/squared_error",
        learning_pictures.mean_frame,
        3.0,
        learning_pictures.other_future,
        {"steps": 300, "width": 16, "lr": 5e-3},
        "lower",
    ),
    "vit_fashion_mnist": classifier(steps=300, width=16),
}

# networks and losses that an experiment's settings choose beside its usual one
VARIANTS = {
    "chat_preference, dpo": Row(
        "test/reward_accuracy",
        lambda e: 0.5,
        0.2,
        learning.exchanged,
        {"loss": "dpo", "folds": 2, "steps": 150, "dropout": 0.0, "lr": 5e-3},
    ),
    "bert_sst2, low_rank": classifier(
        0.15, steps=500, tuning="low_rank", rank=8, width=32, lr=1e-2
    ),
    "faces_orl, cosface": ROWS["faces_orl"].changed(loss="cosface"),
    "faces_orl, contrastive": ROWS["faces_orl"].changed(loss="contrastive"),
    "faces_orl, triplet": ROWS["faces_orl"].changed(0.08, loss="triplet"),
    "gpt_speeches, experts": ROWS["gpt_speeches"].changed(experts=4),
    "gpt_speeches, bytes": ROWS["gpt_speeches"].changed(vocabulary=257, context=64),
    "ner_conll, pretrained": ROWS["ner_conll"].changed(pretrained=True),
    "qa_squad, encoder": ROWS["qa_squad"].changed(reader="encoder"),
    "simclr_cifar10, supervised": classifier(labels=0.5, steps=400, widths=(8,), lr=1e-2),
    "captioning_emoji, transformer": ROWS["captioning_emoji"].changed(decoder="transformer"),
    "video_moving_mnist, convolutional": ROWS["video_moving_mnist"].changed(
        2.0, network="convolutional", hidden=32
    ),
}


@pytest.mark.quick
def test_every_experiment_has_a_row() -> None:
    assert sorted(ROWS) == catalog.names(), (
        "an experiment needs a row in ROWS: a metric, and what it must beat"
    )


QUICK = ("mlp_digits", "mlp_diabetes")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.nightly)
        for name in (*ROWS, *VARIANTS)
    ],
)
def test_it_beats_the_baseline_and_does_not_where_there_is_nothing_to_learn(name: str) -> None:
    row = (ROWS | VARIANTS)[name]
    experiment = learning.built(name.partition(",")[0], **row.changes)
    trainer, baseline = learning.Trainer(experiment), row.baseline(experiment)
    learnt = trainer.metric(row.metric, experiment.train)
    assert row.gain(learnt, baseline) > row.margin, (
        f"{row.metric} is {learnt:.4g}, without learning {baseline:.4g}"
    )
    nothing = trainer.metric(row.metric, row.nothing(experiment))
    assert row.gain(nothing, baseline) < row.margin / 2, (
        f"{row.metric} is {nothing:.4g} where nothing can be learnt"
    )
