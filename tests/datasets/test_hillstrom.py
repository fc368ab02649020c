"""The e-mail experiment: a file, a cache, or a download that is checked before it is kept."""

from __future__ import annotations

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pandas as pd
import pytest

from segcate.datasets import _hillstrom, fetch_hillstrom
from tests.helpers.shared import shared_path

ARMS = ["No E-Mail", "Mens E-Mail", "Womens E-Mail"]


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    n = 30
    return pd.DataFrame(
        {
            "recency": rng.integers(1, 13, n),
            "history_segment": np.array(["1) $0 - $100", "2) $100 - $200"])[np.arange(n) % 2],
            "history": rng.uniform(30, 200, n).round(2),
            "mens": rng.integers(0, 2, n),
            "womens": rng.integers(0, 2, n),
            "zip_code": np.array(["Rural", "Surburban", "Urban"])[np.arange(n) % 3],
            "newbie": rng.integers(0, 2, n),
            "channel": np.array(["Phone", "Web"])[np.arange(n) % 2],
            "segment": np.array(ARMS)[np.arange(n) % 3],
            "visit": rng.integers(0, 2, n),
            "conversion": 0,
            "spend": rng.uniform(0, 9, n).round(2),
        }
    )


@pytest.fixture
def server(tmp_path, table, monkeypatch):
    """Serve a stand-in of the public file on this machine, and expect its values."""
    folder = tmp_path / "www"
    folder.mkdir()
    table.to_csv(folder / "data.csv", index=False, lineterminator="\r\n")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    monkeypatch.setattr(_hillstrom, "_URL", f"http://127.0.0.1:{httpd.server_port}/data.csv")
    monkeypatch.setattr(_hillstrom, "_VALUES_SHA256", _hillstrom._digest(table))
    yield folder
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def test_download_stores_a_copy_and_reads_it_next_time(server, tmp_path, table):
    home = tmp_path / "home"
    data = fetch_hillstrom(data_home=home, download=True)
    assert data.is_original
    assert data.arms.tolist() == ARMS
    assert [ARMS[code] for code in data.treatment] == table["segment"].tolist()
    assert np.array_equal(data.y, table["visit"])
    assert np.array_equal(data.X["history"], table["history"])
    (server / "data.csv").unlink()
    assert fetch_hillstrom(data_home=home).X.equals(data.X)
    assert [file.name for file in home.iterdir()] == ["hillstrom.csv"]


@pytest.mark.parametrize(
    "damage",
    [lambda c: b"", lambda c: c[: len(c) // 2], lambda c: c[:-8], lambda c: b"\0\xff" * 200],
    ids=["empty", "half", "last line cut", "noise"],
)
def test_a_damaged_copy_is_named_and_fetched_again(server, tmp_path, damage):
    whole = fetch_hillstrom(data_home=tmp_path, download=True)
    copy = tmp_path / "hillstrom.csv"
    copy.write_bytes(damage(copy.read_bytes()))
    with pytest.raises(ValueError, match=r"'.*hillstrom.csv' is damaged.*`download=True`"):
        fetch_hillstrom(data_home=tmp_path)
    assert fetch_hillstrom(data_home=tmp_path, download=True).X.equals(whole.X)
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["hillstrom.csv"]


def test_a_file_of_ones_own_that_is_cut_short_is_named(tmp_path, table):
    own = tmp_path / "own.csv.gz"
    table.to_csv(own, index=False)
    own.write_bytes(own.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"'.*own.csv.gz' is not a CSV file.*Fetch the file again"):
        fetch_hillstrom(own)


@pytest.mark.parametrize("column", ["channel", "spend", "segment"])
def test_download_of_other_values_is_refused_and_leaves_nothing(server, tmp_path, table, column):
    other = {"channel": "Multichannel", "spend": table["spend"][4] + 1e-12, "segment": ARMS[0]}
    table.loc[4, column] = other[column]
    table.to_csv(server / "data.csv", index=False)
    with pytest.raises(ValueError, match=r"is not the public file.*Nothing was stored"):
        fetch_hillstrom(data_home=tmp_path / "home", download=True)
    assert list((tmp_path / "home").iterdir()) == []


def test_offline_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(_hillstrom, "_URL", "http://127.0.0.1:9/data.csv")
    with pytest.raises(OSError, match=r"download of .* failed .*pass `path=`"):
        fetch_hillstrom(data_home=tmp_path, download=True, timeout=2)
    with pytest.raises(FileNotFoundError, match=r"Pass `download=True` to fetch it \(4 MB\)"):
        fetch_hillstrom(data_home=tmp_path)


@pytest.mark.parametrize("outcome", ["visit", "conversion", "spend"])
def test_outcome_is_chosen_by_name(tmp_path, table, outcome):
    table.to_csv(tmp_path / "own.csv.gz", index=False)
    data = fetch_hillstrom(tmp_path / "own.csv.gz", outcome=outcome)
    assert not data.is_original
    assert data.y.name == outcome
    assert np.array_equal(data.y, table[outcome])
    assert np.array_equal(data.outcomes, table[["visit", "conversion", "spend"]])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.drop(columns=["newbie"]), "lacks the columns 'newbie'"),
        (lambda t: t.assign(segment="Mens E-Mail"), "must name the arms 'No E-Mail', .*30 rows"),
        (lambda t: t.assign(history="much"), "column 'history' .* must hold finite numbers"),
        (lambda t: t.assign(channel=t["channel"].where(t.index > 1)), "'channel' .* has 2 gaps"),
    ],
)
def test_a_spoilt_file_is_told_what_is_wrong(tmp_path, table, spoil, message):
    spoil(table).to_csv(tmp_path / "own.csv", index=False)
    with pytest.raises(ValueError, match=message):
        fetch_hillstrom(tmp_path / "own.csv")


def test_unknown_outcome_is_an_error():
    with pytest.raises(ValueError, match=r"`outcome` must be one of \['visit'"):
        fetch_hillstrom("x.csv", outcome="profit")


def test_values_of_the_public_file_have_the_stated_checksum():
    data = fetch_hillstrom(shared_path("data", "uplift", "hillstrom.csv.gz"), outcome="spend")
    assert data.is_original
    assert data.X.shape == (64_000, 8)
    means = data.outcomes.groupby(data.treatment > 0).mean()
    difference = means.loc[True] - means.loc[False]
    # As the folder's README prints them: four decimals for shares, three for dollars.
    assert difference[["visit", "conversion"]].round(4).tolist() == [0.0609, 0.005]
    assert round(difference["spend"], 3) == 0.597
