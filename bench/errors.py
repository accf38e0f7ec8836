"""The one error of the benchmark."""


class BenchError(RuntimeError):
    """A measurement that came to nothing: it is reported as missing, and the rest goes on."""
