"""Names that two things have: every name has an owner, or one line refuses it and shows how to write it."""

import json
import keyword
import pickle
import re
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from ablate.cli.studies import read_study
from ablate.design.designs import lay_out
from ablate.design.names import RESERVED, settle_names
from ablate.errors import AblateError, StudyError
from ablate.figures.points import tabulate_interactions
from ablate.inspection.networks import TrainedNetworks
from ablate.models import own
from ablate.records.columns import JUDGED_TABLES, STUDY_COLUMNS
from ablate.report.evidence import gather
from ablate.study import study_file
from ablate.study.recipe import Recipe
from ablate.study.spec import StudySpec
from tests.commands import ablate

NETS = """
from torch import nn

def build(kind, width):
    return nn.Sequential(nn.Flatten(), nn.Linear(784, width), nn.Tanh() if kind == "plain" else nn.ReLU(), nn.Linear(width, 10))

def momentum_net(momentum=0.1, width=8):
    return nn.Sequential(nn.Flatten(), nn.Linear(784, width), nn.BatchNorm1d(width, momentum=momentum), nn.ReLU(), nn.Linear(width, 10))

def status_net(status="plain", seed=0, width=8): return build(status, width)
def table_net(accuracy="plain", low="plain", rate="plain", index="plain", name="plain", width=8): return build(low, width)
def study_net(dataset="plain", seeds=1, model="plain", trials=3, ranges=2, when=2, width=8): return build(dataset, width)
def init_net(init="plain", batch_size=8, optimizer="plain"): return build(init, batch_size)
def open_net(width=8, **kwargs): return build("plain", width)
"""
STUDY = """\
name: owners
question: Who owns it?
dataset: digits
model: namednets:status_net
FACTORS
recipe: {epochs: 1, batch_size: 64, optimizer: adam, learning_rate: 0.003, init: default, train_images: 300}
seeds: 3
validation: 240
timing: {blocks: 0}
"""


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., StudySpec]:
    """Read the study with a network and factors, in the folder of the networks."""
    (tmp_path / "namednets.py").write_text(NETS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(own, "_allowed", ["namednets"])
    monkeypatch.delitem(sys.modules, "namednets", raising=False)

    def read(net: str, factors: str, *overrides: str, old: str = "", new: str = "") -> StudySpec:
        text = STUDY.replace("status_net", net).replace("FACTORS", factors).replace(old, new)
        (tmp_path / "owners.yaml").write_text(text)
        return settle_names(study_file.read(tmp_path / "owners.yaml", overrides))

    return read


def test_a_network_with_keywords_like_columns_is_planned_run_reported_and_resumed(tmp_path: Path) -> None:
    """Public reports:

    - https://github.com/ibis-project/ibis-ml/issues/138: a column of the user named like one of the library's own was overwritten. Mended.
    - https://github.com/wandb/wandb/issues/982: nested keys could not be swept over. Mended.
    """
    (tmp_path / "namednets.py").write_text(NETS)
    factors = "factors: {model.status: [plain, other], model: {seed: [0, 1]}}"
    (tmp_path / "owners.yaml").write_text(STUDY.replace("FACTORS", factors))
    told = ablate("run", "owners.yaml", "--plugin", "namednets", "--jobs", 1, cwd=tmp_path, drawn=False)
    assert told.returncode == 0, told.stderr
    assert "model.status=other against baseline (model.status=plain)" in told.stdout
    folder = tmp_path / "reports" / "owners"
    runs = (folder / "tables" / "runs.csv").read_text()
    assert runs.startswith("phase,arm,setting,seed,status,model.status,model.seed,train_loss")
    assert runs.count(",complete,") == 9
    assert gather(folder).tables["arms"]["seeds"].tolist() == [3, 3, 3]
    again = ablate("run", "owners.yaml", "factors.model.seed=[0, 1, 2]", "--plugin", "namednets", "--jobs", 1, cwd=tmp_path, drawn=False)  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert set(runs.splitlines()) <= set((folder / "tables" / "runs.csv").read_text().splitlines())


def test_a_trained_network_is_rebuilt_with_its_own_keyword_and_not_the_recipes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Public reports:

    - https://github.com/Lightning-AI/pytorch-lightning/issues/13181: of two parts with a keyword of one name, one part's value replaced the
      other's in what was saved. Mended.
    """
    (tmp_path / "namednets.py").write_text(NETS)
    factors = (
        "factors: {model.momentum: [0.1, 0.5]}\ntuning: {trials: 2, recipe.momentum: {low: 0.0, high: 0.5}}"
    )
    text = STUDY.replace("FACTORS", factors).replace("status_net", "momentum_net").replace("adam", "sgd")
    (tmp_path / "owners.yaml").write_text(text.replace("seeds: 3", "seeds: 1"))
    told = ablate("run", "owners.yaml", "--plugin", "namednets", "--jobs", 1, cwd=tmp_path, drawn=False)
    assert told.returncode == 0, told.stderr
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(own, "_allowed", ["namednets"])
    monkeypatch.delitem(sys.modules, "namednets", raising=False)
    networks = TrainedNetworks(tmp_path / "reports" / "owners")
    run = networks.rebuild_run("model.momentum=0.5")
    assert networks.reopen(run)[2].momentum == 0.5
    assert f"recipe.momentum={run.recipe.momentum:g}" in set(networks.tables["runs"]["setting"])


REFUSED = {
    "an own keyword with a name of the recipe's": ("momentum_net", "factors: {momentum: [0.1, 0.5]}", r"owners\.yaml:5: factors\.momentum: 'momentum' is a keyword of namednets:momentum_net and of the recipe: .*model\.momentum, .*recipe\.momentum$"),
    "the same in a tuning range": ("momentum_net", "factors: {width: [8, 9]}\ntuning: {trials: 2, momentum: {low: 0.1, high: 0.5}}", r":6: tuning\.momentum: .*write model\.momentum"),
    "the same in a condition": ("momentum_net", "factors: {width: [8, {value: 9, when: {momentum: 0.1}}]}\ndesign: factorial", r":5: factors\.width\.1\.when\.momentum: .*write model\.momentum"),
    "the same in an arm": ("momentum_net", "arms: {a: {}, b: {momentum: 0.5}}", r":5: arms\.b\.momentum: .*write model\.momentum"),
    "the same in the baseline": ("momentum_net", "baseline: {momentum: 0.5}\nfactors: {width: [8, 9]}", r":5: baseline\.momentum: .*model\.momentum, for the recipe's keyword write momentum under `recipe`"),
    "a column of the tables": ("status_net", "factors: {seed: [0, 1]}", r":5: factors\.seed: 'seed' is also a column of the tables: .*write model\.seed"),
    "a key of the study": ("study_net", "factors: {dataset: [plain, other]}", r":5: factors\.dataset: 'dataset' is also a key of the study file: .*write model\.dataset"),
    "the number of trials": ("study_net", "factors: {seeds: [1, 2]}", r"factors\.seeds: 'seeds' is also"),
    "a key of a condition": ("study_net", "factors: {when: [1, 2]}", r"factors\.when: 'when' is also a key of the study file"),
    "two spellings": ("status_net", "factors: {width: [8, 9], model.width: [8, 10]}", r"factors\.model\.width: is also written as 'width'"),
    "a factor that is tuned, in another spelling": ("status_net", "factors: {width: [8, 9]}\ntuning: {trials: 2, model.width: {low: 4, high: 9}}", r"'width' is in factors and in tuning"),
    "a key of the recipe in the baseline": ("status_net", "baseline: {recipe.epochs: 2}\nfactors: {width: [8, 9]}", r"belongs to the recipe: write it under `recipe`"),
    "an owner without this keyword": ("status_net", "factors: {model.momentum: [0.1, 0.5]}", r"unknown keyword 'momentum' of the network"),
    "a recipe without this key": ("status_net", "factors: {recipe.width: [8, 9]}", r"unknown keyword 'width' of the recipe"),
    "a keyword that only **kwargs would take": ("open_net", "factors: {model.depth: [1, 2]}", r"unknown keyword 'depth' of the network: did you mean 'width'|known: width"),
    "a keyword that the data sets": ("open_net", "factors: {classes: [10, 11]}", r"unknown keyword 'classes': the data set sets it"),
}  # fmt: skip


def test_a_column_of_judged_runs_reserves_no_keyword() -> None:
    """Adding `ablate judge` made studies with a factor called `kind` invalid."""
    only_judged = {column for columns in JUDGED_TABLES.values() for column in columns} - STUDY_COLUMNS
    assert "kind" in only_judged
    assert not only_judged & RESERVED


@pytest.mark.parametrize(("net", "factors", "message"), REFUSED.values(), ids=REFUSED)
def test_a_name_without_a_clear_owner_is_refused_and_the_line_shows_how_to_write_it(
    study: Callable, net: str, factors: str, message: str
) -> None:
    """Public reports:

    - https://github.com/Lightning-AI/pytorch-lightning/issues/8716: a keyword that the model and the data both have stopped the run, and the
      error showed no way to write which is meant. Mended.
    - https://github.com/rmcelreath/glmer2stan/issues/2: a variable with the name of one of the program's own broke it; a list of reserved
      names was proposed. Mended.
    - https://github.com/vincentarelbundock/pymarginaleffects/pull/92: columns of the input with names of the output's columns were not
      refused. Mended.
    - https://github.com/scikit-hep/pyhf/issues/668: a mistyped keyword vanished in **kwargs. Right before.
    """
    with pytest.raises(StudyError, match=message) as refused:
        study(net, factors)
    assert len(refused.value.lines) == 1


IDENTIFIERS = st.from_regex(r"[A-Za-z_äß][A-Za-z0-9_äß]{0,11}", fullmatch=True)
TAKEN = [*RESERVED, *Recipe.model_fields, "self", "cls", "index", "count", "level_0", "T", "values", "shape", "Seed", "none", "yes"]  # fmt: skip
NAMES = (st.sampled_from(sorted(TAKEN)) | IDENTIFIERS).filter(
    lambda name: name.isidentifier() and not keyword.iskeyword(name) and name not in ("width", "classes")
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES)
def test_any_keyword_of_a_network_works_with_its_owner_and_plain_works_or_is_refused(
    study: Callable, name: str
) -> None:
    """Public reports:

    - https://github.com/geoparquet-io/tylertoo/pull/291: names that differ from reserved ones only in their case collided with them.
      Mended.
    - https://github.com/mlr-org/miesmuschel/issues/46: a parameter named `generation` could clash with a variable of the search. Mended.
    """
    module = types.ModuleType("namednets")
    exec(f"def net({name}=1, width=8): return make({name}, width)", module.__dict__)
    received = []

    def make(value: int, width: int) -> nn.Module:
        received.append(value)
        return nn.Sequential(nn.Flatten(), nn.Linear(784, width), nn.Linear(width, 10))

    vars(module)["make"] = make
    sys.modules["namednets"] = module
    found = lay_out(study("net", f"factors: {json.dumps({f'model.{name}': [1, 2]})}")).arms
    assert [arm.keywords for arm in found] == [{}, {name: 2}]
    assert received == [1, 2]
    try:
        plain = lay_out(study("net", f"factors: {json.dumps({name: [1, 2]})}")).arms
    except AblateError as error:
        assert f"model.{name}" in str(error)
        assert str(error).isprintable()
    else:
        assert [arm.name for arm in plain] == ["baseline", f"{name}=2"] == [arm.name for arm in found]


IGNORED = {
    "of all arms": ("factors: {width: [8, 9]}", "adam,", "adamw, momentum: 0.9,", r":6: recipe\.momentum: arm baseline: momentum: the optimizer adamw ignores momentum: leave it out, or use sgd"),
    "of one value": ("factors: {momentum: [0.0, 0.9]}", "", "", r":5: factors\.momentum\.1: arm momentum=0\.9: .*adam ignores momentum"),
    "of one arm": ("arms: {a: {optimizer: sgd, momentum: 0.9}, b: {momentum: 0.9}}", "", "", r":5: arms\.b: arm b: .*ignores momentum"),
    "of an arm that changes the optimizer": ("factors: {optimizer: [sgd, adam]}", "adam,", "sgd, momentum: 0.9,", r":5: factors\.optimizer\.1: arm optimizer=adam: .*ignores momentum"),
    "that is tuned": ("factors: {width: [8, 9]}\ntuning: {trials: 2, momentum: {low: 0.1, high: 0.5}}", "", "", r":6: tuning\.momentum: arm baseline: .*adam ignores momentum"),
    "of a search": ("factors: {momentum: [0.0, 0.9], width: [8, 9]}\ndesign: search", "", "", r":5: factors\.momentum: the optimizer adam ignores momentum"),
}  # fmt: skip


@pytest.mark.parametrize(("factors", "old", "new", "message"), IGNORED.values(), ids=IGNORED)
def test_a_key_that_the_optimizer_ignores_is_refused(
    study: Callable, factors: str, old: str, new: str, message: str
) -> None:
    """Public reports:

    - https://github.com/ddtm/deep-smile-warp/issues/2: an option for momentum had no effect with Adam, and nothing said so. Mended.
    - https://github.com/pykale/pykale/issues/447: momentum with Adam stopped the run with a TypeError instead of a check of the keywords.
      Mended.
    """
    with pytest.raises(StudyError, match=message):
        lay_out(study("status_net", factors, old=old, new=new))


def test_a_factorial_leaves_out_the_combinations_in_which_the_optimizer_ignores_a_key(
    study: Callable,
) -> None:
    layout = lay_out(
        study("status_net", "factors: {optimizer: [sgd, adam], momentum: [0.0, 0.9]}\ndesign: factorial")
    )
    assert [arm.name for arm in layout.arms] == ["baseline", "optimizer=sgd", "optimizer=sgd,momentum=0.9"]
    assert "ignores momentum" in layout.left_out["momentum=0.9"]


@pytest.mark.parametrize("factors", ["{input_size: [28]}", "{train_images: [300, 299], input_size: [28]}"])
def test_a_value_that_changes_nothing_is_refused(study: Callable, factors: str) -> None:
    with pytest.raises(StudyError, match=r"factors\.input_size: the arms baseline and input_size=28 are the same"):  # fmt: skip
        lay_out(study("status_net", f"factors: {factors}"))


def test_names_that_end_alike_are_not_mixed_up_in_the_record(tmp_path: Path) -> None:
    from ablate.records.optuna_trials import _make_run_trial
    from ablate.records.run_records import Phase, RunRecord, Status

    record = RunRecord(phase=Phase.TUNE, arm="rate=plain", setting="learning_rate=0.1", seed=0, values={"rate": "plain", "learning_rate": 0.1}, status=Status.COMPLETE, engine="loop", validation_accuracy=0.5)  # fmt: skip
    assert _make_run_trial("key", record).params == {"learning_rate": 0.1}


def test_an_interaction_of_factors_with_names_of_the_figures_columns_is_drawn(study: Callable) -> None:
    """Public reports:

    - https://github.com/pandas-dev/pandas/issues/13659: a join of two tables with a column of the same name fails. Mended.
    - https://github.com/scverse/spatialdata/pull/1100: an index with the name of a column made `reset_index` fail. Right before.
    """
    spec = study("table_net", "factors: {accuracy: [plain, other], index: [plain, other]}\ndesign: factorial")
    layout = lay_out(spec)
    rows = [{"phase": "confirm", "arm": arm.name, **arm.factors} for arm in layout.arms]
    means = dict.fromkeys(["test_accuracy_mean", "test_accuracy_ci_low", "test_accuracy_ci_high"], 0.9)
    arms = pd.DataFrame([{"arm": arm.name, **means} for arm in layout.arms])
    points = tabulate_interactions(spec, {"runs": pd.DataFrame(rows), "arms": arms})
    assert points["accuracy"].tolist() == [0.9] * 4
    assert set(points["value"]) == {"plain", "other"}


def test_an_override_reaches_a_name_with_its_owner_and_is_named_as_the_place(study: Callable) -> None:
    """Public reports:

    - https://github.com/hydra-ecosystem/hydra/issues/913: a key with a dot in its name could not be overridden on the command line. Mended.
    """
    spec = study(
        "status_net", "factors: {model.status: [plain, other]}", "factors.model.status=[plain, third]"
    )
    assert spec.factors == {"model.status": ["plain", "third"]}
    assert spec.locate("factors.model.status.1") == "command line: factors.model.status.1"
    with pytest.raises(StudyError, match=r"command line: baseline\.seed: 'seed' is also a column"):
        study("status_net", "factors: {width: [8, 9]}", "baseline.seed=1")


def test_arms_with_different_networks_are_judged_by_their_own(study: Callable) -> None:
    arms = "arms: {a: {}, b: {model: 'namednets:momentum_net', model.momentum: 0.5, recipe.epochs: 2}, c: {epochs: 3}}"
    found = lay_out(study("status_net", arms)).arms
    assert [arm.keywords for arm in found] == [{}, {"momentum": 0.5}, {}]
    assert [arm.recipe.epochs for arm in found] == [1, 2, 3]


MISTAKES = {
    "of keys and of names": (
        "factors: {widht: [8, 9], seed: [0, 1], width: [8, {a: 1}]}\ndesing: factorial\ndecision: {alpha: 2}",
        [r":5: factors\.widht: unknown keyword 'widht': did you mean 'width'", r":5: factors\.seed: 'seed' is also", r":5: 'factors\.width\.1\.value' is missing", r":6: unknown key 'desing'", r":7: decision\.alpha: 2"],
    ),
    "of names": (
        "factors: {widht: [8, 9], width: [8, 9]}\ntuning: {trials: 2, rate: {low: 0.1, high: 1.0}}",
        [r":5: factors\.widht: unknown keyword 'widht'", r":6: tuning\.rate: unknown keyword 'rate'"],
    ),
    "of names and values": (
        "factors:\n  widht: [8, 9]\n  width: [8, nine]\n  epochs: [2, 0]",
        [r":6: factors\.widht: unknown", r":7: factors\.width\.1: .*'nine' is not a whole number", r":8: factors\.epochs\.1: 0: input should be greater"],
    ),
    "of arms": (
        "arms:\n  a: {}\n  b: {widht: 8}\n  c: {epochs: 0}",
        [r":7: arms\.b\.widht: unknown", r":8: arms\.c: 0: input"],
    ),
    "of the fallback": (
        "factors: {width: [8, 9]}\nfallback: {sedes: 3, dataset: nope}\ndesing: x",
        [r":6: unknown key 'sedes'", r":6: dataset: 'nope' is not known", r":7: unknown key 'desing'"],
    ),
    "between keys": (
        "factors: {width: [8, 9]}\narms: {a: {}, b: {}}\ndesign: factorial",
        [r":6: a study has either factors or named arms", r":7: named arms replace factors"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("factors", "told"), MISTAKES.values(), ids=MISTAKES)
def test_all_mistakes_of_a_file_are_told_together_in_its_order(
    study: Callable, tmp_path: Path, factors: str, told: list[str]
) -> None:
    """Public reports:

    - https://github.com/dynaconf/dynaconf/issues/754: an exception named only the first of a file's mistakes. Mended.
    - https://github.com/linkml/linkml/issues/891: users had to validate a file once for each mistake. Mended.
    - https://github.com/pydantic/pydantic/issues/12931: one wrong value of a union gave errors about every branch of the union. Right before.
    """
    (tmp_path / "owners.yaml").write_text(STUDY.replace("FACTORS", factors))
    with pytest.raises(StudyError) as refused:
        lay_out(read_study(tmp_path / "owners.yaml", [], ["namednets"]))
    lines = str(refused.value).split("\n")
    assert len(lines) == len(told)
    for message in told:
        assert sum(bool(re.search(message, line)) for line in lines) == 1, lines
    numbers = [int(re.search(r":(\d+): ", line)[1]) for line in lines]
    assert numbers == sorted(numbers)


def test_of_very_many_mistakes_twenty_are_told_and_the_others_counted(study: Callable) -> None:
    factors = "".join(f"\n  f{i}: [1, 2]" for i in range(30))
    with pytest.raises(StudyError) as refused:
        study("status_net", f"factors:{factors}", "seeds", "nonsense=1")
    assert len(refused.value.lines) == 2  # a wrong override and an unknown key: the names were not reached
    with pytest.raises(StudyError) as refused:
        study("status_net", f"factors:{factors}")
    lines = str(refused.value).split("\n")
    assert len(lines) == 21
    assert lines[-1] == "… and 10 more mistakes"
    assert pickle.loads(pickle.dumps(refused.value)).lines == refused.value.lines


@pytest.mark.parametrize("section", ["factors", "baseline"])
def test_a_key_with_and_without_a_nested_owner_is_refused(tmp_path: Path, section: str) -> None:
    """`model: {pooling: …}` and `model.pooling: …` in one section: neither may win in silence."""
    file = tmp_path / "twice.yaml"
    value = "[avg, max]" if section == "factors" else "avg"
    file.write_text(
        f"name: twice\nquestion: q?\ndataset: digits\n{section}:\n  model: {{pooling: {value}}}\n  model.pooling: {value}\n"
    )
    with pytest.raises(StudyError, match=r"twice.yaml:\d: model.pooling: is written twice"):
        study_file.read(file)
