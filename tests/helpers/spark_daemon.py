"""Where Spark forks its workers in tests: what a fit needs is imported once, not by every worker."""

import gc

import segcate.scale  # noqa: F401

if __name__ == "__main__":
    from pyspark.daemon import manager

    gc.freeze()
    manager()
