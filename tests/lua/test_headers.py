"""The header of each script in lua/ says what its body does."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

LUA = Path(__file__).parents[2] / "lua"

DECLARED = re.compile(r"^-- (KEYS|ARGV)\[([^\]]+)\]\s+(\w+)( +\(\w+\))?", re.MULTILINE)
USED = re.compile(r"\b(KEYS|ARGV)\[([^\]]+)\]")
USED_WHOLE = re.compile(r"(?<!#)\b(KEYS|ARGV)\b(?!\[)")
# local a, b = KEYS[1], ARGV[2]
NAMED = re.compile(r"\blocal ([\w, ]+?)\s*=\s*((?:(?:KEYS|ARGV)\[[^\]]+\](?:,\s*)?)+)")
INCLUDE = re.compile(r"--@include (\S+)")
CODE = re.compile(r"^--\s+(?:Returns )?\s*(\d+)\b", re.MULTILINE)
TYPES = ("string", "zset", "hash", "list", "set", "stream")


def complaints(script: Path) -> Iterator[str]:
    """Yield what is wrong with the header of one script."""
    header, body = split(script.read_text())
    if not re.match(r"-- [A-Z].*\.\n--\n", header):
        yield "it does not begin with one sentence on one line"
    for section in ("Returns", "Publishes", "Complexity"):
        if not re.search(rf"^-- {section} +\S", header, re.MULTILINE):
            yield f"it has no line '{section} …'"
    yield from wrong_codes(header, body)
    texts = {"": body}
    waiting = [""]
    while waiting:
        for name in INCLUDE.findall(texts[waiting.pop()]):
            path = script.parent / "include" / name
            if not path.exists():
                yield f"it includes {name}, which does not exist"
            elif name not in texts:
                texts[name] = path.read_text()
                waiting.append(name)
    yield from wrong_arguments(header, without_comments("".join(texts.values())))


def split(text: str) -> tuple[str, str]:
    """Part the leading comment from the rest."""
    lines = text.splitlines(keepends=True)
    end = next((i for i, line in enumerate(lines) if not line.startswith("--")), len(lines))
    return "".join(lines[:end]), "".join(lines[end:])


def without_comments(body: str) -> str:
    """Remove what follows two dashes; strings of our scripts hold none."""
    return re.sub(r"--.*", "", body)


def wrong_codes(header: str, body: str) -> Iterator[str]:
    """Yield each number that the script returns as it is and that the header does not list."""
    listed = header[max(header.find("-- Returns"), 0) :].partition("-- Publishes")[0]
    codes = set(CODE.findall(listed))
    for code in re.findall(r"\breturn (\d+)\b", without_comments(body)):
        if code not in codes:
            yield f"it returns {code}, which the header does not list"


def wrong_arguments(header: str, body: str) -> Iterator[str]:
    """Yield each key and argument that is named and not used, or used and not named."""
    declared = {}
    for array, index, name, kind in DECLARED.findall(header):
        declared[f"{array}[{formula(index)}]"] = name
        if array == "KEYS" and kind.strip(" ()") not in TYPES:
            yield f"it gives KEYS[{index}] none of the types {', '.join(TYPES)}"
    used = {f"{array}[{formula(index)}]" for array, index in USED.findall(body)}
    for array in set(USED_WHOLE.findall(body)):
        # Used as a whole, unpack(ARGV, 2) for instance: any formula of the header may stand for it.
        formulas = {each for each in declared if each.startswith(array) and not digits(each)}
        if not formulas:
            yield f"the body uses {array} as a whole, and the header has no formula for it"
        used |= formulas
    for each in sorted(used - declared.keys()):
        yield f"it does not name {each}"
    for each in sorted(declared.keys() - used):
        yield f"it names {each}, which the body does not use"
    for names, values in NAMED.findall(body):
        for name, (array, index) in zip(names.split(","), USED.findall(values), strict=False):
            expected = declared.get(f"{array}[{formula(index)}]", name.strip())
            if name.strip() != expected:
                yield f"it calls {array}[{index}] {expected}, and the body {name.strip()}"


def formula(index: str) -> str:
    """Write an index as headers do: `2 * i - 1` is `2i-1`."""
    return re.sub(r"(?<=\d)\*(?=[a-z])", "", index.replace(" ", ""))


def digits(reference: str) -> bool:
    """Whether the index is a plain number."""
    return reference.rpartition("[")[2].rstrip("]").isdigit()


@pytest.mark.parametrize("script", sorted(LUA.glob("*.lua")), ids=lambda path: path.stem)
def test_header_says_what_the_body_does(script: Path) -> None:
    assert list(complaints(script)) == []


def test_there_are_scripts_and_no_include_is_left_over() -> None:
    texts = [path.read_text() for path in LUA.rglob("*.lua")]
    included = {name for text in texts for name in INCLUDE.findall(text)}
    assert list(LUA.glob("*.lua"))
    assert {path.name for path in (LUA / "include").iterdir()} == included


GOOD = """\
-- Do something.
--
-- KEYS[1]    lock  (string)  the holder
-- KEYS[2i]   queue (zset)    waiters
-- ARGV[1]    token           of the lock
-- ARGV[3i-1] lease     (ms)  of each
--
-- Returns 1   it was done
--         0   it was not; 5 is not a code
-- Publishes  nothing
-- Complexity O(1)

local lock, token = KEYS[1], ARGV[1] -- not KEYS[9]
for i = 1, #KEYS / 2 do
  local queue, lease = KEYS[2 * i], ARGV[3 * i - 1]
end
if token then return 1 end
return 0
"""


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("", "", None),
        ("-- KEYS[2i]   queue (zset)    waiters\n", "", "does not name KEYS[2i]"),
        ("ARGV[1]    token ", "ARGV[2]    token ", "does not name ARGV[1]"),
        ("return 0\n", "return ARGV[4]\n", "does not name ARGV[4]"),
        ("if token then", "if ARGV[7] then", "does not name ARGV[7]"),
        ("  local queue, lease = KEYS[2 * i],", "  local lease =", "names KEYS[2i]"),
        ("lock, token = KEYS[1]", "lease, token = KEYS[1]", "calls KEYS[1] lock"),
        ("(zset)", "(table)", "none of the types"),
        ("return 0\n", "return 5\n", "returns 5"),
        ("-- Returns 1 ", "-- Gives 1", "no line 'Returns"),
        ("-- Publishes  nothing\n", "", "no line 'Publishes"),
        ("-- Complexity O(1)\n", "", "no line 'Complexity"),
        ("-- Do something.\n", "", "one sentence"),
        ("return 0\n", "--@include there.lua\nreturn 0\n", "does not name KEYS[3]"),
        ("return 0\n", "--@include absent.lua\nreturn 0\n", "does not exist"),
        ("return 0\n", "--@include nested.lua\nreturn 0\n", "does not name KEYS[3]"),
        ("return 0\n", "f(unpack(ARGV, 2))\nreturn 0\n", None),
        ("-- ARGV[3i-1] lease     (ms)  of each\n", "", "does not name ARGV[3i-1]"),
    ],
)
def test_checker(tmp_path: Path, old: str, new: str, complaint: str | None) -> None:
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "there.lua").write_text("local x = KEYS[3]\n")
    (tmp_path / "include" / "nested.lua").write_text("--@include there.lua\n")
    script = tmp_path / "script.lua"
    assert old in GOOD
    script.write_text(GOOD.replace(old, new, 1))
    found = list(complaints(script))
    if complaint is None:
        assert found == []
    else:
        assert any(complaint in each for each in found), found
