"""Store a fitted pipeline, or the best one of a search, in one file without code, and load it."""

from segcate._publishing import publish
from segcate.persistence._contents import StoredModel, describe
from segcate.persistence._model_file import dump, load

__all__ = ["StoredModel", "describe", "dump", "load"]

publish(globals())
