"""Simulated patients, whose counterfactual outcomes are known."""

__all__: list[str] = []
