"""What this machine can run: the reason why not, for each mark that a test may carry."""

import functools
import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

_OVERLAY = """
mount -t tmpfs tmpfs /run
mkdir /run/upper /run/work /run/root
mount -t overlay -o lowerdir=/,upperdir=/run/upper,workdir=/run/work overlay /run/root
[ -e /sys/fs/cgroup/cgroup.procs ] || { umount --recursive /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup; }
mkdir /sys/fs/cgroup/hyperhive-probe-$$
rmdir /sys/fs/cgroup/hyperhive-probe-$$
"""


@functools.cache
def lacks(mark: str) -> str | None:
    """Say why tests with this mark cannot run here, or None when they can."""
    match mark:
        case "root":
            return None if os.geteuid() == 0 else "needs root"
        case "box":
            return _lacks_box()
        case "cgroup":
            return _lacks_cgroup()
        case "systemd":
            return _lacks_systemd()
        case "browser":
            return None if chromium() else "needs chromium"
        case "claude":
            return None if claude_program() else "needs the claude program: the extra `claude`, or one on PATH"
        case _:
            raise ValueError(f"no mark {mark!r}")


def chromium() -> Path | None:
    """The system's own browser, which Debian and others call so, or one of its other names."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    return Path(found) if found else None


def claude_program() -> Path | None:
    """The real claude: the one in the wheel claude-agent-sdk, else the one on PATH."""
    # find_spec looks for the folder only: importing the SDK takes a second.
    spec = importlib.util.find_spec("claude_agent_sdk")
    for folder in (spec.submodule_search_locations if spec else None) or []:
        bundled = Path(folder, "_bundled", "claude")
        if bundled.exists():
            return bundled
    on_path = shutil.which("claude")
    return Path(on_path) if on_path else None


def _lacks_cgroup() -> str | None:
    # Not above: nothing of hyperhive is loaded before the real home is guarded.
    from hyperhive.core.cgroup_trees import find_trees
    from hyperhive.core.errors import Unavailable

    try:
        find_trees()
    except Unavailable as error:
        return f"needs control groups: {error.message}"
    return None


def _lacks_box() -> str | None:
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        return "needs bubblewrap"
    # What the product's containers need most: bubblewrap 0.8, a user namespace, as root for a user without rights.
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"] if os.geteuid() == 0 else []
    container = ["--unshare-all", "--unshare-user", "--disable-userns", "--cap-drop", "ALL", "--ro-bind", "/", "/"]
    tried = subprocess.run(
        [*as_nobody, bwrap, *container, "--proc", "/proc", "--dev", "/dev", "--", "/bin/true"],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    return None if tried.returncode == 0 else f"needs a working bubblewrap: {tried.stderr.strip()}"


def _lacks_systemd() -> str | None:
    """What `tests.support.systemd_host` needs: root, systemd-nspawn, an overlay of /, control groups that may be written."""
    if os.geteuid() != 0:
        return "needs root"
    for program in ("systemd-nspawn", "unshare", "nsenter"):
        if shutil.which(program) is None:
            return f"needs {program}"
    if os.stat("/usr").st_dev != os.stat("/").st_dev:
        return "needs /usr on the file system of /"
    tried = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "--", "sh", "-ec", _OVERLAY],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    return None if tried.returncode == 0 else f"needs an overlay and control groups: {tried.stderr.strip()}"
