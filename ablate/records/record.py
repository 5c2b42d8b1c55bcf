"""`Record`: the store of a study's finished runs, in a SQLite file or on a PostgreSQL server."""

from collections.abc import Mapping
from typing import Any, Protocol

from ablate.records.provenance import ArmCost
from ablate.records.run_records import RunRecord, TimingBlock

TIMING_KEY = "timing"
"""A host claims this key before it times the arms. One host times all arms, so that times can be compared."""


class Record(Protocol):
    """Stores the finished runs and timing blocks of one study. Each run and each block has a key.

    A timing block is a short measurement of an arm's speed. Only finished runs are stored, so a killed
    command leaves nothing to clean up. The next command trains every run that has no record.
    """

    shared: bool
    """Whether other hosts can use the same store at the same time."""

    @property
    def runs(self) -> Mapping[str, RunRecord]:
        """Finished runs by key."""

    @property
    def blocks(self) -> Mapping[str, TimingBlock]:
        """Timing blocks by key."""

    def claim(self, *keys: str) -> list[str]:
        """Reserve keys for this process. Return the keys that are now reserved.

        A key is not reserved if it has a record, or if another process has reserved it.
        """

    def release(self, key: str) -> None:
        """Give up the reservation of a key, so that another host can reserve it."""

    def refresh(self) -> None:
        """Read the records that other hosts have stored since the last call."""

    def add(self, records: Mapping[str, RunRecord | TimingBlock]) -> None:
        """Store finished runs and timing blocks by key. When it returns, they are committed."""

    def find_timing_machine(self, machine: str) -> str:
        """Return the host that times the arms. If no host has begun to time them, return `machine`."""

    def set_timing_machine(self, machine: str) -> None:
        """From now on, use the timing blocks of this machine."""

    def find_foreign_provenance(self, machine: str) -> Mapping[str, Any]:
        """If another host timed the arms, return the provenance of that host. Otherwise return nothing.

        The provenance says where results come from, for example the hardware.
        """

    def read_shared_costs(self) -> Mapping[str, ArmCost]:
        """Return the costs of the arms that a host has stored for other hosts, or nothing."""

    def share_study(self, study: str) -> None:
        """Store the study file for other hosts."""

    def share_provenance(self, provenance: Mapping[str, Any]) -> None:
        """Store the provenance of the results where other hosts can read it."""

    def close(self) -> None:
        """Close the file or the connection."""
