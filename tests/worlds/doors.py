"""Where every request arrives: finds the door, asks which trouble holds, and answers."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from email.utils import formatdate

from tests.worlds import scene as scenes
from tests.worlds import troubles
from tests.worlds.bucket import BUCKET, operation_of
from tests.worlds.clock import SKY
from tests.worlds.grammar import Choice
from tests.worlds.setting import Setting
from tests.worlds.truth import Call
from tests.worlds.webex_door import MEDIA_HOST, ids_asked, refused
from tests.worlds.wire import Answer, Request

AFTER_ITS_EFFECT = frozenset({"lost_after", "internal_after", "no_etag", "bare", "cut", "stall"})
WRITES = ("PutObject", "UploadPart", "CreateMultipartUpload", "CompleteMultipartUpload")
TIMES = {"once": 1, "thrice": 3}
MOST_REQUESTS = 20_000
GONE = (404, 410)  # how the media host says that there is nothing


@dataclass(slots=True)
class Doors:
    """Answers for all of them.

    ``helpful`` puts an end to every trouble.  ``command`` is how many commands
    were begun, ``met`` the doors that troubled the one under way, ``trace`` what
    was answered so far.
    """

    setting: Setting
    choices: tuple[Choice, ...]
    helpful: bool = False
    command: int = 0
    met: set[str] = field(default_factory=set)
    used: Counter[int] = field(default_factory=Counter)
    skipped: Counter[int] = field(default_factory=Counter)
    trace: list[str] = field(default_factory=list)
    requests: int = 0

    def begin(self) -> None:
        """Note that a command begins."""
        self.command += 1
        self.met = set()

    def serve(self, request: Request) -> Answer:
        """Answer one request."""
        self.requests += 1
        door = door_of(request)
        answer, applied = self._answered(door, request)
        if door == "captures" and not applied:
            self.setting.webex.has_named(request)
        answer = answer.with_header("Date", formatdate(SKY.now, usegmt=True))
        self.trace.append(
            f"{self.command} {door} {request.method} {request.target.partition('?')[0]} {answer.status}{applied}"
        )
        return answer

    def _answered(self, door: str, request: Request) -> tuple[Answer, str]:
        for choice in self._holding(door, request):
            scene = self._scene(choice, request)
            before = not door.startswith("s3") or choice.what in AFTER_ITS_EFFECT or request.method in ("GET", "HEAD")
            answer = self._newest_first(request) if choice.what == "descending" else None
            if answer is None:
                answer = troubles.apply(scene, self._helpful(door, request) if before else Answer())
            if answer is None:
                continue
            self.used[choice.number] += 1
            self.met.add(door)
            if scene.recording is not None and answer.status in GONE:
                scene.recording.denied = True
            return answer, f" by {choice.number}"
        return self._helpful(door, request), ""

    def _newest_first(self, request: Request) -> Answer:
        return self.setting.webex.tasks(request, newest_first=True)

    def _holding(self, door: str, request: Request) -> list[Choice]:
        """Return the troubles of this moment, in the order in which they were drawn."""
        if self.helpful:
            return []
        return [choice for choice in self.choices if choice.door == door and self._holds(choice, request)]

    def _holds(self, choice: Choice, request: Request) -> bool:
        if choice.what == "head_late" and request.method != "HEAD":
            return False
        if choice.door == "s3.evidence" and choice.what != "head_late" and request.method != "PUT":
            return False
        if choice.hold == "run":
            return self.command == 1 + choice.dice % len(self.setting.commands)
        if choice.target is not None and not self._is_about(choice, request):
            return False
        if choice.hold in TIMES and choice.target is None and self.skipped[choice.number] < choice.dice % 4:
            self.skipped[choice.number] += 1
            return False
        return self.used[choice.number] < TIMES.get(choice.hold, 1 << 30)

    def _is_about(self, choice: Choice, request: Request) -> bool:
        call = self._call(choice)
        if choice.door == "captures":
            return call is not None and call.id in ids_asked(request)
        return choice.door != "media" or (call is not None and call.id in request.path)

    def _call(self, choice: Choice) -> Call | None:
        calls = [call for call in self.setting.truth.calls if call.recordings]
        return calls[choice.target % len(calls)] if calls and choice.target is not None else None

    def _scene(self, choice: Choice, request: Request) -> scenes.Scene:
        dice = random.Random(f"{choice.dice} {self.used[choice.number]}")
        found = scenes.Scene(request, choice, dice, self._call(choice), media=self.setting.media)
        if choice.door == "media":
            found.recording = self.setting.media.find(request)
        return found

    def _helpful(self, door: str, request: Request) -> Answer:
        setting = self.setting
        if door.startswith("s3"):
            return setting.bucket.serve(request)
        if door == "media":
            return setting.media.serve(request)
        if door == "token":
            return setting.webex.token(request)
        if door == "nowhere":
            return refused(404, "Not found")
        sent = request.headers.get("authorization", "").removeprefix("Bearer ")
        if sent not in setting.webex.tokens:
            return refused(401, "Unauthorized")
        return {"tasks": setting.webex.tasks, "captures": setting.webex.captures, "search": setting.webex.search}[door](
            request
        )


def door_of(request: Request) -> str:
    """Name the door a request knocks at, as Cisco and AWS have it."""
    if request.host.startswith((f"{BUCKET}.", "s3.")):
        return _s3_door(request)
    if request.host == MEDIA_HOST:
        return "media"
    if request.host == "webexapis.com":
        return "token" if request.path == "/v1/access_token" else "nowhere"
    return {"/v1/tasks": "tasks", "/v1/captures/query": "captures", "/search": "search"}.get(request.path, "nowhere")


def _s3_door(request: Request) -> str:
    key = request.path.removeprefix("/")
    operation = operation_of(request, key)
    if operation == "HeadBucket":
        return "s3.bucket"
    if operation.startswith("List"):
        return "s3.list"
    if "_evidence/" in key and operation in (*WRITES, "HeadObject"):
        return "s3.evidence"
    return (
        "s3.put" if operation in WRITES else {"HeadObject": "s3.head", "GetObject": "s3.get"}.get(operation, "s3.other")
    )
