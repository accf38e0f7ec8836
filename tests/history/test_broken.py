"""The checker finds what is broken on purpose; else it would mean nothing that it is silent."""

import itertools
import random

import pytest

from tests.history.runs import run

ATTEMPTS = 5
SECONDS = 2.0


@pytest.mark.parametrize(
    ("broken", "workload", "rules"),
    [
        ("unchecked_lease", "lock", {"exclusion"}),
        ("unchecked_lease", "set", {"elements"}),
        ("blind_release", "lock", {"exclusion"}),
        ("shrinking_token", "loss", {"tokens"}),
        ("extra_permit", "semaphore", {"permits"}),
        ("queue_jumper", "order", {"order"}),
        ("swallowed_notification", "condition", {"losses"}),
        ("eager_waiter", "condition", {"wakes"}),
        ("early_barrier", "barrier", {"barrier"}),
        ("deaf_barrier", "barrier", {"barrier"}),
    ],
)
async def test_finds(broken: str, workload: str, rules: set[str], dice: random.Random) -> None:
    for attempt in itertools.count(1):
        result = await run(workload, dice.randrange(1 << 32), SECONDS, broken)
        print(result.summary())
        if rules <= {violation.rule for violation in result.violations}:
            return
        assert attempt < ATTEMPTS, f"{broken} was not found"
