"""The schema of the hive's database: an append-only list of named steps."""

from collections.abc import Sequence
from typing import Final

STEPS: Final[Sequence[tuple[str, Sequence[str]]]] = (
    (
        "first",
        (
            "CREATE TABLE migration (name TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT",
            "CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT",
            """CREATE TABLE agent (
                name TEXT PRIMARY KEY, flavor TEXT NOT NULL, host TEXT NOT NULL, uid INTEGER UNIQUE, user TEXT,
                runtime TEXT NOT NULL, wanted TEXT NOT NULL,
                blocked TEXT NOT NULL, blocked_until INTEGER, blocked_reason TEXT, blocked_times INTEGER NOT NULL,
                model TEXT, conversation TEXT,
                epoch INTEGER NOT NULL, ended_epoch INTEGER NOT NULL,
                empty_starts INTEGER NOT NULL, empty_since INTEGER, not_before INTEGER,
                deployed INTEGER, base TEXT, news TEXT NOT NULL,
                activity TEXT NOT NULL, activity_since INTEGER, keeps_events INTEGER NOT NULL, warnings TEXT NOT NULL,
                login_checked_at INTEGER, created_at INTEGER NOT NULL, destroyed_at INTEGER
            ) STRICT""",
            """CREATE TABLE message (
                number INTEGER PRIMARY KEY AUTOINCREMENT, sender TEXT NOT NULL, recipient TEXT NOT NULL,
                kind TEXT NOT NULL, body TEXT NOT NULL, "key" TEXT, state TEXT NOT NULL,
                epoch INTEGER, turn INTEGER, tool_use TEXT, confirmed INTEGER NOT NULL,
                attempt INTEGER NOT NULL, reason TEXT,
                sent_at INTEGER NOT NULL, handed_out_at INTEGER, ended_at INTEGER
            ) STRICT""",
            'CREATE UNIQUE INDEX message_key ON message (sender, "key") WHERE "key" IS NOT NULL',
            "CREATE INDEX message_waiting ON message (recipient, number) WHERE state IN ('pending', 'delivered')",
            "CREATE INDEX message_recipient ON message (recipient, state, number)",
            "CREATE INDEX message_sender ON message (sender, sent_at)",
            """CREATE TABLE turn (
                number INTEGER PRIMARY KEY AUTOINCREMENT, agent TEXT NOT NULL, epoch INTEGER NOT NULL,
                outcome TEXT, error TEXT, model TEXT, conversation TEXT, cost_usd REAL NOT NULL,
                input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
                cache_read_tokens INTEGER NOT NULL, cache_write_tokens INTEGER NOT NULL,
                started_at INTEGER NOT NULL, ended_at INTEGER
            ) STRICT""",
            "CREATE INDEX turn_agent ON turn (agent, number)",
            "CREATE INDEX turn_open ON turn (agent) WHERE outcome IS NULL",
            """CREATE TABLE operation (
                number INTEGER PRIMARY KEY, agent TEXT NOT NULL, verb TEXT NOT NULL, argument TEXT,
                asked_by TEXT NOT NULL, state TEXT NOT NULL, error TEXT,
                asked_at INTEGER NOT NULL, started_at INTEGER, ended_at INTEGER
            ) STRICT""",
            "CREATE INDEX operation_open ON operation (agent, number) WHERE state IN ('pending', 'running')",
            """CREATE TABLE deployment (
                number INTEGER PRIMARY KEY, agent TEXT NOT NULL, approval INTEGER, "commit" TEXT, outcome TEXT,
                started_at INTEGER NOT NULL, ended_at INTEGER
            ) STRICT""",
            "CREATE INDEX deployment_agent ON deployment (agent, number)",
            "INSERT INTO counter (name, value) VALUES ('number', 0), ('uid', 0)",
        ),
    ),
    ("when a block began", ("ALTER TABLE agent ADD COLUMN blocked_since INTEGER",)),
    (
        "deciding",
        (
            "ALTER TABLE operation ADD COLUMN result TEXT",
            "ALTER TABLE deployment ADD COLUMN occasion TEXT NOT NULL DEFAULT 'spawn'",
            "ALTER TABLE deployment ADD COLUMN onto TEXT",
            "ALTER TABLE deployment ADD COLUMN base TEXT",
            "ALTER TABLE deployment ADD COLUMN approved_by TEXT",
            "ALTER TABLE deployment ADD COLUMN error TEXT",
            "CREATE INDEX deployment_open ON deployment (number) WHERE outcome IS NULL",
            """CREATE TABLE approval (
                number INTEGER PRIMARY KEY, kind TEXT NOT NULL, agent TEXT NOT NULL, asker TEXT NOT NULL, state TEXT NOT NULL,
                reason TEXT NOT NULL, flavor TEXT, "commit" TEXT, tree TEXT, compared_with TEXT,
                tool TEXT, input TEXT, epoch INTEGER, turn INTEGER, request TEXT,
                note TEXT, decided_by TEXT, asked_at INTEGER NOT NULL, deadline INTEGER, decided_at INTEGER
            ) STRICT""",
            "CREATE INDEX approval_pending ON approval (number) WHERE state = 'pending'",
            "CREATE INDEX approval_agent ON approval (agent, number)",
            """CREATE TABLE question (
                number INTEGER PRIMARY KEY, asker TEXT NOT NULL, text TEXT NOT NULL,
                choices TEXT NOT NULL, choices_only INTEGER NOT NULL, fallback TEXT,
                outcome TEXT, answer TEXT, resolved_by TEXT,
                asked_at INTEGER NOT NULL, deadline INTEGER, resolved_at INTEGER
            ) STRICT""",
            "CREATE INDEX question_open ON question (number) WHERE outcome IS NULL",
            "CREATE INDEX question_asker ON question (asker, number)",
            """CREATE TABLE entry (
                number INTEGER PRIMARY KEY AUTOINCREMENT, agent TEXT NOT NULL, occasion TEXT NOT NULL, deployment INTEGER,
                "commit" TEXT, base TEXT, "by" TEXT NOT NULL,
                subject TEXT NOT NULL, at INTEGER NOT NULL, published INTEGER NOT NULL
            ) STRICT""",
            "CREATE INDEX entry_open ON entry (number) WHERE published = 0",
        ),
    ),
    ("the boot of an epoch", ("ALTER TABLE agent ADD COLUMN boot TEXT",)),
    (
        "what was to be published",
        ("CREATE INDEX operation_publish ON operation (agent, number) WHERE verb = 'publish'",),
    ),
    (
        "what ended long ago",
        (
            "CREATE INDEX message_ended ON message (ended_at) WHERE ended_at IS NOT NULL",
            "CREATE INDEX operation_ended ON operation (ended_at) WHERE ended_at IS NOT NULL",
        ),
    ),
    (
        "watching",
        (
            """CREATE TABLE observation (
                agent TEXT PRIMARY KEY, running INTEGER NOT NULL, logged_in INTEGER NOT NULL, up_to_date INTEGER NOT NULL,
                known_epoch INTEGER NOT NULL, boot TEXT, at INTEGER NOT NULL,
                crashes INTEGER NOT NULL, crashes_since INTEGER, start_at INTEGER
            ) STRICT""",
            # Nobody has ever written or read it.
            "ALTER TABLE agent RENAME COLUMN login_checked_at TO login_refused_at",
            "UPDATE agent SET login_refused_at = coalesce(blocked_since, 0) WHERE blocked = 'login'",
        ),
    ),
    (
        "who may use the dashboard",
        (
            """CREATE TABLE access (
                number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, hash TEXT NOT NULL UNIQUE, label TEXT NOT NULL,
                made_at INTEGER NOT NULL, seen_at INTEGER, ends_at INTEGER
            ) STRICT""",
        ),
    ),
)
