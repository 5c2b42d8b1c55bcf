"""The perceptron has its sources' sizes, every keyword changes what it names, and the impossible is refused."""

import pytest
import torch
from torch import nn

from ablate import models
from ablate.design.runs import Arm, Run
from ablate.engines.choice import choose_trainer
from ablate.engines.lanes import reason_against
from ablate.engines.loop import LoopTrainer
from ablate.engines.training import train
from ablate.errors import ModelError
from ablate.study.recipe import Recipe
from ablate.study.spec import Value
from tests.cpu import CPU

SHAPE = (1, 28, 28)


def build(model: str, **settings: object) -> nn.Sequential:
    return models.build(model, settings, input_shape=SHAPE, classes=10, init="xavier_uniform", seed=0)


def mlp(**settings: object) -> nn.Sequential:
    return build("mlp", **settings)


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def shapes(network: nn.Sequential) -> dict[str, tuple[int, ...]]:
    return {row.name: row.shape for row in models.list_layer_shapes(network, SHAPE)}


def run_of(**keywords: Value) -> Run:
    recipe = Recipe(epochs=6, batch_size=32, optimizer="adam", learning_rate=0.01)
    arm = Arm(name="arm", model="mlp", keywords=keywords, recipe=recipe, factors={})
    return Run(phase="confirm", arm=arm, setting={}, seed=0)


def test_it_is_known_by_its_name_with_its_keywords() -> None:
    assert models.read_keywords("mlp") == {"hidden": (256,), "activation": "sigmoid", "dropout": 0.0}
    with pytest.raises(ModelError, match=r"'mpl' is not known: did you mean 'mlp'\?"):
        models.read_keywords("mpl")


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({}, 203_530),
        ({"hidden": []}, 7_850),
        ({"hidden": [256, 128]}, 235_146),
        ({"hidden": [1]}, 785 + 2 * 10),
        ({"hidden": [300, 100]}, 785 * 300 + 301 * 100 + 101 * 10),
        ({"hidden": [2] * 8}, 785 * 2 + 7 * 3 * 2 + 3 * 10),
        ({"activation": "relu"}, 203_530),
        ({"dropout": 0.5}, 203_530),
    ],
    ids=str,
)
def test_every_keyword_changes_the_size_it_should(settings: dict[str, object], count: int) -> None:
    network = mlp(**settings)
    assert parameters(network) == count
    assert network(torch.zeros(3, *SHAPE)).shape == (3, 10)


def test_the_plain_network_is_one_hidden_layer_of_256_sigmoids() -> None:
    assert shapes(mlp()) == {"flatten": (784,), "dense1": (256,), "dense_act1": (256,), "dense2": (10,)}
    assert isinstance(mlp().dense_act1, nn.Sigmoid)


def test_softmax_regression_is_a_single_dense_layer_whatever_else_is_set() -> None:
    network = mlp(hidden=[], activation="relu", dropout=0.5)
    assert shapes(network) == {"flatten": (784,), "dense1": (10,)}


def test_dropout_follows_every_hidden_layer_but_not_the_logits() -> None:
    network = mlp(hidden=[256, 128], activation="relu", dropout=0.25)
    assert shapes(network) == {
        "flatten": (784,),
        "dense1": (256,),
        "dense_act1": (256,),
        "dropout1": (256,),
        "dense2": (128,),
        "dense_act2": (128,),
        "dropout2": (128,),
        "dense3": (10,),
    }
    assert network.dropout1.p == network.dropout2.p == 0.25
    assert isinstance(network.dense_act2, nn.ReLU)


def test_no_dropout_leaves_no_layer_behind() -> None:
    assert not any(isinstance(layer, nn.Dropout) for layer in mlp(hidden=[256, 128], dropout=0))


def test_images_of_another_shape_and_number_of_classes_fit() -> None:
    network = models.build("mlp", {"hidden": [5]}, input_shape=(3, 4, 6), classes=7, init="default", seed=0)
    assert network.dense1.weight.shape == (5, 72)
    assert network(torch.zeros(2, 3, 4, 6)).shape == (2, 7)


def test_it_computes_what_the_formula_says() -> None:
    network = mlp(hidden=[20, 15], activation="tanh")
    x = torch.randn(4, *SHAPE, generator=torch.Generator().manual_seed(0))
    p = dict(network.named_parameters())
    h = x.reshape(4, 784)
    for layer in ("dense1", "dense2"):
        h = torch.tanh(h @ p[f"{layer}.weight"].T + p[f"{layer}.bias"])
    torch.testing.assert_close(network(x), h @ p["dense3.weight"].T + p["dense3.bias"])


@pytest.mark.parametrize(
    ("settings", "keyword", "message"),
    [
        ({"hidden": 256}, "hidden", r"256 is not a list of up to eight widths: write \[256\] or \[\]"),
        ({"hidden": None}, "hidden", r"None is not a list"),
        ({"hidden": {"a": 256}}, "hidden", r"is not a list"),
        ({"hidden": "256"}, "hidden", r"'256' is not a list"),
        ({"hidden": ""}, "hidden", r"'' is not a list"),
        ({"hidden": [16] * 9}, "hidden", r"\[16(, 16){8}\] is not a list of up to eight"),
        ({"hidden": [0]}, "hidden", r"0 is not a whole number from 1 to 100,000"),
        ({"hidden": [256, 0]}, "hidden", r"0 is not a whole number"),
        ({"hidden": [-1]}, "hidden", r"-1 is not a whole number"),
        ({"hidden": [2.5]}, "hidden", r"2\.5 is not a whole number"),
        ({"hidden": [True]}, "hidden", r"True is not a whole number"),
        ({"hidden": ["256"]}, "hidden", r"'256' is not a whole number"),
        ({"hidden": [100_001]}, "hidden", r"100001 is not a whole number"),
        ({"activation": "rleu"}, "activation", r"did you mean 'relu'\?"),
        ({"hidden": [], "activation": "rleu"}, "activation", r"did you mean 'relu'\?"),
        ({"activation": None}, "activation", r"None is not known"),
        ({"dropout": 1.0}, "dropout", r"1\.0 is not a probability"),
        ({"hidden": [], "dropout": 1.0}, "dropout", r"1\.0 is not a probability"),
        ({"dropout": -0.1}, "dropout", r"-0\.1 is not a probability"),
        ({"dropout": True}, "dropout", r"True is not a probability"),
        ({"pooling": "max"}, "pooling", r"unknown keyword of mlp: known: hidden, activation, dropout"),
        ({"hiden": [256]}, "hiden", r"did you mean 'hidden'\?"),
    ],
    ids=str,
)  # fmt: skip
def test_the_impossible_is_refused_by_name(settings: dict[str, object], keyword: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        models.check("mlp", settings, input_shape=SHAPE, classes=10)
    assert caught.value.keyword == keyword


def test_checking_a_gigantic_network_allocates_nothing() -> None:
    models.check(
        "mlp", {"hidden": [100_000, 100_000]}, input_shape=SHAPE, classes=10
    )  # 40 GB if it were built


def test_tensors_of_equal_name_and_shape_start_equal_in_every_arm() -> None:
    plain, deeper = mlp(), mlp(hidden=[256, 128], activation="relu", dropout=0.5)
    assert torch.equal(plain.dense1.weight, deeper.dense1.weight)
    assert torch.equal(plain.dense1.bias, deeper.dense1.bias)
    assert plain.dense2.weight.shape != deeper.dense2.weight.shape


def test_tensors_of_equal_name_and_shape_start_equal_in_lenet_too() -> None:
    convolutional, dense = build("lenet"), mlp(hidden=[120, 84])
    assert torch.equal(convolutional.dense2.weight, dense.dense2.weight)
    assert torch.equal(convolutional.dense3.bias, dense.dense3.bias)
    assert convolutional.dense1.weight.shape != dense.dense1.weight.shape


def test_the_fast_engine_trains_it_where_there_is_a_compiler(digits) -> None:
    for hidden in [256], []:
        run = run_of(hidden=hidden)
        reason = reason_against(run, digits, CPU)
        assert reason is None or "compiler" in reason or "Linux" in reason
        assert choose_trainer(run, digits, CPU).name == ("loop" if reason else "lanes")


@pytest.mark.parametrize("hidden", [[], [64], [64, 32]], ids=str)
def test_it_learns_the_digits(digits, hidden: list[Value]) -> None:
    run = run_of(hidden=hidden, activation="relu")
    record = train(run, LoopTrainer(run, digits, CPU), digits, validation=240).record
    assert record.test_accuracy is not None
    assert record.test_accuracy > 0.9
