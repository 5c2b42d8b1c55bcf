"""torch's optimisers, changed so that they do not import torch's compiler, which ablate does not use."""

import inspect
from typing import TypeVar, cast

import torch

Kind = TypeVar("Kind", bound=torch.optim.Optimizer)


def _make_eager(kind: type[Kind]) -> type[Kind]:
    """Make a subclass of a torch optimiser. It gives the same results, but does not import torch's compiler.

    torch decorates an optimiser's methods so that its compiler, `torch._dynamo`, does not compile them. The
    decorators import the compiler at the first call. In every process that trains, this import takes about
    as long as `import torch` itself.

    The methods of the subclass have no decorators. The decorator of `step` also switches off the recording
    of gradients, so the new `step` has `torch.no_grad` instead.
    """
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in ("add_param_group", "zero_grad", "step")}
    eager = type(kind.__name__, (kind,), {**methods, "step": torch.no_grad()(methods["step"])})
    return cast("type[Kind]", eager)


SGD = _make_eager(torch.optim.SGD)
Adam = _make_eager(torch.optim.Adam)
AdamW = _make_eager(torch.optim.AdamW)
RMSprop = _make_eager(torch.optim.RMSprop)
