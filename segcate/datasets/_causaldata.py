"""Real studies that the PyPI package `causaldata` (MIT licence) carries."""

from __future__ import annotations

import importlib
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from segcate._inputs.parameters import check_option

# The covariates of Hernan and Robins, section 12.2, in the order of the book.
_NHEFS_COVARIATES = (
    "sex", "age", "race", "education", "smokeintensity", "smokeyrs", "active", "exercise", "wt71",
)  # fmt: skip
# Words for the codes, from the study's codebook (causaldata.nhefs_codebook).
_NHEFS_LEVELS: dict[str, dict[str, str]] = {
    "sex": {"0": "male", "1": "female"},
    "race": {"0": "white", "1": "black or other"},
    "education": {
        "1": "8th grade or less",
        "2": "high school dropout",
        "3": "high school",
        "4": "college dropout",
        "5": "college or more",
    },
    "active": {"0": "very active", "1": "moderately active", "2": "inactive"},
    "exercise": {"0": "much", "1": "moderate", "2": "little or none"},
}
_NHEFS_DESCRIPTION = """NHEFS: does quitting smoking change weight?

Cigarette smokers aged 25 to 74 of the NHANES I Epidemiologic Follow-up Study, seen in 1971-75 and
again in 1982. Treatment: quit smoking in between. Outcome: weight change in kilograms. An
observational study; adjusted for the nine covariates of X, quitters gained about 3.5 kg more.
"""
_NHEFS_SOURCE = (
    "US Centers for Disease Control and Prevention, NHEFS (public domain), as cleaned for: Hernan "
    "MA, Robins JM (2020), Causal Inference: What If, Chapman & Hall/CRC; through the package "
    "causaldata."
)
_NSW_COVARIATES = ("age", "educ", "black", "hisp", "marr", "nodegree", "re74", "re75")
_NSW_DESCRIPTION = """NSW: did a job-training programme raise earnings?

Men of the National Supported Work demonstration (Dehejia and Wahba's subsample). Treatment: offered
the programme. Outcome: real earnings in 1978 in US dollars. In the experiment the treated earned
1,794 dollars more. With the CPS as control group the raw difference is -8,498 dollars: a test of
whether an adjustment finds its way back.
"""
_NSW_SOURCE = (
    "LaLonde R (1986), American Economic Review 76:604-620; Dehejia RH, Wahba S (1999), Journal "
    "of the American Statistical Association 94:1053-1062; through the package causaldata."
)


def load_nhefs() -> Bunch:
    """Load the smokers of NHEFS: quitting smoking and weight gain.

    The teaching example of Hernan and Robins: 1,566 smokers with complete data, 403 of whom quit.
    Use it to try an analysis of observational data; nobody knows the true effect.

    Returns
    -------
    data : Bunch
        * ``X`` : DataFrame of shape (1566, 9): ``sex``, ``race``, ``education``, ``active``,
          ``exercise`` as categories; ``age`` in years, ``smokeintensity`` in cigarettes a day,
          ``smokeyrs`` in years, ``wt71`` in kg
        * ``y`` : Series of float64, ``wt82_71``: weight change 1971 to 1982 in kg
        * ``treatment`` : Series of int64, ``qsmk``: 1 if the person quit smoking
        * ``n_incomplete`` : int, rows left out because the outcome or a covariate is missing (63 of
          1,629, all of them without a weight in 1982)
        * ``feature_names``, ``description``, ``source``

    Raises
    ------
    ImportError
        If the package causaldata is not installed.

    See Also
    --------
    segcate.datasets.load_nsw : An experiment, and the same treated people beside a survey.

    References
    ----------
    Hernan MA, Robins JM (2020). Causal Inference: What If. Boca Raton: Chapman & Hall/CRC.

    Examples
    --------
    >>> from segcate.datasets import load_nhefs
    >>> data = load_nhefs()
    >>> data.X.shape, int(data.treatment.sum()), data.n_incomplete
    ((1566, 9), 403, 63)
    """
    raw = _table("load_nhefs", "nhefs")
    kept = raw[[*_NHEFS_COVARIATES, "qsmk", "wt82_71"]].dropna().reset_index(drop=True)
    X = kept[list(_NHEFS_COVARIATES)].copy()
    for column, words in _NHEFS_LEVELS.items():
        named = kept[column].astype(str).map(words)
        X[column] = pd.Categorical(named, categories=list(words.values()))
    return Bunch(
        X=X,
        y=kept["wt82_71"].astype(np.float64),
        treatment=kept["qsmk"].astype(np.int64),
        n_incomplete=len(raw) - len(kept),
        feature_names=list(_NHEFS_COVARIATES),
        description=_NHEFS_DESCRIPTION,
        source=_NHEFS_SOURCE,
    )


def load_nsw(*, control: Literal["experiment", "cps"] = "experiment") -> Bunch:
    """Load the job-training experiment NSW, with its own or a survey's controls.

    With the experiment's controls any sound method finds the effect; with those of the Current
    Population Survey (CPS), who differ from the trainees in everything, few do. Use the second to
    see what an adjustment is worth.

    Parameters
    ----------
    control : {"experiment", "cps"}, default="experiment"
        Whose men stand beside the 185 treated: the 260 of the experiment or 15,992 of the CPS.

    Returns
    -------
    data : Bunch
        * ``X`` : DataFrame of shape (445, 8) or (16177, 8): ``age`` and ``educ`` in years,
          ``black``, ``hisp``, ``marr``, ``nodegree`` 0/1, ``re74`` and ``re75``: real earnings in
          1974 and 1975 in US dollars
        * ``y`` : Series of float64, ``re78``: real earnings in 1978 in US dollars
        * ``treatment`` : Series of int64, ``treat``: 1 if offered the programme
        * ``feature_names``, ``description``, ``source``

    Raises
    ------
    ImportError
        If the package causaldata is not installed.
    ValueError
        If `control` is not one of the two.

    References
    ----------
    Dehejia RH, Wahba S (1999). Causal effects in nonexperimental studies. Journal of the American
    Statistical Association 94:1053-1062. doi:10.1080/01621459.1999.10473858

    Examples
    --------
    >>> from segcate.datasets import load_nsw
    >>> data = load_nsw()
    >>> arms = data.y.groupby(data.treatment).mean()
    >>> round(float(arms[1] - arms[0]), 2)
    1794.34
    """
    check_option("load_nsw", "control", control, ["experiment", "cps"])
    trial = _table("load_nsw", "nsw_mixtape")
    if control == "cps":
        survey = _table("load_nsw", "cps_mixtape")
        trial = pd.concat([trial[trial["treat"] == 1], survey[survey["treat"] == 0]])
    kept = trial.reset_index(drop=True)
    X = kept[list(_NSW_COVARIATES)]
    return Bunch(
        X=X.astype(
            {name: np.float64 if name.startswith("re7") else np.int64 for name in X.columns}
        ),
        y=kept["re78"].astype(np.float64),
        treatment=kept["treat"].astype(np.int64),
        feature_names=list(_NSW_COVARIATES),
        description=_NSW_DESCRIPTION,
        source=_NSW_SOURCE,
    )


def _table(owner: str, name: str) -> Any:
    """Read one table of causaldata."""
    try:
        module = importlib.import_module(f"causaldata.{name}")
    except ImportError as error:
        raise ImportError(
            f"{owner} reads the data from the package causaldata, which is not installed here. "
            "Install it with `pip install segcate[demo]`."
        ) from error
    return module.load_pandas().data
