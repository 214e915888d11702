"""The contact record that Search has of a call: everything its data dictionary names, asked for by ids.

The names are those of Cisco's data dictionary (github.com/WebexSamples/webex-contact-center-api-samples); a field
that an organisation does not have makes GraphQL refuse the whole query, and is left out from then on.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import httpx

from wxrec_async.config import WebexSettings
from wxrec_async.errors import HTTPStatusError, InvalidResponse
from wxrec_async.model import Window
from wxrec_async.plumbing.retrying import OperationFailed, Retrier
from wxrec_async.rules import said
from wxrec_async.rules.retry import GiveUp
from wxrec_async.webex.calls import ApiCalls, read_apart
from wxrec_async.webex.completeness import errors_in
from wxrec_async.webex.lenient import as_dict, as_task_id
from wxrec_async.webex.parse import answer_of, cut_words
from wxrec_async.webex.search import ABSENT, REFUSED, search_url, without_unknown_fields
from wxrec_async.webex.search_parse import MAX_ERROR_CHARS, SearchRefused, among

_PLAIN = """
    status channelType createdTime endedTime origin destination contactReason direction terminationType channelSubType
    isActive isCampaign outdialType isCallback cpaStatus preferredAgentSystemId terminationReason ivrScriptName
    ivrScriptTagName abandonedType contactHandleType firstQueueName terminatingEnd lastWrapUpCodeId lastWrapupCodeName
    abandonedSlCount agentHangupCount botName chainedInToEPCount chainedInToQueueCount epTransferToEPCount firstQueueId
    fullMonitoringCount isHandledByPreferredAgent ivrEndedCount midcallMonitoringCount routingType ivrScriptId
    ivrScriptTagId campaignId campaignName campaignStatus flowActivityName flowActivitySequence totalDuration csatScore
    blindTransferCount conferenceCount conferenceDuration consultCount consultDuration holdCount holdDuration
    selfserviceCount selfserviceDuration connectedCount connectedDuration consultToQueueCount consultToQueueDuration
    transferCount wrapupDuration ringingDuration queueDuration queueCount captureRequested isTranscriptionAvailable
    consultToEPCount consultToEPDuration outdialConsultToEPCount outdialConsultToEPDuration agentToDnTransferCount
    agentToAgentTransferCount callCompletedCount autoCsat globalVariables matchedSkills requiredSkills
    matchedSkillsProfile skillsAssignedIn isWithInServiceLevel isContactOffered transferErrorCount
    isContactEscalatedToQueue isOptOutOfQueue isContactHandled outdialConsultToQueueCount outdialConsultCount
    overflowCount pausedCount pausedDuration previousAgentId previousAgentSessionId previousAgentName
    queueTransferToEPCount queueTransferToQueueCount recordingFileSize recordingCount recordingErrorCount resumedCount
    shortInIVRCount shortInQueueCount silentMonitoringCount suddenDisconnectCount totalMonitoringCount
    outdialConsultToQueueDuration transferInToEPCount isOutdial monitoringTimestamp isRecordingDeleted isMonitored
    monitorFullName isBarged bargedInDuration bargedInCount bargedInFailedCount preferredAgentName
    agentTransferedInCount agentToEntrypointTransferCount agentToQueueTransferCount totalBnrDuration lastActivityTime
    postCallDuration manualAssignCount contactPriority transferEpDN topicName contactDriver
"""
_NESTED = {
    "customer": "name phoneNumber email",
    "callbackData": "callbackRequestTime callbackConnectTime callbackNumber callbackStatus callbackOrigin callbackType "
    "callbackQueueName callbackAgentName callbackTeamName callbackRetryCount",
    "lastQueue": "id name duration",
    "previousQueue": "id name duration",
    "lastSite": "id name",
    "lastTeam": "id name",
    "lastEntryPoint": "id name",
    "feedback": "surveyOptIn type questionsAnswered surveyCompleted questionsPresented comment",
    "lastAgent": "id name signInId sessionId phoneNumber channelId",
}
FIELDS = {name: name for name in _PLAIN.split()} | {name: f"{name}{{{inner}}}" for name, inner in _NESTED.items()}


@dataclass(frozen=True, slots=True)
class FoundRecords:
    """Contact records as `said.kept` writes them, by task; ``astray`` rows name no task that was asked for."""

    records: Mapping[str, str] = field(default_factory=dict)
    astray: int = 0


def records_body(window: Window, task_ids: Sequence[str], left_out: Collection[str] = ()) -> bytes:
    """Write the request for the records of tasks created in ``window``, without the fields ``left_out``."""
    span = f"from:{window.from_ms - 1},to:{window.to_ms + 1}"
    fields = " ".join(["id", *(text for name, text in FIELDS.items() if name not in left_out)])
    query = f"{{taskDetails({span},{among(task_ids)}){{tasks{{{fields}}}pageInfo{{hasNextPage endCursor}}}}}}"
    return json.dumps({"query": query}, separators=(",", ":")).encode()


def read_records(body: bytes, asked: Sequence[str]) -> FoundRecords:
    """Read an answer: a record has what is not null.

    Raises `SearchRefused` for one with errors, and `InvalidResponse` for one that is none.
    """
    answer = answer_of(body)
    if errors := errors_in(answer):
        text = json.dumps(errors)[:MAX_ERROR_CHARS]
        raise SearchRefused(f"Search answered with an error: {cut_words(text)}", text)
    rows = as_dict(as_dict(answer.get("data")).get("taskDetails")).get("tasks")
    if not isinstance(rows, list):
        raise InvalidResponse("the answer of Search is no list of contact records")
    names = {as_task_id(each) or each: each for each in asked}
    found = [(names.get(as_task_id(as_dict(row).get("id")) or ""), as_dict(row)) for row in rows]
    records = {name: said.kept(_said(row)) for name, row in found if name is not None}
    return FoundRecords(records, sum(name is None for name, _ in found))


def _said(row: Mapping[str, object]) -> dict[str, object]:
    told = {name: _told(value) for name, value in row.items() if name != "id"}
    return {name: value for name, value in told.items() if value not in (None, {})}


def _told(value: object) -> object:
    """Leave out what is null in an object of Search's: which fields there are is the query's doing."""
    return {name: inner for name, inner in value.items() if inner is not None} if isinstance(value, dict) else value


class ContactRecords:
    """Asks for records; ``http`` and ``retrier`` are those of the other calls to the API: one budget, one token."""

    def __init__(self, http: httpx.AsyncClient, settings: WebexSettings, *, org_id: str, retrier: Retrier) -> None:
        self._calls, self._retrier = ApiCalls(http), retrier
        self._url = search_url(settings, org_id)
        self._left_out: set[str] = set()

    async def records(self, window: Window, task_ids: Sequence[str]) -> FoundRecords:
        """Return the records of tasks that were created in ``window``; how many at most, `sidecars.grouped` says.

        Raises `AuthError`, `RunStopped` and `OperationFailed`.
        """

        async def attempt() -> FoundRecords:
            try:
                return await without_unknown_fields(lambda: self._ask(window, task_ids), self._left_out, FIELDS)
            except SearchRefused as refusal:
                raise OperationFailed(GiveUp("search_refused"), refusal) from None
            except HTTPStatusError as refusal:
                # 403 to this call alone is no reason to end a run: the other calls have the permission they need.
                if refusal.status in ABSENT + REFUSED:
                    raise OperationFailed(GiveUp("search_refused"), refusal) from None
                raise

        return await self._retrier.run("contact_records", attempt)

    async def _ask(self, window: Window, task_ids: Sequence[str]) -> FoundRecords:
        answer = await self._calls.post(self._url, records_body(window, task_ids, self._left_out), tracked=True)
        return await read_apart(answer.body, lambda body: read_records(body, task_ids))
