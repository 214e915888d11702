"""The sandbox answers every sample's request in the sample's shape; what it cannot is said here, and why."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.sandbox.kit import http_client
from tests.webex_contract.findings import Findings
from tests.webex_contract.samples import SAMPLES, Sample
from tests.webex_contract.spec import operation_of
from tests.webex_contract.upstream_checks import Answer, UpstreamChecks
from wxrec_async.sandbox import Fault, Options, Organisation, Sandbox
from wxrec_async.sandbox.organisation import SandboxTask

pytestmark = pytest.mark.anyio

NOW = 1_780_090_000.0  # the samples' day is the one before
DAY = (1_780_000_000_000, 1_780_086_400_000)
CANNOT = {
    "error-400-errors-list": "the guide shows the list without its names; the sandbox has the gateway's form only",
    "error-403-config-form": "the configuration service is not simulated beyond GET /organization/{id}",
    "error-422-no-schema": "no rule is documented that would lead to it",
    "error-500-html": "a proxy's page comes with status 200 (fault html), an error with the gateway's form",
    "error-subscriptions": "subscriptions are listed, not made",
    "media-url-forms": "a list of URLs, no answer; their form is judged in every answer of captures",
    "tasks-odd-id": "the sandbox's ids are UUIDs",
    "token-error-client": "the sandbox has OAuth's form; its words are inferred",
    "token-error-webex": "the sandbox has OAuth's form",
    "webhook-capture-available": "the sandbox calls nobody",
}


@dataclass(frozen=True)
class How:
    """What must be done for a sample to come: a fault, a kind of task, other headers, path, query or options.

    ``first`` is a fault of the first task alone.
    """

    fault: tuple[str, str] | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    first: str = ""
    task: Callable[[Organisation, SandboxTask], bool] = lambda _, task: task.kind == "one"
    bearer: str | None = None
    path: Callable[[str], str] = lambda path: path
    query: Callable[[str], str] = lambda query: query
    options: dict[str, Any] = field(default_factory=dict)


def transcribed(organisation: Organisation, task: SandboxTask) -> bool:
    return task.channel == "telephony" and bool(organisation.transcripts(task)) and bool(task.recordings)


def digital(organisation: Organisation, task: SandboxTask) -> bool:
    return task.channel != "telephony" and bool(organisation.transcripts(task))


def beside(kind: str) -> Callable[[Organisation, SandboxTask], bool]:
    wanted = {"segments": (True, False), "virtual": (False, True)}[kind]

    def named(organisation: Organisation, task: SandboxTask) -> bool:
        return bool(organisation.extras(task, segments=wanted[0], virtual=wanted[1]))

    return named


def nobody(_: Organisation, __: SandboxTask) -> bool:
    return False


def without_from(path: str) -> str:
    return re.sub(r"from=\d+&?", "", path)


def long_ago(query: str) -> str:
    return query.replace("from:1780000000000", "from:1680000000000").replace("to:1780086400000", "to:1680000000001")


def throttled(operation: str = "tasks", **parameters: Any) -> How:
    return How((operation, "throttle"), parameters)


HOW: dict[str, How] = {
    "429-date": throttled(retry_after="date"),
    "429-documented": throttled(retry_after="4"),
    "429-no-header": throttled(retry_after=None),
    "429-with-body": throttled("captures", retry_after="17", body=True),
    "captures-consult": How(task=lambda _, task: task.kind == "legs"),
    "captures-digital-transcripts": How(task=digital),
    "captures-empty": How(task=nobody),
    "captures-missing-entry": How(first="missing_entry"),
    "captures-null-recording": How(("captures", "null_lists")),
    "captures-screen": How(task=lambda organisation, task: bool(organisation.screens(task))),
    "captures-segments": How(task=beside("segments")),
    "captures-string-times": How(("captures", "text_times")),
    "captures-transcription": How(task=transcribed),
    "captures-virtual-agent": How(task=beside("virtual")),
    "error-400-gateway": How(path=without_from),
    "error-400-invalid-token": How(("tasks", "token_400")),
    "error-400-no-authorization": How(bearer=""),
    "error-401": How(bearer="Bearer unknown"),
    "error-403": How(options={"scope": "spark:kms"}),
    "error-413": How(("tasks", "error"), {"status": 413}),
    "media-s3-expired": How(("media.get", "expired")),
    "media-s3-gone": How(("media.get", "missing")),
    "media-s3-slow": How(("media.get", "slow_down")),
    "search-413": How(("search", "error"), {"status": 413}),
    "search-partial": How(("search", "partial_data")),
    "search-too-old": How(query=long_ago),
    "tasks-nulls": How(("tasks", "gaps")),
    "tasks-older-fields": How(("tasks", "gaps")),
    "token-jwt": How(options={"tokens_name_org": False}),
    "token-refresh-no-refresh-token": How(options={"rotation": "omitted"}),
    "token-refresh-same": How(options={"rotation": "same"}),
    "token-short": How(options={"token_expires_in": 3600}),
}
POSSIBLE = [each for each in SAMPLES if each.name not in CANNOT]
API = [each for each in POSSIBLE if each.name.startswith(("429", "captures", "error", "search", "tasks"))]
TOKENS = [each for each in POSSIBLE if each.name.startswith("token")]
MEDIA = [each for each in POSSIBLE if each.name.startswith(("media", "transcript"))]


def organisation() -> Organisation:
    """Calls of the samples' day, with everything beside them."""
    made = Organisation(300, 5, days=2, now=NOW + 26 * 3600, seconds=(0.2, 0.4), large=False, beside=True)
    made.add(DAY[0] + 60_000, ends_ms=DAY[1] + 86_400_000)
    return made


def sandbox(how: How) -> Sandbox:
    given = {name: value for name, value in how.options.items() if name != "scope"}
    running = Sandbox(Options(organisation=organisation(), requests_per_minute=0, clock=lambda: NOW, **given))
    if "scope" in how.options:
        running.tokens = running.desk.issue(scope=how.options["scope"])
    if how.fault:
        running.faults.add(*how.fault, **how.parameters)
    return running


def chosen(running: Sandbox, how: How, count: int) -> list[str]:
    """Return ids of tasks of the samples' day, enough of them."""
    there = running.organisation
    fitting = [each.id for each in there.between(*DAY) if how.task(there, each)]
    return (fitting + [f"00000000-0000-4000-8000-{number:012d}" for number in range(count)])[:count]


def translated(running: Sandbox, sample: Sample, how: How) -> tuple[str, Any]:
    """Return path and body of the sample's request, in the words of this sandbox."""
    text = json.dumps([sample.path, sample.asked])
    org = re.search(r"f36b1aba-3a13-d894-f76b-f3167f2e00f7", text)
    text = text.replace(org[0], running.org_id) if org else text
    path, body = json.loads(text)
    if sample.name.startswith("captures"):
        ids = body["query"]["taskIds"] = chosen(running, how, len(body["query"]["taskIds"]))
        if how.first:
            running.faults.add("captures", "per_entry", entries={ids[0]: Fault(how.first)})
    elif sample.name.startswith("search"):
        body["query"] = how.query(
            re.sub(r'id:\{equals:"[^"]+"', f'id:{{equals:"{chosen(running, how, 1)[0]}"', body["query"])
        )
        body["query"] = re.sub(r'cursor:"(?!0")[^"]*"', 'cursor:"cm93czoyNTA="', body["query"])
    return how.path(path), body


def shape(value: Any) -> Any:
    """Return the names of a value; those of a list's items are put together."""
    if isinstance(value, list):
        return functools.reduce(_both, map(shape, value), {})
    return {name: shape(each) for name, each in value.items()} if isinstance(value, dict) else None


def _both(one: Any, other: Any) -> Any:
    if not isinstance(one, dict) or not isinstance(other, dict):
        return one or other
    return {name: _both(one.get(name), other.get(name)) for name in one | other}


def lacking(wanted: Any, found: Any, path: str = "") -> list[str]:
    """Return the names of the sample that the answer has not."""
    if not isinstance(wanted, dict):
        return []
    there = found if isinstance(found, dict) else {}
    lines = [f"{path}.{name}" for name in wanted if name not in there]
    return lines + [
        line for name in there.keys() & wanted for line in lacking(wanted[name], there[name], f"{path}.{name}")
    ]


@pytest.mark.parametrize("sample", API, ids=lambda each: each.name)
async def test_the_apis_answer_in_the_samples_shape(sample: Sample) -> None:
    """Status, names, and the contract's judgement of the whole."""
    how = HOW.get(sample.name, How())
    async with sandbox(how) as running, http_client() as http:
        path, body = translated(running, sample, how)
        bearer = f"Bearer {running.tokens['access_token']}" if how.bearer is None else how.bearer
        headers = {"Authorization": bearer} if bearer else {}
        answer = await http.request(sample.method, f"{running.api_root}{path}", json=body, headers=headers)
    assert answer.status_code == sample.status, answer.text
    assert ("Retry-After" in answer.headers) is ("Retry-After" in sample.told["headers"])
    if not sample.body:
        assert not answer.content
        return
    assert not lacking(shape(sample.body), shape(answer.json()))
    if sample.documented:
        assert not judged(sample, path, body, answer)


def judged(sample: Sample, path: str, body: Any, answer: httpx.Response) -> list[str]:
    """Return what the contract calls an error in an answer."""
    operation, findings = operation_of(sample.method, path.partition("?")[0]), Findings()
    if operation is None or sample.status == 429:
        return []
    told = Answer(answer.status_code, answer.headers, answer.content)
    query = dict(httpx.URL(f"http://x{path}").params)
    UpstreamChecks(findings).answer(operation, query, json.dumps(body).encode(), told)
    return [str(each) for each in findings.of("upstream", "error")]


@pytest.mark.parametrize("sample", TOKENS, ids=lambda each: each.name)
async def test_the_token_host_answers_in_the_samples_shape(sample: Sample) -> None:
    """Codes and refresh tokens are exchanged, in every way of rotating them."""
    how = HOW.get(sample.name, How())
    async with sandbox(how) as running, http_client() as http:
        form = sample.told["request"]["form"] | {"client_id": running.client_id, "client_secret": running.client_secret}
        if "code" in form:
            form["code"] = running.desk.authorize(form["redirect_uri"], "", "cjp:config_read")
        elif sample.status == 200:
            form["refresh_token"] = running.tokens["refresh_token"]
        answer = await http.post(f"{running.auth_url}/access_token", data=form)
        named = str(answer.json().get("access_token")).endswith(running.org_id)
    assert answer.status_code == sample.status
    assert not lacking(shape(sample.body), shape(answer.json()))
    assert named is str(sample.body.get("access_token")).endswith("f36b1aba-3a13-d894-f76b-f3167f2e00f7")
    if "refresh_token" not in sample.body:
        assert "refresh_token" not in answer.json()
    findings = Findings()
    UpstreamChecks(findings).token("token", Answer(answer.status_code, answer.headers, answer.content))
    assert not findings.of(level="error")


@pytest.mark.parametrize("sample", MEDIA, ids=lambda each: each.name)
async def test_the_media_host_answers_in_the_samples_shape(sample: Sample) -> None:
    """S3's own errors, and both forms of a transcript."""
    how = HOW.get(sample.name, How())
    vcon = sample.name == "transcript-vcon"
    wanted = digital if vcon else transcribed
    async with sandbox(how) as running, http_client() as http:
        (task_id,) = chosen(running, How(task=wanted), 1)
        query = {"query": {"taskIds": [task_id], "includeAllDigitalVersions": vcon}}
        bearer = {"Authorization": f"Bearer {running.tokens['access_token']}"}
        (entry,) = (await http.post(f"{running.api_url}/captures/query", json=query, headers=bearer)).json()["data"]
        if sample.name.startswith("transcript"):
            answer = await http.get(entry["transcription"][-1]["filePath"])
            assert not lacking(shape(sample.body), shape(answer.json()))
            return
        url, headers = entry["recording"][0]["attributes"]["filePath"], {}
        assert len(urlsplit(url).path.split("/")) == 5
        if sample.name == "media-s3-signature":
            url = url[:-3] + "xyz"
        if sample.name == "media-s3-changed":
            headers = {"If-Match": '"other"'}
        if sample.name == "media-s3-two-credentials":
            headers = bearer
        answer = await http.get(url, headers=headers)
    code = re.search("<Code>(.*?)</Code>", sample.body)
    assert code is not None
    assert answer.status_code == sample.status
    assert code[0] in answer.text


def test_every_sample_is_tried_or_told_why_not() -> None:
    """No sample is left out in silence, and no reason outlives its sample."""
    tried = {each.name for each in (*API, *TOKENS, *MEDIA)}
    assert tried | CANNOT.keys() == {each.name for each in SAMPLES}
    assert not tried & CANNOT.keys()
    assert HOW.keys() <= tried
