"""Models of outcomes over time, one module each."""

__all__: list[str] = []
