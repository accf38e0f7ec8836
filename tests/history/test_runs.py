"""A short run of each workload; `make soak` has longer ones."""

import random

import pytest

from tests.history.__main__ import report
from tests.history.runs import WORKLOADS, run

SECONDS = 3.0


@pytest.mark.parametrize("workload", WORKLOADS)
async def test_history_is_valid(workload: str, dice: random.Random) -> None:
    result = await run(workload, dice.randrange(1 << 32), SECONDS)
    text = report(result)
    print(text)
    assert not result.violations, text
    assert not result.errors
    # A run in which nothing happened shows nothing.
    assert result.operations > 20
    assert result.faults > 5
