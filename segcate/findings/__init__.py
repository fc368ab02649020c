"""What an analysis of segment effects has to say, in one object that reports and cards are written from."""

from segcate._publishing import publish
from segcate.findings._collect import collect_findings
from segcate.findings._description import Description, HeldOut
from segcate.findings._design_findings import (
    BalanceRow,
    Population,
    Profile,
    SegmentBalance,
    SegmentOverlap,
)
from segcate.findings._evidence import (
    Candidate,
    CrossCheck,
    CrossCheckRow,
    ProtectedFinding,
    ProtectedLevel,
    SearchFinding,
    Targeting,
)
from segcate.findings._findings import Findings
from segcate.findings._segment_findings import Contrast, OverallFinding, SegmentFinding
from segcate.findings._statement import Doubt, NotComputed, Statement

__all__ = [
    "BalanceRow",
    "Candidate",
    "Contrast",
    "CrossCheck",
    "CrossCheckRow",
    "Description",
    "Doubt",
    "Findings",
    "HeldOut",
    "NotComputed",
    "OverallFinding",
    "Population",
    "Profile",
    "ProtectedFinding",
    "ProtectedLevel",
    "SearchFinding",
    "SegmentBalance",
    "SegmentFinding",
    "SegmentOverlap",
    "Statement",
    "Targeting",
    "collect_findings",
]

publish(globals())
