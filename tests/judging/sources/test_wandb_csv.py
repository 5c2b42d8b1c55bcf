"""The CSV file of W&B's web page becomes one row per run.

The page needs W&B's server, so these files are made here, in the form of an export from November 2025.
"""

from pathlib import Path

import pandas as pd
import pytest

from ablate.errors import AblateError
from ablate.judging import sources

RUNS = """\
"Name","Agent","State","Notes","User","Tags","Created","Runtime","Sweep","batch_size","method","seed","val/acc","loss"
"ours","","finished","-","","","2025-11-13T09:48:11.000Z","9910","1wf","8","ours","1","0.5","NaN"
"ours","","crashed","-","","","2025-11-13T09:34:15.000Z","","1wf","8","","2","","0.25"
"theirs","","running","a, b","","","2025-11-13T09:21:36.000Z","12","1wf","8","None","3","0.25","Infinity"
"""


def read(tmp_path: Path, text: str) -> pd.DataFrame:
    (tmp_path / "export.csv").write_text(text)
    return sources.read_runs(str(tmp_path / "export.csv"))


def test_states_become_statuses_and_all_columns_stay(tmp_path: Path) -> None:
    runs = read(tmp_path, RUNS)
    assert list(runs.source_run) == ["ours", "ours #2", "theirs"]
    assert list(runs.status) == ["finished", "failed", "running"]
    assert "State" not in runs
    assert list(runs["val/acc"].fillna(-1)) == [0.5, -1, 0.25]
    assert list(runs.loss.fillna(-1)) == [-1, 0.25, float("inf")]
    assert list(runs.method.fillna("–")) == ["ours", "–", "None"]
    assert list(runs.seed) == [1, 2, 3]


def test_the_id_names_a_run_where_it_was_exported(tmp_path: Path) -> None:
    runs = read(
        tmp_path, '"Name","ID","State","Created"\n"a","x1","finished","2025"\n"a","x2","finished","2025"\n'
    )
    assert list(runs.source_run) == ["x1", "x2"]


def test_a_table_of_somebody_else_is_not_taken_for_an_export(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("Name,State,Score\nAnn,Ohio,3\n")
    assert sources.find_kind(str(tmp_path / "people.csv")) is None


def test_the_export_of_a_chart_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(AblateError, match="is the export of a W&B chart: export the table of runs instead"):
        read(tmp_path, '"Step","ours - loss","ours - loss__MIN","ours - loss__MAX"\n"1","2","2","2"\n')


def test_a_file_that_is_torn_within_a_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AblateError, match="is not a complete CSV file"):
        read(tmp_path, RUNS[:-60])
