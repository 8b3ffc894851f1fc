"""Takes away what namespaces leave to a program in a container, then becomes that program."""

# It runs alone in the container, on whatever Python is there: only what every Python 3 brings.
import ctypes
import os
import resource
import struct
import sys

# The same on every machine (include/uapi/asm-generic/unistd.h); keyctl's number is not.
LANDLOCK_CREATE_RULESET = 444
LANDLOCK_RESTRICT_SELF = 446
KEYCTL = {"x86_64": 250, "aarch64": 219, "riscv64": 219, "ppc64le": 271, "s390x": 280}
JOIN_SESSION_KEYRING = 1
# Abstract unix sockets and signals beyond the container: landlock(7), since ABI 6 (Linux 6.12).
SCOPED = 3
SCOPED_SINCE = 6


def syscall(number: int, *words: object) -> int:
    """A system call that has no function in the C library; -1 when it fails."""
    return int(ctypes.CDLL(None).syscall(number, *words))


def can_scope() -> bool:
    """This kernel can keep a program from abstract sockets outside, which an open network brings along."""
    return syscall(LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), 1) >= SCOPED_SINCE


def forget_keys() -> None:
    """Begin a keyring of its own: the one of the session that started all this may hold the operator's keys."""
    number = KEYCTL.get(os.uname().machine)
    if number is not None:
        syscall(number, JOIN_SESSION_KEYRING, None)


def stay_inside() -> None:
    """Give up what lies outside but is not kept out by namespaces, where the kernel can do so."""
    if can_scope():
        # handled_access_fs, handled_access_net, scoped
        rules = struct.pack("QQQ", 0, 0, SCOPED)
        fd = syscall(LANDLOCK_CREATE_RULESET, rules, ctypes.c_size_t(len(rules)), 0)
        if fd < 0 or syscall(LANDLOCK_RESTRICT_SELF, fd, 0) != 0:
            sys.exit("the kernel did not keep this container from sockets outside")
        os.close(fd)


def limit_tasks(most: int) -> None:
    """Allow this many processes and threads in the container, for good."""
    resource.setrlimit(resource.RLIMIT_NPROC, (most, most))


if __name__ == "__main__":
    # What runs a whole system is limited otherwise.
    if sys.argv[1] != "-":
        limit_tasks(int(sys.argv[1]))
    forget_keys()
    stay_inside()
    try:
        os.execvp(sys.argv[2], sys.argv[2:])
    except OSError as error:
        sys.stderr.write(f"{sys.argv[2]}: {error.strerror}\n")
        sys.exit(127 if isinstance(error, FileNotFoundError) else 126)
