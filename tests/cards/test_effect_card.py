"""A card says what the estimator found, number by number, and what was not computed."""

from __future__ import annotations

import builtins
import os
import re

import numpy as np
import pandas as pd
import pytest
import skops.card
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import segcate
from segcate.cards import effect_card
from segcate.datasets import make_segmented_users
from segcate.effects import SegmentMatching
from segcate.findings import Description, HeldOut, collect_findings
from segcate.metrics import qini_experiment_scorer
from segcate.persistence import load
from segcate.segmentation import KMeansSegmenter

users = make_segmented_users(900, n_segments=3, categories=True, random_state=0)
rest = make_segmented_users(900, n_segments=3, categories=True, random_state=1)
GIVEN = {"y": users.y, "treatment": users.treatment}
LABELS = np.array(["<b>gold</b>", "가나다 | 회원", "[x](http://evil) `*_#"], dtype=object)
labelled = users.X.assign(segment=LABELS[np.unique(users.segment, return_inverse=True)[1]])
WORDS = Description(
    outcome="hours <script>alert(1)</script>", units="시간", treated="알림", intended_use="to decide",
    out_of_scope="credit",
)  # fmt: skip


@pytest.fixture(scope="module")
def pipe():
    made = make_pipeline(KMeansSegmenter(3, random_state=0), SegmentMatching(on_empty="overall"))
    with segcate.routing():
        return made.fit(users.X, users.y, treatment=users.treatment)


@pytest.fixture(scope="module")
def model():
    return SegmentMatching().fit(labelled, users.y, treatment=users.treatment)


@pytest.fixture(scope="module")
def card(model):
    test = HeldOut(
        rest.X.assign(segment=LABELS[np.unique(rest.segment, return_inverse=True)[1]]),
        rest.y, rest.treatment,
    )  # fmt: skip
    return effect_card(
        model, labelled, **GIVEN, description=WORDS, test=test, protected="plan", license="mit",
        tags=["games"],
    )  # fmt: skip


def table_below(card, section):
    """Read the first table of a section back, as texts."""
    content = card.select(f"Card/{section}").content
    lines = [line for line in content.split("\n") if line.startswith("| ")]
    end = next((i for i, line in enumerate(content.split("\n\n")) if line.startswith("| ")), 0)
    lines = content.split("\n\n")[end].split("\n")
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    head, _, *body = [[cell.strip() for cell in row] for row in rows]
    return pd.DataFrame(body, columns=head)


def number(text):
    return float(text.replace("\N{MINUS SIGN}", "-").replace(",", "").replace("&lt; ", ""))


def is_written(text, value):
    """Tell whether a text is the value, rounded to its decimals."""
    n_decimals = len(text.partition(".")[2])
    return number(text) == pytest.approx(value, abs=0.5001 * 10.0**-n_decimals)


def test_it_is_a_card_of_skops(card):
    assert isinstance(card, skops.card.Card)
    card.add(**{"Card/Contact": "us"})
    assert "## Contact\n\nus" in card.render()
    card.delete("Card/Contact")


def test_effects_of_the_card_are_those_of_the_estimator(card, model):
    shown = table_below(card, "Effects")
    truth = model.effects_
    assert len(shown) == len(truth) + 1  # everyone stands last
    for head, name in {"effect": "effect", "std. error": "std_error"}.items():
        for text, value in zip(shown[head], truth[name], strict=False):
            assert is_written(text, value)
    (interval,) = [head for head in shown if head.startswith("95 %")]
    ends = zip(truth["ci_low"], truth["ci_high"], strict=True)
    for text, (low, high) in zip(shown[interval], ends, strict=False):
        first, last = text.split(" to ")
        assert is_written(first, low)
        assert is_written(last, high)
    everyone = shown.iloc[-1]
    assert everyone["segment"] == "everyone"
    assert is_written(everyone["effect"], model.overall_["effect"])
    sizes = table_below(card, "Who the segments are")
    assert [number(n) for n in sizes["treated"]] == truth["n_treated"].tolist()


def test_numbers_in_sentences_are_those_of_the_findings(card):
    text, found = card.render(), card.findings
    q = found.heterogeneity
    assert f"Cochran's Q = {q.q:.2f} on {q.df} degrees of freedom" in text
    for statement in found.verdict:
        plain = re.sub(r"\\(.)", r"\1", text).replace("&lt;", "<").replace("&gt;", ">")
        assert statement.text in plain
    assert found.data_hash in text
    assert f"{found.targeting.n:,} held-out rows" in text


def test_every_section_of_the_specification_is_there(card):
    titles = [title for title, _ in card._iterate_key_section_content(card._data)]
    for title in (
        "Verdict", "Use", "Question and data", "Who the segments are", "Effects", "Do segments differ?",
        "Balance of the arms", "Overlap of the arms", "Targeting", "Effects by a protected column",
        "What a hidden cause could do", "The search behind the segments", "What this rests on",
        "How this was made", "Limits and drift", "Pipeline",
    ):  # fmt: skip
        assert title in titles or f"### {title}" in card.render(), title


def test_what_was_not_computed_says_so_and_how_to_have_it(pipe):
    card = effect_card(pipe, users.X, **GIVEN, figures=False)
    for section in (
        "Targeting",
        "Effects by a protected column",
        "The search behind the segments",
    ):
        content = card.select(f"Card/{section}").content
        assert content.startswith("Not computed: "), section
        assert "To have it: " in content
    assert "not said by whoever made this card" in card.select("Card/Use").content


def test_labels_and_words_are_text_and_nothing_else(card):
    text = card.render().removeprefix(card.front_matter).partition("## Pipeline")[0]
    assert "<script>" not in text
    assert "<b>" not in text
    assert "&lt;b&gt;gold&lt;/b&gt;" in text
    assert "](http://evil)" not in text.replace("\\](http", "")
    assert "가나다" in text
    assert "시간" in text
    assert len(table_below(card, "Who the segments are").columns) == 5


def test_a_search_shows_grid_spread_and_a_warning():
    pipe = make_pipeline(KMeansSegmenter(random_state=0), SegmentMatching(on_empty="overall"))
    grid = {"kmeanssegmenter__n_clusters": [2, 3]}
    search = GridSearchCV(pipe, grid, scoring=qini_experiment_scorer, cv=2)
    with segcate.routing():
        search.fit(users.X, users.y, treatment=users.treatment)
    card = effect_card(search, users.X, **GIVEN, figures=False)
    content = card.select("Card/The search behind the segments").content
    assert "2 settings, 2 folds, qini_score" in content
    assert "2, 3" in content
    assert f"best {search.best_score_:.4g}" in content
    assert "exploratory" in content
    assert "segments" in card.select("Card/Verdict").content
    assert card.model is search.best_estimator_


def test_the_card_and_its_pictures_are_saved(card, tmp_path):
    pytest.importorskip("matplotlib")
    card.save(tmp_path / "new" / "card")
    files = set(os.listdir(tmp_path / "new" / "card"))
    text = (tmp_path / "new" / "card" / "README.md").read_text(encoding="utf-8")
    assert text == card.render()
    shown = set(re.findall(r"\]\((\w+\.png)\)", text))
    assert shown == files - {"README.md"}
    assert {"effects.png", "balance.png", "overlap.png", "targeting.png", "protected.png"} <= shown


def test_every_picture_has_a_caption(card):
    pytest.importorskip("matplotlib")
    text = card.render()
    for name in card.pictures:
        below = text.partition(f"]({name})\n\n")[2]
        assert below.startswith("*")
        assert len(below.partition("*\n")[0]) > 40


def test_the_model_is_stored_beside_the_card(pipe, tmp_path):
    card = effect_card(pipe, users.X, **GIVEN, figures=False)
    card.save(tmp_path, model=True)
    assert sorted(os.listdir(tmp_path)) == ["README.md", "model.skops"]
    back = load(tmp_path / "model.skops")
    np.testing.assert_array_equal(back.predict(users.X), pipe.predict(users.X))


def test_a_folder_that_cannot_be_written_is_left_as_it_was(card, tmp_path, monkeypatch):
    (tmp_path / "README.md").write_text("old")
    (tmp_path / "notes.txt").write_text("mine")

    def is_full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(card), "render", is_full)
    with pytest.raises(OSError, match="what was there before is untouched"):
        card.save(tmp_path)
    assert (tmp_path / "README.md").read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["README.md", "notes.txt"]
    with pytest.raises(NotADirectoryError):
        card.save(tmp_path / "notes.txt")


def test_a_second_card_takes_the_place_of_the_first(card, pipe, tmp_path):
    card.save(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    effect_card(pipe, users.X, **GIVEN, figures=False).save(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["README.md", "notes.txt"]


def test_findings_serve_as_well_as_an_estimator(pipe):
    findings = collect_findings(pipe, users.X, **GIVEN)
    card = effect_card(findings, figures=False, diagram=False)
    other = effect_card(pipe, users.X, **GIVEN, figures=False, diagram=False)
    assert card.render() == other.render()
    with pytest.raises(ValueError, match="has no model to store"):
        card.save("card", model=True)
    with pytest.raises(TypeError, match="with findings leave out X, protected"):
        effect_card(findings, users.X, protected="plan")
    with pytest.raises(TypeError, match="X, y, treatment did not come"):
        effect_card(pipe)
    with pytest.raises(TypeError, match="`estimator` goes with findings"):
        effect_card(pipe, users.X, **GIVEN, estimator=pipe)


def test_an_estimator_that_was_not_fitted_is_refused():
    with pytest.raises(NotFittedError):
        effect_card(SegmentMatching(), labelled, **GIVEN)


def without(*names):
    real = builtins.__import__

    def imports(name, *args, **kwargs):
        if name.partition(".")[0] in names:
            raise ImportError(name=name)
        return real(name, *args, **kwargs)

    return imports


def test_without_skops_the_error_names_the_extra(card, monkeypatch):
    monkeypatch.delitem(__import__("sys").modules, "segcate.cards._card", raising=False)
    monkeypatch.setattr(builtins, "__import__", without("skops"))
    with pytest.raises(ImportError, match=r"effect_card needs skops.*segcate\[card\]"):
        effect_card(card.findings)


def test_without_matplotlib_the_card_says_so(card, monkeypatch):
    monkeypatch.setattr(builtins, "__import__", without("matplotlib"))
    plain = effect_card(card.findings)
    assert not plain.pictures
    assert "Pictures are missing: matplotlib was not installed" in plain.render()
    assert ".png" not in plain.render()
    with pytest.raises(ImportError, match=r"pip install segcate\[plot\]"):
        effect_card(card.findings, figures=True)


def test_segments_of_few_groups_are_not_to_be_decided_on():
    blocks = np.where(users.segment == users.segment[0], 0, np.arange(900) % 40 + 1)
    halves = blocks + 100 * (np.arange(900) % 2)
    X = users.X.assign(segment=np.unique(users.segment, return_inverse=True)[1])
    model = SegmentMatching().fit(X, users.y, treatment=users.treatment, groups=halves)
    card = effect_card(model, X, **GIVEN, groups=halves, figures=False)
    few = {doubt.segment for doubt in card.findings.doubts if doubt.kind == "few groups"}
    assert few == {X["segment"].iloc[0]}
    assert "Decide nothing for segments" in card.select("Card/Use").content
