"""segcate: which segments does a treatment help, by how much, and how sure are we?"""

from segcate._routing import routing
from segcate._treatment import encode_treatment

__version__ = "0.1.0"

# Types that `skops.io.load` and MLflow must be told to trust, to store any pipeline of ours.
SKOPS_TRUSTED_TYPES: list[str] = []

__all__ = ["SKOPS_TRUSTED_TYPES", "__version__", "encode_treatment", "routing"]
