"""For whom: the effect of a treatment on each row, on one contract."""

__all__: list[str] = []
