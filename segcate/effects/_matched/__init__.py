"""Estimate effects from matched rows: adjustment, and one module for each standard error."""

__all__: list[str] = []
