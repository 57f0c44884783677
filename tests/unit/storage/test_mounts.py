from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from dccd.storage import mounts
from dccd.storage.mounts import network_share
from dccd.storage.store import Store

MOUNTINFO = r"""
21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 21 0:26 / /srv/nfs rw,relatime shared:2 master:4 - nfs4 host:/x rw,vers=4.2
31 30 254:1 / /srv/nfs/disk rw - xfs /dev/vdb rw
32 21 0:27 / /srv/with\040space rw - cifs //host/x rw
33 21 0:28 / /srv/ssh rw - fuse.sshfs me@host: rw
34 21 0:29 / /srv/ntfs rw - fuseblk /dev/sdb1 rw
35 21 0:30 / /srv/later rw - nfs host:/x rw
36 21 254:2 / /srv/later rw - ext4 /dev/vdc rw
a line of another form
"""
MOUNT = """\
/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
//me@host/my (data) on /Volumes/my (data) (smbfs, nodev, nosuid)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's own list")
@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/data/dccd", None),
        ("/srv/nfs", "nfs4"),
        ("/srv/nfs/dccd", "nfs4"),
        ("/srv/nfs/disk/dccd", None),
        ("/srv/nfsx", None),
        ("/srv/with space/dccd", "cifs"),
        ("/srv/ssh/dccd", "fuse.sshfs"),
        ("/srv/ntfs/dccd", None),
        ("/srv/later/dccd", None),
    ],
)
def test_a_share_is_known_by_its_mount(
    path: str, kind: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = tmp_path / "mountinfo"
    listing.write_text(MOUNTINFO, encoding="ascii")
    monkeypatch.setattr(mounts, "_MOUNTINFO", listing)
    assert network_share(Path(path)) == kind
    listing.unlink()
    assert network_share(Path(path)) is None


def test_macos_says_it_in_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(subprocess, "run", lambda *_a, **_k: SimpleNamespace(stdout=MOUNT))
    assert network_share(Path("/Volumes/my (data)/dccd")) == "smbfs"
    assert network_share(Path("/Users/me")) is None


def test_a_data_folder_on_a_share_is_a_problem_in_words(
    data_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mounts, "network_share", lambda _path: "nfs4")
    with closing(Store.open(data_path)) as opened:
        assert ["network share (nfs4)" in problem.text for problem in opened.problems] == [True]
    monkeypatch.undo()
    with closing(Store.open(data_path)) as opened:
        assert opened.problems == ()
