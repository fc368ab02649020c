"""Grow, read and correct the trees of the causal forest."""

__all__: list[str] = []
