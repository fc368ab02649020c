"""What an estimator tells of the columns of X after its fit."""

from __future__ import annotations

import pandas as pd
from sklearn.utils.validation import check_is_fitted

from segcate._inputs.kinds import ColumnKind, column_notes, covariate_table


class RecordedColumns:
    """An estimator whose fit stores `_columns`, a record of each column of X that it used."""

    _columns: tuple[ColumnKind, ...]
    # Shares of missing values among controls and treated, of the columns that have any.
    _missing_by_arm: dict[str, list[float]]

    @property
    def covariates_(self) -> pd.DataFrame:
        """Table of the columns of X that were used: what each is taken as, and what to know of it.

        One row a column, in the order of X, with its name (`column`), `kind` (number, category, date,
        duration, time, left out), `treatment` (what is done to it), `note` and `share_missing`;
        where the fit knew a treatment, also the share missing in each arm (NaN for categories of a fit in
        parts, which does not count them).
        """
        check_is_fitted(self)
        if not hasattr(self, "_columns"):
            raise AttributeError(f"{type(self).__name__} keeps no record of columns")
        table = covariate_table(self._columns)
        if hasattr(self, "_missing_by_arm"):
            for arm, word in enumerate(("control", "treated")):
                shares = [
                    self._missing_by_arm.get(name, [0.0, 0.0])[arm] for name in table["column"]
                ]
                table[f"share_missing_{word}"] = shares
        return table

    def _column_notes(self) -> list[str]:
        """Return the notes of columns, "column: note", for a summary."""
        return column_notes(getattr(self, "_columns", ()))
