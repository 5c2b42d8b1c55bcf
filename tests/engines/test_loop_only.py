"""The keys `memory_format` and `compile` of a recipe: only the torch loop trains with them, with equal results."""

import pytest
import torch

from ablate.data.loading import Dataset
from ablate.design.runs import Arm, Run
from ablate.engines import cohort, lanes
from ablate.engines.choice import choose_trainer
from ablate.engines.loop import LoopTrainer
from ablate.engines.tailored import can_tailor
from ablate.engines.try_out import try_out
from ablate.errors import ModelError
from ablate.records.run_records import Phase
from ablate.study.recipe import Recipe
from tests.cpu import CPU


def make_run(model: str = "lenet", **recipe: object) -> Run:
    arm = Arm(
        name="arm",
        model=model,
        keywords={},
        factors={},
        recipe=Recipe(batch_size=16, learning_rate=0.1, **recipe),
    )
    return Run(phase=Phase.CONFIRM, arm=arm, setting={}, seed=3)


def train(run: Run, dataset: Dataset, steps: int = 4) -> torch.Tensor:
    trainer = LoopTrainer(run, dataset, CPU)
    for step in range(steps):
        trainer.step(torch.arange(16 * step, 16 * step + 16))
    return trainer.predict(dataset.test_images[:20])


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ({"compile": True}, "the recipe compiles the network with torch.compile"),
        ({"memory_format": "contiguous"}, "the recipe names the memory format contiguous"),
        ({"memory_format": "channels_last"}, "the recipe names the memory format channels_last"),
    ],
    ids=str,
)
def test_other_engines_leave_such_a_recipe_to_the_loop(digits: Dataset, key, reason: str) -> None:
    run = make_run(**key)
    assert lanes.reason_against(run, digits, CPU) == reason
    assert cohort.reason_against(run, digits) == reason
    assert choose_trainer(run, digits, CPU).name == "loop"
    assert can_tailor(make_run("googlenet"), digits, CPU)
    assert not can_tailor(make_run("googlenet", **key), digits, CPU)


@pytest.mark.parametrize("name", ["contiguous", "channels_last"])
def test_the_network_gets_images_in_the_named_format(digits: Dataset, name: str) -> None:
    seen = []
    trainer = LoopTrainer(make_run(memory_format=name), digits, CPU)
    trainer.model.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    trainer.step(torch.arange(16))
    trainer.predict(digits.test_images[:5].expand(-1, 1, -1, -1))
    weight = next(parameter for parameter in trainer.model.parameters() if parameter.ndim == 4)
    wanted = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}[name]
    assert trainer.memory_format == name
    assert all(images.is_contiguous(memory_format=wanted) for images in [*seen, weight])


def test_the_memory_format_changes_no_result(digits: Dataset) -> None:
    first, second = (train(make_run(memory_format=name), digits) for name in ("contiguous", "channels_last"))
    torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-5)


@pytest.mark.thorough  # compilation takes ten seconds
def test_compilation_changes_no_result(digits: Dataset) -> None:
    compiled, plain = (train(make_run(compile=on), digits) for on in (True, False))
    torch.testing.assert_close(compiled, plain, rtol=1e-4, atol=1e-5)


def test_runs_of_older_versions_keep_their_keys() -> None:
    assert {"memory_format", "compile"}.isdisjoint(Recipe().dump())
    assert Recipe(compile=True).dump()["compile"] is True


@pytest.mark.thorough
def test_every_compiled_network_is_compiled_again_for_its_first_step(digits: Dataset) -> None:
    import torch._dynamo.utils

    def count_graphs(run: Run) -> int:
        torch._dynamo.utils.counters.clear()
        train(run, digits, steps=1)
        return torch._dynamo.utils.counters["stats"]["unique_graphs"]

    # torch's own limit of compilations would be reached after four networks.
    assert [count_graphs(make_run(compile=True)) for _ in range(6)] == [2] * 6


def test_without_a_compiler_the_key_compile_is_named(
    digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    class CompilerError(RuntimeError):
        __module__ = "torch._inductor.exc"

    def fail(*_: object) -> None:
        raise CompilerError("No working C++ compiler found\nmore")

    monkeypatch.setattr(LoopTrainer, "step", fail)
    with pytest.raises(ModelError, match=r"torch\.compile failed \(.*No working C\+\+ compiler") as caught:
        try_out(make_run(compile=True), digits, examples=32, evaluated=(10,))
    assert caught.value.keyword == "recipe.compile"
    with pytest.raises(ModelError, match="'lenet' failed with"):
        try_out(make_run(), digits, examples=32, evaluated=(10,))
