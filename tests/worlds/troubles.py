"""What each production makes of a helpful answer."""

from __future__ import annotations

from tests.worlds.scene import Scene
from tests.worlds.troubles_json import JSON
from tests.worlds.troubles_media import MEDIA
from tests.worlds.troubles_s3 import S3
from tests.worlds.wire import Answer


def apply(scene: Scene, answer: Answer) -> Answer | None:
    """Return what becomes of the answer, None when the production has nothing to do with it."""
    door, what = scene.choice.door, scene.choice.what
    family = JSON if door in ("tasks", "captures", "search", "token") else MEDIA if door == "media" else S3
    trouble = family.get(f"{door}.{what}") or family.get(what)
    if trouble is None:
        raise KeyError(scene.choice.kind)
    return trouble(scene, answer)
