"""Compares speculative decoding with plain generation by the same GPT, in turns in one process.

`python -m tests.benchmarks.speculative RUN [SMALLER_RUN] [--prompt TEXT] [--rounds N]` takes the
GPT of a run, and as another drafter that of a second run with the same vocabulary. For each drafter
and temperature it prints the time divided by that of plain generation, and tokens per pass.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from dlcore.export.opened import Opened, described, opened
from dlcore.models.drafters import Drafter, PromptLookup, SmallGPT
from dlcore.models.gpt import GPT, Size
from dlcore.models.gpt_batch import Decoding, Generated, generate_batch, left_padded
from dlcore.models.speculative import generate_speculatively
from dlcore.sharding import Tree

Timed = Callable[[], tuple[Generated, np.ndarray]]  # -> texts, and passes of the model


def gpt(run: Opened) -> tuple[Size, Tree]:
    """Returns size and parameters of a run's GPT; exits where its model is none."""
    model = run.experiment.models[0]
    if not isinstance(model.net, GPT):
        raise SystemExit(f"{run.folder} is no run of a GPT")
    return model.net.size, run.state.params[model.name]


def contenders(
    size: Size, params: Tree, tokens: np.ndarray, drafters: dict[str, Drafter], how: Decoding
) -> dict[str, Timed]:
    """Returns functions that generate up to a full context: plain, and with each drafter.

    Args:
        size, params: of the GPT.
        tokens: the prompt, int [1, length].
        drafters: by name.
        how: temperature and filters.
    """
    padding, keys = np.zeros(len(tokens), np.int32), jax.random.split(jax.random.key(0), 1)
    length = size.context - tokens.shape[1]

    def plain() -> tuple[Generated, np.ndarray]:
        found = generate_batch(size, params, tokens, padding, keys, length, -1, how)
        return found, np.array([length])

    def speculative(drafter: Drafter) -> Timed:
        return lambda: generate_speculatively(
            size, params, tokens, padding, keys, length, -1, drafter, how
        )

    return {"plain": plain} | {name: speculative(each) for name, each in drafters.items()}


def compared(name: str, timed: dict[str, Timed], rounds: int, same: bool) -> None:
    """Prints medians and ranges, over interleaved rounds, of times over plain generation's.

    Args:
        name: is printed in front.
        timed: by name, "plain" among them.
        rounds: their number.
        same: note texts that differ from the plain one.
    """
    texts = {each: jax.device_get(run()) for each, run in timed.items()}  # compiles
    expected = texts["plain"][0].tokens
    seconds: dict[str, list[float]] = {each: [] for each in timed}
    for _ in range(rounds):
        for each, run in timed.items():
            start_time = time.perf_counter()
            jax.block_until_ready(run())
            seconds[each].append(time.perf_counter() - start_time)
    for each, times in seconds.items():
        ratios = [one / plain for one, plain in zip(times, seconds["plain"], strict=True)]
        found, passes = texts[each]
        note = "" if not same or (found.tokens == expected).all() else "; another text"
        print(
            f"{name}, {each}: {statistics.median(ratios):.2f} ({min(ratios):.2f} to"
            f" {max(ratios):.2f}) of plain, {expected.size / passes.sum():.2f} tokens a pass{note}",
            flush=True,
        )


def main() -> None:
    """Compares the drafters on one prompt, greedily and drawn."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.speculative")
    parser.add_argument("run", type=Path)
    parser.add_argument("smaller", type=Path, nargs="?")
    parser.add_argument("--prompt", default="The ")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    run = opened(described(options.run, trusted=True))
    if run.experiment.text_model is None:
        raise SystemExit(f"{run.folder} is no run of a language model")
    size, params = gpt(run)
    encoded = run.experiment.text_model.tokenizer.encode(options.prompt)
    drafters: dict[str, Drafter] = {f"lookup of {k}": PromptLookup(k) for k in (2, 4, 8)}
    if options.smaller:
        smaller = gpt(opened(described(options.smaller, trusted=True)))
        drafters |= {f"smaller GPT, {k}": SmallGPT(*smaller, k) for k in (2, 4)}
    for how in (Decoding(0.0), Decoding(0.8)):
        name = f"temperature {how.temperature:g}"
        timed = contenders(size, params, left_padded([encoded])[0], drafters, how)
        compared(name, timed, options.rounds, how.temperature == 0)


if __name__ == "__main__":
    main()
