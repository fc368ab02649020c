"""What to do about segments without an estimate, by why they have none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["ways_out"]

# Words of a status, and what helps. A status that has none of them is one of too few rows.
_NO_COMPARISON = ("donor in", "no overlap", "the arms apart")
_COMPARE = (
    "where a column tells the arms apart nobody can be compared: leave out of X what names the arm or was "
    "measured after the treatment, and group levels that one arm alone has"
)
_CALIPER = ("caliper", "no matches")
_EXACT = ("exact columns",)
_ENOUGH = ("weights are zero", *_NO_COMPARISON, *_CALIPER, *_EXACT)


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
    if _any(statuses, _NO_COMPARISON):
        ways.append(_COMPARE)
    if _any(statuses, _CALIPER):
        ways.append("widen the caliper")
    if _any(statuses, _EXACT):
        ways.append("ask for fewer exact columns, or coarser ones")
    if any(not _any([status], _ENOUGH) for status in statuses):
        ways.append(_more_rows(owner, n_segments))
        if remedy and _any(statuses, ["too few"]):
            ways.append(remedy)
    text = "; or ".join(ways) or "look at the weights"
    return text[0].upper() + text[1:]


def _any(statuses: Iterable[str], words: Sequence[str]) -> bool:
    return any(word in status for status in statuses for word in words)


def _more_rows(owner: str, n_segments: int) -> str:
    if n_segments == 1:
        return "fit on more rows of both arms, as all rows are one segment"
    return (
        f"merge thin segments into their nearest neighbours, {owner}(min_per_arm=10), or by rows in the "
        "segmenter, KMeansSegmenter(min_size=50); or make fewer segments, KMeansSegmenter(n_clusters=3)"
    )
