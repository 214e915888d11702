-- Version 2: what a witness says of a task, digests for evidence, certificates, what was seen and left alone.
ALTER TABLE runs RENAME TO runs_1;
CREATE TABLE runs (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    started_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    exit_code INTEGER,
    from_ms INTEGER,
    to_ms INTEGER,
    summary TEXT NOT NULL DEFAULT '{}',
    tool_version TEXT,
    who TEXT,
    seal INTEGER GENERATED ALWAYS AS (
        wxrec_seal(n, id, started_ms, ended_ms, exit_code, from_ms, to_ms, summary, tool_version, who)
    ) STORED
);
INSERT INTO runs (
    n, id, started_ms, ended_ms, exit_code, from_ms, to_ms, summary
) SELECT
    n, id, started_ms, ended_ms, exit_code, from_ms, to_ms, summary
FROM runs_1;
DROP TABLE runs_1;
ALTER TABLE tasks RENAME TO tasks_1;
DROP INDEX tasks_by_place;
DROP INDEX tasks_open;
CREATE TABLE tasks (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    channel_type TEXT,
    status TEXT,
    direction TEXT,
    origin TEXT,
    destination TEXT,
    created_ms INTEGER,
    ended_ms INTEGER,
    updated_ms INTEGER,
    queue_id TEXT,
    queue_name TEXT,
    agent_id TEXT,
    agent_name TEXT,
    duration_ms INTEGER,
    capture_requested INTEGER,
    state TEXT NOT NULL DEFAULT 'listed'
        CHECK (state IN ('listed', 'captured', 'no_recording', 'owed', 'failed')),
    reason TEXT NOT NULL DEFAULT '',
    first_seen_ms INTEGER NOT NULL,
    place_ms INTEGER,
    empty_answers INTEGER NOT NULL DEFAULT 0,
    first_empty_ms INTEGER,
    last_empty_ms INTEGER,
    next_ask_ms INTEGER,
    changed_ms INTEGER NOT NULL,
    handed_run INTEGER,
    witness_ms INTEGER,
    witness_recordings INTEGER,
    witness_bytes INTEGER,
    witness_deleted INTEGER,
    transcripts INTEGER,
    sidecar INTEGER,
    sidecar_sha256 TEXT,
    seal INTEGER GENERATED ALWAYS AS (
        wxrec_seal(
            n, id, channel_type, status, direction, origin, destination, created_ms, ended_ms, updated_ms,
            queue_id, queue_name, agent_id, agent_name, duration_ms, capture_requested, state, reason,
            first_seen_ms, place_ms, empty_answers, first_empty_ms, last_empty_ms, next_ask_ms, changed_ms,
            handed_run, witness_ms, witness_recordings, witness_bytes, witness_deleted, transcripts, sidecar,
            sidecar_sha256
        )
    ) STORED
);
INSERT INTO tasks (
    n, id, channel_type, status, direction, origin, destination, created_ms, ended_ms, updated_ms, queue_id,
    queue_name, agent_id, agent_name, duration_ms, capture_requested, state, reason, first_seen_ms, place_ms,
    empty_answers, first_empty_ms, last_empty_ms, next_ask_ms, changed_ms, handed_run
) SELECT
    n, id, channel_type, status, direction, origin, destination, created_ms, ended_ms, updated_ms, queue_id,
    queue_name, agent_id, agent_name, duration_ms, capture_requested, state, reason, first_seen_ms, place_ms,
    empty_answers, first_empty_ms, last_empty_ms, next_ask_ms, changed_ms, handed_run
FROM tasks_1;
DROP TABLE tasks_1;
CREATE INDEX tasks_by_place ON tasks (place_ms, state);
CREATE INDEX tasks_open ON tasks (n) WHERE state IN ('listed', 'owed', 'failed');
ALTER TABLE recordings RENAME TO recordings_1;
DROP INDEX recordings_open;
DROP INDEX recordings_holder;
CREATE TABLE recordings (
    task INTEGER NOT NULL,
    id TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'listed'
        CHECK (state IN ('listed', 'started', 'stored', 'failed', 'gone')),
    call_type TEXT,
    start_ms INTEGER,
    stop_ms INTEGER,
    object_key TEXT,
    size INTEGER,
    crc32 INTEGER,
    etag TEXT,
    version_id TEXT,
    flags TEXT NOT NULL DEFAULT '',
    main_place INTEGER NOT NULL DEFAULT 0,
    run INTEGER,
    already INTEGER,
    reason TEXT NOT NULL DEFAULT '',
    detail TEXT NOT NULL DEFAULT '',
    listed_ms INTEGER NOT NULL,
    started_ms INTEGER,
    stored_ms INTEGER,
    changed_ms INTEGER NOT NULL,
    sha256 TEXT,
    tracking_id TEXT,
    segment INTEGER NOT NULL DEFAULT 0,
    seal INTEGER GENERATED ALWAYS AS (
        wxrec_seal(
            task, id, state, call_type, start_ms, stop_ms, object_key, size, crc32, etag, version_id, flags,
            main_place, run, already, reason, detail, listed_ms, started_ms, stored_ms, changed_ms, sha256,
            tracking_id, segment
        )
    ) STORED,
    PRIMARY KEY (task, id)
) WITHOUT ROWID;
INSERT INTO recordings (
    task, id, state, call_type, start_ms, stop_ms, object_key, size, crc32, etag, version_id, flags, main_place, run,
    already, reason, detail, listed_ms, started_ms, stored_ms, changed_ms
) SELECT
    task, id, state, call_type, start_ms, stop_ms, object_key, size, crc32, etag, version_id, flags, main_place, run,
    already, reason, detail, listed_ms, started_ms, stored_ms, changed_ms
FROM recordings_1;
DROP TABLE recordings_1;
CREATE INDEX recordings_open ON recordings (task) WHERE state IN ('listed', 'started', 'failed');
CREATE UNIQUE INDEX recordings_holder ON recordings (task) WHERE main_place = 1;
CREATE TABLE left_alone (
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    place_ms INTEGER NOT NULL,
    seal INTEGER GENERATED ALWAYS AS (wxrec_seal(id, kind, place_ms)) STORED,
    PRIMARY KEY (id, kind)
) WITHOUT ROWID;
CREATE INDEX left_alone_by_place ON left_alone (place_ms, kind);
CREATE TABLE certificates (
    n INTEGER PRIMARY KEY,
    day_ms INTEGER NOT NULL,
    number INTEGER NOT NULL,
    certified_ms INTEGER NOT NULL,
    certificate_key TEXT NOT NULL,
    certificate_sha256 TEXT NOT NULL,
    manifest_key TEXT NOT NULL,
    manifest_sha256 TEXT NOT NULL,
    content_sha256 TEXT NOT NULL,
    seal INTEGER GENERATED ALWAYS AS (
        wxrec_seal(
            n, day_ms, number, certified_ms, certificate_key, certificate_sha256, manifest_key, manifest_sha256,
            content_sha256
        )
    ) STORED,
    UNIQUE (day_ms, number)
);
PRAGMA user_version = 2;
