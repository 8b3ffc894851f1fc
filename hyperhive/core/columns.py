"""How text, words and instants are kept in the columns of a table."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from peewee import Field, ModelSelect, TextField

from hyperhive.core.overrides import override

W = TypeVar("W")
T = TypeVar("T")


if TYPE_CHECKING:
    Column = Field
    Text = TextField
else:

    class Text(TextField):
        """Text of whatever origin."""

        def adapt(self, value: object) -> str:
            return storable(super().adapt(value))

    class Column(Field):
        """peewee's stubs give a field the type of its values, which peewee itself does not know of."""

        def __class_getitem__(cls, _: object) -> type:
            return cls


class WordField(Column[W]):
    """A word of a closed list."""

    field_type = "TEXT"

    def __init__(self, words: type[StrEnum], **options: Any) -> None:
        super().__init__(**options)
        self._words = words

    @override
    def db_value(self, value: StrEnum | None) -> str | None:
        return None if value is None else str(value)

    @override
    def python_value(self, value: str | None) -> StrEnum | None:
        return None if value is None else self._words(value)


class InstantField(Column[T]):
    """An instant: UTC milliseconds in the file, since apsw binds no datetime, an aware datetime in a value."""

    field_type = "INTEGER"

    @override
    def db_value(self, value: datetime | None) -> int | None:
        return None if value is None else to_milliseconds(value)

    @override
    def python_value(self, value: int | None) -> datetime | None:
        return None if value is None else from_milliseconds(value)


def storable(text: str) -> str:
    """The text as SQLite takes it: a lone surrogate, which no encoding has, becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


def to_milliseconds(instant: datetime) -> int:
    """UTC milliseconds since 1970."""
    return round(instant.timestamp() * 1000)


def from_milliseconds(milliseconds: int) -> datetime:
    """The aware UTC datetime."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def rows(query: "ModelSelect[Any]") -> list[tuple[Any, ...]]:
    """What a query for columns finds, as tuples."""
    return list(query.tuples().execute())
