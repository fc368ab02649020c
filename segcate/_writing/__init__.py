"""What a user reads and keeps: labels and numbers as text, files that are whole or not there."""

__all__: list[str] = []
