"""Why a surviving mutant is left alone: it changes nothing that can be seen, or nothing that matters.

A survivor counts as one, explained or not.
"""

from __future__ import annotations

EXPLAINED: dict[str, str] = {
    "diagnosis: clock: 0.0 -> 1.0": "equivalent: without a clock the next line answers, before this figure is used",
    "evidence: Places.number_of: _CERTIFICATE_KEY.fullmatch -> _CERTIFICATE_KEY.match": (
        "equivalent: the whole key is compared in the next line"
    ),
    "evidence: read_line: 100 -> 101": "no name of ours makes a sentence that long; the cut is a second lock",
    "evidence: read_line: 100 -> (left out)": "no name of ours makes a sentence that long; the cut is a second lock",
    "evidence: _is_canonical: return False -> return None": "equivalent: its only caller asks whether it is false",
    "keys: module: '-._' -> 'XX-._XX'": "equivalent: the letter is safe anyhow",
    "keys: module: '[A-Za-z0-9][A-Za-z0-9._-]*' -> 'XX[A-Za-z0-9][A-Za-z0-9._-]*XX'": (
        "equivalent: only a short cut to the same text is lost"
    ),
    "keys: encode_id: len(identifier) <= MAX_ENCODED -> len(identifier) < MAX_ENCODED": (
        "equivalent: only a short cut to the same text is lost"
    ),
    "keys: extension: '' -> 'XXXX'": "equivalent: neither text is in the table",
    "keys: main_recording: '' -> 'XXXX'": "equivalent: neither text is a type of the main one",
    "keys: target: 0 -> 1": "equivalent: the same day",
    "keys: _moment_ms: '' -> 'XXXX'": "equivalent: neither text is a date",
    "keys: sidecar_key: 0 -> 1": "equivalent: the same day",
    "keys: _sidecar_base: template.split -> template.rsplit": "equivalent without a limit",
    "keys: _sidecar_base: -1 -> (left out)": "equivalent: the last piece has the extension, so it is no task's own",
    "media_urls: media_url_problem: '' -> 'XXXX'": "equivalent: neither text is a loopback host",
    "media_urls: _public_problem: '' -> 'XXXX'": "equivalent: neither text is a DNS name in small letters",
    "media_urls: _host_problem: host.split -> host.rsplit": "equivalent without a limit",
    "media_urls: _matches: '*' -> 'XX*XX'": "a second lock: no host with a star in it comes here",
    "media_urls: _matches: 1 -> 2": "equivalent: the sign between is the dot",
    "media_urls: _matches: len(host) > len(pattern) - 1 -> len(host) >= len(pattern) - 1": (
        "a second lock: a host that begins with a dot was refused before"
    ),
    "media_urls: _matches: 1 -> 2 #2": "a second lock: a host that begins with a dot was refused before",
    "paging: Pager.__init__: 0 -> 1": "equivalent: a page of one row is never called full for being the largest",
    "paging: Pager._learn_cap: 0 < self._last_rows == self._largest -> 0 <= self._last_rows == self._largest": (
        "equivalent: a page that brings something has rows, so the largest has"
    ),
    "paging: Pager._step_over: () -> None #2": "equivalent: the next line leaves it out",
    "retention: Timeline._elapsed_ms: 0.0 -> 1.0": "a floor of a millisecond, where every call takes longer",
    "redact: one_line: text.split -> text.rsplit": "equivalent without a limit",
    "redact: redact_text: break -> continue": "equivalent: nothing changes any more, only time is lost",
    "retry: module: 'request has expired' -> 'XXrequest has expiredXX'": "equivalent: 'expired' is listed too",
    "retry: module: 'token has expired' -> 'XXtoken has expiredXX'": "equivalent: 'expired' is listed too",
    "retry: retry_after_s: '' -> 'XXXX'": "equivalent: neither text is a number or a date",
    "retry: retry_after_s: '' -> 'XXXX' #3": "equivalent: neither text is a date",
    "retry: _transport: 4 -> 5": "equivalent: the fourth step is beyond the cap of 15 s already",
    "retry: _wait: asked < 0 -> asked <= 0": "equivalent: zero is false, which is asked first",
    "retry: _named_wait: trouble.retry_after_s < 0 -> trouble.retry_after_s <= 0": (
        "equivalent: zero is false, which is asked first"
    ),
    "retry: _named_wait: return GiveUp('retries_exhausted') -> return None": (
        "equivalent: its callers then ask `_again`, which gives up for the same reason"
    ),
    "retry: _slow: trouble.retry_after_s > 0 -> trouble.retry_after_s >= 0": (
        "equivalent: zero is false, which is asked first"
    ),
    "tokens: _unknown_lifetime: 60 -> 61": "equivalent: 15 minutes to the digit shown",
    "wav: Sniffer.feed: len(self._head) < HEAD_SIZE -> len(self._head) <= HEAD_SIZE": "equivalent: adds no bytes then",
    "wav: Sniffer.known_media: 16 -> 17": "equivalent: no sign reaches beyond the eighth byte",
    "wav: Sniffer.known_media: 16 -> (left out)": "equivalent: no sign reaches beyond the eighth byte",
    "wav: Sniffer._audio_bytes: at + 8 <= len(self._head) -> at + 8 < len(self._head)": (
        "equivalent: where the head ends with that chunk's own, the body has audio if it goes on, and else none"
    ),
    "wav: Sniffer._audio_bytes: 8 -> 9": (
        "equivalent: where the head ends with that chunk's own, the body has audio if it goes on, and else none"
    ),
    "wav: _is_text: return False -> return None": "equivalent: its only caller asks whether it is false",
    "wav: _is_utf8: return False -> return None": "equivalent: its only caller asks whether it is false",
    "windows: read_moment: UTC -> None": "equivalent: the same instant in another zone has the same timestamp",
    "windows: subtract: done.to_ms <= start -> done.to_ms < start": "equivalent: such a span then moves nothing",
    "windows: subtract: done.from_ms >= window.to_ms -> done.from_ms > window.to_ms": (
        "equivalent: the rest is then cut off by this span's beginning, which is the window's end"
    ),
}
