"""The words of the core for durations, ages, moments, money and numbers, where the shell's commands look for them."""

from hyperhive.core.words import age, clock, count, duration, moment, money, size

__all__ = ["age", "clock", "count", "duration", "moment", "money", "size"]
