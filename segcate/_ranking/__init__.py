"""Rank rows by a score and add up: the formulas of Qini and AUTOC, each written once."""

__all__: list[str] = []
