"""The connection to a Temporal server, and what of the payloads it may read.

The address is given; everything else (namespace, TLS, API key) comes from
Temporal's own environment variables and profile file, which its other tools read too.
"""

from __future__ import annotations

import importlib
from dataclasses import replace
from datetime import timedelta

from temporalio.client import Client
from temporalio.converter import DataConverter, DefaultFailureConverterWithEncodedAttributes, PayloadCodec
from temporalio.envconfig import ClientConfigProfile
from temporalio.service import RPCError, RPCStatusCode

from wxrec_async.errors import ConfigError

PATIENCE = timedelta(seconds=10)
AWAY = (RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED, RPCStatusCode.UNKNOWN)


async def connect(address: str, codec: str = "") -> Client:
    """Connect to ``HOST:PORT``; raises `ConfigError` when that is none, or nobody answers there.

    ``codec`` is ``package.module:name`` of a function that returns a `PayloadCodec`.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ConfigError(f"--temporal {address}: write HOST:PORT, such as 127.0.0.1:7233")
    try:
        options = ClientConfigProfile.load().to_client_connect_config()
    except (RuntimeError, ValueError, OSError) as error:
        raise ConfigError(f"Temporal's own configuration cannot be used: {type(error).__name__}") from None
    # Last: the profile may name an address, too, and the command line goes before it.
    options["target_host"] = address
    try:
        return await Client.connect(**options, data_converter=converter(codec), connect_timeout=PATIENCE)
    except (RuntimeError, RPCError, ValueError):
        raise ConfigError(f"no Temporal server answers at {address}") from None


def converter(codec: str) -> DataConverter:
    """Return what turns records into payloads; with a codec, messages of failures go through it too."""
    if not codec:
        return DataConverter.default
    return replace(
        DataConverter.default,
        payload_codec=_codec(codec),
        # By default messages and stack traces of failures are no payloads, and a codec never sees them.
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )


def _codec(name: str) -> PayloadCodec:
    module, _, function = name.partition(":")
    try:
        made = getattr(importlib.import_module(module), function)()
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise ConfigError(f"[temporal] codec {name}: {type(error).__name__}: {error}") from None
    if not isinstance(made, PayloadCodec):
        raise ConfigError(f"[temporal] codec {name} returns no temporalio.converter.PayloadCodec")
    return made


def is_away(error: RPCError) -> bool:
    """Say whether the server may be back: then everything goes on where it was."""
    return error.status in AWAY
