"""Estimate effects without matching: interacted regression and AIPW."""

__all__: list[str] = []
