"""Model cards of treatment effects: what was found, for whom, how sure, and what it is not for."""

from segcate._publishing import publish
from segcate.cards._effect_card import effect_card

__all__ = ["effect_card"]

publish(globals())
