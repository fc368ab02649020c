"""Question, estimand and method in words."""

from __future__ import annotations

from segcate._writing.label_texts import one_line
from segcate.effects import SegmentAIPW, SegmentMatching
from segcate.findings._description import Description
from segcate.findings._source import Source

_WHOSE = {
    "att": "average effect on the treated: what the treatment changed for those who got it",
    "atc": "average effect on the controls: what the treatment would have changed for those who did not get it",
    "ate": "average effect on all rows: the outcome if everybody were treated less the outcome if nobody were",
}


def question_words(description: Description) -> str:
    """Ask what the analysis answers, in the user's words where there are any."""
    treated = description.treated or "the treatment"
    control = f", compared with {description.control}" if description.control else ""
    outcome = description.outcome or "the outcome"
    who = f" of {description.population}" if description.population else ""
    return one_line(
        f"How much does {treated} change {outcome}{control}, and in which segments{who}?"
    )


def estimand_words(estimand: str, description: Description, is_binary: bool) -> str:
    """Say whose effect is estimated, and in what unit."""
    if is_binary:
        unit = "a difference between shares of rows with outcome 1 (0.01 is one percentage point)"
    elif description.units:
        unit = f"in {description.units}"
    else:
        unit = "in units of the outcome"
    return one_line(f"{_WHOSE[estimand]}; {unit}")


def method_words(source: Source) -> str:
    """Say how effects and standard errors were made."""
    model = source.model
    if isinstance(model, SegmentMatching):
        how = f"matching inside each segment: {model.matcher_.describe()}"
    elif isinstance(model, SegmentAIPW):
        how = "cross-fitted models of outcome and treatment, combined (AIPW)"
    else:
        how = "regression on treatment, covariates and their interactions in each segment"
    return one_line(f"{how}; standard errors: {model.std_error_method_}")
