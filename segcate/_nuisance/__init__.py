"""Models of treatment and outcome that an effect needs on the way: folds, fits, pseudo-outcomes."""

__all__: list[str] = []
