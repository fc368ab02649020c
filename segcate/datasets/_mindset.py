"""The synthetic National Study of Learning Mindsets (data challenge of ACIC 2018)."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from segcate._inputs.listing import listed
from segcate.datasets._public_file import PublicFile, find_file, finite_numbers, read_table

_OWNER = "fetch_learning_mindset"
_COLUMNS = ("schoolid", "Z", "Y", "S3", "C1", "C2", "C3", "XC", "X1", "X2", "X3", "X4", "X5")
_COVARIATES = _COLUMNS[3:]
_FILE_NAME = "learning_mindset.csv"
_URL = "https://raw.githubusercontent.com/grf-labs/grf/master/experiments/acic18/synthetic_data.csv"
# SHA-256 of the 13 columns as little-endian doubles, row by row. Values, not bytes, are compared:
# line ends and quotes differ between copies of the public file, its numbers do not. The organisers
# publish no checksum; this one was computed from a full copy.
_VALUES_SHA256 = "8b4c74fadccc03738e414d9a4787776cf2f76490b6ff6084fa529f3cb89f3f02"
_DESCRIPTION = """Synthetic National Study of Learning Mindsets (ACIC 2018 data challenge).

10,391 students in 76 schools; treatment Z: a nudge-like intervention that teaches a growth mindset;
outcome Y: simulated achievement. An observational study by construction: students with higher
expectations (S3) were treated more often.

Conditions of use, set by the organisers: the data may be used only to evaluate methods for
inferring treatment effects; analysing or publishing other features of the joint distribution of
the covariates is prohibited; publications must cite the National Study.
"""
_SOURCE = (
    "Carvalho C, Feller A, Murray J, Woody S, Yeager D (2019), Assessing treatment effect "
    "variation in observational studies: results from a data challenge, Observational Studies "
    "5:21-35; Yeager DS et al. (2019), A national experiment reveals where a growth mindset "
    "improves achievement, Nature 573:364-369."
)


def fetch_learning_mindset(
    path: str | os.PathLike[str] | None = None,
    *,
    data_home: str | os.PathLike[str] | None = None,
    download: bool = False,
    timeout: float = 30.0,
) -> Bunch:
    """Read the synthetic Learning Mindsets data from a file, a cache or the web.

    The benchmark of Lips et al. (2023) and of the ACIC 2018 data challenge: segments of schools, a
    confounded treatment, effects that differ. Nothing is downloaded unless asked for.

    **Conditions of use**, set by the organisers: only to evaluate methods for inferring treatment
    effects; no analysis or publication of other features of the joint distribution of the
    covariates (the S, C and X variables); publications cite the National Study.

    Parameters
    ----------
    path : path, default=None
        A CSV with the columns schoolid, Z, Y, S3, C1, C2, C3, XC, X1 to X5 (others are handed back
        in `extra`). None: the copy in `data_home`.
    data_home : path, default=None
        Folder of the cached copy. None: the environment variable ``SEGCATE_DATA``, or
        ``~/segcate_data``.
    download : bool, default=False
        Whether to download the file to `data_home` if it is not there yet (1.4 MB).
    timeout : float, default=30.0
        Seconds to wait for the server, > 0.

    Returns
    -------
    data : Bunch
        * ``X`` : DataFrame of shape (n_samples, 10): ``S3`` expected success (1 to 7), ``C1`` race
          or ethnicity, ``C2`` gender, ``C3`` first generation, ``XC`` urbanicity of the school,
          ``X1`` to ``X5`` school means of mindsets, achievement, minority share, poverty, size.
          C1, C2, C3 and XC hold codes, not amounts.
        * ``y`` : Series of float64, ``Y``: achievement
        * ``treatment`` : Series of int64, ``Z``
        * ``groups`` : Series of int64, ``schoolid``
        * ``extra`` : DataFrame, columns of the file beyond the thirteen
        * ``is_original`` : bool, whether all values equal those of the public file
        * ``feature_names``, ``description``, ``source``, ``path``

    Raises
    ------
    FileNotFoundError
        If the file is neither at `path` nor in `data_home`, and `download` is off.
    OSError
        If the download fails.
    ValueError
        If the file lacks a column, has gaps or text in it, Z is not 0/1, or what was downloaded is
        not the public file.

    References
    ----------
    Carvalho C, Feller A, Murray J, Woody S, Yeager D (2019). Assessing treatment effect variation
    in observational studies: results from a data challenge. Observational Studies 5:21-35.

    Yeager DS et al. (2019). A national experiment reveals where a growth mindset improves
    achievement. Nature 573:364-369. doi:10.1038/s41586-019-1466-y

    Examples
    --------
    >>> from segcate.datasets import fetch_learning_mindset
    >>> data = fetch_learning_mindset("synthetic_data.csv")  # doctest: +SKIP
    >>> data.X.shape, data.is_original  # doctest: +SKIP
    ((10391, 10), True)
    """
    public = PublicFile(_OWNER, _URL, _FILE_NAME, "1.4 MB", _VALUES_SHA256)
    file = find_file(
        public, path, data_home, download=download, timeout=timeout,
        digest=lambda copy: _digest(_read(copy)),
    )  # fmt: skip
    return _as_bunch(_read(file), file)


def _read(file: Path) -> pd.DataFrame:
    """Read and check the thirteen columns and whatever else the file holds."""
    table = read_table(_OWNER, file, _COLUMNS, "the ACIC 2018 file")
    for name in _COLUMNS:
        table[name] = finite_numbers(_OWNER, table[name], file)
    if len(table) == 0 or not table["Z"].isin([0, 1]).all():
        raise ValueError(
            f"{_OWNER}: {str(file)!r} must have rows with Z 0 or 1; it has {len(table)} rows and "
            f"Z in {{{listed(table['Z'].unique())}}}."
        )
    return table


def _digest(table: pd.DataFrame) -> str:
    values = np.ascontiguousarray(table[list(_COLUMNS)].to_numpy(dtype="<f8"))
    return hashlib.sha256(values.tobytes()).hexdigest()


def _as_bunch(table: pd.DataFrame, file: Path) -> Bunch:
    return Bunch(
        X=table[list(_COVARIATES)],
        y=table["Y"].astype(np.float64),
        treatment=table["Z"].astype(np.int64),
        groups=table["schoolid"].astype(np.int64),
        extra=table.drop(columns=list(_COLUMNS)),
        is_original=_digest(table) == _VALUES_SHA256,
        feature_names=list(_COVARIATES),
        description=_DESCRIPTION,
        source=_SOURCE,
        path=str(file),
    )
