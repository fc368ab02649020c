"""The Learning Mindsets data: a file, a cache, or a download that is checked before it is kept."""

from __future__ import annotations

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pandas as pd
import pytest

from segcate.datasets import _mindset, fetch_learning_mindset
from tests.helpers.shared import shared_path

COLUMNS = ["schoolid", "Z", "Y", "S3", "C1", "C2", "C3", "XC", "X1", "X2", "X3", "X4", "X5"]


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    whole = rng.integers(1, 5, size=(40, 13))
    table = pd.DataFrame(whole, columns=COLUMNS)
    table["Z"] = np.arange(40) % 2
    table[["Y", "X1", "X2", "X3", "X4", "X5"]] = rng.standard_normal((40, 6))
    return table


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
    monkeypatch.setattr(_mindset, "_URL", f"http://127.0.0.1:{httpd.server_port}/data.csv")
    monkeypatch.setattr(_mindset, "_VALUES_SHA256", _mindset._digest(table))
    yield folder
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def test_download_stores_a_copy_and_reads_it_next_time(server, tmp_path, table):
    home = tmp_path / "home"
    data = fetch_learning_mindset(data_home=home, download=True)
    assert data.is_original
    assert np.array_equal(data.X.to_numpy(), table[COLUMNS[3:]].to_numpy())
    assert np.array_equal(data.y, table["Y"])
    assert np.array_equal(data.treatment, table["Z"])
    assert np.array_equal(data.groups, table["schoolid"])
    (server / "data.csv").unlink()
    again = fetch_learning_mindset(data_home=home)
    assert again.X.equals(data.X)
    assert [file.name for file in home.iterdir()] == ["learning_mindset.csv"]


def test_download_of_other_values_is_refused_and_leaves_nothing(server, tmp_path, table):
    table.loc[7, "Y"] += 1e-12
    table.to_csv(server / "data.csv", index=False)
    with pytest.raises(ValueError, match=r"is not the public file.*Nothing was stored"):
        fetch_learning_mindset(data_home=tmp_path / "home", download=True)
    assert list((tmp_path / "home").iterdir()) == []


def test_download_that_fails_says_what_to_do(server, tmp_path, monkeypatch):
    (server / "data.csv").unlink()
    with pytest.raises(OSError, match=r"download of .* failed .*File not found.*pass `path=`"):
        fetch_learning_mindset(data_home=tmp_path / "home", download=True)
    monkeypatch.setattr(_mindset, "_URL", "http://127.0.0.1:9/data.csv")
    with pytest.raises(OSError, match=r"download of .* failed .*pass `path=`"):
        fetch_learning_mindset(data_home=tmp_path / "home", download=True, timeout=2)
    assert list((tmp_path / "home").iterdir()) == []


def test_nothing_is_downloaded_unless_asked(server, tmp_path):
    with pytest.raises(FileNotFoundError, match="Pass `download=True` to fetch it"):
        fetch_learning_mindset(data_home=tmp_path / "home")
    assert not (tmp_path / "home").exists()


def test_environment_names_the_cache(server, tmp_path, monkeypatch):
    monkeypatch.setenv("SEGCATE_DATA", str(tmp_path / "cache"))
    fetch_learning_mindset(download=True)
    assert (tmp_path / "cache" / "learning_mindset.csv").is_file()


def test_own_file_keeps_its_further_columns_and_says_it_is_not_the_original(tmp_path, table):
    table.assign(cluster=3, note="a").to_csv(tmp_path / "own.csv", index=False)
    data = fetch_learning_mindset(tmp_path / "own.csv")
    assert not data.is_original
    assert data.extra.columns.tolist() == ["cluster", "note"]
    assert data.X.columns.tolist() == COLUMNS[3:]
    assert data.path == str(tmp_path / "own.csv")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.drop(columns=["X3", "Z"]), "lacks the columns 'Z', 'X3'"),
        (
            lambda t: t.assign(Z=t["Z"] + 1),
            r"rows with Z 0 or 1.*\{1, 2\}|rows with Z 0 or 1.*\{2, 1\}",
        ),
        (lambda t: t.assign(Y="high"), "column 'Y' .* must hold finite numbers"),
        (
            lambda t: t.assign(X1=t["X1"].where(t.index > 3)),
            "column 'X1' .* must hold finite numbers",
        ),
        (lambda t: t.iloc[:0], "it has 0 rows"),
    ],
)
def test_a_spoilt_file_is_told_what_is_wrong(tmp_path, table, spoil, message):
    spoil(table).to_csv(tmp_path / "own.csv", index=False)
    with pytest.raises(ValueError, match=message):
        fetch_learning_mindset(tmp_path / "own.csv")


def test_missing_or_empty_file_and_two_sources_are_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .* Check `path`"):
        fetch_learning_mindset(tmp_path / "none.csv")
    (tmp_path / "empty.csv").touch()
    with pytest.raises(ValueError, match=r"is not a CSV file: No columns to parse"):
        fetch_learning_mindset(tmp_path / "empty.csv")
    with pytest.raises(ValueError, match="Pass the one or the other"):
        fetch_learning_mindset(tmp_path / "empty.csv", download=True)


def test_values_of_the_public_file_have_the_stated_checksum():
    data = fetch_learning_mindset(shared_path("data", "mindset", "mindset_rows.csv"))
    assert data.is_original
    assert data.X.shape == (10_391, 10)
    assert data.groups.nunique() == 76
    assert data.treatment.mean() == pytest.approx(0.3257, abs=5e-5)
