"""A study on a Ray cluster of two nodes gives the same table as one machine, even if a node dies."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ablate.errors import AblateError
from ablate.execution.executor import Conditions
from ablate.execution.workers import LocalProcesses, ThisProcess, Workers
from ablate.experiment.events import Advanced
from ablate.report.evidence import gather
from tests.commands import ROOT, ablate
from tests.conftest import SMALL
from tests.experiment.test_conduct import conduct, conducting, runs_csv
from tests.faults.test_processes import FAULTY, find_faulty_outcome, make_faulty_runs
from tests.with_parts import needed

pytestmark = pytest.mark.cluster
NODE = {"num_cpus": 1, "object_store_memory": 200_000_000}
FEW = ("tuning.trials=0", "timing.blocks=0", "recipe.epochs=1")


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """Two nodes with one core each, on this machine. The head node stays alive in all tests."""
    needed("ray")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", str(ROOT))  # so that users' networks can be imported on the nodes
        patched.setenv("RAY_USAGE_STATS_ENABLED", "0")
        made = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
        made.add_node(**NODE)
        made.wait_for_nodes()
        yield made
        made.shutdown()


def joined(nodes: Any) -> Callable[[Conditions, int], Workers]:
    from ablate.execution.ray_cluster import RayTasks

    return lambda conditions, _: RayTasks(conditions, nodes.address)


def here(conditions: Conditions, _: int) -> Workers:
    return ThisProcess(conditions, threads=1)


def test_one_process_local_processes_and_a_cluster_give_the_same_bytes(nodes, small, tmp_path: Path) -> None:
    spec = small("timing.blocks=0", "factors={pooling: [avg, max], input_size: [null, 20]}")
    homes = {"here": here, "processes": lambda given, _: LocalProcesses(given, 2), "cluster": joined(nodes)}
    folders = [conduct(spec, tmp_path / name, home)[1] for name, home in homes.items()]
    assert len({runs_csv(folder) for folder in folders}) == 1
    for name in ("checkpoints/pooling-max.pt", "predictions/pooling-max-1.npz", "tables/metrics.csv"):
        assert len({(folder.path / name).read_bytes() for folder in folders}) == 1, name


def test_a_study_with_looks_stops_after_the_same_seeds_wherever_it_trains(
    nodes, small, tmp_path: Path
) -> None:
    """The first look ends nothing, because three seeds show too little. The study ends before the last one."""
    activation = ("factors={activation: [relu, tanh]}", "baseline={activation: tanh}")
    spec = small(*FEW, *activation, "recipe.epochs=2", "seeds={looks: [3, 8, 14, 30], spending: linear}")
    homes = {"here": here, "processes": lambda given, _: LocalProcesses(given, 2), "cluster": joined(nodes)}
    folders = [conduct(spec, tmp_path / name, home)[1] for name, home in homes.items()]
    assert len({runs_csv(folder) for folder in folders}) == 1
    looks = gather(folders[0].path).tables["looks"]["look_seeds"]
    assert 3 < looks.max() < 30
    assert runs_csv(folders[0]).count(b",complete,") == 2 * looks.max()


def test_cohorts_are_tasks_too_and_none_is_larger_than_a_gpu_trains_at_once(
    nodes, small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ABLATE_ENGINE", "cohort")
    monkeypatch.setattr("ablate.execution.ray_cluster.COHORT_PLACES", (8,))
    spec = small(*FEW, "recipe.train_images=200", "seeds=12")
    with conducting(spec, tmp_path / "small", joined(nodes)) as (conducted, folder, _):
        list(conducted.run_phases())
        folder.write_tables(conducted.make_tables())
        engines = conducted.make_provenance().engines
    assert engines == {"cohort of 8": 24}
    assert runs_csv(folder).count(b",complete,") == 24


def test_a_node_that_dies_during_a_study_changes_no_result(nodes, small, tmp_path: Path) -> None:
    spec = small(*FEW, "seeds=12")
    _, alone = conduct(spec, tmp_path / "alone", here)
    victim = nodes.add_node(**NODE)
    nodes.wait_for_nodes()
    with conducting(spec, tmp_path / "together", joined(nodes)) as (conducted, folder, _):
        done = 0
        for event in conducted.run_phases():
            done = event.done if isinstance(event, Advanced) and event.phase == "confirm" else done
            if done == 6 and victim is not None:
                nodes.remove_node(victim, allow_graceful=False)
                victim = None
        folder.write_tables(conducted.make_tables())
    assert victim is None
    assert runs_csv(folder) == runs_csv(alone)


@pytest.mark.parametrize("fault", ["kill -9", "hang"])
def test_a_run_whose_worker_always_dies_or_hangs_is_recorded_and_the_others_go_on(
    nodes, small, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr("ablate.execution.ray_cluster.CHECK_SECONDS", 0.5)
    monkeypatch.setattr("ablate.execution.ray_cluster.IDLE_CHECKS", 8)
    pool = joined(nodes)(FAULTY, 1)
    try:
        record = find_faulty_outcome(pool, make_faulty_runs(small, fault)).record
    finally:
        pool.close()
    assert record.status == "failed"
    assert record.cause is not None
    assert record.cause.startswith("its worker died twice: WorkerCrashedError")


def test_timing_reserves_the_machine_and_frees_it_afterwards(nodes, small, tmp_path: Path) -> None:
    import ray

    from ablate.execution.ray_cluster import reserve_machine

    def free() -> float:
        """The number of free cores, when the cluster has registered all changes."""
        for _ in range(50):
            if (cores := ray.available_resources().get("CPU", 0)) == 1:
                break
            time.sleep(0.1)
        return cores

    cores = []

    @contextmanager
    def watched() -> Iterator[None]:
        with reserve_machine(nodes.address):
            cores.append(free())  # the other node's
            yield

    spec = small("tuning.trials=0", "recipe.epochs=1", "seeds=1")
    with conducting(spec, tmp_path / "small", joined(nodes), alone=watched) as (conducted, _, _):
        list(conducted.run_phases())
        assert len(conducted.make_tables()["timing"]) == 9
    assert cores == [1.0]
    with reserve_machine(nodes.address):
        assert free() == 1.0


def test_a_node_with_other_code_trains_nothing_and_the_error_names_both_versions(
    nodes, small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ablate.execution.ray_cluster.compute_code_version", lambda: "ablate of yesterday")
    with pytest.raises(
        AblateError, match=r"a node cannot work: .*the command has ablate of yesterday: install"
    ):
        conduct(small(*FEW), tmp_path / "small", joined(nodes))


def test_the_command_line_joins_a_cluster_and_says_where_there_is_none(nodes, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL)
    command = ["run", "small.yaml", *FEW, "--cluster"]
    done = ablate(*command, nodes.address, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "reports" / "small" / "report.html").exists()
    for address in ("127.0.0.1:1", "ray://127.0.0.1:1", "somewhere"):
        nowhere = ablate(*command, address, "--out", "elsewhere", cwd=tmp_path)
        assert nowhere.returncode == 2
        last = nowhere.stderr.splitlines()[-1]
        assert last.startswith(f"error: --cluster {address}: no Ray cluster answers there")
