"""The wall clock of other processes, which jumps when a test says so."""

import subprocess
from pathlib import Path

# Where Debian's package libfaketime has it, for all machines.
LIBRARY = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


class Clock:
    """The wall clock of child processes, which the test sets while they run."""

    def __init__(self, directory: Path) -> None:
        assert LIBRARY is not None, "please install libfaketime (tools/system.sh tests)"
        self._file = directory / "clock"
        self.environment = {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            # As when somebody sets the clock of a machine: the time since its start does not jump.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        self.set("+0")

    def set(self, offset: str) -> None:
        """Let the clock jump."""
        self._file.write_text(offset + "\n")


class ServerClock:
    """The wall clock of a redis-server: give its `environment` to the server."""

    def __init__(self, directory: Path) -> None:
        library = directory / "clock.so"
        source = Path(__file__).with_suffix(".c")
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
        self._file = directory / "seconds"
        self.environment = {"LD_PRELOAD": str(library), "SHIFTED_CLOCK": str(self._file)}
        self._file.write_text("0")

    def set(self, seconds: int) -> None:
        """Let the clock jump to so much more than the true time."""
        other = self._file.with_suffix(".new")
        other.write_text(str(seconds))
        other.replace(self._file)
