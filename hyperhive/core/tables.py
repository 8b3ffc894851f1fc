"""The tables of the hive as rows."""

from datetime import datetime
from typing import Final

from peewee import BooleanField, DatabaseProxy, FloatField, IntegerField, Model

from hyperhive.core.columns import InstantField, Text, WordField
from hyperhive.core.model import (
    Activity,
    ApprovalKind,
    ApprovalState,
    Blocked,
    DeploymentOutcome,
    Flavor,
    MessageKind,
    MessageState,
    Occasion,
    OperationState,
    Outcome,
    QuestionOutcome,
    Verb,
    Wanted,
)

DATABASE: Final = DatabaseProxy()


class Row(Model):
    """A row of the hive's database."""

    class Meta:
        database = DATABASE


class CounterRow(Row):
    """The last number given to an approval, question, deployment or operation."""

    name = Text(primary_key=True)
    value = IntegerField()

    class Meta:
        table_name = "counter"


class AgentRow(Row):
    """An agent, also a destroyed one whose state is kept."""

    name = Text(primary_key=True)
    flavor: WordField[Flavor] = WordField(Flavor)
    host = Text()
    uid = IntegerField(null=True)
    user = Text(null=True)
    runtime = Text()
    wanted: WordField[Wanted] = WordField(Wanted)
    blocked: WordField[Blocked] = WordField(Blocked, default=Blocked.NONE)
    blocked_since: InstantField[datetime | None] = InstantField(null=True)
    blocked_until: InstantField[datetime | None] = InstantField(null=True)
    blocked_reason = Text(null=True)
    blocked_times = IntegerField(default=0)
    model = Text(null=True)
    conversation = Text(null=True)
    epoch = IntegerField(default=0)
    ended_epoch = IntegerField(default=0)
    boot = Text(null=True)
    empty_starts = IntegerField(default=0)
    empty_since: InstantField[datetime | None] = InstantField(null=True)
    not_before: InstantField[datetime | None] = InstantField(null=True)
    deployed = IntegerField(null=True)
    base = Text(null=True)
    news = Text(default="")
    activity: WordField[Activity] = WordField(Activity, default=Activity.IDLE)
    activity_since: InstantField[datetime | None] = InstantField(null=True)
    keeps_events = BooleanField(default=True)
    warnings = Text(default="")
    login_refused_at: InstantField[datetime | None] = InstantField(null=True)
    created_at: InstantField[datetime] = InstantField()
    destroyed_at: InstantField[datetime | None] = InstantField(null=True)

    class Meta:
        table_name = "agent"


class MessageRow(Row):
    """A message; names are text, so that it outlives its correspondents."""

    number = IntegerField(primary_key=True)
    sender = Text()
    recipient = Text()
    kind: WordField[MessageKind] = WordField(MessageKind)
    body = Text()
    key = Text(null=True)
    state: WordField[MessageState] = WordField(MessageState)
    epoch = IntegerField(null=True)
    turn = IntegerField(null=True)
    tool_use = Text(null=True)
    confirmed = BooleanField(default=False)
    attempt = IntegerField(default=0)
    reason = Text(null=True)
    sent_at: InstantField[datetime] = InstantField()
    handed_out_at: InstantField[datetime | None] = InstantField(null=True)
    ended_at: InstantField[datetime | None] = InstantField(null=True)

    class Meta:
        table_name = "message"


class TurnRow(Row):
    """A turn; without an outcome it is running, or its harness died."""

    number = IntegerField(primary_key=True)
    agent = Text()
    epoch = IntegerField()
    outcome: WordField[Outcome | None] = WordField(Outcome, null=True)
    error = Text(null=True)
    model = Text(null=True)
    conversation = Text(null=True)
    cost_usd = FloatField(default=0.0)
    input_tokens = IntegerField(default=0)
    output_tokens = IntegerField(default=0)
    cache_read_tokens = IntegerField(default=0)
    cache_write_tokens = IntegerField(default=0)
    started_at: InstantField[datetime] = InstantField()
    ended_at: InstantField[datetime | None] = InstantField(null=True)

    class Meta:
        table_name = "turn"


class OperationRow(Row):
    """A change of an agent that is asked for, under way, or over."""

    number = IntegerField(primary_key=True)
    agent = Text()
    verb: WordField[Verb] = WordField(Verb)
    argument = Text(null=True)
    asked_by = Text()
    state: WordField[OperationState] = WordField(OperationState)
    error = Text(null=True)
    result = Text(null=True)
    asked_at: InstantField[datetime] = InstantField()
    started_at: InstantField[datetime | None] = InstantField(null=True)
    ended_at: InstantField[datetime | None] = InstantField(null=True)

    class Meta:
        table_name = "operation"


class DeploymentRow(Row):
    """One configuration that an agent was given, or was to be given; without an outcome it is under way, or its process died."""

    number = IntegerField(primary_key=True)
    agent = Text()
    occasion: WordField[Occasion] = WordField(Occasion, default=Occasion.SPAWN)
    approval = IntegerField(null=True)
    commit = Text(null=True)
    onto = Text(null=True)
    base = Text(null=True)
    approved_by = Text(null=True)
    outcome: WordField[DeploymentOutcome | None] = WordField(DeploymentOutcome, null=True)
    error = Text(null=True)
    started_at: InstantField[datetime] = InstantField()
    ended_at: InstantField[datetime | None] = InstantField(null=True)

    class Meta:
        table_name = "deployment"


class ApprovalRow(Row):
    """Something that the operator is asked to allow."""

    number = IntegerField(primary_key=True)
    kind: WordField[ApprovalKind] = WordField(ApprovalKind)
    agent = Text()
    asker = Text()
    state: WordField[ApprovalState] = WordField(ApprovalState)
    reason = Text(default="")
    flavor: WordField[Flavor | None] = WordField(Flavor, null=True)
    commit = Text(null=True)
    tree = Text(null=True)
    compared_with = Text(null=True)
    tool = Text(null=True)
    input = Text(null=True)
    epoch = IntegerField(null=True)
    turn = IntegerField(null=True)
    request = Text(null=True)
    note = Text(null=True)
    decided_by = Text(null=True)
    asked_at: InstantField[datetime] = InstantField()
    deadline: InstantField[datetime | None] = InstantField(null=True)
    decided_at: InstantField[datetime | None] = InstantField(null=True)

    class Meta:
        table_name = "approval"


class QuestionRow(Row):
    """A question of an agent to the operator; without an outcome it is open."""

    number = IntegerField(primary_key=True)
    asker = Text()
    text = Text()
    choices = Text(default="[]")
    choices_only = BooleanField(default=False)
    fallback = Text(null=True)
    outcome: WordField[QuestionOutcome | None] = WordField(QuestionOutcome, null=True)
    answer = Text(null=True)
    resolved_by = Text(null=True)
    asked_at: InstantField[datetime] = InstantField()
    deadline: InstantField[datetime | None] = InstantField(null=True)
    resolved_at: InstantField[datetime | None] = InstantField(null=True)

    class Meta:
        table_name = "question"


class EntryRow(Row):
    """A change of the swarm that is to stand in the deploy log, in the order of its number."""

    number = IntegerField(primary_key=True)
    agent = Text()
    occasion: WordField[Occasion] = WordField(Occasion)
    deployment = IntegerField(null=True)
    commit = Text(null=True)
    base = Text(null=True)
    by = Text()
    subject = Text(default="")
    at: InstantField[datetime] = InstantField()
    published = BooleanField(default=False)

    class Meta:
        table_name = "entry"


class ObservationRow(Row):
    """What was last seen of an agent, and told: it changes only with what is told.

    Of its epochs up to `known_epoch` nothing more is to be told. `crashes` of its container were seen since `crashes_since`,
    and at `start_at` it is to be started again.
    """

    agent = Text(primary_key=True)
    running = BooleanField()
    logged_in = BooleanField()
    up_to_date = BooleanField()
    known_epoch = IntegerField()
    boot = Text(null=True)
    at: InstantField[datetime] = InstantField()
    crashes = IntegerField(default=0)
    crashes_since: InstantField[datetime | None] = InstantField(null=True)
    start_at: InstantField[datetime | None] = InstantField(null=True)

    class Meta:
        table_name = "observation"


class AccessRow(Row):
    """A link, session or token that lets somebody into the dashboard, by the hash of its secret."""

    number = IntegerField(primary_key=True)
    kind = Text()
    hash = Text()
    label = Text()
    made_at: InstantField[datetime] = InstantField()
    seen_at: InstantField[datetime | None] = InstantField(null=True)
    ends_at: InstantField[datetime | None] = InstantField(null=True)

    class Meta:
        table_name = "access"
