"""collect_findings: from a fitted pipeline and its rows to all that the analysis has to say."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

from segcate._inputs.listing import listed
from segcate._inputs.parameters import check_option, check_seed
from segcate.findings._analysed_rows import AnalysedRows, read_rows
from segcate.findings._assemble import Asked, assemble
from segcate.findings._description import Description
from segcate.findings._findings import Findings
from segcate.findings._names import check_names
from segcate.findings._protected import protected_position
from segcate.findings._provenance import written_call
from segcate.findings._source import OWNER, read_source
from segcate.findings._targeting import read_held_out


def collect_findings(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    treatment: Any,
    groups: Any = None,
    sample_weight: Any = None,
    propensity: Any = None,
    test: Any = None,
    description: Description | None = None,
    protected: str | None = None,
    names: dict[Any, str] | None = None,
    cross_check: bool = False,
    measured_before: Collection[str] = (),
    design: Literal["observational", "experiment"] = "observational",
    search: Any = None,
    call: str | None = None,
    random_state: Any = 0,
) -> Findings:
    """Collect what a fitted analysis of segment effects has to say.

    Numbers are the estimator's own. Nothing is fitted again unless asked for: `cross_check`,
    `protected` and `test` do.

    Parameters
    ----------
    estimator : fitted SegmentMatching, SegmentRegression or SegmentAIPW
        Alone, as last step of a Pipeline, as the best of a fitted search, or a `HonestEffects`.
    X : frame or array-like of shape (n_samples, n_features)
        The rows of the fit, as the pipeline got them. After `honest_effects` all rows; those of the
        estimation half are taken.
    y, treatment, groups, sample_weight, propensity : array-like of shape (n_samples,)
        As they were given to the fit.
    test : HeldOut, default=None
        Rows that had no part in the fit, to judge targeting on. None: not computed.
    description : Description, default=None
        Words that only the user knows.
    protected : str, default=None
        Column of X by whose levels effects and targeting are shown.
    names : dict of label to str, default=None
        Words for segments, in place of those found.
    cross_check : bool, default=False
        Whether to estimate the effects by SegmentAIPW as well. Without it the second estimates of
        the fit stand there, where it has some.
    measured_before : collection of str, default=()
        Covariates of which you know that they were measured before the treatment, however much they
        tell of the outcome or however late they sound: no doubt is raised of them.
    design : {"observational", "experiment"}, default="observational"
        Whether the treatment was drawn by lot: no cause can then stand behind treatment and outcome,
        and no doubt of one is raised.
    search : fitted search, default=None
        The search whose best pipeline `estimator` is.
    call : str, default=None
        The command or call that made the findings; None: written from the arguments.
    random_state : int, default=0
        Seed of what is fitted again.

    Returns
    -------
    Findings

    Raises
    ------
    NotFittedError
        If the estimator was not fitted.
    TypeError
        If it estimates no effects of segments.
    ValueError
        If the rows are not those of the fit, or an argument does not fit.

    Examples
    --------
    >>> from segcate.datasets import make_segmented_users
    >>> from segcate.effects import SegmentMatching
    >>> from segcate.findings import collect_findings
    >>> users = make_segmented_users(2000, n_segments=2, random_state=0)
    >>> X = users.X.assign(segment=users.segment)
    >>> model = SegmentMatching().fit(X, users.y, treatment=users.treatment)
    >>> findings = collect_findings(model, X, users.y, treatment=users.treatment)
    >>> [round(segment.effect, 2) for segment in findings.segments]
    [0.07, 1.01]
    """
    source = read_source(estimator, search)
    held_out = read_held_out(test)
    check_seed(OWNER, random_state)
    given = {
        "treatment": treatment, "groups": groups, "sample_weight": sample_weight,
        "propensity": propensity,
    }  # fmt: skip
    rows = read_rows(source, X, y, **given)
    if protected is not None:
        protected_position(rows, protected)
    _check_measured_before(rows, measured_before)
    check_option(OWNER, "design", design, ("observational", "experiment"))
    asked = Asked(
        description=Description() if description is None else description,
        names=check_names(names, rows.labels),
        test=held_out,
        protected=protected,
        cross_check=bool(cross_check),
        measured_before=frozenset(measured_before),
        design=design,
        call=call or written_call(_given_names(given, test, protected)),
        random_state=random_state,
    )
    return assemble(source, rows, asked)


def _check_measured_before(rows: AnalysedRows, names: Collection[str]) -> None:
    if isinstance(names, str):
        raise TypeError(
            f"{OWNER}: `measured_before` must be a list of covariates; got the text {names!r}. Pass [{names!r}]."
        )
    known = rows.covariate_names
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(
            f"{OWNER}: `measured_before` names {listed(unknown)}, and the covariates are {listed(known, 20)}. Name "
            "some of these."
        )


def _given_names(given: dict[str, Any], test: Any, protected: Any) -> list[str]:
    more = {"test": test, "protected": protected}
    return [name for name, value in (given | more).items() if value is not None]
