"""Keeps one throw-away systemd up for as long as its standard input is open.

A program of its own, in a mount namespace of its own (`unshare --mount`), and the parent of the container: however it
ends, the mounts and every process go with it. It prints a line `ready PID` after each boot, PID being the container's
first process as seen from outside.
"""

import contextlib
import os
import re
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

PREFIX = "hyperhive-host-"
GROUPS = Path("/sys/fs/cgroup")
RUN = Path("/run")
ROOT = RUN / "root"
# How a boot ends that another one follows: the system asked for it (systemd-nspawn --keep-unit), or its power was cut.
AGAIN = (133, -signal.SIGKILL)
# Nothing of the machine's own is to run in it, nor to be seen as a hive.
HIDDEN = ("etc/hyperhive", "var/lib/hyperhive")
EMPTIED = ("etc/systemd/system", "etc/systemd/user", "var/lib/machines", "var/lib/systemd", "var/log/journal")
# The first three would change settings of the machine, which are not of a namespace; the others only take time.
MASKED = (
    "systemd-sysctl.service", "systemd-modules-load.service", "systemd-binfmt.service",
    "console-getty.service", "systemd-networkd-wait-online.service", "systemd-update-utmp.service",
)  # fmt: skip

# What a machine lets programs do, and a container does not: with it, what keeps agents in can be shown.
LANDLOCK = ("landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self")


def main(words: list[str]) -> int:
    """Boot, again after each reboot or power cut, until nobody wants the host any more; `words` go to systemd-nspawn."""
    group = find_group()
    make_root()
    # A systemd-nspawn that is killed leaves what it has booted; as the first process of a namespace it does not.
    command = [
        "sh", "-c", 'echo 0 >"$0" && exec "$@"', str(group / "cgroup.procs"),
        "setpriv", "--pdeathsig", "KILL", "--", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--",
        "systemd-nspawn", "--quiet", f"--directory={ROOT}", f"--machine={group.name}", "--register=no", "--keep-unit",
        "--private-network", "--capability=all", f"--system-call-filter={' '.join(LANDLOCK)}", "--notify-ready=yes",
        "--console=read-only", "--boot", *words,
    ]  # fmt: skip
    code: int | None = AGAIN[0]
    while code in AGAIN:
        group.mkdir()
        try:
            code = boot(command)
        finally:
            remove_group(group)
    if code is None:
        return 0
    sys.stderr.write(f"the systemd host ended with code {code}\n{console()}")
    return 1


def find_group() -> Path:
    """Where the host's control group is to be; those whose keepers were killed are removed."""
    if not (GROUPS / "cgroup.procs").exists():
        # The container would be given the first version, of which a systemd wants a hierarchy of its own.
        subprocess.run(["umount", "--recursive", GROUPS], check=True)
        mount("cgroup2", GROUPS)
    for left in GROUPS.glob(f"{PREFIX}*"):
        if not Path("/proc", left.name.removeprefix(PREFIX)).exists():
            remove_group(left)
    return GROUPS / f"{PREFIX}{os.getpid()}"


def remove_group(group: Path) -> None:
    """End what runs in a control group, and remove it with all below."""
    deadline = time.monotonic() + 10
    while group.exists() and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            (group / "cgroup.kill").write_text("1")
        for folder, _, _ in os.walk(group, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(folder)
        time.sleep(0.01)


def make_root() -> None:
    """Lay what the host writes over this machine's own files, which it cannot change."""
    mount("tmpfs", RUN, "mode=755")
    for folder in (RUN / "systemd", RUN / "lock", RUN / "upper", RUN / "work", ROOT):
        folder.mkdir()
    mount("overlay", ROOT, f"lowerdir=/,upperdir={RUN}/upper,workdir={RUN}/work")
    for name in (*HIDDEN, *EMPTIED):
        shutil.rmtree(ROOT / name, ignore_errors=True)
    for name in EMPTIED:
        (ROOT / name).mkdir(parents=True)
    # Much may lie there; the container makes a /tmp of its own.
    mount("tmpfs", ROOT / "var/tmp", "mode=1777")
    for unit in MASKED:
        (ROOT / "etc/systemd/system" / unit).symlink_to("/dev/null")
    (ROOT / "etc/machine-id").write_text("")
    (ROOT / "etc/hostname").write_text("throwaway\n")
    (ROOT / "etc/fstab").write_text("")


def mount(kind: str, target: Path, options: str = "") -> None:
    """Mount in this process's own namespace."""
    subprocess.run(["mount", "-t", kind, kind, target, *(["-o", options] if options else [])], check=True)


def boot(command: list[str]) -> int | None:
    """Boot, and say so when it is up. Gives back how the container ended, or None when nobody wants it any more."""
    path = RUN / "notify"
    path.unlink(missing_ok=True)
    with contextlib.ExitStack() as ends:
        notify = ends.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        notify.bind(os.fspath(path))
        out = ends.enter_context((RUN / "console").open("wb"))
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            # Without the last, no container can be made in it: what it would have of /proc is covered.
            env={"PATH": os.environ["PATH"], "NOTIFY_SOCKET": str(path), "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "1"},
        )  # fmt: skip
        ends.callback(child.wait)
        ends.callback(child.kill)
        ended = os.pidfd_open(child.pid)
        ends.callback(os.close, ended)
        selector = ends.enter_context(selectors.DefaultSelector())
        for source in (notify.fileno(), ended, sys.stdin.fileno()):
            selector.register(source, selectors.EVENT_READ)
        is_up = False
        while True:
            ready = {key.fd for key, _ in selector.select()}
            if sys.stdin.fileno() in ready:
                return None
            if ended in ready:
                return child.wait()
            if "READY=1" in notify.recv(4096).decode().splitlines() and not is_up:
                # It says so again whenever its units are read anew.
                is_up = True
                print(f"ready {child_of(child_of(child.pid))}", flush=True)


def child_of(pid: int) -> int:
    """The only process that another one has started."""
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return int(child)


def console() -> str:
    """The end of what the boot said, without colours."""
    said = (RUN / "console").read_text(encoding="utf-8", errors="replace")
    return re.sub(r"\x1b\[[0-9;]*m", "", said)[-4000:]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
