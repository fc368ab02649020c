"""The pictures of an analysis: one place from which reports, cards and the command line take them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from segcate._writing.label_texts import shortened
from segcate.findings import Findings
from segcate.plots import LovePlotDisplay, SegmentEffectDisplay, SegmentProfileDisplay
from segcate.plots._drawing import INK, WIDTH, new_sheet
from segcate.reports import _captions
from segcate.reports._overlap_figure import draw_overlap
from segcate.reports._targeting_figure import draw_targeting
from segcate.reports._units import names_in_pictures, units_of

PHONE_WIDTH = 4.1
# Texts in coloured cells keep their colour whatever the page has: a shade that nothing else has.
_CELL_INK, _CELL_WHITE = "#212121", "#fefefe"
_MOST_COVARIATES = 25
_PHONE_COVARIATE, _PHONE_SEGMENT = 20, 8


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture and its words.

    Attributes
    ----------
    figure : matplotlib Figure, not known to pyplot
    title : what it is
    caption : what to see in it, with the numbers at hand
    alt : what it shows, for those who do not see it
    """

    figure: Any
    title: str
    caption: str
    alt: str


def draw_figures(findings: Findings, *, width: float = WIDTH) -> dict[str, Picture]:
    """Draw whatever the findings have numbers for.

    Parameters
    ----------
    findings : Findings
    width : float, default=6.4
        Of the pictures, in inches.

    Returns
    -------
    dict of str to Picture
        Out of "effects", "profile", "balance", "overlap", "targeting" and "protected", in this
        order. The figures are not known to pyplot, and settings of matplotlib other than those of fonts do
        not change them.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    _need_matplotlib()
    import matplotlib as mpl

    kept = {key: value for key, value in mpl.rcParams.items() if key.startswith("font.")}
    found = {}
    with mpl.rc_context():
        mpl.rcParams.update({**_own_settings(), **kept})
        for name, draw in _DRAWN.items():
            figure = draw(findings, width)
            if figure is not None:
                title, caption, alt = _captions.words(name, findings)
                found[name] = Picture(figure, title, caption, alt)
    return found


def _need_matplotlib() -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "Pictures of a report need matplotlib, which is not installed here. Install it with "
            "`pip install segcate[plot]`, or write the report with `figures=False`."
        ) from error


def _own_settings() -> dict[str, Any]:
    """Return matplotlib's defaults for what is drawn, whatever style the user works in."""
    import matplotlib as mpl

    groups = (
        "axes.",
        "figure.",
        "grid.",
        "hatch.",
        "lines.",
        "patch.",
        "text.",
        "xtick.",
        "ytick.",
    )
    default = mpl.rcParamsDefault
    return {key: default[key] for key in default if key.startswith(groups)}


def _effects(findings: Findings, width: float) -> Any:
    names = names_in_pictures(findings, with_words=width >= WIDTH)
    table = pd.DataFrame(
        [
            {
                "effect": s.effect, "ci_low": s.ci_low, "ci_high": s.ci_high, "status": s.status,
                "n_treated": s.n_treated,
            }
            for s in findings.segments
        ],
        index=pd.Index([names[s.label] for s in findings.segments], name="segment"),
    )  # fmt: skip
    return _forest(findings, table, findings.overall, width)


def _protected(findings: Findings, width: float) -> Any:
    if findings.by_protected is None:
        return None
    table = findings.by_protected.frame()
    table.index = table.index.map(str)
    return _forest(findings, table, None, width)


def _forest(findings: Findings, table: pd.DataFrame, overall: Any, width: float) -> Any:
    display = SegmentEffectDisplay.from_predictions(
        table,
        overall=None if overall is None else vars_of(overall),
        estimand=findings.estimand,
        units=units_of(findings),
        confidence_level=findings.confidence_level,
        title="",
        ax=new_sheet(width),
    )
    return display.figure_


def vars_of(record: Any) -> dict[str, float]:
    """Return effect and interval of an entry."""
    return {name: getattr(record, name) for name in ("effect", "ci_low", "ci_high", "n_treated")}


def _balance(findings: Findings, width: float) -> Any:
    if not findings.balance_rows:
        return None
    table = findings.balance_table
    table["segment"] = table["segment"].map(str)
    if width < WIDTH:
        table["covariate"] = _shorter(table["covariate"].tolist(), _PHONE_COVARIATE)
        table["segment"] = _shorter(table["segment"].tolist(), _PHONE_SEGMENT)
    display = LovePlotDisplay.from_predictions(
        table.set_index(["segment", "covariate"]), title="", ax=new_sheet(width),
        max_covariates=_MOST_COVARIATES,
    )  # fmt: skip
    return display.figure_


def _shorter(names: list[str], longest: int) -> list[str]:
    """Shorten names where they stay different."""
    short = {name: shortened(name, longest) for name in names}
    return [short[name] for name in names] if len(set(short.values())) == len(short) else names


def _profile(findings: Findings, width: float) -> Any:
    profile = findings.profile
    if profile is None or not profile.columns:
        return None
    means, everyone = np.array(profile.values), np.array(profile.everyone)
    gaps, differences = means - everyone, np.array(profile.difference)
    table = pd.DataFrame(means, columns=list(profile.columns))
    table.index = pd.Index([str(label) for label in profile.labels])
    sizes = {segment.label: segment for segment in findings.segments}
    table.insert(0, "n", [sizes[label].n for label in profile.labels])
    table.insert(1, "share", [sizes[label].share for label in profile.labels])
    display = SegmentProfileDisplay(
        table, overall=everyone, scale=_scale(gaps, differences), title=""
    ).plot(new_sheet(width), max_covariates=_MOST_COVARIATES, order="spread")
    for text in display.text_:
        text.set_color(_CELL_INK if text.get_color() == INK else _CELL_WHITE)
    return display.figure_


def _scale(gaps: Any, differences: Any) -> Any:
    """Return the standard deviation of each column from differences in and without its unit."""
    size = np.abs(np.nan_to_num(differences))
    at = size.argmax(axis=0), np.arange(size.shape[1])
    is_flat = size[at] == 0
    return np.where(is_flat, 0.0, gaps[at] / np.where(is_flat, 1.0, differences[at]))


_DRAWN: dict[str, Callable[[Findings, float], Any]] = {
    "effects": _effects,
    "profile": _profile,
    "balance": _balance,
    "overlap": draw_overlap,
    "targeting": draw_targeting,
    "protected": _protected,
}
