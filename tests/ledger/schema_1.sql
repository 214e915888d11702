-- The ledger, version 1.  Times are milliseconds since the epoch, UTC.
--
-- `seal` is a CRC-32 over the other columns in their order, computed by the
-- program as a row is written and compared when the ledger is opened: SQLite
-- itself does not notice a changed byte inside a value.

CREATE TABLE identity (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    org_id TEXT NOT NULL,
    bucket TEXT NOT NULL,
    key_template TEXT NOT NULL,
    schema_seal INTEGER NOT NULL,
    seal INTEGER GENERATED ALWAYS AS (wxrec_seal(one, org_id, bucket, key_template, schema_seal)) STORED
);

CREATE TABLE runs (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    started_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    exit_code INTEGER,
    from_ms INTEGER,
    to_ms INTEGER,
    summary TEXT NOT NULL DEFAULT '{}',
    seal INTEGER GENERATED ALWAYS AS (
        wxrec_seal(n, id, started_ms, ended_ms, exit_code, from_ms, to_ms, summary)
    ) STORED
);

CREATE TABLE closed_windows (
    from_ms INTEGER PRIMARY KEY,
    to_ms INTEGER NOT NULL,
    closed_ms INTEGER NOT NULL,
    seal INTEGER GENERATED ALWAYS AS (wxrec_seal(from_ms, to_ms, closed_ms)) STORED
);

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
    seal INTEGER GENERATED ALWAYS AS (
        wxrec_seal(
            n, id, channel_type, status, direction, origin, destination, created_ms, ended_ms, updated_ms,
            queue_id, queue_name, agent_id, agent_name, duration_ms, capture_requested, state, reason,
            first_seen_ms, place_ms, empty_answers, first_empty_ms, last_empty_ms, next_ask_ms, changed_ms,
            handed_run
        )
    ) STORED
);
CREATE INDEX tasks_by_place ON tasks (place_ms, state);
CREATE INDEX tasks_open ON tasks (n) WHERE state IN ('listed', 'owed', 'failed');

CREATE TABLE run_tasks (
    run INTEGER NOT NULL,
    task INTEGER NOT NULL,
    seal INTEGER GENERATED ALWAYS AS (wxrec_seal(run, task)) STORED,
    PRIMARY KEY (run, task)
) WITHOUT ROWID;

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
    seal INTEGER GENERATED ALWAYS AS (
        wxrec_seal(
            task, id, state, call_type, start_ms, stop_ms, object_key, size, crc32, etag, version_id, flags,
            main_place, run, already, reason, detail, listed_ms, started_ms, stored_ms, changed_ms
        )
    ) STORED,
    PRIMARY KEY (task, id)
) WITHOUT ROWID;
CREATE INDEX recordings_open ON recordings (task) WHERE state IN ('listed', 'started', 'failed');
CREATE UNIQUE INDEX recordings_holder ON recordings (task) WHERE main_place = 1;

CREATE TABLE open_uploads (
    upload_id TEXT PRIMARY KEY,
    object_key TEXT NOT NULL,
    task_id TEXT NOT NULL,
    recording_id TEXT NOT NULL,
    started_ms INTEGER NOT NULL,
    size INTEGER,
    crc32 INTEGER,
    seal INTEGER GENERATED ALWAYS AS (
        wxrec_seal(upload_id, object_key, task_id, recording_id, started_ms, size, crc32)
    ) STORED
);

PRAGMA application_id = 0x77787263;
PRAGMA user_version = 1;
