"""Like with like: propensity scores inside segments, nearest neighbours, balance."""

from segcate._publishing import publish
from segcate.matching._balance import Balance, BalanceSums
from segcate.matching._base import Matcher
from segcate.matching._combined_balance import CombinedBalance, combine_balance
from segcate.matching._mahalanobis import MahalanobisMatcher
from segcate.matching._matcher import PropensityMatcher
from segcate.matching._sample import MatchedSample

__all__ = [
    "CombinedBalance",
    "MahalanobisMatcher",
    "MatchedSample",
    "Matcher",
    "PropensityMatcher",
    "combine_balance",
]

publish(globals(), stored=[Balance, BalanceSums])
