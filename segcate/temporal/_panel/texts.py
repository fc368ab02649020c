"""Ways out of columns that hold texts where numbers are needed."""

from __future__ import annotations

from typing import Any

import pandas as pd

from segcate._inputs.listing import listed


def way_to_numbers(role: str, column: pd.Series[Any]) -> str:
    """Say what a column holds that are no numbers, and how to turn it into numbers.

    Two texts become 0 and 1 for a treatment, and for an outcome or covariate where they are no numbers.
    """
    here = f"panel[{column.name!r}]"
    known = column.dropna().astype(object)
    texts = known[[isinstance(value, str) for value in known]]
    if len(texts) == 0:
        return ". Recode it, for example with pandas.get_dummies."
    is_number = pd.to_numeric(texts, errors="coerce").notna()
    levels = sorted(texts.unique()) if len(texts) == len(known) else []
    if len(levels) == 2 and (role == "treatment" or not is_number.any()):
        low, high = levels
        way = f"({here} == {high!r}).astype(int)"
        if column.isna().any():
            way = f"{here}.map({{{low!r}: 0, {high!r}: 1}}), which keeps what is missing"
        what = "treated" if role == "treatment" else "1"
        return f", {low!r} and {high!r}. If {high!r} is {what}, turn it into 0 and 1: {way}."
    if is_number.all():
        return f", such as {texts.iloc[0]!r}. Turn it into numbers: pandas.to_numeric({here})."
    others = texts[~is_number]
    shown = f", such as {listed(others.unique()[:3])}"
    if role != "treatment" and len(others) < len(known):
        return (
            f"{shown}, in {len(others)} of {len(column)} rows. If those are missing values, turn it into numbers: "
            f"pandas.to_numeric({here}, errors='coerce')."
        )
    return f"{shown}. Recode it, for example with pandas.get_dummies, a column for each."
