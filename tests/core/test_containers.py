"""What is looked at before a container is booted."""

import subprocess
import sys

import pytest

from hyperhive.core import containers
from hyperhive.core.errors import Denied
from hyperhive.core.hive import open_hive
from hyperhive.core.runtimes import runtime_named

# In a user namespace whose own limit is lower, as root in it.
FEW = """
from pathlib import Path
from hyperhive.core import containers, errors
limit = Path("/proc/sys/user/max_inotify_instances")
for most in (containers.INOTIFY_EACH + containers.INOTIFY_LEFT, containers.INOTIFY_EACH):
    limit.write_text(str(most))
    try:
        containers.check_inotify()
        print("enough")
    except errors.Unavailable as error:
        print(error.hint)
"""


@pytest.mark.root
def test_where_inotify_instances_run_out_none_is_booted() -> None:
    words = ["unshare", "--user", "--map-root-user", "--", sys.executable, "-c", FEW]
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ran.stdout.splitlines() == ["enough", f"sudo sysctl {containers.MORE_INOTIFY}"], ran.stderr


def test_only_root_in_the_machines_own_hive_has_containers_that_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    hive = open_hive()
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(Denied, match="only root") as refused:
        containers.check(hive, runtime_named("nspawn"))
    assert refused.value.hint
    monkeypatch.setattr("os.geteuid", lambda: 0)
    with pytest.raises(Denied, match="another one"):
        containers.check(hive, runtime_named("nspawn"))
