"""The model of the hand-over (lock.pml): spin proves its promises, and refutes each broken step."""

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MODEL = {path.name: path.read_text() for path in HERE.glob("*.pml")}


class Scenario(NamedTuple):
    """What may happen, and how often."""

    leases: bool  # else only messages hand the lock on
    sessions: int
    rounds: int  # operations of each session
    cuts: int
    crashes: int
    cancels: int
    waiter: int | None = None  # the operation that must get the lock in the end

    def __str__(self) -> str:
        kind = "leases" if self.leases else "messages"
        size = f"{self.sessions}x{self.rounds}-{self.cuts}-{self.crashes}-{self.cancels}"
        return f"{kind}-{size}" + ("" if self.waiter is None else f"-enters-{self.waiter}")

    def defines(self) -> list[str]:
        """Give what lock.pml wants to be told."""
        names = ("sessions", "rounds", "cuts", "crashes", "cancels", "waiter")
        values = {name: getattr(self, name) for name in names}
        defines = [
            f"-D{name.upper()}={value}" for name, value in values.items() if value is not None
        ]
        return defines + ["-DLEASE"] * self.leases


PROOFS = [
    Scenario(False, 3, 1, 2, 1, 1),
    Scenario(False, 2, 2, 2, 1, 1),
    Scenario(False, 3, 1, 1, 1, 1, waiter=0),
    Scenario(True, 3, 1, 0, 1, 1),
    Scenario(True, 2, 1, 2, 1, 1),
    Scenario(True, 2, 2, 1, 0, 0),
    Scenario(True, 2, 2, 0, 1, 1),
    Scenario(True, 2, 1, 1, 1, 1, waiter=0),
    Scenario(True, 2, 2, 0, 1, 0, waiter=1),
    Scenario(True, 3, 1, 0, 1, 0, waiter=0),
]

MESSAGES = Scenario(False, 2, 1, 1, 1, 1)
LEASES = Scenario(True, 2, 1, 1, 1, 1)

# A mutation, where it must be noticed, and what pan says of it: an assertion that fails, by what it
# is about, or a cycle.
REFUTATIONS = [
    # A release that does not compare the operation frees what others hold.
    ("MUTATE_RELEASE_ANY", LEASES, "violated .*believer"),
    # A hand-over to nobody leaves the lock with the dead.
    ("MUTATE_DEAD_INBOX", Scenario(False, 3, 1, 1, 1, 1), "violated .*(state|locked)"),
    # Who asks again after a lost answer waits for itself.
    ("MUTATE_RESEND", MESSAGES, "violated .*state"),
    # Who does not ask again after a lost answer waits for nothing.
    ("MUTATE_NO_RESEND", MESSAGES, "violated .*state"),
    # Without the "+", a release does not look at the queue.
    ("MUTATE_NO_MARK", MESSAGES, "violated .*queue"),
    ("MUTATE_SILENT_RELEASE", MESSAGES, "violated .*state"),
    # A cancelled operation keeps what it was granted meanwhile.
    ("MUTATE_SILENT_CANCEL", MESSAGES, "violated .*(state|locked)"),
    # A message is believed for as long as if it had just been sent.
    ("MUTATE_OLD_GRANT", LEASES, "violated .*believer"),
    # Nobody asks again, so nobody finds that a lease ran out;
    ("MUTATE_NO_POLL", LEASES, "violated .*state"),
    # or somebody asks for ever, and is not told.
    ("MUTATE_BLIND_POLL", Scenario(True, 2, 1, 0, 1, 0, waiter=0), "acceptance cycle"),
]


class Verdict(NamedTuple):
    said: str  # by pan
    steps: str  # of the counterexample; empty where there is none


def check(folder: Path, scenario: Scenario, *options: str, mutation: str = "") -> Verdict:
    """Search every state of the model; `options` are gcc's."""

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    defines = scenario.defines() + [f"-D{mutation}"] * bool(mutation)
    liveness = scenario.waiter is not None
    # A scheduler that is fair to each process is all that progress may need.
    search = ["-DNFAIR=4"] if liveness else ["-DSAFETY", "-DNOCLAIM"]
    for name, text in MODEL.items():
        (folder / name).write_text(text)
    run("spin", *defines, "-a", "lock.pml")
    run("gcc", "-w", "-DCOLLAPSE", "-DMEMLIM=900", *search, *options, "-o", "pan", "pan.c")
    said = run("./pan", "-m10000", *(["-a", "-f"] if liveness else []))
    found = list(folder.glob("*.trail"))
    return Verdict(said, run("spin", *defines, "-t", "-p", "-g", "lock.pml") if found else "")


@pytest.mark.parametrize("scenario", PROOFS, ids=str)
def test_the_protocol_keeps_its_promises(scenario: Scenario, tmp_path: Path) -> None:
    said, steps = check(tmp_path, scenario, "-O2")
    print(steps + said)
    assert "errors: 0" in said
    # Every state was looked at.
    assert "Search not completed" not in said
    assert "error:" not in said


@pytest.mark.parametrize(
    ("mutation", "scenario", "complaint"), REFUTATIONS, ids=[name for name, *_ in REFUTATIONS]
)
def test_a_broken_step_is_refuted(
    mutation: str, scenario: Scenario, complaint: str, tmp_path: Path
) -> None:
    said, steps = check(tmp_path, scenario, mutation=mutation)
    print(said)
    assert re.search(complaint, said)
    assert steps


def test_every_mutation_is_tried() -> None:
    known = set(re.findall(r"\bMUTATE_[A-Z_]*[A-Z]", "".join(MODEL.values())))
    assert known == {mutation for mutation, *_ in REFUTATIONS}


def test_the_steps_are_named_as_in_the_code() -> None:
    named = "".join(MODEL.values()) + (HERE / "README.md").read_text()
    code = "".join(path.read_text() for path in (ROOT / "src/primitives").iterdir())
    scripts = set(re.findall(r"\blua/[a-z_/]+\.lua", named))
    assert {path for path in scripts if not (ROOT / path).is_file()} == set()
    methods = set(re.findall(r"\b[A-Z][A-Za-z]+::[a-z_]+(?=\(\))", named))
    assert {method for method in methods if f"{method}(" not in code} == set()
    assert len(scripts) > 4
    assert len(methods) > 10
