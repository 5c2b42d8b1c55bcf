"""Networks that draw random numbers. One seed gives one result, or one line says why it cannot."""

import itertools
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ablate import models
from ablate.data.datasets import find_dataset
from ablate.data.loading import make_noise
from ablate.design.designs import lay_out
from ablate.design.runs import Run
from ablate.engines.loop import LoopTrainer
from ablate.engines.training import train
from ablate.errors import StudyError
from ablate.execution import fork_server
from ablate.execution.executor import Conditions, execute
from ablate.records.run_records import Phase
from ablate.seeds import seeded_streams
from tests.commands import ROOT, ablate, environment
from tests.faults.foreign_code import ForeignCode

NAMES = (f"drawing{number}" for number in itertools.count())
HEAD = """
import os, random, secrets, time, uuid
import numpy as np
import torch
from torch import nn

def dense(width, value=0.0):
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, width), nn.ReLU(), nn.Linear(width, 10))
    nn.init.constant_(net[1].bias, float(value))
    return net

class Whole(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.net = dense(width)

    def forward(self, x):
        return self.net(x) + self.draw()
"""


@pytest.fixture
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ForeignCode:
    return ForeignCode(tmp_path, monkeypatch)


SEEDED = {
    "random": "def net(width=8): return dense(width, random.random())",
    "random.shuffle": "def net(width=8):\n    v = list(range(9))\n    random.shuffle(v)\n    return dense(width, v[0])",
    "numpy": "def net(width=8): return dense(width, np.random.normal())",
    "numpy's RandomState of a drawn seed": (
        "def net(width=8): return dense(width, np.random.RandomState(np.random.randint(9)).rand())"
    ),
    "torch": "def net(width=8): return dense(width, torch.rand(()))",
    "at import": "value = np.random.rand() + random.random() + torch.rand(()).item()\n"
    "def net(width=8): return dense(width, value)",
    "in training": "class net(Whole):\n    def draw(self): return np.random.rand() if self.training else 0",
    "in evaluation": "class net(Whole):\n    def draw(self): return 0 if self.training else random.random()",
    "a constant generator": (
        "def net(width=8): return dense(width, torch.rand((), generator=torch.Generator().manual_seed(3)))"
    ),
    "numpy's dropout in forward": (
        "class net(Whole):\n"
        "    def draw(self): return torch.from_numpy(np.random.binomial(1, 0.5, 10)) if self.training else 0"
    ),
    "scipy": "import scipy.stats\ndef net(width=8): return dense(width, scipy.stats.norm.rvs())",
    "sklearn": (
        "from sklearn.utils import check_random_state, shuffle\n"
        "def net(width=8): return dense(width, shuffle(range(99))[0] + check_random_state(None).rand())"
    ),
    "a thread": (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "class net(Whole):\n"
        "    def draw(self):\n"
        "        with ThreadPoolExecutor(1) as pool:\n"
        "            return pool.submit(lambda: random.random() + np.random.rand() + torch.rand(10)).result()"
    ),
    "a generator that the code seeds": (
        "class net(Whole):\n"
        "    def draw(self):\n"
        "        np.random.seed(3); random.seed(3)\n"
        "        return np.random.rand() + random.random() + torch.rand(10)"
    ),
}


@pytest.mark.parametrize("code", SEEDED.values(), ids=SEEDED)
def test_a_network_that_draws_from_global_generators_is_determined_by_its_seed(
    people: ForeignCode, code: str
) -> None:
    """Two builds and two trainings with one seed give the same parameters.

    - https://github.com/MichiganCOG/ViP/issues/25: numpy is not seeded, torch is. Mended.
    - https://github.com/divelab/GOOD/issues/27: starting weights differ from run to run. Mended.
    - https://github.com/ehsanhaghighat/sciann/issues/53: a seed does not determine starting weights. Mended.
    - https://github.com/pytorch/pytorch/issues/5059: workers of one process share numpy's state. Mended.
    - https://github.com/facebookresearch/fairseq/issues/1383: workers draw the same from numpy. Mended.
    - https://github.com/Lightning-AI/pytorch-lightning/pull/6960: numpy is not seeded in workers. Mended.
    - https://github.com/seffnet/seffnet/issues/20: a user asks whether a project also needs numpy's and Python's seed. Mended.
    - https://github.com/albumentations-team/albumentations/issues/93: numpy is seeded, Python's random is not. Mended.
    - https://github.com/INET-Complexity/macro-main/issues/102: numpy is seeded, Python's random is not. Mended.
    """
    name = next(NAMES)
    people.write(f"{name}.py", HEAD + code)
    layout = people.plan(f"{name}:net")
    dataset = make_noise(find_dataset("digits").facts)
    run = Run(phase=Phase.CONFIRM, arm=layout.arms[0], setting={}, seed=5)
    ends = []
    for before in (1, 2):  # the state of the process does not matter
        random.seed(before), np.random.seed(before), torch.manual_seed(before)
        trainer = LoopTrainer(run, dataset, torch.device("cpu"))
        with seeded_streams(5, "dropout"):
            trainer.step(torch.arange(32))
        with seeded_streams(5, "evaluation"):
            trainer.predict(dataset.images[:50])
        ends.append(torch.cat([tensor.flatten() for tensor in trainer.model.state_dict().values()]))
    assert torch.equal(*ends)


REFUSED = {
    "secrets": "def net(width=8): return dense(width, secrets.randbelow(10**9))",
    "os.urandom": "def net(width=8): return dense(width, int.from_bytes(os.urandom(3), 'big'))",
    "uuid": "def net(width=8): return dense(width, uuid.uuid4().int % 10**6)",
    "the clock": "def net(width=8): return dense(width, time.perf_counter_ns() % 10**6)",
    "numpy's own generator": "def net(width=8): return dense(width, np.random.default_rng().normal())",
    "a generator that goes on": (
        "g = torch.Generator().manual_seed(3)\ndef net(width=8): return dense(width, torch.rand((), generator=g))"
    ),
    "random's own generator": "def net(width=8): return dense(width, random.SystemRandom().random())",
    "its own generator in training": (
        "g = np.random.default_rng(3)\nclass net(Whole):\n"
        "    def forward(self, x): return self.net(x) * float(g.random() + 0.5)"
        " if self.training else self.net(x)"
    ),
    "its own generator in evaluation": (
        "class net(Whole):\n    def draw(self): return 0 if self.training else float(np.random.default_rng().random())"
    ),
    "torch's own generator in evaluation": (
        "class net(Whole):\n"
        "    def draw(self):\n"
        "        g = torch.Generator(); g.seed()\n"
        "        return 0 if self.training else torch.rand(10, generator=g)"
    ),
    "its own generator after some passes": (
        "class net(Whole):\n    passes = 0\n"
        "    def draw(self):\n"
        "        self.passes += 1\n"
        "        return secrets.randbelow(10**6) if self.training and self.passes > 12 else 0"
    ),
    "a seed from the clock": (
        "class net(Whole):\n"
        "    def draw(self): return 0 if self.training else np.random.RandomState(time.perf_counter_ns() % 2**32).rand()"
    ),
    "a counter": "n = [0]\ndef net(width=8):\n    n[0] += 1\n    return dense(width, n[0])",
}


@pytest.mark.parametrize("code", REFUSED.values(), ids=REFUSED)
def test_a_network_that_draws_from_elsewhere_is_refused(people: ForeignCode, code: str) -> None:
    """It is built, trained and evaluated twice with one seed, and the numbers differ.

    - https://github.com/dedupeio/dedupe/issues/643: no seed makes the result repeatable. Mended.
    - https://github.com/albumentations-team/albumentations/issues/744: a library draws from its own generator. Right before.
    - https://github.com/CederGroupHub/smol/issues/197: generators are made without a seed. Mended for evaluation.
    """
    name = next(NAMES)
    people.write(f"{name}.py", HEAD + code)
    with pytest.raises(StudyError, match="draw random numbers only from the global generators") as error:
        people.plan(f"{name}:net")
    assert "\n" not in str(error.value)


SEEDING = {
    "torch in the constructor": (
        "def net(width=8):\n    torch.manual_seed(0)\n    return dense(width)",
        "starts from the same weights at every seed",
    ),
    "weights from a file": (
        "def net(width=8):\n"
        "    one = dense(width)\n"
        "    one.load_state_dict({name: torch.linspace(-1, 1, t.numel()).reshape(t.shape)"
        " for name, t in one.state_dict().items()})\n"
        "    return one",
        "starts from the same weights at every seed",
    ),
    "numpy and torch in forward": (
        "class net(Whole):\n"
        "    def draw(self):\n"
        "        np.random.seed(3); torch.manual_seed(3)\n"
        "        return np.random.rand() + torch.rand(10)",
        "calls numpy.random.seed and torch.manual_seed in its forward pass",
    ),
    "random in forward": (
        "class net(Whole):\n    def draw(self):\n        random.seed(3)\n        return random.random()",
        "calls random.seed in its forward pass",
    ),
}


@pytest.mark.parametrize(("code", "told"), SEEDING.values(), ids=SEEDING)
def test_numbers_that_are_the_same_at_every_seed_are_told(people: ForeignCode, code: str, told: str) -> None:
    """They are no mistake if weights are loaded on purpose, so nothing is refused.

    - https://github.com/HazyResearch/flash-fft-conv/issues/26: a layer's constructor sets torch's seed. Nothing told
      this. Mended.
    - https://github.com/huggingface/diffusers/issues/175: each step of training sets torch's seed. Nothing told this.
      Mended.
    """
    name = next(NAMES)
    people.write(f"{name}.py", HEAD + code)
    people.plan(f"{name}:net")
    (caution,) = people.cautions
    assert caution.startswith(f"all arms: {name}:net {told}")


QUIET = {
    "a network that draws": "def net(width=8): return dense(width)",
    "torch at import": "torch.manual_seed(0)\ndef net(width=8): return dense(width)",
    "a seed within fork_rng": (
        "class net(Whole):\n"
        "    def draw(self):\n"
        "        with torch.random.fork_rng():\n"
        "            torch.manual_seed(3)\n"
        "            fixed = torch.rand(10)\n"
        "        return fixed + torch.rand(10)"
    ),
    "some loaded weights": (
        "def net(width=8):\n    one = dense(width)\n    nn.init.eye_(one[1].weight)\n    return one"
    ),
}


@pytest.mark.parametrize("code", QUIET.values(), ids=QUIET)
def test_nothing_is_told_if_the_seed_decides_the_starting_weights(people: ForeignCode, code: str) -> None:
    name = next(NAMES)
    people.write(f"{name}.py", HEAD + code)
    people.plan(f"{name}:net")
    assert people.cautions == ()


def test_a_recipe_that_sets_the_starting_weights_makes_up_for_a_seed_in_the_constructor(
    people: ForeignCode,
) -> None:
    name = next(NAMES)
    code = "def net(width=8):\n    torch.manual_seed(0)\n    return dense(width)"
    people.write(f"{name}.py", HEAD + code)
    people.plan(f"{name}:net", init="xavier_uniform")
    assert people.cautions == ()


def test_how_often_a_network_is_evaluated_does_not_change_its_training(people: ForeignCode) -> None:
    """A network that draws in evaluation, as Monte Carlo dropout does, draws from a stream of its own."""
    name = next(NAMES)
    people.write(f"{name}.py", HEAD + "class net(Whole):\n    def draw(self): return torch.rand(10)")
    layout = people.plan(f"{name}:net", recipe="train_images: 100")
    noise = make_noise(find_dataset("digits").facts, images=600)
    dataset = replace(noise, test_images=noise.images[:50], test_labels=noise.labels[:50])
    losses = []
    for phase in (Phase.TUNE, Phase.CONFIRM):  # tuning evaluates after the last epoch only
        arm = layout.arms[0]
        run = Run(phase=phase, arm=arm, setting={"epochs": 3}, seed=1)
        trained = train(run, LoopTrainer(run, dataset, torch.device("cpu")), dataset, validation=100)
        losses.append([point.train_loss for point in trained.record.epochs])
    assert losses[0] == losses[1]


def test_code_of_others_leaves_the_generators_as_they_were(people: ForeignCode) -> None:
    name = next(NAMES)
    code = "def net(width=8):\n    random.seed(1); np.random.seed(1); torch.manual_seed(1)\n    return dense(width)"
    people.write(f"{name}.py", HEAD + code)
    random.seed(7), np.random.seed(7), torch.manual_seed(7)
    wanted = random.random(), np.random.rand(), torch.rand(()).item()
    random.seed(7), np.random.seed(7), torch.manual_seed(7)
    models.build(f"{name}:net", {}, input_shape=(1, 28, 28), classes=10, init="default", seed=0)
    assert (random.random(), np.random.rand(), torch.rand(()).item()) == wanted


def test_the_streams_are_restored_after_an_error() -> None:
    random.seed(7)
    wanted = random.random()
    random.seed(7)
    with pytest.raises(ZeroDivisionError), seeded_streams(0, "test"):
        random.random(), 1 / 0
    assert random.random() == wanted


@pytest.mark.thorough
def test_a_study_gives_the_same_bytes_whatever_its_network_draws_from(people: ForeignCode) -> None:
    """Building, training and evaluation draw from all three generators, in one worker and in two.

    - https://github.com/peikexin9/deepxplore/issues/2: results differ until all generators are seeded. Mended.
    """
    code = (
        "class net(Whole):\n"
        "    def __init__(self, width=8):\n        super().__init__(width)\n"
        "        nn.init.constant_(self.net[1].bias, random.random() + np.random.rand())\n"
        "    def draw(self): return random.random() + np.random.rand() + torch.rand(10)\n"
    )
    people.write("alldraws.py", HEAD + code)
    people.plan("alldraws:net", recipe="train_images: 200")
    tables = []
    for jobs in ("1", "2"):
        command = ("run", "study.yaml", "--quiet", "--plugin", "alldraws", "--jobs", jobs, "--out", jobs)
        done = ablate(*command, cwd=people.folder, drawn=False)
        assert done.returncode == 0, done.stderr
        tables.append((people.folder / jobs / "tried" / "tables" / "runs.csv").read_bytes())
    assert tables[0] == tables[1]


CHANGING = """
class net(Whole):
    def forward(self, x):
        if len(x) > 2:
            torch.set_default_dtype(torch.float64)
            torch.use_deterministic_algorithms(True)
            torch.set_num_threads(torch.get_num_threads() + 1)
"""


@pytest.mark.parametrize(
    ("more", "status"),
    [("pass", "complete"), ("torch.set_default_device('meta'); raise ValueError", "failed")],
)
def test_a_run_leaves_torchs_settings_as_they_were(people: ForeignCode, more: str, status: str) -> None:
    """The next run of the worker would otherwise train with them.

    - https://github.com/cics-nd/gptorch/pull/14: modules set the default dtype. Mended for the forward pass.
    - https://github.com/rballester/tntorch/issues/4: an import sets the default dtype. Right before.
    - https://github.com/isaac-sim/IsaacLab/pull/7266: deterministic algorithms stay on for the code that follows. Mended.
    """
    name = next(NAMES)
    people.write(f"{name}.py", f"{HEAD}{CHANGING}            {more}\n        return self.net(x)\n")
    arm = lay_out(people.read(f"{name}:net", factors="{width: [8, 6]}", recipe="train_images: 200")).arms[0]
    wanted = _read_settings()
    run = Run(phase=Phase.TUNE, arm=arm, setting={}, seed=0)
    conditions = Conditions(dataset=find_dataset("digits"), data_root=None, validation=100, device="cpu")
    assert execute(run, conditions).record.status == status
    assert _read_settings() == wanted


def _read_settings() -> tuple[object, ...]:
    made = torch.zeros(1)
    return made.dtype, made.device, torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()


def test_every_process_hashes_words_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network may depend on the order of a set of words. A user's own PYTHONHASHSEED does not count.

    - https://github.com/ihmeuw/vivarium/pull/442: results depend on the hash seed of the process. Mended.
    - https://github.com/dedupeio/dedupe/issues/541: results depend on the order of a set. Mended.
    - https://github.com/ASPP/pelita/issues/689: results cannot be repeated without a fixed hash seed. Mended.
    """
    # The first import of a command stands for all that follows. The set is made when the code runs: the order
    # of a set that is written out also depends on whether Python compiles the module or loads it compiled.
    (tmp_path / "typer.py").write_text("print(list(set('relu tanh sigmoid elu'.split())))\nraise SystemExit")
    printed = set()
    for seed in ("1", "2", "random"):
        surroundings = environment() | {"PYTHONHASHSEED": seed, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
        command = [sys.executable, "-m", "ablate", "plan", "a study.yaml"]
        done = subprocess.run(command, env=surroundings, capture_output=True, text=True, check=True)
        printed.add(done.stdout)
    assert len(printed) == 1
    assert "tanh" in printed.pop()
    monkeypatch.setenv("PYTHONHASHSEED", "1")
    monkeypatch.setattr(fork_server, "HAS_FORK_SERVER", False)
    fork_server.prepare()
    assert os.environ["PYTHONHASHSEED"] == "0"  # workers inherit it
