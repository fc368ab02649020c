"""The command line's look at columns that were probably measured after the treatment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from segcate._covariates.leakage import Leak, find_leaks, name_sounds_late
from segcate.cli._error import UserError
from segcate.cli._table import Roles, Study

__all__ = ["check_late_columns", "note_on_unlisted_columns", "notes_on_late_columns"]

_MOST_SHOWN = 20


def check_late_columns(study: Study, roles: Roles) -> Study:
    """Refuse a study with late covariates, or note what was found in them."""
    X = study.X if study.segment is None else study.X.drop(columns=study.segment)
    notes = notes_on_late_columns(X, study.y, study.treatment, roles.keep)
    if not roles.covariates:
        notes.insert(0, note_on_unlisted_columns([str(name) for name in X.columns]))
    return replace(study, notes=(*study.notes, *notes))


def notes_on_late_columns(
    X: pd.DataFrame, y: pd.Series, treatment: pd.Series, keep: Sequence[str] = ()
) -> list[str]:
    """Refuse covariates that were probably measured after the treatment, and point at others.

    Parameters
    ----------
    X : covariates
    y, treatment : outcome; arm as 0 and 1
    keep : columns that the user vouches for

    Returns
    -------
    list of str
        One note a conspicuous column.

    Raises
    ------
    UserError
        If a column decides the treatment, or has a strong sign and is not in `keep`.
    """
    outcome = y.to_numpy(np.float64)
    found = find_leaks(X, range(X.shape[1]), outcome, treatment.to_numpy())
    _refuse_deciding([leak.column for leak in found if leak.decides])
    _refuse_strong([leak for leak in found if leak.is_strong and leak.column not in keep])
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
        f"pass --ignore {name}"
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


def _refuse_deciding(names: list[str]) -> None:
    if not names:
        return
    listing = ",".join(names)
    raise UserError(
        f"{_columns(names)} the treatment: no row of the other arm has the same value, so there is "
        f"nobody to compare with. An arm's name? --ignore {listing}. A group that was treated as a "
        f"whole? --groups {names[0]}."
    )


def _columns(names: list[str]) -> str:
    quoted = ", ".join(map(repr, names))
    return f"covariate {quoted} decides" if len(names) == 1 else f"covariates {quoted} decide"


def _refuse_strong(leaks: list[Leak]) -> None:
    if not leaks:
        return
    found = "; ".join(f"{leak.column!r} ({leak.text})" for leak in leaks)
    listing = ",".join(leak.column for leak in leaks)
    what = "this covariate was" if len(leaks) == 1 else "these covariates were"
    raise UserError(
        f"{what} probably measured after the treatment: {found}. An effect given the treatment's own "
        f"consequences is wrong. Pass --ignore {listing}, or --keep {listing} if measured before."
    )
