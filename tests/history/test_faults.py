import pytest

from tests.history.faults import HARSH, LOSING, MILD, schedule


@pytest.mark.parametrize("faults", [HARSH, MILD, LOSING])
def test_a_seed_gives_the_same_schedule(faults: tuple[str, ...]) -> None:
    steps = schedule(7, 60, faults, [0, 1, 2])
    assert steps == schedule(7, 60, faults, [0, 1, 2])
    assert steps != schedule(8, 60, faults, [0, 1, 2])
    assert {step.action for step in steps} == set(faults)
    assert {step.slot for step in steps} == {0, 1, 2}
    assert steps == sorted(steps)


def test_what_begins_ends() -> None:
    steps = schedule(7, 60, HARSH, [0, 1])
    for action in ("blackhole", "delay", "stop_long", "pause_server"):
        begun = [step.begins for step in steps if step.action == action]
        assert begun.count(True) == begun.count(False) > 0
