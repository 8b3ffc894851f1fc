"""What a hostile agent tries, run alone in its container: prints which attempts succeeded, as a JSON list."""

import contextlib
import ctypes
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

LIBC = ctypes.CDLL(None, use_errno=True)
PTRACE_SEIZE, PTRACE_ATTACH = 0x4206, 16
CLONE_NEWUSER = 0x1000_0000
Attempt = Callable[[dict[str, Any]], Any]
ATTEMPTS: dict[str, Attempt] = {}
# These would change the machine itself if they succeeded on it: they are left out where its namespaces are not left.
HARMFUL: set[str] = set()


def attempt(try_it: Attempt) -> Attempt:
    ATTEMPTS[try_it.__name__] = try_it
    return try_it


def harmful(try_it: Attempt) -> Attempt:
    HARMFUL.add(try_it.__name__)
    return attempt(try_it)


def namespaces() -> list[int]:
    """Which mounts and which host name this process would change."""
    return [os.stat(f"/proc/self/ns/{kind}").st_ino for kind in ("mnt", "uts")]


def peers() -> list[str]:
    """The groups of mounts in which a change of one is a change of all (proc_pid_mountinfo(5))."""
    return [word for word in Path("/proc/self/mountinfo").read_text().split() if word.startswith("shared:")]


def succeeds(code: int) -> bool:
    """A function of the C library did not say that it failed."""
    return code != -1


def connects(address: str) -> bool:
    with socket.socket(socket.AF_UNIX) as peer:
        return peer.connect_ex(address) == 0


@attempt
def read_a_secret(given: dict[str, Any]) -> bool:
    return "canary" in Path(given["secret"]).read_text()


@attempt
def list_homes(given: dict[str, Any]) -> list[str]:
    return [name for folder in ("/home", "/root", "/var", "/srv") if os.path.isdir(folder) for name in os.listdir(folder)]


@attempt
def see_another_agents_notes(given: dict[str, Any]) -> bool:
    return "canary" in Path(given["neighbour_note"]).read_text()


@attempt
def plant_a_file_at_another_agent(given: dict[str, Any]) -> bool:
    Path(given["neighbour_note"]).with_name("planted").write_text("x")
    return True


@attempt
def speak_through_another_agents_socket(given: dict[str, Any]) -> bool:
    return connects(given["neighbour_socket"])


@attempt
def reach_a_service_of_the_host(given: dict[str, Any]) -> bool:
    return connects(given["service"])


@attempt
def reach_the_system_services(given: dict[str, Any]) -> list[str]:
    known = ["/run/dbus/system_bus_socket", "/nix/var/nix/daemon-socket/socket", "/run/docker.sock", "/run/systemd/private"]
    return [path for path in (*known, f"/run/user/{os.getuid()}/bus") if os.path.lexists(path)]


@attempt
def reach_an_abstract_socket(given: dict[str, Any]) -> bool:
    return connects("\0" + given["abstract"])


@attempt
def reach_the_network(given: dict[str, Any]) -> bool:
    with socket.socket() as peer:
        return peer.connect_ex(("127.0.0.1", given["port"])) == 0


@attempt
def signal_a_process(given: dict[str, Any]) -> bool:
    os.kill(given["pid"], 0)
    return True


@attempt
def see_a_process(given: dict[str, Any]) -> bool:
    return given["mark"].encode() in Path(f"/proc/{given['pid']}/environ").read_bytes()


@attempt
def trace_a_process(given: dict[str, Any]) -> bool:
    return any(succeeds(LIBC.ptrace(how, given["pid"], None, None)) for how in (PTRACE_SEIZE, PTRACE_ATTACH))


@attempt
def find_any_process_with_the_mark(given: dict[str, Any]) -> bool:
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if given["mark"].encode() in path.read_bytes():
                return True
    return False


@harmful
def mount_something(given: dict[str, Any]) -> bool:
    return succeeds(LIBC.mount(b"none", b"/tmp", b"tmpfs", 0, None))


@harmful
def write_where_it_is_read_only(given: dict[str, Any]) -> bool:
    # MS_REMOUNT | MS_BIND
    return succeeds(LIBC.mount(None, b"/usr", None, 32 | 4096, None))


@attempt
def make_a_device(given: dict[str, Any]) -> bool:
    with contextlib.suppress(FileNotFoundError):
        os.unlink("device")
    os.mknod("device", 0o60600, os.makedev(254, 0))
    os.unlink("device")
    return True


@attempt
def open_a_disk(given: dict[str, Any]) -> list[str]:
    return [name for name in os.listdir("/dev") if name.startswith(("vd", "sd", "nvme", "loop", "mem", "kmsg", "kvm"))]


@harmful
def change_the_kernel(given: dict[str, Any]) -> bool:
    value = Path("/proc/sys/kernel/core_pattern").read_bytes()
    Path("/proc/sys/kernel/core_pattern").write_bytes(value)
    return True


@attempt
def press_sysrq(given: dict[str, Any]) -> bool:
    return os.access("/proc/sysrq-trigger", os.W_OK)


@harmful
def rename_the_host(given: dict[str, Any]) -> bool:
    socket.sethostname("stolen")
    return True


@attempt
def change_the_root(given: dict[str, Any]) -> bool:
    pid = os.fork()
    if pid == 0:
        os._exit(0 if succeeds(LIBC.chroot(b"/usr")) else 1)
    return os.waitpid(pid, 0)[1] == 0


@attempt
def become_root(given: dict[str, Any]) -> bool:
    os.setresuid(0, 0, 0)
    return True


@attempt
def make_a_user_namespace(given: dict[str, Any]) -> bool:
    pid = os.fork()
    if pid == 0:
        os._exit(0 if succeeds(LIBC.unshare(CLONE_NEWUSER)) else 1)
    return os.waitpid(pid, 0)[1] == 0


@attempt
def raise_its_limit(given: dict[str, Any]) -> bool:
    import resource

    most = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    resource.setrlimit(resource.RLIMIT_NPROC, (most, most + 1 if most > 0 else most))
    return True


@attempt
def take_the_operators_keys(given: dict[str, Any]) -> bool:
    # keyctl(KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, …)
    return succeeds(LIBC.syscall(given["keyctl"], 10, -3, b"user", given["mark"].encode(), 0))


@attempt
def gain_by_setuid(given: dict[str, Any]) -> bool:
    return "NoNewPrivs:\t0" in Path("/proc/self/status").read_text()


@attempt
def keep_a_capability(given: dict[str, Any]) -> bool:
    lines = Path("/proc/self/status").read_text().splitlines()
    return any(int(line.split()[1], 16) for line in lines if line.startswith(("CapPrm", "CapEff", "CapInh", "CapAmb")))


@attempt
def use_an_inherited_descriptor(given: dict[str, Any]) -> list[str]:
    return [name for name in os.listdir("/proc/self/fd") if int(name) > 2 and os.path.exists(f"/proc/self/fd/{name}")]


@harmful
def unmount_something(given: dict[str, Any]) -> bool:
    return succeeds(LIBC.umount2(b"/proc", 2))


@attempt
def share_the_machines_namespaces(given: dict[str, Any]) -> bool:
    return shares(given)


def shares(given: dict[str, Any]) -> bool:
    """A change of mounts or of the host name here would be one of the machine, too."""
    same = any(here == there for here, there in zip(namespaces(), given["namespaces"], strict=True))
    return same or bool(set(peers()) & set(given["peers"]))


def successes(given: dict[str, Any]) -> Iterator[str]:
    # Looked at before anything is tried: one attempt takes /proc away.
    left_out = HARMFUL if shares(given) else set()
    # Whatever changes the surroundings of the others comes last.
    for name, try_it in sorted(ATTEMPTS.items(), key=lambda item: item[0] in HARMFUL):
        if name not in left_out:
            # ValueError is how the resource module says that it may not.
            with contextlib.suppress(OSError, ValueError):
                if try_it(given):
                    yield name


if __name__ == "__main__":
    signal.alarm(60)
    print(json.dumps(list(successes(json.loads(sys.argv[1])))))
