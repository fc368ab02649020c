"""Findings of a small study, with plain labels and with hostile ones."""

from __future__ import annotations

import numpy as np
import pytest

from segcate.datasets import make_segmented_users
from segcate.effects import SegmentMatching
from segcate.findings import Description, collect_findings

HOSTILE = (
    "<script>window.hacked = 1</script>",
    "\"'><img src=x onerror='window.hacked=2'> $x^2$ --> ]]>",
    "=1+1 \u202etfel\x1b[31m `a|b` " + "very long " * 12,
)


def study(labels=("new", "loyal", "lapsed"), covariate="spend", **words):
    """Fit on segments with given labels; return findings."""
    users = make_segmented_users(900, n_segments=3, n_features=3, random_state=1)
    segment = np.array(labels, dtype=object)[np.asarray(users.segment)]
    X = users.X.assign(segment=segment).rename(columns={users.X.columns[0]: covariate})
    model = SegmentMatching().fit(X, users.y, treatment=users.treatment)
    return collect_findings(
        model, X, users.y, treatment=users.treatment, description=Description(**words)
    )


@pytest.fixture(scope="session")
def plain_findings():
    return study(treated="a reminder", outcome="hours played", units="hours")


@pytest.fixture(scope="session")
def hostile_findings():
    return study(
        HOSTILE,
        "</style><script>window.hacked = 3</script>",
        title="</title><script>window.hacked = 4</script>",
        units="k<g & $",
        source='" onmouseover="window.hacked=5',
    )
