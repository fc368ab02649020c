"""Effects by weights and a curved regression of the outcome: one linear estimator, its variance exact."""
