"""The process in which atheris runs one target; `tests.fuzz` starts it."""

from __future__ import annotations

import sys

import atheris

# Only what reads is watched: to watch all of pydantic or asyncio costs more than it finds.
INSTRUMENTED = [
    "wxrec_async.webex.parse", "wxrec_async.webex.lenient", "wxrec_async.webex.attachments",
    "wxrec_async.webex.search_parse",
    "wxrec_async.rules", "wxrec_async.auth", "wxrec_async.config", "wxrec_async.s3.errors", "tomllib",
    "botocore.parsers",
]  # fmt: skip


def main() -> None:
    name = sys.argv.pop(1)
    with atheris.instrument_imports(include=INSTRUMENTED):  # only what is imported here, for the first time
        from tests.fuzz import targets  # noqa: PLC0415 - see above

    targets.without_settings_of_ours()
    atheris.Setup(sys.argv, targets.TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
