"""Metrics of texts."""

from __future__ import annotations

from collections.abc import Sequence


def bleu(
    hypotheses: Sequence[str], references: Sequence[str], *, lowercase: bool = False
) -> tuple[float, str]:
    """Computes corpus BLEU (Papineni et al. 2002) by sacreBLEU (Post 2018), tokenizer "13a".

    Args:
        hypotheses: plain texts.
        references: plain texts, one for each hypothesis.
        lowercase: whether case is ignored.

    Returns:
        BLEU from 0 to 100, and sacreBLEU's signature.

    Raises:
        ValueError: no hypotheses, or another number of references.
    """
    import sacrebleu

    if not hypotheses or len(hypotheses) != len(references):
        raise ValueError(
            f"{len(hypotheses)} hypotheses cannot be compared with {len(references)} references"
        )
    metric = sacrebleu.BLEU(lowercase=lowercase)
    return float(metric.corpus_score(list(hypotheses), [list(references)]).score), str(
        metric.get_signature()
    )


def distinct(texts: Sequence[str], n: int) -> float:
    """Computes the number of distinct n-grams over the number of all n-grams of some texts.

    Args:
        texts: they are split into words at whitespace.
        n: number of words of an n-gram, at least 1.

    Returns:
        The ratio over all texts together, in [0, 1]; 0 where no text has n words.

    Source: Li et al. 2016, sec. 5.2 (distinct-n), who divide by the number of words instead.
    """
    grams: list[tuple[str, ...]] = []
    for text in texts:
        words = text.split()
        grams += [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    return len({*grams}) / len(grams) if grams else 0.0
