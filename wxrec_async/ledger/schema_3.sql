-- Version 3: what final states rest on, and every column that is foreseen, so that rows are written anew once.
ALTER TABLE runs RENAME TO runs_2;
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
    command TEXT,
    seal INTEGER GENERATED ALWAYS AS (
        wxrec_seal(n, id, started_ms, ended_ms, exit_code, from_ms, to_ms, summary, tool_version, who, command)
    ) STORED
);
INSERT INTO runs (
    n, id, started_ms, ended_ms, exit_code, from_ms, to_ms, summary, tool_version, who
) SELECT
    n, id, started_ms, ended_ms, exit_code, from_ms, to_ms, summary, tool_version, who
FROM runs_2;
DROP TABLE runs_2;
ALTER TABLE closed_windows RENAME TO closed_windows_2;
CREATE TABLE closed_windows (
    source TEXT NOT NULL DEFAULT 'tasks' CHECK (source IN ('tasks', 'search')),
    from_ms INTEGER NOT NULL,
    to_ms INTEGER NOT NULL,
    closed_ms INTEGER NOT NULL,
    seal INTEGER GENERATED ALWAYS AS (wxrec_seal(source, from_ms, to_ms, closed_ms)) STORED,
    PRIMARY KEY (source, from_ms)
) WITHOUT ROWID;
INSERT INTO closed_windows (
    from_ms, to_ms, closed_ms
) SELECT
    from_ms, to_ms, closed_ms
FROM closed_windows_2;
DROP TABLE closed_windows_2;
ALTER TABLE tasks RENAME TO tasks_2;
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
    active INTEGER,
    reason_code TEXT,
    source TEXT NOT NULL DEFAULT 'tasks' CHECK (source IN ('tasks', 'search', 'file')),
    said TEXT,
    origin_hash TEXT,
    destination_hash TEXT,
    named INTEGER,
    evidence TEXT NOT NULL DEFAULT '',
    erased_ms INTEGER,
    held TEXT,
    seal INTEGER GENERATED ALWAYS AS (
        wxrec_seal(
            n, id, channel_type, status, direction, origin, destination, created_ms, ended_ms, updated_ms, queue_id,
            queue_name, agent_id, agent_name, duration_ms, capture_requested, state, reason, first_seen_ms, place_ms,
            empty_answers, first_empty_ms, last_empty_ms, next_ask_ms, changed_ms, handed_run, witness_ms,
            witness_recordings, witness_bytes, witness_deleted, transcripts, sidecar, sidecar_sha256, active,
            reason_code, source, said, origin_hash, destination_hash, named, evidence, erased_ms, held
        )
    ) STORED
);
INSERT INTO tasks (
    n, id, channel_type, status, direction, origin, destination, created_ms, ended_ms, updated_ms, queue_id,
    queue_name, agent_id, agent_name, duration_ms, capture_requested, state, reason, first_seen_ms, place_ms,
    empty_answers, first_empty_ms, last_empty_ms, next_ask_ms, changed_ms, handed_run, witness_ms,
    witness_recordings, witness_bytes, witness_deleted, transcripts, sidecar, sidecar_sha256
) SELECT
    n, id, channel_type, status, direction, origin, destination, created_ms, ended_ms, updated_ms, queue_id,
    queue_name, agent_id, agent_name, duration_ms, capture_requested, state, reason, first_seen_ms, place_ms,
    empty_answers, first_empty_ms, last_empty_ms, next_ask_ms, changed_ms, handed_run, witness_ms,
    witness_recordings, witness_bytes, witness_deleted, transcripts, sidecar, sidecar_sha256
FROM tasks_2;
DROP TABLE tasks_2;
CREATE INDEX tasks_by_place ON tasks (place_ms, state);
CREATE INDEX tasks_open ON tasks (n) WHERE state IN ('listed', 'owed', 'failed');
CREATE INDEX tasks_by_spelling ON tasks (id COLLATE NOCASE) WHERE id <> lower(id);
-- One 404 of the media host made a recording gone for ever.  Unless Search said so, too, it is looked at once more.
UPDATE tasks SET next_ask_ms = NULL
WHERE state = 'captured' AND n IN (SELECT task FROM recordings WHERE state = 'gone' AND reason <> 'deleted_at_webex');
ALTER TABLE recordings RENAME TO recordings_2;
DROP INDEX recordings_open;
DROP INDEX recordings_holder;
CREATE TABLE recordings (
    task INTEGER NOT NULL,
    id TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'listed'
        CHECK (state IN ('listed', 'started', 'stored', 'failed', 'gone', 'erased')),
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
    kind TEXT NOT NULL DEFAULT 'audio' CHECK (kind IN ('audio', 'transcript', 'screen')),
    file_name TEXT,
    channel1 TEXT,
    channel2 TEXT,
    participants TEXT,
    sensitive INTEGER,
    said TEXT,
    evidence TEXT NOT NULL DEFAULT '',
    content_type TEXT,
    read_ms INTEGER,
    erased_ms INTEGER,
    held TEXT,
    seal INTEGER GENERATED ALWAYS AS (
        wxrec_seal(
            task, id, state, call_type, start_ms, stop_ms, object_key, size, crc32, etag, version_id, flags,
            main_place, run, already, reason, detail, listed_ms, started_ms, stored_ms, changed_ms, sha256,
            tracking_id, segment, kind, file_name, channel1, channel2, participants, sensitive, said, evidence,
            content_type, read_ms, erased_ms, held
        )
    ) STORED,
    PRIMARY KEY (task, id)
) WITHOUT ROWID;
INSERT INTO recordings (
    task, id, state, call_type, start_ms, stop_ms, object_key, size, crc32, etag, version_id, flags, main_place, run,
    already, reason, detail, listed_ms, started_ms, stored_ms, changed_ms, sha256, tracking_id, segment
) SELECT
    task, id, state, call_type, start_ms, stop_ms, object_key, size, crc32, etag, version_id, flags, main_place, run,
    already, reason, detail, listed_ms, started_ms, stored_ms, changed_ms, sha256, tracking_id, segment
FROM recordings_2;
DROP TABLE recordings_2;
CREATE INDEX recordings_open ON recordings (task) WHERE state IN ('listed', 'started', 'failed');
CREATE UNIQUE INDEX recordings_holder ON recordings (task) WHERE main_place = 1;
UPDATE recordings SET evidence = 'search_deleted' WHERE state = 'gone' AND reason = 'deleted_at_webex';
UPDATE recordings SET state = 'failed', reason = 'gone_unproven', evidence = 'http_404' WHERE state = 'gone'
    AND reason <> 'deleted_at_webex';
ALTER TABLE certificates RENAME TO certificates_2;
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
    schema INTEGER NOT NULL DEFAULT 1,
    tasks_key TEXT,
    tasks_sha256 TEXT,
    witnesses TEXT NOT NULL DEFAULT '',
    seal INTEGER GENERATED ALWAYS AS (
        wxrec_seal(
            n, day_ms, number, certified_ms, certificate_key, certificate_sha256, manifest_key, manifest_sha256,
            content_sha256, schema, tasks_key, tasks_sha256, witnesses
        )
    ) STORED,
    UNIQUE (day_ms, number)
);
INSERT INTO certificates (
    n, day_ms, number, certified_ms, certificate_key, certificate_sha256, manifest_key, manifest_sha256,
    content_sha256
) SELECT
    n, day_ms, number, certified_ms, certificate_key, certificate_sha256, manifest_key, manifest_sha256,
    content_sha256
FROM certificates_2;
DROP TABLE certificates_2;
PRAGMA user_version = 3;
