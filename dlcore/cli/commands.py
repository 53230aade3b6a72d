"""The commands with their help texts."""

from __future__ import annotations

COMMANDS = {
    "train": "train EXPERIMENT [options]: train an experiment, by its name or the path of a file",
    "resume": "resume RUN [options]: continue a stopped run, with the same bits",
    "eval": (
        "eval RUN [--last]: losses and metrics of a run's best state (or its newest checkpoint),"
        " over every split"
    ),
    "sample": (
        "sample RUN [--last]: draw samples: images with predictions, generated images, texts"
    ),
    "chat": (
        "chat RUN [--temperature T] [--top-k K] [--top-p P] [--stop TEXT]: a conversation with a"
        " language model; --help shows all flags"
    ),
    "predict": (
        "predict RUN [FILE|FOLDER|- ...] [--text TEXT] [--count N] [--json] [--out FOLDER]"
        " [--last]: answers of a run's best state to files, lines of text, or a count of examples"
    ),
    "report": "report RUN [RUN ...]: write an HTML report on one run, or on several in comparison",
    "verify": (
        "verify RUN|CARD.json [--steps N]: train the first steps again and compare the parameters'"
        " hashes"
    ),
    "export": (
        "export RUN FILE.npz [--half] [--last]: the best parameters (and batch statistics) as"
        " arrays, in float16 with --half"
    ),
    "list": "list [WORD ...]: the experiments by task, with our number and the published one",
    "data": (
        "data PATH [--as KIND] [--out FILE.html]: look at one's own data before training: counts,"
        " sizes, duplicates, faults"
    ),
    "prepare": (
        "prepare NAME: download a data set and store it as ArrayRecord; prepare text"
        " FILE|FOLDER ... --out FOLDER: store texts as memory-mapped tokens"
    ),
    "sweep": (
        "sweep EXPERIMENT FIELD=1,2,3 FIELD=1e-4..1e-2:log ... [-- flags]: many runs over fields of"
        " its config, and one report"
    ),
    "plan": (
        "plan EXPERIMENT --topology tpu:v5e:4x4|gpu:h100:8x8|cpu:8 [--search] [flags]: forecast"
        " memory, time and cost on other hardware"
    ),
    "doctor": "doctor: describe machine, installation and data, and check the arithmetic",
}
