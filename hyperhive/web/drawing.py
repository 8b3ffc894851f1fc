"""How values become rows: each is drawn when it has changed, once for all browsers."""

from collections.abc import Mapping
from typing import Final

from jinja2 import Environment

from hyperhive.web.rows import Row, row

_NOTHING: Final = object()


class Drawing:
    """Draws values with the macros `head` and `body` of a template, and remembers what it has drawn."""

    def __init__(self, jinja: Environment) -> None:
        self._jinja = jinja
        self._drawn: dict[str, dict[str, tuple[object, Row]]] = {}

    def rows(self, template: str, values: Mapping[str, object]) -> tuple[Row, ...]:
        """A row for each value, by its key. The body is drawn with the row, and never again while the row is there."""
        known = self._drawn.get(template, {})
        drawn: dict[str, tuple[object, Row]] = {}
        for key, value in values.items():
            before, old = known.get(key, (_NOTHING, None))
            if old is not None and before == value:
                drawn[key] = (value, old)
                continue
            macros = self._jinja.get_template(template).module
            head = str(macros.head(value))  # type: ignore[attr-defined]  # a template's macros are its attributes
            body = old.body if old is not None else str(macros.body(value))  # type: ignore[attr-defined]  # as above
            drawn[key] = (value, row(key, head, body))
        self._drawn[template] = drawn
        return tuple(one for _, one in drawn.values())

    def sign(self, template: str, key: str, value: object) -> Row:
        """A sign, drawn with the macro `sign` of a template."""
        before, old = self._drawn.get(f"sign {key}", {}).get(key, (_NOTHING, None))
        if old is not None and before == value:
            return old
        made = row(key, str(self._jinja.get_template(template).module.sign(value)))  # type: ignore[attr-defined]  # as above
        self._drawn[f"sign {key}"] = {key: (value, made)}
        return made
