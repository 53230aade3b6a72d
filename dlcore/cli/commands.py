"""The commands and what each does."""

from __future__ import annotations

COMMANDS = {
    "train": "train EXPERIMENT [flags]: an experiment's name, or a path to your own file",
    "resume": "resume RUN [flags]: go on exactly where a run stopped",
    "eval": (
        "eval RUN [--last]: losses and metrics of a run's best state (or its newest checkpoint),"
        " over every split"
    ),
    "sample": (
        "sample RUN [--last]: draw what the run can show: images with predictions, generated"
        " images, text"
    ),
    "chat": (
        "chat RUN [--temperature T] [--top-k K] [--top-p P] [--stop TEXT]: a conversation with a"
        " language model; --help shows all flags"
    ),
    "predict": (
        "predict RUN [FILE|FOLDER|- ...] [--text TEXT] [--count N] [--json] [--out FOLDER]"
        " [--last]: answers of a run's best state to files, lines of text, or a count of examples"
    ),
    "report": "report RUN [RUN ...]: one self-contained page; several runs side by side",
    "verify": (
        "verify RUN|CARD.json [--steps N]: train the first steps again and compare the parameters'"
        " hashes"
    ),
    "export": (
        "export RUN FILE.npz [--half] [--last]: the best parameters (and batch statistics) as plain"
        " arrays, in float16 with --half"
    ),
    "list": "list: every experiment with its data and the number it is held against",
    "prepare": "prepare NAME: download a TFDS data set and store it as ArrayRecord",
    "sweep": (
        "sweep EXPERIMENT FIELD=1,2,3 FIELD=1e-4..1e-2:log ... [-- flags]: many runs over fields of"
        " its config, and one page"
    ),
    "plan": (
        "plan EXPERIMENT --topology tpu:v5e:4x4|gpu:h100:8x8|cpu:8 [--search] [flags]: memory,"
        " time, cost on what is not there"
    ),
    "doctor": "doctor: what this machine, this installation and its data look like",
}
