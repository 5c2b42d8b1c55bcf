"""How many workers one command can keep busy: `python -m tests.benchmarks.scale` draws reports/performance/scale.png.

Workers are simulated: a run is 0.1 s of sleep. Everything else, the plan, the events and the record in its
file or on a PostgreSQL server, is what `ablate run` does.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ablate.design.runs import Run
from ablate.execution.executor import Outcome, mark_ready
from ablate.records.postgresql_record import PostgresqlRecord
from ablate.records.record import Record
from ablate.study import study_file
from tests.conftest import SMALL
from tests.experiment.test_conduct import Stub, conducting

RUN_SECONDS = 0.1
RUNS = 200
WORKERS = (1, 2, 4, 8, 16, 32, 64)
OUT = Path(__file__).parents[2] / "reports" / "performance"


class Sleeping(Stub):
    """So many workers at once, none of which computes anything."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count

    def outcomes(self, runs: Iterable[Run]) -> Iterator[Outcome]:
        waiting = iter(runs)
        with ThreadPoolExecutor(self._count) as pool:
            flying: set[Future[Outcome]] = set()
            while True:
                flying |= {
                    pool.submit(self._sleep, run) for run in islice(waiting, self._count - len(flying))
                }
                if not flying:
                    return
                done = wait(flying, return_when=FIRST_COMPLETED).done
                flying -= done
                yield from mark_ready([one.result() for one in done])

    def _sleep(self, run: Run) -> Outcome:
        time.sleep(RUN_SECONDS)
        return Outcome(run=run, record=self.record(run))


def measured(workers: int, store: Record | None, name: str, folder: Path) -> dict[str, float]:
    """One study of RUNS runs from its first to its last, of which the plan knows everything beforehand."""
    file = folder / f"{name}.yaml"
    file.write_text(SMALL)
    wanted = (f"name={name}", f"seeds={RUNS // 2}", "tuning.trials=0", "timing.blocks=0")
    with conducting(study_file.read(file, wanted), folder / name, Sleeping(workers), store) as (
        conducted,
        _,
        _,
    ):
        started, used = time.perf_counter(), time.process_time()
        for _ in conducted.run_phases():
            pass
        seconds, used = time.perf_counter() - started, time.process_time() - used
    return {
        "workers": workers,
        "speed_up": RUNS * RUN_SECONDS / seconds,
        "coordinator_ms_a_run": 1000 * used / RUNS,
    }


def main(url: str | None) -> None:
    """Measure with a file and, given a server's URL, there too; write the table and the figure."""
    rows = []
    with tempfile.TemporaryDirectory() as made:
        for workers in WORKERS:
            for where in ("SQLite file", *(["PostgreSQL server"] if url else [])):
                name = f"scale-{workers}-{'file' if where.startswith('SQLite') else os.getpid()}"
                store = PostgresqlRecord(url, name) if url and where.startswith("Post") else None
                rows.append({"record": where, **measured(workers, store, name, Path(made))})
                print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    table.round(2).to_csv(OUT / "scale.csv", index=False)
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    sns.lineplot(
        table,
        x="workers",
        y="speed_up",
        hue="record",
        style="record",
        markers=True,
        palette="colorblind",
        ax=axes,
    )
    axes.plot(WORKERS, WORKERS, color="0.6", linestyle=":", label="as many as workers")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
    axes.set(xlabel="simulated workers, a run of 0.1 s each", ylabel="runs at once, on average")
    axes.legend(frameon=False, title=None)
    figure.savefig(OUT / "scale.png", dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
