"""Fits of data that outgrow memory or a machine, equal to those in memory."""

__all__: list[str] = []
