"""config.example.toml."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wxrec_async.config import Settings, known_keys, load_config_with_origins, secret_free

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
CHOSEN = {"s3.bucket", "s3.region"}


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the machine's own settings out."""
    for key in known_keys():
        monkeypatch.delenv(f"WXREC_{key.replace('.', '__').upper()}", raising=False)


def test_it_names_every_key_with_a_comment() -> None:
    """A reader finds every key, what it means and its unit on one line; only ca_bundle has no value to show."""
    named, section = set(), ""
    for line in EXAMPLE.read_text(encoding="utf-8").splitlines():
        if found := re.match(r"\[(\w+)\]$", line):
            section = found[1] + "."
        elif found := re.match(r"(?:# )?(\w+) = .*?  *# \S", line):
            named.add(section + found[1])
    assert named == set(known_keys())
    assert set(load_config_with_origins(EXAMPLE).origins) == named - {"ca_bundle"}


def test_its_values_are_the_defaults() -> None:
    """The file changes nothing but the bucket and its region."""
    example, default = secret_free(load_config_with_origins(EXAMPLE).settings), secret_free(Settings())
    different = {
        f"{section}.{key}"
        for section, table in example.items()
        for key in (table if isinstance(table, dict) else ())
        if table[key] != default[section][key]
    }
    assert different == CHOSEN
    assert example["ca_bundle"] is default["ca_bundle"] is None
