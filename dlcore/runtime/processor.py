"""The processor that this process runs on, as Linux describes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def cpuinfo() -> dict[str, str]:
    """Returns name and value of each entry of /proc/cpuinfo on the first core; {}: no such file."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return {}
    lines = text.split("\n\n")[0].splitlines()
    return {
        name.strip(): value.strip() for name, _, value in (each.partition(":") for each in lines)
    }


def features(cpuinfo: Mapping[str, str]) -> str:
    """Returns the names of a processor's features, separated by blanks; "": unknown.

    Args:
        cpuinfo: as of the function `cpuinfo`.
    """
    return cpuinfo.get("flags", cpuinfo.get("Features", ""))


def model(cpuinfo: Mapping[str, str]) -> str:
    """Describes what decides in which order a processor adds, such as "family 25 model 1 avx2".

    The name of a virtual machine's processor may be the same for several families, whose results
    differ in the last bits: compiled code uses what the processor has.

    Args:
        cpuinfo: as of the function `cpuinfo`.

    Returns:
        Family and model (for ARM implementer and part) and the widest vector instructions, as far
        as they are known.
    """
    numbers = [
        f"{name.removeprefix('cpu ').removeprefix('CPU ')} {cpuinfo[name]}"
        for name in ("cpu family", "model", "CPU implementer", "CPU part")
        if name in cpuinfo
    ]
    known = features(cpuinfo).split()
    widest = [name for name in ("avx512f", "avx2", "avx", "sve", "asimd") if name in known]
    return " ".join([*numbers, *widest[:1]])
