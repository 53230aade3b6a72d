"""Published sizes of GPTs."""

from __future__ import annotations

from typing import Literal

from dlcore.models.gpt import Size

Name = Literal["tiny", "124M", "355M", "774M", "1.5B", "7B"]

# GPT-2 has 50257 byte pairs; with 47 unused rows every mesh divides the embedding.
GPT2_VOCABULARY = 50304

SIZES: dict[Name, Size] = {
    "tiny": Size(320, 32, 2, 4, 16, rotary=True, norm="rms", mlp="swiglu"),
    "124M": Size(GPT2_VOCABULARY, 1024, 12, 12, 768, biases=True),
    "355M": Size(GPT2_VOCABULARY, 1024, 24, 16, 1024, biases=True),
    "774M": Size(GPT2_VOCABULARY, 1024, 36, 20, 1280, biases=True),
    "1.5B": Size(GPT2_VOCABULARY, 1024, 48, 25, 1600, biases=True),
    "7B": Size(32000, 2048, 32, 32, 4096, rotary=True, norm="rms", mlp="swiglu"),
}
"""GPT-2 in its four sizes (Radford et al. 2019, table 2), 7B of Llama (Touvron et al. 2023) with
a tied embedding, and one for tests."""
