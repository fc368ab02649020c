"""What to do about segments without an estimate, by why they have none."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["ways_out"]

_COMPARE = (
    "where a column tells the arms apart nobody can be compared: leave out of X what names the arm or was "
    "measured after the treatment, and group levels that one arm alone has"
)
# How a status begins, and what it is of. Names of columns stand behind these words, and remarks at the end.
_KINDS = (
    (re.compile(r"no overlap of scores"), "no comparison"),
    (re.compile(r"covariates tell the arms apart"), "no comparison"),
    (
        re.compile(r"(\d+|less than 1) % of [a-z ]+ have no donor in their level of "),
        "no comparison",
    ),
    (re.compile(r"caliper took all matches"), "caliper"),
    (re.compile(r"no matches"), "caliper"),
    (re.compile(r"no rows of both arms in any cell of the exact columns"), "exact columns"),
    (re.compile(r"weights are zero"), "weights"),
    (re.compile(r"too few "), "too few rows"),
    (re.compile(r"no (treated|control) rows"), "one arm"),
)


def ways_out(owner: str, statuses: Sequence[str], n_segments: int, remedy: str) -> str:
    """Say what to do about segments without an estimate.

    Parameters
    ----------
    owner : class of the estimator
    statuses : why each segment without an estimate has none
    n_segments : number of all segments
    remedy : what else helps where rows are too few for this estimator; may be empty
    """
    ways: list[str] = []
    if len(statuses) < n_segments:  # else nothing would be left to go on with
        ways.append(
            f"keep going without them, {owner}(on_empty='nan'), or with everyone's effect in their place, "
            "on_empty='overall'"
        )
    kinds = {_kind(status) for status in statuses}
    if "no comparison" in kinds:
        ways.append(_COMPARE)
    if "caliper" in kinds:
        ways.append("widen the caliper")
    if "exact columns" in kinds:
        ways.append("ask for fewer exact columns, or coarser ones")
    if kinds & {"too few rows", "one arm"}:
        ways.append(_more_rows(owner, n_segments))
    if remedy and "too few rows" in kinds:
        ways.append(remedy)
    text = "; or ".join(ways) or "look at the weights"
    return text[0].upper() + text[1:]


def _kind(status: str) -> str:
    """Return what a status is of; one that is unknown is taken as one of too few rows."""
    return next((kind for begins, kind in _KINDS if begins.match(status)), "too few rows")


def _more_rows(owner: str, n_segments: int) -> str:
    if n_segments == 1:
        return "fit on more rows of both arms, as all rows are one segment"
    return (
        f"merge thin segments into their nearest neighbours, {owner}(min_per_arm=10), or by rows in the "
        "segmenter, KMeansSegmenter(min_size=50); or make fewer segments, KMeansSegmenter(n_clusters=3)"
    )
