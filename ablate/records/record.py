"""The record of a study: what ran, by key. A file of the report folder or a PostgreSQL server keeps it."""

from collections.abc import Mapping
from typing import Any, Protocol

from ablate.records.run_records import RunRecord, TimingBlock

TIMING_KEY = "timing"
"""The key that a host claims before it times: throughput comes from one machine alone."""


class Record(Protocol):
    """Finished runs and timing blocks of one study, by key.

    Nothing is ever stored as running. A kill leaves nothing to clean up: what is not on record runs again.
    """

    shared: bool
    """Whether other hosts read and write it too."""

    @property
    def runs(self) -> Mapping[str, RunRecord]:
        """Finished runs by key."""

    @property
    def blocks(self) -> Mapping[str, TimingBlock]:
        """Timing blocks by key."""

    def claim(self, key: str) -> bool:
        """Whether this process may do the work of that key: nobody else has done it or is doing it."""

    def release(self, key: str) -> None:
        """Let another host claim the key."""

    def refresh(self) -> None:
        """Read what other hosts have put on record."""

    def add_run(self, key: str, record: RunRecord) -> None:
        """Put a finished run on record, in one transaction."""

    def add_block(self, key: str, block: TimingBlock) -> None:
        """Put a timing block on record, in one transaction."""

    def find_timing_machine(self, machine: str) -> str:
        """The machine whose timing blocks count: `machine`, unless another host times."""

    def set_timing_machine(self, machine: str) -> None:
        """Let the timing blocks of this machine count from now on."""

    def find_foreign_provenance(self, machine: str) -> Mapping[str, Any]:
        """The provenance of another host that timed the arms; empty if this one did, or none did."""

    def share_study(self, study: str) -> None:
        """Keep the study file where other hosts find it."""

    def share_provenance(self, provenance: Mapping[str, Any]) -> None:
        """Keep the provenance where other hosts find it."""

    def close(self) -> None:
        """Close the file or the connection."""
