"""Runs from the JSON files of pytest-benchmark."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ablate.errors import AblateError
from ablate.judging.sources.files import read_json, read_start
from ablate.judging.sources.run_table import RunStatus, SourceRun, add_facts, make_run_table

METRIC = "seconds"


def recognise(source: str) -> bool:
    """Return whether the source is a JSON file of pytest-benchmark, or a folder that contains such files."""
    return bool(_find_files(Path(source)))


def read_runs(source: str) -> pd.DataFrame:
    """Return one row per round of a benchmark, or one row per benchmark and session.

    A file with the duration of every round gives one row per round. Such files come from `--benchmark-json`,
    or from `--benchmark-save-data` with `--benchmark-autosave`. The rounds of a benchmark come from one
    process, so they differ less than repeated sessions do. A file without these durations gives one row per
    benchmark, with the mean duration.

    A folder of several files (such as `.benchmarks`) also gives one row per benchmark and file, with the mean
    of the rounds. Each file is one session. The column `session` pairs the benchmarks of a session.

    The columns after `source_run` and `status` are: `name`, `fullname`, `group`, the benchmark's parameters
    and `extra_info`, `session` (the name of the file), `round` (the number of the round, from 0) or `rounds`
    (how many rounds there were), `machine_info.*` and `commit_info.*`, and `seconds`, the duration of one
    call.

    Args:
        source: the file or the folder.

    Raises:
        AblateError: a file is damaged.
    """
    files = _find_files(Path(source))
    runs = [run for path in files for run in _read_file(path, read_rounds=len(files) == 1)]
    if not runs:
        raise AblateError(f"{source}: has no benchmarks: nothing to judge")
    return make_run_table(runs)


def _find_files(path: Path) -> list[Path]:
    """Find the files of pytest-benchmark at a path and in its subfolders, one for each machine."""
    candidates = sorted([*path.glob("*.json"), *path.glob("*/*.json")]) if path.is_dir() else [path]
    return [one for one in candidates if _is_benchmark_file(one)]


def _is_benchmark_file(path: Path) -> bool:
    start = read_start(path)
    return start.lstrip().startswith("{") and '"machine_info"' in start and '"python_' in start


def _read_file(path: Path, *, read_rounds: bool) -> Iterator[SourceRun]:
    content = read_json(path)
    try:
        session = {
            "session": path.stem,
            "machine_info": _drop_lists(content["machine_info"]),
            "commit_info": content.get("commit_info") or {},
        }
        for benchmark in content["benchmarks"]:
            yield from _read_benchmark(benchmark, session, read_rounds=read_rounds)
    except (KeyError, TypeError, AttributeError) as error:
        raise AblateError(f"{path}: is not a file of pytest-benchmark ({error!r} is missing)") from None


def _read_benchmark(
    benchmark: Mapping[str, Any], session: Mapping[str, Any], *, read_rounds: bool
) -> Iterator[SourceRun]:
    facts: dict[str, Any] = {name: benchmark.get(name) for name in ("name", "fullname", "group")}
    add_facts(facts, "params", benchmark.get("params") or {})
    add_facts(facts, "extra_info", benchmark.get("extra_info") or {})
    add_facts(facts, "session", session)
    stats = benchmark["stats"]
    name = f"{session['session']}: {benchmark['fullname']}"
    rounds = stats.get("data") if read_rounds else None
    for number, seconds in enumerate(rounds or ()):
        yield SourceRun(
            source_run=f"{name} #{number}",
            status=RunStatus.FINISHED,
            parameters={**facts, "round": number},
            metrics={METRIC: seconds},
        )
    if not rounds:
        yield SourceRun(
            source_run=name,
            status=RunStatus.FINISHED,
            parameters={**facts, "rounds": stats["rounds"]},
            metrics={METRIC: stats["mean"]},
        )


def _drop_lists(machine: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out lists from the facts about a machine, such as the hundred flags of a processor."""
    return {
        name: _drop_lists(value) if isinstance(value, Mapping) else value
        for name, value in machine.items()
        if not isinstance(value, list)
    }
