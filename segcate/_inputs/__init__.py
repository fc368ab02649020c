"""What a user passes, turned into arrays: containers, columns, and what each column is."""

__all__: list[str] = []
