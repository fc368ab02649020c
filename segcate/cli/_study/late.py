"""Covariates that were measured after the treatment: refuse them, or point at them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from segcate._covariates.leakage import Leak, find_leaks, name_sounds_late
from segcate.cli._problems import Problems, shell_list, shell_word

__all__ = ["note_on_unlisted_columns", "notes_on_late_columns"]

_MOST_SHOWN = 20


def notes_on_late_columns(
    X: pd.DataFrame,
    y: pd.Series,
    treatment: pd.Series,
    problems: Problems,
    keep: Sequence[str] = (),
) -> list[str]:
    """Refuse covariates that were probably measured after the treatment, and point at others.

    Parameters
    ----------
    X : covariates
    y, treatment : outcome; arm as 0 and 1
    problems : gets columns that decide the treatment, or have a strong sign and are not in `keep`
    keep : columns that the user vouches for

    Returns
    -------
    list of str
        One note a conspicuous column.
    """
    outcome = y.to_numpy(np.float64)
    found = find_leaks(X, range(X.shape[1]), outcome, treatment.to_numpy())
    problems.extend(_deciding([leak.column for leak in found if leak.decides]))
    problems.extend(_strong([leak for leak in found if leak.is_strong and leak.column not in keep]))
    notes = [
        f"covariate {leak.column!r}: {leak.text}; "
        + (
            "kept, as --keep says that it was measured before the treatment"
            if leak.is_strong
            else "make sure that it was measured before the treatment"
        )
        for leak in found
    ]
    known = {leak.column for leak in found}
    sounding = [
        name for name in map(str, X.columns) if name not in known and name_sounds_late(name)
    ]
    notes += [
        f"covariate {name!r} has the name of something measured after the treatment; if it was, "
        f"pass --ignore {shell_list([name])}"
        for name in sounding
    ]
    return notes


def note_on_unlisted_columns(names: Sequence[str]) -> str:
    """Say which columns were taken as covariates without being named."""
    shown = ", ".join(names[:_MOST_SHOWN])
    if len(names) > _MOST_SHOWN:
        shown += f" and {len(names) - _MOST_SHOWN} more"
    return (
        "Every column that is not named otherwise is taken as measured BEFORE the treatment: "
        f"{shown}. Name them with --covariates."
    )


def _deciding(names: list[str]) -> list[str]:
    if not names:
        return []
    listing = shell_list(names)
    return [
        f"{_columns(names)} the treatment: no row of the other arm has the same value, so there is "
        f"nobody to compare with. An arm's name? --ignore {listing}. A group that was treated as a "
        f"whole? --groups {shell_word(names[0])}."
    ]


def _columns(names: list[str]) -> str:
    quoted = ", ".join(map(repr, names))
    return f"covariate {quoted} decides" if len(names) == 1 else f"covariates {quoted} decide"


def _strong(leaks: list[Leak]) -> list[str]:
    if not leaks:
        return []
    found = "; ".join(f"{leak.column!r} ({leak.text})" for leak in leaks)
    listing = shell_list(leak.column for leak in leaks)
    what = "this covariate was" if len(leaks) == 1 else "these covariates were"
    return [
        f"{what} probably measured after the treatment: {found}. An effect given the treatment's own "
        f"consequences is wrong. Pass --ignore {listing}, or --keep {listing} if measured before."
    ]
