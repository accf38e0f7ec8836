"""What the nodes and the monitor share: names in Redis, and what is done with a job."""

from __future__ import annotations

from dataclasses import dataclass

CONDITION = "demo"
JOBS = "demo_jobs"  # The list of the numbers of the jobs that nobody has taken yet.
DONE = "demo_done"  # The list of those that are done, for the monitor to follow.


@dataclass(frozen=True)
class Done:
    """A job that a consumer has done, and when it was taken, in seconds of the server's clock."""

    job: int
    taken: float
