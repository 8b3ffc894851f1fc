"""Brings one commit out of a manager's repository, which is hostile, into the host's own."""

import os
import shlex
import shutil
from pathlib import Path
from typing import Final

from hyperhive.core import applied, beneath, git
from hyperhive.core.applied import INCOMING, QUARANTINE
from hyperhive.core.errors import CommandFailed, HyperhiveError, Invalid, Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName
from hyperhive.core.runtimes import check
from hyperhive.core.runtimes.bubblewrap import CONFIG, Bubblewrap
from hyperhive.core.safe_text import clean

# The most that a proposal may bring along, packed; what its files may hold is `git_trees`' business.
PACK_MOST: Final = 64 * 1024**2
SECONDS: Final = 60
_MEMORY: Final = 1024**3
_SAID_MOST: Final = 64 * 1024
_ERROR_MOST: Final = 300
# What git in the box is told; nothing in the repository can say otherwise. It has nothing to lose there but time.
_SENDER: Final = (
    "git", "-c", "uploadpack.allowAnySHA1InWant=true", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false",
    "-c", "pack.threads=1", "-c", "core.packedGitWindowSize=32m", "-c", "core.packedGitLimit=256m", "upload-pack",
)  # fmt: skip
# Things that git only warns of, or lets pass, which no honest git writes (git-fsck(1)).
_STRICTER: Final = ("fullPathname", "hasDot", "hasDotdot", "hasDotgit", "emptyName", "nullSha1", "zeroPaddedFilemode")
# What git 2.39 prints, what it means, what to do.
_REASONS: Final = (
    (
        ("not our ref", "unadvertised object", "couldn't find remote ref"),
        "there is no commit {commit} in it",
        "git rev-parse HEAD",
    ),
    (("not appear to be a git repository", "not a git repository", "invalid gitfile"), "it is no git repository", "git init"),
    (("dubious ownership",), "it belongs to another user", "ls -la"),
    (("Out of memory", "out of memory", "Cannot allocate memory"), "it takes too much memory", "commit fewer or smaller files"),
)


def fetch(
    hive: Hive,
    name: AgentName,
    *,
    proposer: AgentName,
    uid: int | None,
    gid: int | None,
    commit: str,
    operation: int,
    seconds: float = SECONDS,
) -> str:
    """Bring a commit that `proposer`, of that user, has in its repository for the agent `name`; gives back its id.

    It is then `refs/incoming/<operation>` in the agent's applied repository. Before it is whole and checked nothing of it
    is there. The caller holds the agent's operation lock. Raises `Invalid` for what the proposer can mend, `Expired` after
    `seconds`, `Unavailable` for what the machine lacks.
    """
    wanted = git.full_id(commit)
    repository = applied.repository_of(hive, name)
    _check_there(hive, proposer, name)
    quarantine = repository / "objects" / f"{QUARANTINE}{operation}"
    try:
        beneath.remove(quarantine.parent, quarantine.name)
        _quarantine(quarantine)
        try:
            _receive(hive, repository, quarantine, _sender(hive, proposer, uid, gid), name, wanted, seconds)
            _take_over(quarantine / "pack", repository / "objects/pack")
        finally:
            beneath.remove(quarantine.parent, quarantine.name)
    except OSError as error:
        raise Unavailable(f"{repository} cannot be written: {error.strerror}", hint=f"df -h {repository}") from None
    git.run(repository, ["update-ref", f"{INCOMING}{operation}", wanted])
    return wanted


def _check_there(hive: Hive, proposer: AgentName, name: AgentName) -> None:
    try:
        with beneath.opened(hive.paths.proposed(proposer), os.O_PATH | beneath.FOLDER) as fd:
            os.stat(name, dir_fd=fd, follow_symlinks=False)
    except OSError:
        raise Invalid(f"{proposer} has no repository for {name}", hint=f"git clone /applied/{name}.git {CONFIG}/{name}") from None


def _sender(hive: Hive, proposer: AgentName, uid: int | None, gid: int | None) -> str:
    """The shell's words for the sending side: git in a box that holds the proposer's folder, and nothing else of the hive.

    The whole folder, whose name is the host's: the name of a repository in it could be a link by the time it is bound.
    """
    box = Bubblewrap().errand(
        _SENDER,
        uid=uid,
        gid=gid,
        binds=["--ro-bind", str(hive.paths.proposed(proposer)), CONFIG],
        env={
            "GIT_PROTOCOL": "version=2",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_NO_LAZY_FETCH": "1",
        },
        seconds=SECONDS,
        memory=_MEMORY,
    )
    return f"exec {shlex.join(box)}"


def _quarantine(folder: Path) -> None:
    """A place for objects beside those that are there (gitrepository-layout(5), info/alternates)."""
    (folder / "info").mkdir(parents=True)
    (folder / "pack").mkdir()
    (folder / "info/alternates").write_text("..\n", encoding="ascii")


def _receive(hive: Hive, repository: Path, quarantine: Path, sender: str, name: AgentName, wanted: str, seconds: float) -> None:
    settings = (
        "protocol.file.allow=always",
        "protocol.version=2",
        # One pack, whatever is in it: loose objects would have to be taken over one by one.
        "fetch.unpackLimit=1",
        *(f"fetch.fsck.{what}=error" for what in _STRICTER),
    )
    command = [
        "fetch", f"--upload-pack={sender}", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head",
        "--refmap=", "--no-auto-maintenance", "--end-of-options", f"file://{CONFIG}/{name}", wanted,
    ]  # fmt: skip
    most = {"fsize": PACK_MOST, "as": _MEMORY, "cpu": SECONDS, "core": 0}
    limits = ["prlimit", *(f"--{what}={number}:{number}" for what, number in most.items()), "--"]
    env = {"GIT_OBJECT_DIRECTORY": str(quarantine)}
    try:
        git.run_words(
            [*limits, *git.words(repository, command, settings=settings)], env=env, most=0, beyond=_SAID_MOST, timeout=seconds
        )
        # What is there must be there with all that it consists of, whatever the sender made git believe.
        complete = ["rev-list", "--objects", "--quiet", wanted, "--not", "--all"]
        git.run_words([*limits, *git.words(repository, complete)], env=env, most=0, beyond=_SAID_MOST, timeout=seconds)
        kind = git.run(repository, ["cat-file", "-t", wanted], env=env).strip()
    except CommandFailed as error:
        check(Bubblewrap(), run=hive.run)
        raise _explained(error, repository, quarantine, name, wanted) from None
    if kind != b"commit":
        raise _refused(name, f"{wanted} is no commit", "git rev-parse HEAD")


def _explained(error: CommandFailed, repository: Path, quarantine: Path, name: AgentName, wanted: str) -> HyperhiveError:
    """What the proposer, or the operator, can do about a transfer that failed, from what git printed."""
    # Half of what is printed comes from the sender, who may claim anything: what is the operator's matter is looked at.
    if "No space left" in error.output and shutil.disk_usage(repository).free < PACK_MOST:
        return Unavailable("the disk that holds the hive is full", hint=f"df -h {repository}")
    if any(path.stat().st_size >= PACK_MOST for path in quarantine.rglob("*")):
        return _refused(name, f"commit {wanted} is larger than {PACK_MOST} bytes, packed", "commit fewer or smaller files")
    for signs, sentence, hint in _REASONS:
        if any(sign in error.output for sign in signs):
            return _refused(name, sentence.format(commit=wanted), hint)
    lines = [clean(line.strip()) for line in error.output.splitlines() if line.startswith(("fatal:", "error:"))]
    if lines == ["fatal: fetch-pack: invalid index-pack output"]:
        return _refused(name, f"commit {wanted} takes too much time or memory to unpack", "commit fewer or smaller files")
    said = "; ".join(dict.fromkeys(lines))[:_ERROR_MOST] or error.message
    return _refused(name, f"commit {wanted} is not in order: {said}", "git fsck --strict")


def _refused(name: AgentName, sentence: str, hint: str) -> Invalid:
    return Invalid(f"nothing is taken over from the repository for {name}: {sentence}", hint=hint)


def _take_over(arrived: Path, packs: Path) -> None:
    packs.mkdir(exist_ok=True)
    # The index last: without it no git looks at a pack.
    files = sorted(
        (path for path in arrived.iterdir() if path.suffix in (".pack", ".rev", ".idx")), key=lambda path: path.suffix == ".idx"
    )
    for path in files:
        path.chmod(0o444)
        path.rename(packs / path.name)
    git.sync(packs)
