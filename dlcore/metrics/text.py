"""Metrics of texts."""

from __future__ import annotations

from collections.abc import Sequence


def bleu(
    hypotheses: Sequence[str], references: Sequence[str], *, lowercase: bool = False
) -> tuple[float, str]:
    """Corpus BLEU of 0 to 100 (Papineni et al. 2002) by sacreBLEU (Post 2018), and its signature:
    13a tokens of plain text.

    One reference a hypothesis. Raises ValueError unless there is at least one, and as many of both.
    """
    import sacrebleu

    if not hypotheses or len(hypotheses) != len(references):
        raise ValueError(
            f"{len(hypotheses)} hypotheses cannot be held against {len(references)} references"
        )
    metric = sacrebleu.BLEU(lowercase=lowercase)
    return float(metric.corpus_score(list(hypotheses), [list(references)]).score), str(
        metric.get_signature()
    )
