"""effect_card: from findings, or a fitted pipeline and its rows, to a model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from segcate._writing.label_texts import markdown
from segcate.cards._front_matter import front_matter
from segcate.cards._sections import card_sections
from segcate.findings import Findings, collect_findings
from segcate.reports._answer import title_of
from segcate.reports._figures import Picture, draw_figures

_USE = """```python
from segcate.persistence import load

model = load("model.skops")
model.predict(X)  # the effect of each row's segment
```"""
_DRIFT = (
    "* The effects hold for the rows and the time that they were estimated on; for others they are a guess.\n"
    "* Watch the shares of the segments: where they move away from those above, the overall effect moves too.\n"
    "* Watch who is treated: where the chances of treatment leave the range of the section on overlap, there is nobody "
    "to compare with.\n"
    "* Keep a part of the rows untreated at random, and estimate again on them; no check without outcomes tells "
    "whether an effect has changed."
)


def effect_card(
    source: Any,
    X: Any = None,
    y: Any = None,
    *,
    treatment: Any = None,
    estimator: Any = None,
    name: str | None = None,
    license: str = "unknown",
    tags: Sequence[str] = (),
    figures: bool | None = None,
    diagram: bool = True,
    **how: Any,
) -> Any:
    """Write a model card: what the effects are, for whom, how sure, and what the model is not for.

    Use it to publish a model, on the Hugging Face hub or in a repository. To hand an analysis to people,
    `segcate.reports.write_report` writes the same as one page of HTML.

    Parameters
    ----------
    source : Findings, or a fitted pipeline, effect estimator or search
        Of an estimator, `X`, `y` and `treatment` are those of its fit.
    X, y, treatment : the rows of the fit
        With findings they are left out.
    estimator : fitted estimator, default=None
        With findings: the model that they describe, for its diagram and ``card.save(model=True)``.
    name : str, default=None
        Of the model; None: the title of the findings.
    license : str, default="unknown"
        A name that the Hugging Face hub knows, such as "mit".
    tags : sequence of str
        To be found by on the hub, beside "causal-inference" and the like.
    figures : bool, default=None
        Whether to draw pictures. None: where matplotlib is installed; the card says so where it is
        not.
    diagram : bool, default=True
        Whether to draw scikit-learn's diagram of the steps, some 60 kB of HTML.
    **how : further arguments of `segcate.findings.collect_findings`
        `groups`, `test`, `description`, `protected`, `names`, `search`, ...

    Returns
    -------
    EffectCard
        A `skops.card.Card`. ``card.render()`` is its text, ``card.save(folder)`` writes ``README.md`` and
        the pictures whole or not at all, with ``model=True`` the model too. Sections stand below "Card":
        ``card.select("Card/Effects")``.

    Raises
    ------
    ImportError
        If skops is not installed, or matplotlib with ``figures=True``.
    TypeError
        If findings come together with rows, or an estimator without.
    ValueError
        If `license` cannot be one that the hub knows, or the rows are not those of the fit.

    Examples
    --------
    >>> from segcate.cards import effect_card
    >>> from segcate.datasets import make_segmented_users
    >>> from segcate.effects import SegmentMatching
    >>> users = make_segmented_users(600, n_segments=2, random_state=0)
    >>> X = users.X.assign(segment=users.segment)
    >>> model = SegmentMatching().fit(X, users.y, treatment=users.treatment)
    >>> card = effect_card(model, X, users.y, treatment=users.treatment, figures=False)
    >>> print(card.render().splitlines()[1])
    license: unknown
    """
    try:
        from segcate.cards._card import EffectCard
    except ImportError as error:
        raise ImportError(
            "effect_card needs skops, which is not installed here: `pip install segcate[card]`."
        ) from error
    findings, model = findings_of(
        "effect_card", source, X, y, treatment=treatment, estimator=estimator, **how
    )
    title = title_of(findings)
    head = front_matter(name or title, license, tags)
    drawn = _drawn(figures, findings)
    files = {f"{key}.png": picture.figure for key, picture in (drawn or {}).items()}
    card = EffectCard(model, findings, files, head)
    shown = {
        key: (f"{key}.png", picture.caption, picture.alt.removesuffix(picture.caption).strip())
        for key, picture in (drawn or {}).items()
    }
    note = "" if drawn is not None or figures is False else _NO_PICTURES
    card.add(Card=f"{markdown(findings.question)}{note}")
    card.select("Card").title = markdown(name or title)
    _fill(card, findings, shown)
    if diagram and model is not None:
        card.add_model_plot(section="Card/Pipeline", description="The steps, as they were fitted.")
    return card


_NO_PICTURES = (
    "\n\nPictures are missing: matplotlib was not installed where this was written "
    "(`pip install segcate[plot]`)."
)


def _fill(card: Any, findings: Findings, pictures: Mapping[str, tuple[str, str, str]]) -> None:
    for section, text in card_sections(findings, pictures).items():
        card.add(**{f"Card/{section}": text})
        if section == "Use":
            card.add(**{"Card/Use/Load it": _USE})
    card.add(**{"Card/Limits and drift": _DRIFT})


def findings_of(
    caller: str, source: Any, X: Any, y: Any, *, treatment: Any, estimator: Any, **how: Any
) -> tuple[Findings, Any]:
    """Return the findings, collected if an estimator and its rows came, and the model.

    Raises
    ------
    TypeError
        If findings come together with rows, or an estimator without.
    """
    given = {"X": X, "y": y, "treatment": treatment}
    if isinstance(source, Findings):
        passed = sorted({name for name, value in given.items() if value is not None} | set(how))
        if passed:
            raise TypeError(
                f"{caller}: with findings leave out {', '.join(passed)}: they hold all of it. Pass the estimator and "
                "its rows to have the findings collected anew."
            )
        return source, estimator
    missing = [name for name, value in given.items() if value is None]
    if missing:
        raise TypeError(
            f"{caller}: an estimator needs the rows of its fit; {', '.join(missing)} did not come. Pass `X, y, "
            "treatment=`, or findings of `segcate.findings.collect_findings`."
        )
    if estimator is not None:
        raise TypeError(f"{caller}: `estimator` goes with findings; here the first argument is it.")
    return collect_findings(source, X, y, treatment=treatment, **how), _stored_part(source)


def _stored_part(source: Any) -> Any:
    """Return the fitted pipeline of a search, or of the result of `honest_effects`."""
    for name in ("best_estimator_", "pipeline"):
        if hasattr(source, name):
            return getattr(source, name)
    return source


def _drawn(figures: bool | None, findings: Findings) -> dict[str, Picture] | None:
    """Draw the pictures; None where there are none to draw with, or none are wanted."""
    if figures is False:
        return None
    try:
        return draw_figures(findings)
    except ImportError:
        if figures:
            raise
        return None
