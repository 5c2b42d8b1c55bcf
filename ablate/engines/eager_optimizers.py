"""torch's optimisers without torch's compiler, which ablate does not use."""

import inspect
from typing import TypeVar, cast

import torch

Kind = TypeVar("Kind", bound=torch.optim.Optimizer)


def _make_eager(kind: type[Kind]) -> type[Kind]:
    """Make a subclass of a torch optimiser that computes the same and does not import torch's compiler.

    torch decorates an optimiser's methods so that its compiler, `torch._dynamo`, leaves them out. The
    decorators import the compiler at the first call. This takes about as long as `import torch` itself, in
    every process that trains. The subclass has the methods without their decorators. Only the decorator of
    `step` changes a computation: it switches off the recording of gradients. The new `step` does this, too.
    """
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in ("add_param_group", "zero_grad", "step")}
    eager = type(kind.__name__, (kind,), {**methods, "step": torch.no_grad()(methods["step"])})
    return cast("type[Kind]", eager)


SGD = _make_eager(torch.optim.SGD)
Adam = _make_eager(torch.optim.Adam)
AdamW = _make_eager(torch.optim.AdamW)
RMSprop = _make_eager(torch.optim.RMSprop)
