"""The MineThatData e-mail challenge: three arms, 64,000 customers (Hillstrom, 2008)."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from segcate._inputs.listing import listed
from segcate._inputs.parameters import check_option
from segcate._inputs.treatment import encode_treatment
from segcate.datasets._public_file import PublicFile, find_file, finite_numbers, read_table

_OWNER = "fetch_hillstrom"
_COVARIATES = (
    "recency", "history_segment", "history", "mens", "womens", "zip_code", "newbie", "channel",
)  # fmt: skip
_CATEGORIES = ("history_segment", "zip_code", "channel")
_OUTCOMES = ("visit", "conversion", "spend")
_COLUMNS = (*_COVARIATES, "segment", *_OUTCOMES)
_ARMS = ("No E-Mail", "Mens E-Mail", "Womens E-Mail")
_FILE_NAME = "hillstrom.csv"
_URL = (
    "http://www.minethatdata.com/"
    "Kevin_Hillstrom_MineThatData_E-MailAnalytics_DataMiningChallenge_2008.03.20.csv"
)
# SHA-256 of the values, column by column: text as UTF-8 lines, numbers as little-endian doubles.
# Computed from a copy whose bytes have the digest that others publish for the original file.
_VALUES_SHA256 = "e190fbaf64abe9f8adb22285a4e9e1b220687a7b7230a613ffb72c97ba187ff2"
_DESCRIPTION = """MineThatData e-mail analytics and data mining challenge (Hillstrom, 2008).

64,000 customers who last bought within twelve months, a third each drawn at random to get an e-mail
about men's merchandise, one about women's, or none. Outcomes in the two weeks after: whether the
customer visited the site, bought, and for how many dollars.

The publisher states no licence; the data were published for the challenge.
"""
_SOURCE = (
    "Hillstrom K (2008), The MineThatData E-Mail Analytics And Data Mining Challenge, "
    "blog.minethatdata.com."
)


def fetch_hillstrom(
    path: str | os.PathLike[str] | None = None,
    *,
    outcome: Literal["visit", "conversion", "spend"] = "visit",
    data_home: str | os.PathLike[str] | None = None,
    download: bool = False,
    timeout: float = 30.0,
) -> Bunch:
    """Read the MineThatData e-mail experiment from a file, a cache or the web.

    Whom to mail, and with what: an experiment with three arms, the test bed of most work on uplift.
    Effects are small and differ little; spend is almost always 0. Nothing is downloaded unless asked
    for.

    Parameters
    ----------
    path : path, default=None
        The CSV file, also compressed. None: the copy in `data_home`.
    outcome : {"visit", "conversion", "spend"}, default="visit"
        Which outcome is `y`: visited the site (0/1), bought (0/1), dollars spent.
    data_home : path, default=None
        Folder of the cached copy. None: the environment variable ``SEGCATE_DATA``, or
        ``~/segcate_data``.
    download : bool, default=False
        Whether to download the file to `data_home` if it is not there yet (4 MB).
    timeout : float, default=30.0
        Seconds to wait for the server, > 0.

    Returns
    -------
    data : Bunch
        * ``X`` : DataFrame of shape (64000, 8): ``recency`` months since the last purchase,
          ``history`` dollars spent in the past year and ``history_segment``, the same in seven bands,
          ``mens`` and ``womens`` whether such merchandise was bought (0/1), ``zip_code`` Rural,
          Surburban (as the file spells it) or Urban, ``newbie`` new within the year (0/1),
          ``channel`` of past purchases
        * ``y`` : Series of float64, the outcome
        * ``treatment`` : Series of int64: 0 no e-mail, 1 men's, 2 women's
        * ``arms`` : object array of shape (3,), the file's name of each code
        * ``outcomes`` : DataFrame of shape (64000, 3), all outcomes
        * ``is_original`` : bool, whether all values equal those of the public file
        * ``feature_names``, ``description``, ``source``, ``path``

    Raises
    ------
    FileNotFoundError
        If the file is neither at `path` nor in `data_home`, and `download` is off.
    OSError
        If the download fails.
    ValueError
        If the file lacks a column, has gaps, arms of other names, or what was downloaded is not the
        public file.

    See Also
    --------
    segcate.encode_treatment : Make codes from names of arms.

    References
    ----------
    Hillstrom K (2008). The MineThatData E-Mail Analytics And Data Mining Challenge.

    Examples
    --------
    >>> from segcate.datasets import fetch_hillstrom
    >>> data = fetch_hillstrom("hillstrom.csv.gz", outcome="spend")  # doctest: +SKIP
    >>> data.y.groupby(data.treatment).mean().round(3).tolist()  # doctest: +SKIP
    [0.653, 1.423, 1.077]
    """
    check_option(_OWNER, "outcome", outcome, _OUTCOMES)
    public = PublicFile(_OWNER, _URL, _FILE_NAME, "4 MB", _VALUES_SHA256)
    file = find_file(
        public, path, data_home, download=download, timeout=timeout,
        digest=lambda copy: _digest(_read(copy)),
    )  # fmt: skip
    return _as_bunch(_read(file), file, outcome)


def _read(file: Path) -> pd.DataFrame:
    """Read and check the twelve columns."""
    table = read_table(_OWNER, file, _COLUMNS, "the file of the 2008 challenge")[list(_COLUMNS)]
    text = ("segment", *_CATEGORIES)
    for name in _COLUMNS:
        if name not in text:
            table[name] = finite_numbers(_OWNER, table[name], file)
        elif table[name].isna().any():
            raise ValueError(
                f"{_OWNER}: column {name!r} of {str(file)!r} has {int(table[name].isna().sum())} gaps. Fetch the "
                "file again."
            )
    found = set(table["segment"])
    if found != set(_ARMS):
        raise ValueError(
            f"{_OWNER}: column 'segment' of {str(file)!r} must name the arms {listed(_ARMS)}; it has {len(table)} "
            f"rows with {listed(sorted(found))}. Fetch the file again."
        )
    return table


def _digest(table: pd.DataFrame) -> str:
    digest = hashlib.sha256()
    for name in _COLUMNS:
        column = table[name]
        if name in ("segment", *_CATEGORIES):
            digest.update("\n".join(column.astype(str)).encode())
        else:
            digest.update(np.ascontiguousarray(column, dtype="<f8").tobytes())
    return digest.hexdigest()


def _as_bunch(table: pd.DataFrame, file: Path, outcome: str) -> Bunch:
    codes, arms = encode_treatment(table["segment"], control=_ARMS[0])
    X = table[list(_COVARIATES)].copy()
    for name in _CATEGORIES:
        X[name] = pd.Categorical(X[name], categories=sorted(set(X[name])))
    outcomes = table[list(_OUTCOMES)].astype(np.float64)
    return Bunch(
        X=X,
        y=outcomes[outcome],
        treatment=pd.Series(codes, index=X.index, name="treatment"),
        arms=np.asarray(arms, dtype=object),
        outcomes=outcomes,
        is_original=_digest(table) == _VALUES_SHA256,
        feature_names=list(_COVARIATES),
        description=_DESCRIPTION,
        source=_SOURCE,
        path=str(file),
    )
