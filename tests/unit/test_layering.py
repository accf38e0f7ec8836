"""Includes and imports point downwards only. The order is the data below, lowest layer first."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

CXX_LAYERS = ["base", "resp", "client", "primitives", "driver", "bindings"]
# Only the highest layer may know Python.
PYTHON_HEADERS = ("Python.h", "pybind11/")

PYTHON_LAYERS = [
    {"_call", "_core", "_checks", "_greenlets", "_turn", "errors"},
    {"_lease", "_transport", "_connect"},
    {"_blocking_client", "_links"},
    {"_default", "_session"},
    {"_hold", "_portal"},
    {"_primitive"},
    {"_leased"},
    # The public face: every module whose name has no underscore, unless it stands above.
    {"*"},
    {"_blocking"},
    {"sync"},
    {"_locked", "key_value"},
    {"__init__"},
]

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)


def cxx_violations(source: Path) -> Iterator[str]:
    """Yield each include below `source` that points upwards or lets Python in."""
    for path in sorted(source.rglob("*")):
        if path.suffix not in (".cc", ".h"):
            continue
        layer = path.relative_to(source).parts[0]
        if layer not in CXX_LAYERS:
            yield f"{path}: {layer} is no layer"
            continue
        for included in INCLUDE.findall(path.read_text()):
            target = included.split("/")[0]
            if target in CXX_LAYERS and CXX_LAYERS.index(target) > CXX_LAYERS.index(layer):
                yield f"{path}: includes {included}, which is above {layer}"
            if included.startswith(PYTHON_HEADERS) and layer != CXX_LAYERS[-1]:
                yield f"{path}: includes {included} outside {CXX_LAYERS[-1]}"


def python_violations(package: Path) -> Iterator[str]:
    """Yield each import in the package that points upwards."""
    paths = [path for path in sorted(package.iterdir()) if path.suffix in (".py", ".pyi")]
    modules = {path.stem for path in paths} | {"_core"}
    for path in paths:
        layer = python_layer(path.stem)
        if layer is None:
            yield f"{path}: stands in no layer"
            continue
        for line, target in imported_modules(path, package.name, modules):
            above = python_layer(target)
            if above is not None and above > layer:
                yield f"{path}:{line}: imports {target}, which is above {path.stem}"


def python_layer(module: str) -> int | None:
    """Return the place of a module, counted from the lowest, or None when it has none."""
    name = "*" if not module.startswith("_") else module
    for wanted in (module, name):
        for place, layer in enumerate(PYTHON_LAYERS):
            if wanted in layer:
                return place
    return None


def imported_modules(path: Path, package: str, modules: set[str]) -> Iterator[tuple[int, str]]:
    """Yield line and name of each module of the package that a file imports, at any depth in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            origin = [package] if node.level else []
            origin += node.module.split(".") if node.module else []
            names = [[*origin, alias.name] for alias in node.names]
        else:
            continue
        for parts in names:
            if parts[0] == package:
                # What is no module is a name in the package itself.
                in_package = len(parts) > 1 and parts[1] in modules
                yield node.lineno, parts[1] if in_package else "__init__"


def test_cxx_includes_point_downwards() -> None:
    assert list(cxx_violations(ROOT / "src")) == []


def test_python_imports_point_downwards() -> None:
    assert list(python_violations(ROOT / "python" / "dsync")) == []


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        ("resp/reader.h", '#include "base/result.h"\n#include <vector>\n', None),
        ("resp/reader.h", '#include "resp/reply.h"\n', None),
        ("base/result.h", '#include "resp/reply.h"\n', "above base"),
        ("client/client.cc", '  #  include "driver/x.h"\n', "above client"),
        ("client/client.cc", "#include <Python.h>\n", "outside bindings"),
        ("driver/run.cc", "#include <pybind11/pybind11.h>\n", "outside bindings"),
        ("bindings/module.cc", '#include <pybind11/gil.h>\n#include "driver/x.h"\n', None),
        ("helpers/x.h", "", "no layer"),
    ],
)
def test_cxx_checker(tmp_path: Path, file: str, text: str, complaint: str | None) -> None:
    write(tmp_path / file, text)
    expect(cxx_violations(tmp_path), complaint)


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        ("lock.py", "from ._session import Session\nfrom . import errors\n", None),
        ("condition.py", "from dsync.lock import DistributedLock\n", None),
        ("_session.py", "from ._core import Client\nimport dsync._transport\n", None),
        ("_session.py", "from .lock import DistributedLock\n", "imports lock"),
        ("_session.py", "from dsync import lock\n", "imports lock"),
        ("_transport.py", "def f():\n    import dsync._session\n", "imports _session"),
        ("errors.py", "from dsync._core import Code\n", None),
        ("errors.py", "from . import _lease\n", "imports _lease"),
        ("_core.pyi", "from dsync.lock import DistributedLock\n", "imports lock"),
        ("lock.py", "from dsync import DistributedSemaphore\n", "imports __init__"),
        ("lock.py", "import dsync\n", "imports __init__"),
        ("__init__.py", "from .lock import DistributedLock\n", None),
        ("_helper.py", "", "no layer"),
    ],
)
def test_python_checker(tmp_path: Path, file: str, text: str, complaint: str | None) -> None:
    package = tmp_path / "dsync"
    for other in ("lock.py", "_session.py", "_transport.py", "_lease.py", "errors.py"):
        write(package / other, "")
    write(package / file, text)
    expect(python_violations(package), complaint)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def expect(violations: Iterator[str], complaint: str | None) -> None:
    found = list(violations)
    if complaint is None:
        assert found == []
    else:
        assert len(found) == 1
        assert complaint in found[0]
