"""For whom: the effect of a treatment on each row, on one contract."""

from segcate.cate._interaction_regression import InteractionRegression

__all__ = ["InteractionRegression"]
