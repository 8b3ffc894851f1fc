"""What was measured: samples, what they stand beside, what is aimed at."""

import math
import statistics
from enum import StrEnum
from typing import Any

import msgspec


class Unit(StrEnum):
    """What the values of a figure count."""

    SECONDS = "seconds"
    BYTES = "bytes"
    NUMBER = "number"
    SHARE = "share of a core"


class Sample(msgspec.Struct, frozen=True):
    """All values of one thing that was done many times."""

    what: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The value in the middle."""
        return statistics.median(self.values)

    @property
    def worst(self) -> float:
        """The value that 99 of 100 do not exceed; with fewer values simply the greatest."""
        return sorted(self.values)[math.ceil(0.99 * len(self.values)) - 1]


class Aim(msgspec.Struct, frozen=True):
    """The most that a figure should be; None where nothing is aimed at. `ratio` is between the two medians."""

    median: float | None = None
    worst: float | None = None
    ratio: float | None = None


class Figure(msgspec.Struct, frozen=True):
    """One line of the table: what hyperhive needs, and what the machine or the agent CLI alone would need."""

    name: str
    sample: Sample
    unit: Unit = Unit.SECONDS
    beside: Sample | None = None
    aim: Aim | None = None

    @property
    def ratio(self) -> float | None:
        """How many times as much as what it stands beside."""
        return None if self.beside is None else self.sample.median / self.beside.median

    @property
    def is_met(self) -> bool | None:
        """The aim is reached; None where there is none."""
        if self.aim is None:
            return None
        pairs = [(self.aim.median, self.sample.median), (self.aim.worst, self.sample.worst), (self.aim.ratio, self.ratio)]
        return all(found is not None and found <= most for most, found in pairs if most is not None)

    def plain(self) -> dict[str, Any]:
        """The same as JSON has it."""
        return {
            "name": self.name,
            "unit": self.unit.value,
            **_plain(self.sample),
            "beside": None if self.beside is None else _plain(self.beside),
            "ratio": self.ratio,
            "aim": None if self.aim is None else msgspec.to_builtins(self.aim),
            "is_met": self.is_met,
        }


def _plain(sample: Sample) -> dict[str, Any]:
    return {"what": sample.what, "rounds": len(sample.values), "median": sample.median, "worst": sample.worst}
