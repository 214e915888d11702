"""What the source itself must not hold, read from its syntax."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests import house

SOURCES = {file.path: file.tree for file in house.files()}
# The only modules that name files.  Each takes the name from a flag, the settings, or a file it stands beside;
# what comes from Webex or S3 never gets there.
NAME_FILES = {
    "auth/file_store.py", "auth/secret_files.py", "auth/open_store.py", "config.py", "setup/doctor/all_checks.py",
    "setup/doctor/ledger_file.py", "ledger/checks.py", "ledger/database_files.py", "ledger/opening.py",
    "ledger/replace.py",
    "ledger/seen_tasks.py",
    "plumbing/private_files.py",  # stands behind the others: the name is always handed in
    "ledger/migrations.py", "reporting/writing.py",  # the package's own schema and templates
}  # fmt: skip
MAY = ("cli/", "sandbox/")
CALLS = {
    "Path", "PurePath", "mkdir", "makedirs", "mkdtemp", "mkstemp", "read_bytes", "read_text", "rename", "rmtree",
    "symlink_to", "TemporaryDirectory", "TemporaryFile", "NamedTemporaryFile", "touch", "unlink", "with_name",
    "write_bytes", "write_text",
}  # fmt: skip


def names_files(tree: ast.AST) -> Iterator[int]:
    """Lines that make a path or open one."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="open")):
                yield node.lineno
            case ast.Call(func=ast.Attribute(value=ast.Name(id="os" | "io" | "shutil" | "tempfile"), attr=name)) if (
                name in {"open", "remove", "rename", "replace", "mkfifo", "link", "symlink", "move", "copy"} | CALLS
            ):
                yield node.lineno
            case ast.Call(func=ast.Name(id="Path" | "PurePath")):
                yield node.lineno
            case ast.Call(func=ast.Attribute(value=ast.Name(id="sqlite3"), attr="connect")):
                yield node.lineno
            case ast.Call(func=ast.Attribute(attr="open"), args=[ast.Constant(value=str()), *_]):
                yield node.lineno
            case ast.Call(func=ast.Attribute(attr=name)) if name in CALLS:
                yield node.lineno


@pytest.mark.fault("X18")
def test_only_a_few_modules_name_files_and_none_of_those_that_read_answers() -> None:
    """The list is exact: one more module that opens files is a decision, and one that no longer does is taken out."""
    found = {path: lines for path, tree in SOURCES.items() if (lines := list(names_files(tree)))}
    elsewhere = {path: lines for path, lines in found.items() if path not in NAME_FILES and not path.startswith(MAY)}
    assert elsewhere == {}
    assert set(found) >= NAME_FILES
    plumbing = [path for path in NAME_FILES if path.startswith("plumbing/")]
    assert plumbing == ["plumbing/private_files.py"]
    assert not [path for path in NAME_FILES if path.startswith(("webex/", "s3/", "rules/"))]


@pytest.mark.fault("X20")
def test_nothing_of_ours_parses_xml() -> None:
    """Errors of the media host are searched as bytes; the SDK's parser reads only what the bucket's own store says."""
    for path, tree in SOURCES.items():
        if path.startswith("sandbox/") or path == "reporting/charts.py":  # a picture that we drew ourselves
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [each.name for each in node.names] + [getattr(node, "module", None) or ""]
                assert not [name for name in names if name.split(".")[0] in {"xml", "lxml", "xmltodict"}], path


@pytest.mark.fault("X09", "X25")
def test_no_process_is_started_with_words_of_ours_through_a_shell() -> None:
    """No shell, no process title, no eval: what is in memory gets neither into `ps` nor into code."""
    forbidden = {"system", "popen", "eval", "exec", "setproctitle", "create_subprocess_shell", "loads_pickle"}
    for path, tree in SOURCES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                assert name not in forbidden, f"{path}:{node.lineno} {name}"
                shell = [word for word in node.keywords if word.arg == "shell"]
                assert not shell, f"{path}:{node.lineno}"


@pytest.mark.fault("X22")
def test_the_bucket_is_that_of_the_settings_in_every_request() -> None:
    """One place writes the parameter, from the settings; nothing else of the package names it."""
    places = {
        (path, ast.unparse(value))
        for path, tree in SOURCES.items()
        if not path.startswith("sandbox/")
        for node in ast.walk(tree)
        for key, value in _pairs(node)
        if key == "Bucket"
    }
    assert places == {("s3/requests.py", "settings.bucket")}


def _pairs(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    match node:
        case ast.Dict(keys=keys, values=values):
            for key, value in zip(keys, values, strict=True):
                if isinstance(key, ast.Constant):
                    yield str(key.value), value
        case ast.Call(keywords=words):
            for word in words:
                yield str(word.arg), word.value
        case ast.Assign(targets=[ast.Subscript(slice=ast.Constant(value=str(key)))], value=value):
            yield key, value


TLS_OFF = """
requests.get(u, verify=False)
aiohttp.TCPConnector(ssl=False)
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
context.verify_mode = ssl.VerifyMode(0)
ssl._create_unverified_context()
aiohttp.TCPConnector(verify_ssl=False)
"""


def switches_off(tree: ast.AST) -> Iterator[int]:
    """Lines that switch the verification of certificates off, in any of the ways there are."""
    for node in ast.walk(tree):
        match node:
            case ast.keyword(arg="verify" | "ssl" | "verify_ssl" | "check_hostname", value=ast.Constant(value=False)):
                yield node.value.lineno
            case ast.Assign(targets=[ast.Attribute(attr="check_hostname")], value=ast.Constant(value=False)):
                yield node.lineno
            case ast.Assign(targets=[ast.Attribute(attr="verify_mode")], value=value) if "REQUIRED" not in ast.unparse(
                value
            ):
                yield node.lineno
            case ast.Call(func=ast.Attribute(attr="_create_unverified_context")) | ast.Attribute(attr="CERT_NONE"):
                yield node.lineno


@pytest.mark.fault("X16")
def test_verification_is_switched_off_in_no_way_at_all() -> None:
    """Neither by an argument nor by an attribute; and the search sees each of the ways."""
    seen = set(switches_off(ast.parse(TLS_OFF)))
    assert seen == set(range(2, 2 + len(TLS_OFF.split("\n")) - 2))
    for path, tree in SOURCES.items():
        assert list(switches_off(tree)) == [], path
