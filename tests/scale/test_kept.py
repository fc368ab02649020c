"""A run that was killed goes on from its finished passes, to the same bits, and says so; another run starts afresh."""

import itertools
import os
import pickle
import re
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from segcate import scale
from segcate.effects import SegmentMatching
from segcate.exceptions import SegcateWarning
from segcate.matching import _model_columns
from segcate.scale import _exact, _weighing
from segcate.scale._kept import FOLDER
from segcate.segmentation import KMeansSegmenter
from tests.scale.test_fit import ROLES, made_table, model_of

pa = pytest.importorskip("pyarrow")

COLUMNS = ["age", "visits", "stay", "segment"]
OPTIONS = {**ROLES, "part_size": 700, "columns": COLUMNS}

pytestmark = pytest.mark.skipif(os.name == "nt", reason="locks of POSIX")


class Rows:
    """A source that counts how often it is read, and may end in the middle of one time."""

    def __init__(self, frame, last=None, end=None):
        self.table, self.last, self.end = (
            pa.Table.from_pandas(frame, preserve_index=False),
            last,
            end,
        )
        self.n_reads = 0

    def __call__(self):
        self.n_reads += 1
        for i, batch in enumerate(self.table.to_batches(max_chunksize=1_000)):
            if i == 1 and self.n_reads == self.last:
                self.end()
            yield batch


def interrupt():
    raise KeyboardInterrupt


def tables(found):
    last = found[-1] if hasattr(found, "steps") else found
    known = last.effects_, last.overall_, last.contrasts().table, last.balance_, last.heterogeneity_
    return pickle.dumps(
        [table.to_dict() if hasattr(table, "to_dict") else repr(table) for table in known]
    )


def ended_early(model, source, folder):
    with pytest.raises(KeyboardInterrupt):
        scale.fit(model, source, spill=folder, resume=True, **OPTIONS)


@pytest.mark.parametrize("adjustment", ["auto", "bias"])
def test_every_pass_may_be_the_last(adjustment, tmp_path):
    model = SegmentMatching(on_empty="nan") if adjustment == "auto" else model_of()
    frame = made_table()
    whole = scale.fit(model, Rows(frame), **OPTIONS)
    n = whole.scale_report_["n_passes"]
    ended_early(model, Rows(frame, 1, interrupt), tmp_path)
    ended_early(model, Rows(frame, 2, interrupt), tmp_path)
    for finished in range(1, n - 1):
        with pytest.warns(UserWarning, match=rf"going on after pass {finished}\b"):
            ended_early(model, Rows(frame, 2, interrupt), tmp_path)
    source = Rows(frame)
    with pytest.warns(UserWarning, match=rf"going on after pass {n - 1}\b"):
        found = scale.fit(model, source, spill=tmp_path, resume=True, **OPTIONS)
    assert tables(found) == tables(whole)
    assert source.n_reads == 1
    assert found.scale_report_["n_passes"] == n
    assert found.scale_report_["n_passes_before"] == n - 1
    assert not list(tmp_path.iterdir())


def test_a_segmenter_without_a_seed_stays_the_same(tmp_path):
    pipe = make_pipeline(KMeansSegmenter(4, columns=["age", "stay"]), SegmentMatching())
    options = {**OPTIONS, "columns": COLUMNS[:3], "spill": tmp_path, "resume": True}
    with pytest.raises(KeyboardInterrupt):
        scale.fit(pipe, Rows(made_table(), 3, interrupt), **options)
    (kept,) = pickle.loads((tmp_path / FOLDER / "fitted.pickle").read_bytes())
    with pytest.warns(UserWarning, match="going on after pass 2 of 6 to 10"):
        found = scale.fit(pipe, Rows(made_table()), **options)
    np.testing.assert_array_equal(found[0].cluster_centers_, kept.cluster_centers_)
    assert found[0] is not pipe[0]


class TestAnotherRunStartsAfresh:
    @pytest.mark.parametrize(
        ("changed", "names"),
        [
            ({"part_size": 900}, "`part_size`"),
            ({"random_state": 1, "sample_size": 2_000}, "`sample_size`, `random_state`"),
            ({"columns": COLUMNS[1:]}, "`columns`"),
        ],
    )
    def test_after_other_arguments(self, changed, names, tmp_path):
        frame = made_table(3000)
        ended_early(SegmentMatching(on_empty="nan"), Rows(frame, 3, interrupt), tmp_path)
        options = {**OPTIONS, **changed}
        said = f"starting afresh: not as in the run that was killed: {names}"
        model = SegmentMatching(on_empty="nan")
        with pytest.warns(SegcateWarning, match=said):
            found = scale.fit(model, Rows(frame), spill=tmp_path, resume=True, **options)
        assert found.scale_report_["n_passes_before"] == 0
        assert tables(found) == tables(scale.fit(model, Rows(frame), **options))

    def test_after_another_estimator(self, tmp_path):
        frame = made_table(3000)
        ended_early(SegmentMatching(on_empty="nan"), Rows(frame, 3, interrupt), tmp_path)
        with pytest.warns(SegcateWarning, match=r"killed: `estimator`\."):
            scale.fit(model_of(), Rows(frame), spill=tmp_path, resume=True, **OPTIONS)

    def test_after_files_that_changed(self, tmp_path, monkeypatch):
        frame = made_table(3000)
        path = tmp_path / "rows.parquet"
        model, options = SegmentMatching(on_empty="nan"), {**OPTIONS, "resume": True}
        frame.to_parquet(path)
        monkeypatch.setattr("segcate.scale._weighing.WeighStep.sums", lambda *_: interrupt())
        with pytest.raises(KeyboardInterrupt):
            scale.fit(model, path, spill=tmp_path / "spill", **options)
        monkeypatch.undo()
        other = frame.assign(age=frame["age"][::-1].to_numpy())
        other.to_parquet(path)
        with pytest.warns(SegcateWarning, match=r"starting afresh: .* killed: `source`\."):
            found = scale.fit(model, path, spill=tmp_path / "spill", **options)
        assert tables(found) == tables(scale.fit(model, path, **OPTIONS))

    def test_after_rows_that_changed(self, tmp_path):
        frame = made_table(3000)
        model = SegmentMatching(on_empty="nan")
        ended_early(model, Rows(frame, 4, interrupt), tmp_path)
        other = frame.assign(spend=frame["spend"] + 1)
        with (
            pytest.warns(UserWarning, match="going on after pass 3"),
            pytest.warns(SegcateWarning, match="afresh: `source` has other rows than in the run"),
        ):
            found = scale.fit(model, Rows(other), spill=tmp_path, resume=True, **OPTIONS)
        assert tables(found) == tables(scale.fit(model, Rows(other), **OPTIONS))


class TestRefused:
    def test_without_a_folder(self):
        with pytest.raises(ValueError, match=r"resume=True .* `spill` says where"):
            scale.fit(SegmentMatching(), Rows(made_table(2000)), resume=True, **OPTIONS)

    def test_beside_a_run_that_lives(self, tmp_path):
        with pytest.raises(ValueError, match="another process is running in `spill`="):
            ended_early(
                SegmentMatching(),
                Rows(
                    made_table(2000),
                    2,
                    lambda: ended_early(SegmentMatching(), Rows(made_table(2000)), tmp_path),
                ),
                tmp_path,
            )

    def test_what_cannot_be_pickled(self, tmp_path):
        model = make_pipeline(FunctionTransformer(lambda X: X), SegmentMatching())
        with pytest.raises(ValueError, match="this one cannot be pickled"):
            scale.fit(model, Rows(made_table(2000)), spill=tmp_path, resume=True, **OPTIONS)


def fit_and_write(folder, read, part):
    """Fit in this process, which is killed in the middle of a time it reads, or of a part it matches."""
    left = itertools.count(1)

    def kill():
        os.kill(os.getpid(), signal.SIGKILL)

    for step in (_weighing.WeighStep, _exact.ExactStep):

        def counted(self, place, dealt, sums=step.sums):
            return kill() if next(left) == part else sums(self, place, dealt)

        step.sums = counted
    _model_columns.MOST_DECIDING = 2_000  # so that rows are chosen by keys
    model = make_pipeline(
        KMeansSegmenter(4, columns=["age", "stay"], random_state=0), SegmentMatching()
    )
    options = {**OPTIONS, "columns": COLUMNS[:3], "spill": folder / "spill", "resume": True}
    source = Rows(made_table(), read, kill)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda text, *_: (folder / "said").write_text(str(text))
        found = scale.fit(model, source, **options)
    result = source.n_reads, found[-1].scale_report_, tables(found)
    (folder / "result").write_bytes(pickle.dumps(result))


def run_all(folder, ends):
    """Fit in one process after the other; return what each said before it was killed."""
    out = []
    for read, part in ends:
        (folder / "said").write_text("")
        pid = os.fork()
        if pid == 0:
            try:
                fit_and_write(folder, read, part)
            finally:
                os._exit(0)
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status) == bool(read or part)
        found = re.search(r"going on after pass (.*)\.", (folder / "said").read_text())
        out.append(found[1] if found else "")
    return out


def check_killed_in_every_pass(folder):
    dealt = "5 of 6 to 10; the rows of pass 6 are read, too"
    # the reading or the part that a process is killed in, and what it says at its start
    ends = [((2, 0), "")] + [((2, 0), f"{n} of 6 to 10") for n in range(1, 5)]
    ends += [((0, 3), "5 of 6 to 10"), ((0, 2), dealt), ((1, 0), dealt)]
    ends += [((0, 5), "6 of 6 to 10"), ((0, 0), "6 of 6 to 10; the rows of pass 7 are read, too")]
    for name in ("killed", "whole"):
        (folder / name).mkdir()
    assert run_all(folder / "killed", [end for end, _ in ends]) == [said for _, said in ends]
    run_all(folder / "whole", [(0, 0)])
    n_reads, report, found = pickle.loads((folder / "killed" / "result").read_bytes())
    whole = pickle.loads((folder / "whole" / "result").read_bytes())
    assert found == whole[2]
    assert n_reads == 0
    assert report["n_passes"] == whole[0] == 7
    assert not list((folder / "killed" / "spill").iterdir())


def test_a_process_may_be_killed_in_every_pass(tmp_path):
    # forks come from a process that has no threads
    code = "import sys, pathlib; from tests.scale.test_kept import check_killed_in_every_pass as check; "
    words = [sys.executable, "-c", code + "check(pathlib.Path(sys.argv[1]))", str(tmp_path)]
    root = Path(__file__).parents[2]
    done = subprocess.run(words, capture_output=True, text=True, cwd=root, check=False)
    assert done.returncode == 0, done.stderr
