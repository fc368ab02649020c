"""Linear models of the next step, and what is simulated by them; NumPy alone."""

__all__: list[str] = []
