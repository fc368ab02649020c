"""How much memory an analysis needs, and whether that much is allowed."""

from __future__ import annotations

import argparse
import re

from segcate.cli._problems import UserError

# Measured on numeric Parquet, report included: 0.42 GB for 100,000 rows of 7 columns, 0.59 GB for 500,000
# of them, 1.07 GB for 500,000 rows of 22 columns.
_BYTES_A_CELL = 64
_BYTES_ALWAYS = 400_000_000
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def memory_needed(n_rows: int, n_columns: int) -> int:
    """Estimate the bytes that an analysis in memory needs."""
    return n_rows * n_columns * _BYTES_A_CELL + _BYTES_ALWAYS


def read_size(text: str) -> int:
    """Read an amount of memory: 4GB, 500MB, 1.5G."""
    found = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([KMGT]?)I?B?\s*", text.upper())
    value = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be an amount of memory such as 4GB; got {text!r}")
    return int(value)


def size_text(n_bytes: float) -> str:
    """Write an amount of memory."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if n_bytes >= unit:
            return f"{n_bytes / unit:.3g} {name}"
    return f"{n_bytes:.0f} bytes"


def check_memory(name: str, n_rows: int, n_columns: int, allowed: int | None) -> None:
    """Raise where an analysis needs more memory than is allowed."""
    needed = memory_needed(n_rows, n_columns)
    if allowed is None or needed <= allowed:
        return
    raise UserError(
        f"{name!r} has {n_rows:,} rows of {n_columns} columns, which need about {size_text(needed)} of memory "
        f"({_BYTES_A_CELL} bytes a cell, and {size_text(_BYTES_ALWAYS)}); --memory allows {size_text(allowed)}. Give "
        "more, write a file of the columns that count, or analyse some of the files at a time and put their tables "
        "together."
    )
