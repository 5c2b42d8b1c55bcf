"""Give the progress bars of other libraries a lock that leaves nothing behind."""

import threading


def avoid_semaphores() -> None:
    """Give the progress bars of tqdm a lock for threads only.

    tqdm's own lock also works across processes, with a semaphore. At the end of `ablate run`, Python would
    warn about this semaphore.
    """
    from tqdm import tqdm

    if not hasattr(tqdm, "_lock"):
        tqdm.set_lock(threading.RLock())
