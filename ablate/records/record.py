"""`Record`: the store of a study's finished runs, in a SQLite file or on a PostgreSQL server."""

from collections.abc import Mapping
from typing import Any, Protocol

from ablate.records.run_records import RunRecord, TimingBlock

TIMING_KEY = "timing"
"""A host claims this key before it times the arms. One host times all arms, so the times are comparable."""


class Record(Protocol):
    """Stores the finished runs and timing blocks of one study, each under its key.

    Only finished runs are stored, so a killed command leaves nothing to clean up. The next command repeats
    every run that has no record.
    """

    shared: bool
    """Whether other hosts can also use this store."""

    @property
    def runs(self) -> Mapping[str, RunRecord]:
        """Finished runs by key."""

    @property
    def blocks(self) -> Mapping[str, TimingBlock]:
        """Timing blocks by key."""

    def claim(self, *keys: str) -> list[str]:
        """Reserve keys for this process. Return the keys without a record that nobody else has reserved."""

    def release(self, key: str) -> None:
        """Give up a claim, so that another host can claim the key."""

    def refresh(self) -> None:
        """Read the records that other hosts have stored since the last call."""

    def add(self, records: Mapping[str, RunRecord | TimingBlock]) -> None:
        """Store finished runs and timing blocks by key. They are committed when this method returns."""

    def find_timing_machine(self, machine: str) -> str:
        """Return the host that times the arms. If no host has begun to time them, return `machine`."""

    def set_timing_machine(self, machine: str) -> None:
        """From now on, use the timing blocks of this machine."""

    def find_foreign_provenance(self, machine: str) -> Mapping[str, Any]:
        """Return the provenance of another host that timed the arms. Empty if there is no such host."""

    def share_study(self, study: str) -> None:
        """Store the study file for other hosts."""

    def share_provenance(self, provenance: Mapping[str, Any]) -> None:
        """Store the provenance for other hosts."""

    def close(self) -> None:
        """Close the file or the connection."""
