"""Write a trained network as a list of operations with their numbers, which a saved page can run."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp
from torch.nn import functional
from torch.nn.modules.dropout import _DropoutNd

from ablate.explore.module_operations import Numbers, UncoveredError, describe_module
from ablate.explore.reading import LayerFacts

Operation = dict[str, Any]
"""One operation as JSON: its name (`op`), its inputs (`from`), its layer (`layer`) and its options.

An input is a number. 0 is the image, and i + 1 is the output of operation i. `layer` is the number of the
layer, or None if the operation is not a layer.
"""

FUNCTIONS: dict[Any, str] = {
    torch.sigmoid: "sigmoid",
    functional.sigmoid: "sigmoid",
    "sigmoid": "sigmoid",
    torch.tanh: "tanh",
    functional.tanh: "tanh",
    "tanh": "tanh",
    torch.relu: "relu",
    functional.relu: "relu",
    "relu": "relu",
    functional.selu: "selu",
    functional.silu: "silu",
    functional.mish: "mish",
    functional.hardswish: "hardswish",
}
"""Functions and names of methods that apply a function without options to each number."""
RESHAPES = (torch.flatten, torch.reshape, "flatten", "reshape", "view")
POOLS: dict[Any, type[nn.Module]] = {
    functional.avg_pool2d: nn.AvgPool2d,
    functional.max_pool2d: nn.MaxPool2d,
    functional.adaptive_avg_pool2d: nn.AdaptiveAvgPool2d,
}
DROPOUTS = (functional.dropout, functional.dropout2d)


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:  # noqa: ARG002
        # `inspection.tracing` takes the same modules as layers.
        return isinstance(m, nn.Conv2d) or not any(True for _ in m.children())


def write_operations(
    network: nn.Module,
    image_shape: Sequence[int],
    layers: Sequence[LayerFacts],
    weights: torch.dtype = torch.float32,
) -> list[Operation]:
    """Write the network as operations on one image `image_shape`. The last operation gives the logits.

    `layers` are the network's layers without dropout, in the order of computation. `weights` is the number
    type of the weights of convolutions and dense layers, float32 or float16.

    Raises:
        UncoveredError: the page has no operation for a layer, or the network cannot be traced.
    """
    try:
        graph = _Tracer().trace(network)
        traced = fx.GraphModule(network, graph)
        ShapeProp(traced).propagate(torch.zeros(1, *image_shape))
    except Exception as error:  # a user's network can fail in any way
        raise UncoveredError(f"its forward pass cannot be traced ({type(error).__name__})") from error
    return _Writer(traced, layers, Numbers(weights)).write()


class _Writer:
    """Writes the nodes of a traced network as operations."""

    def __init__(self, traced: fx.GraphModule, layers: Sequence[LayerFacts], numbers: Numbers) -> None:
        self.traced = traced
        self.layers = list(layers)
        self.numbers = numbers
        self.operations: list[Operation] = []
        self.values: dict[fx.Node, int] = {}
        self.written = 0

    def write(self) -> list[Operation]:
        for node in self.traced.graph.nodes:
            if node.op == "placeholder":
                self.values[node] = 0
            elif node.op == "output":
                if self.values.get(node.args[0]) != len(self.operations):
                    raise UncoveredError("its output is not the output of its last operation")
            elif "tensor_meta" in node.meta and isinstance(node.meta["tensor_meta"].shape, torch.Size):
                self._write_node(node)
        if self.written != len(self.layers):
            raise UncoveredError("its layers run in another order than in the trace")
        return self.operations

    def _write_node(self, node: fx.Node) -> None:
        if node.op == "call_module":
            self._write_layer(node, self.traced.get_submodule(str(node.target)))
        elif node.op in ("call_function", "call_method"):
            self._write_function(node)
        else:
            raise UncoveredError(f"{node.target} (a tensor that is not a layer's)")

    def _write_layer(self, node: fx.Node, module: nn.Module) -> None:
        if isinstance(module, _DropoutNd):
            self._pass_on(node)
            return
        name = f"{node.target} ({type(module).__name__})"
        if self.written == len(self.layers) or self.layers[self.written].name != node.target:
            raise UncoveredError(f"{name}: it runs in another order than in the trace")
        self._add(node, describe_module(module, name, self._get_shape(node), self.numbers), self.written)
        self.written += 1

    def _write_function(self, node: fx.Node) -> None:
        target: Any = node.target
        inputs = node.all_input_nodes
        name = getattr(target, "__name__", str(target))
        if target in DROPOUTS:
            self._pass_on(node)
        elif target in FUNCTIONS:
            self._add(node, {"op": FUNCTIONS[target]})
        elif target in RESHAPES and len(self._get_shape(node)) == 2:
            self._add(node, {"op": "flatten"})
        elif target in (torch.cat, torch.concat) and (node.kwargs.get("dim") or [*node.args, 0][1]) == 1:
            self._add(node, {"op": "concatenate"}, sources=list(node.args[0]))  # type: ignore[arg-type]
        elif name in ("add", "iadd", "mul") and len(inputs) == 2 and self._have_one_shape([node, *inputs]):
            self._add(node, {"op": "multiply" if name == "mul" else "add"}, sources=inputs)
        elif target in POOLS:
            given = node.normalized_arguments(self.traced, normalize_to_only_use_kwargs=True)
            if given is None:
                raise UncoveredError(f"{name} (a function)")
            options = {key: value for key, value in given.kwargs.items() if key != "input"}
            self._add(
                node, describe_module(POOLS[target](**options), name, self._get_shape(node), self.numbers)
            )
        else:
            raise UncoveredError(f"{name} (a function)")

    def _pass_on(self, node: fx.Node) -> None:
        self.values[node] = self.values[node.all_input_nodes[0]]

    def _add(
        self,
        node: fx.Node,
        operation: Mapping[str, Any],
        layer: int | None = None,
        sources: Sequence[fx.Node] | None = None,
    ) -> None:
        given = node.all_input_nodes[:1] if sources is None else sources
        if any(source not in self.values for source in given):
            raise UncoveredError(f"{node.target} (an input that is not a layer's output)")
        numbers = [self.values[source] for source in given]
        self.operations.append({**operation, "from": numbers, "layer": layer})
        self.values[node] = len(self.operations)

    def _get_shape(self, node: fx.Node) -> torch.Size:
        shape: torch.Size = node.meta["tensor_meta"].shape
        return shape

    def _have_one_shape(self, nodes: Sequence[fx.Node]) -> bool:
        return len({self._get_shape(node) for node in nodes}) == 1
