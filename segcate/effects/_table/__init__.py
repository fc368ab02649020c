"""Results: the estimate of one segment, the average over them, the table, the summary."""

__all__: list[str] = []
