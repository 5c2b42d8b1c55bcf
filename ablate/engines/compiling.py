"""Compile networks with `torch.compile` (the key `compile` of a recipe)."""

from typing import cast

from torch import nn

from ablate.tqdm_lock import avoid_semaphores

MOST_COMPILATIONS = 1_000
"""torch compiles the code of a class of networks at most this many times. After that, it does not compile it.

torch's default is 8. All networks of a process share the limit, and each is compiled several times: for
training, for evaluation, and for another batch size.
"""


def compile_network(network: nn.Module) -> nn.Module:
    """Return a compiled network that shares the parameters of `network`.

    torch compiles it at the first call. It compiles again for another mode (training or evaluation) or batch
    size. Networks that were compiled before are compiled again at their next call. So the first step of each
    network includes its compilation. Compilation needs a C++ compiler on a CPU, and Triton on a GPU.
    """
    import torch._dynamo

    avoid_semaphores()
    torch.compiler.reset()
    torch._dynamo.config.recompile_limit = MOST_COMPILATIONS
    return cast("nn.Module", torch.compile(network))


def is_compiler_error(error: BaseException) -> bool:
    """Whether torch's compiler raised an error, for example because there is no C++ compiler."""
    return type(error).__module__.startswith(("torch._dynamo", "torch._inductor"))
