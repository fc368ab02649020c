"""What is done to covariates before an estimate: gaps are filled, columns that tell too much are named."""

__all__: list[str] = []
