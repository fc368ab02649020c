"""What `benchmarks/temporal.py` runs: one module a data set, and how predictions are scored."""
