"""What is read of the processor."""

from __future__ import annotations

import pytest

from dlcore.runtime import processor

pytestmark = pytest.mark.quick


def test_processors_of_one_name_differ_by_family_and_vectors() -> None:
    milan = {"model name": "AMD EPYC", "cpu family": "25", "model": "1", "flags": "fpu avx avx2"}
    genoa = {**milan, "model": "17", "flags": "fpu avx avx2 avx512f"}
    assert processor.model(milan) == "family 25 model 1 avx2"
    assert processor.model(genoa) == "family 25 model 17 avx512f"
    arm = {"CPU implementer": "0x41", "CPU part": "0xd40", "Features": "fp asimd sve"}
    assert processor.model(arm) == "implementer 0x41 part 0xd40 sve"
    assert processor.model({}) == ""
