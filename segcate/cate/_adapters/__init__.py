"""Models of causalml and EconML as effect estimators."""

__all__: list[str] = []
