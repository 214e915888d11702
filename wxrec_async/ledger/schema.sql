-- The ledger, version 3.  Times are milliseconds since the epoch, UTC.
--
-- `seal` is a CRC-32 over the other columns in their order, computed by the
-- program as a row is written and compared when the ledger is opened: SQLite
-- itself does not notice a changed byte inside a value.  So a new column means
-- that every row of its table is written anew: version 3 has the columns that are
-- foreseen, and those which nothing writes yet are named as such.  A new table
-- rewrites nothing, so those of later features are not made in advance.

CREATE TABLE identity (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    org_id TEXT NOT NULL,
    bucket TEXT NOT NULL,
    key_template TEXT NOT NULL,
    schema_seal INTEGER NOT NULL,
    seal INTEGER GENERATED ALWAYS AS (wxrec_seal(one, org_id, bucket, key_template, schema_seal)) STORED
);

-- `command` is what was run: run, retry, reconcile, ...; NULL where nobody said.
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

-- `source` is the list that was read to its end: GET /v1/tasks, or Search.
CREATE TABLE closed_windows (
    source TEXT NOT NULL DEFAULT 'tasks' CHECK (source IN ('tasks', 'search')),
    from_ms INTEGER NOT NULL,
    to_ms INTEGER NOT NULL,
    closed_ms INTEGER NOT NULL,
    seal INTEGER GENERATED ALWAYS AS (wxrec_seal(source, from_ms, to_ms, closed_ms)) STORED,
    PRIMARY KEY (source, from_ms)
) WITHOUT ROWID;

-- `active` is isActive; `source` where the task was listed; `named` the most recordings one answer of captures
-- named; `evidence` what a final state rests on.  Nothing writes these yet:
-- `reason_code`: reasonCode of the task object.
-- `said`: every further field of the task object, as one JSON object.
-- `origin_hash`, `destination_hash`: the numbers under a key, with the id of the key before them.
-- `erased_ms`: when the call was erased on purpose.
-- `held`: why it must not be erased.
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
CREATE INDEX tasks_by_place ON tasks (place_ms, state);
CREATE INDEX tasks_open ON tasks (n) WHERE state IN ('listed', 'owed', 'failed');
-- An id is looked for in its lower-case form; ledgers of before may have it otherwise, and keep it so.
CREATE INDEX tasks_by_spelling ON tasks (id COLLATE NOCASE) WHERE id <> lower(id);

CREATE TABLE run_tasks (
    run INTEGER NOT NULL,
    task INTEGER NOT NULL,
    seal INTEGER GENERATED ALWAYS AS (wxrec_seal(run, task)) STORED,
    PRIMARY KEY (run, task)
) WITHOUT ROWID;

-- `evidence` is what a final state rests on, `content_type` what the object is called.  Nothing writes these yet:
-- `kind` other than audio: transcripts and screen recordings are further objects of a task.
-- `file_name`, `channel1`, `channel2`, `participants` (JSON), `sensitive`: what captures says beside the times.
-- `said`: every further field of the recording object, as one JSON object.
-- `read_ms`: when the object was last read back and found right.
-- `erased_ms` and the state erased, which is final: it was erased on purpose.
-- `held`: why it must not be erased.
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

-- What was seen and is not ours to move: contacts of other channels, transcripts, screen recordings.
CREATE TABLE left_alone (
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    place_ms INTEGER NOT NULL,
    seal INTEGER GENERATED ALWAYS AS (wxrec_seal(id, kind, place_ms)) STORED,
    PRIMARY KEY (id, kind)
) WITHOUT ROWID;
CREATE INDEX left_alone_by_place ON left_alone (place_ms, kind);

-- Certificates in the order they were issued; `number` counts those of one day, which are never replaced.
-- `tasks_key` is the second file a certificate of schema 2 names, `witnesses` (JSON) what it rests on.
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

PRAGMA application_id = 0x77787263;
PRAGMA user_version = 3;
