"""The effects of a run as a file that other runs are put together with, and as tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from segcate._inputs import frames
from segcate._writing.label_texts import csv_table
from segcate.cli._described import Described, described_from_json
from segcate.cli._problems import UserError
from segcate.cli._study.weights import kind_of_weights
from segcate.effects import EffectTable
from segcate.effects._table.segment_definition import segment_definition

if TYPE_CHECKING:
    from segcate.cli._result import Result

# The file of a run that holds its effects to the last bit.
TABLE_FILE = "effects.json"
_KEY = "analysis"
_MOST_CONTRASTS = 200


@dataclass(frozen=True, slots=True)
class Facts:
    """What an analysis has to say of its effects beside the numbers.

    Attributes
    ----------
    treated, control : what the arms are called; "" where that is not known
    units : of the outcome
    segment_column : column that holds the segments; "" where they were found
    found_segments : hash of what found the segments; "" where a column holds them
    row_counts : what a row counts; "" where an older version wrote the table
    groups : names of the groups in the order of their codes; None for independent rows, or unknown
    """

    treated: str = ""
    control: str = ""
    units: str = ""
    segment_column: str = ""
    found_segments: str = ""
    row_counts: str = ""
    groups: list[Any] | None = None


def facts_of(result: Result) -> Facts:
    """Say what the analysis of an arm was about."""
    study, fitted = result.study, result.analysis.fitted
    pipeline = getattr(fitted, "pipeline", fitted)
    groups = study.groups
    rows = getattr(fitted, "estimation_idx", None)
    if groups is not None and rows is not None:
        groups = groups.iloc[rows]
    names = None if groups is None else frames.sorted_codes(groups.to_numpy())[1].tolist()
    return Facts(
        study.treated_name,
        study.control,
        study.units or "",
        study.segment or "",
        segment_definition(pipeline),
        kind_of_weights(study.weights),
        names,
    )


def write_table(
    table: EffectTable, facts: Facts, folder: Path, more: Described | None = None
) -> None:
    """Write effects, facts, balance and profile; not where labels of segments are of a kind that JSON lacks."""
    try:
        text = table.to_json()
    except TypeError:
        return
    told = asdict(facts) | ({} if more is None else more.as_json())
    if facts.groups is not None and (
        table.scores is None or table.scores.n_levels != len(facts.groups)
    ):
        told["groups"] = None
    stored = json.loads(text) | {_KEY: told}
    text = json.dumps(stored, allow_nan=False, ensure_ascii=False, default=str)
    (folder / TABLE_FILE).write_text(text, encoding="utf-8")


def read_table(place: str) -> tuple[EffectTable, Facts, Described]:
    """Read the effects in a folder that `segcate run --out` wrote, or in a file."""
    path = Path(place)
    file = path / TABLE_FILE if path.is_dir() else path
    if not file.is_file():
        raise UserError(_no_table(path))
    try:
        text = file.read_text(encoding="utf-8")
        table = EffectTable.from_json(text)
    except (OSError, ValueError) as error:
        raise UserError(f"{place!r}: {error}") from error
    try:
        told = json.loads(text).get(_KEY, {})
        known = {field.name for field in fields(Facts)}
        facts = Facts(**{name: value for name, value in told.items() if name in known})
        return table, facts, described_from_json(told)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise UserError(
            f"{place!r}: what {TABLE_FILE} says of the analysis is damaged ({type(error).__name__}: {error}). Make the "
            "run again."
        ) from error


def _no_table(path: Path) -> str:
    if not path.is_dir():
        return f"there is no {str(path)!r}. Name folders that `segcate run --out` wrote."
    arms = sorted(str(file.parent) for file in path.glob(f"arm-*/{TABLE_FILE}"))
    if arms:
        return f"{str(path)!r} holds several arms. Name one of each folder: {', '.join(arms)}."
    return (
        f"{str(path)!r} has no {TABLE_FILE}. Name folders that `segcate run --out` wrote; where an older version wrote "
        "it, run it again: segcate run --config FOLDER/config.toml --out FOLDER."
    )


def frames_of(table: EffectTable) -> dict[str, pd.DataFrame]:
    """Make the tables of files: effects, the effect for everyone, and contrasts of few segments."""
    found = {"effects": table.frame(), "overall": table.overall_row().to_frame("all").T}
    n_pairs = len(table.labels) * (len(table.labels) - 1) // 2
    if 0 < n_pairs <= _MOST_CONTRASTS and np.isfinite(table.effect).any():
        found["contrasts"] = table.contrasts().table
    return found


def write_frames(tables: Mapping[str, pd.DataFrame], folder: Path) -> None:
    """Write tables as CSV."""
    for name, table in tables.items():
        csv_table(table).to_csv(folder / f"{name}.csv", errors="backslashreplace", encoding="utf-8")
