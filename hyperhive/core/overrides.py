"""The mark of a method that takes another's place, without the import that it costs."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import override as override
else:

    def override(method):
        """Nothing at run time: typing_extensions would take a tenth of what `--help` takes."""
        return method
