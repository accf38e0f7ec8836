"""The works of the benchmark, in the order of their rows."""

from bench.model import Case, Settings
from bench.works import contest, meeting, memory, starting, throughput, waiting


def all_cases(settings: Settings) -> list[Case]:
    """Return each case once."""
    return [
        *throughput.cases(),
        *contest.cases(),
        *meeting.cases(),
        *waiting.cases(settings),
        *memory.cases(),
        *starting.cases(),
    ]
