"""Like with like: propensity scores inside segments, nearest neighbours, balance."""

from segcate._publishing import publish
from segcate.matching._balance import Balance
from segcate.matching._base import Matcher
from segcate.matching._mahalanobis import MahalanobisMatcher
from segcate.matching._matcher import PropensityMatcher
from segcate.matching._sample import MatchedSample

__all__ = ["MahalanobisMatcher", "MatchedSample", "Matcher", "PropensityMatcher"]

publish(globals(), stored=[Balance])
