"""The one way to say durations, ages, moments, money and numbers."""

from datetime import datetime


def duration(seconds: float) -> str:
    """`850ms`, `12.3s`, `2m 05s`, `2h 05m`, `3d 04h`."""
    if seconds < 0.9995:
        return f"{max(0, round(seconds * 1000))}ms"
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    if whole < 86_400:
        return f"{whole // 3600}h {whole % 3600 // 60:02}m"
    return f"{whole // 86_400}d {whole % 86_400 // 3600:02}h"


def age(since: datetime | None, now: datetime) -> str:
    """How long ago, in its largest unit: `12s`, `5m`, `3h`, `2d`."""
    if since is None:
        return ""
    seconds = max(0, int((now - since).total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def moment(instant: datetime, now: datetime) -> str:
    """The local time of day, with the date where it is another day's."""
    local = instant.astimezone()
    return f"{local:%H:%M}" if local.date() == now.astimezone().date() else f"{local:%Y-%m-%d %H:%M}"


def clock(instant: datetime) -> str:
    """The local time of day with its seconds."""
    return f"{instant.astimezone():%H:%M:%S}"


def money(dollars: float) -> str:
    """US dollars, with the fractions that a small turn costs."""
    return f"${dollars:.4f}" if dollars < 1 else f"${dollars:,.2f}"


def count(number: int, what: str) -> str:
    """`1 message`, `2 messages`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def size(count: float) -> str:
    """Bytes in their largest unit: `512 B`, `12.3 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
