"""Histories of units as arrays: reading, coding, plans of treatment."""

__all__: list[str] = []
