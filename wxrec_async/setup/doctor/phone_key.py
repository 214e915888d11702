"""The key under which phone numbers are hashed: whether it is there, and a new one."""

from __future__ import annotations

import secrets

from wxrec_async.auth.open_store import change_credentials
from wxrec_async.auth.token_values import MAKE_PHONE_KEY, with_phone_key
from wxrec_async.config import Settings
from wxrec_async.errors import WxrecError
from wxrec_async.rules.diagnosis import Finding, bad, failed, good
from wxrec_async.rules.phone_numbers import key_id
from wxrec_async.wiring.account import Injected, aws_options, credentials_of

NAME = "phone_key"
KEY_BYTES = 32
EXIT_CONFIG = 2


async def examine_phone_key(settings: Settings, given: Injected, *, make: bool) -> Finding:
    """Say whether there is a key; with ``make`` write a new one into the credentials first."""
    try:
        if make:
            key = secrets.token_urlsafe(KEY_BYTES)
            await change_credentials(
                settings.auth.credentials, lambda data: with_phone_key(data, key), aws_options(settings)
            )
        credentials = await credentials_of(settings, given)
    except WxrecError as error:
        return failed(NAME, error)
    if credentials.phone_key is None:
        return bad(NAME, "the credentials have no phone_key, which hashed numbers need", MAKE_PHONE_KEY, EXIT_CONFIG)
    earlier = len(credentials.earlier_phone_keys)
    words = f"key {key_id(credentials.phone_key.reveal())}, and {earlier} earlier ones to find older calls by"
    return good(NAME, f"{'made: ' if make else ''}{words}")
