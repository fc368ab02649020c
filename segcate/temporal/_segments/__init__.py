"""Segments of whole trajectories, and their effects."""

__all__: list[str] = []
