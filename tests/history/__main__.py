"""One run from the command line: `python -m tests.history --workload lock --seed 1`."""

import argparse
import asyncio
import random
import sys

from tests.history.runs import WORKLOADS, Result, run

EXCERPTS = 3  # violations that are shown


def report(result: Result) -> str:
    """Tell the verdict; on a violation the events that show it, and how to replay it."""
    lines = [result.summary()]
    lines += [str(violation) for violation in result.violations[:EXCERPTS]]
    if result.violations:
        lines.append(f"replay: {result.replay}")
    return "\n".join(lines)


def main() -> int:
    """Run what the arguments say; the exit code is 1 on a violation."""
    parser = argparse.ArgumentParser(prog="python -m tests.history", description=__doc__)
    parser.add_argument("--workload", choices=WORKLOADS, default="lock")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--broken", default="", help="a function of tests/history/broken.py")
    options = parser.parse_args()
    print(f"seed={options.seed}", flush=True)
    result = asyncio.run(run(options.workload, options.seed, options.seconds, options.broken))
    print(report(result))
    return 1 if result.violations else 0


if __name__ == "__main__":
    sys.exit(main())
