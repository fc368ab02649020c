"""The card: one of skops, with the head that a hub reads, pictures beside it, saved whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skops.card import Card

from segcate._writing.whole_files import whole_folder
from segcate.findings import Findings
from segcate.persistence import dump
from segcate.plots._drawing import save_png

README, MODEL = "README.md", "model.skops"
# Names of all pictures that a card may have: those that an older one left are taken away.
_PICTURES = ("effects", "profile", "balance", "overlap", "targeting", "protected")


class EffectCard(Card):
    """A `skops.card.Card` of a treatment effect.

    Sections stand below "Card": ``card.select("Card/Effects")``, ``card.add(**{"Card/Contact": text})``.

    Attributes
    ----------
    findings : Findings that it was written from
    pictures : dict of str to matplotlib Figure, by file name
    front_matter : str, the head that the Hugging Face hub reads
    """

    def __init__(
        self, model: Any, findings: Findings, pictures: Mapping[str, Any], front_matter: str
    ) -> None:
        self.findings = findings
        self.pictures = dict(pictures)
        self.front_matter = front_matter
        super().__init__(model, model_diagram=False, template=None)

    def render(self) -> str:
        """Return the card as Markdown, with its head."""
        return f"{self.front_matter}{super().render()}"

    def save(self, folder: str | os.PathLike[str], *, model: bool = False) -> None:
        """Write ``README.md`` and its pictures into a folder, all of them or none.

        Files of other names that are in the folder stay.

        Parameters
        ----------
        folder : path-like
            Made if it is not there.
        model : bool, default=False
            Whether to store the model beside the card, as ``model.skops``.

        Raises
        ------
        OSError
            If the folder cannot be written. What was in it is untouched then.
        ValueError
            If `model` is True and the card was made without one.
        """
        if model and self.model is None:
            raise ValueError(
                "EffectCard.save: the card was made of findings alone and has no model to store. Pass "
                "`estimator=` to effect_card, or save it without `model=True`."
            )
        kept = [README, *(f"{name}.png" for name in _PICTURES), *([MODEL] if model else [])]
        with whole_folder(folder, kept) as part:
            (part / README).write_text(self.render(), encoding="utf-8")
            for name, figure in self.pictures.items():
                save_png(figure, part / name)
            if model:
                dump(self.model, Path(part) / MODEL)
