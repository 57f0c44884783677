"""What a power cut may leave of what was not synced.

POSIX promises nothing of it. Of a file's bytes since its last sync, each sector may hold what it held at any
moment since then, or nothing, or what the space held for another file before; the length may be any since
then. Of names, any may be there in its new state while an older change is not. NTFS keeps the order of names.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from enum import StrEnum

SECTOR = 512


class Loss(StrEnum):
    """What becomes of what was not synced."""

    NOTHING = "nothing"  # the process died, not the machine
    ALL = "all"
    TORN = "torn"  # some names, and of each file's new bytes a part
    ZEROED = "zeroed"  # some names, and new bytes there in length only from some point on
    SCATTERED = "scattered"  # some names; each sector new, old or zero, whatever its neighbours are
    STALE = "stale"  # some names; new sectors may hold what was in files since removed

    @property
    def power_cut(self) -> bool:
        """Whether the machine died, and not only the process."""
        return self is not Loss.NOTHING


def surviving_bytes(
    versions: Sequence[bytes], loss: Loss, rng: random.Random, removed: Sequence[bytes] = ()
) -> bytearray:
    """A file's bytes after a crash.

    Parameters
    ----------
    versions : sequence of bytes
        The file as it was at its last sync, and after each change since.
    removed : sequence of bytes
        What removed files held.
    """
    if loss is Loss.NOTHING:
        return bytearray(versions[-1])
    if loss is Loss.ALL or len(versions) == 1:
        return bytearray(versions[0])
    last = rng.randrange(1, len(versions))
    before, after = versions[last - 1], versions[last]
    if not after.startswith(before):  # it was cut short: it is so, or not yet
        return bytearray(rng.choice((before, after)))
    match loss:
        case Loss.TORN:
            return bytearray(after[: rng.randint(len(before), len(after))])
        case Loss.ZEROED:
            kept = after[: rng.randint(min(len(versions[0]), len(after)), len(after))]
            return bytearray(kept.ljust(len(after), b"\0"))
    found = bytearray(rng.choice(versions[: last + 1]) if rng.random() < 0.25 else after)
    for start in range(0, len(found), SECTOR):
        here = slice(start, min(start + SECTOR, len(found)))
        choices = [after[here], *(version[here] for version in versions[: last + 1])]
        if loss is Loss.STALE and start >= len(versions[0]):  # space that no synced byte is in was another's
            choices += [old[here] for old in removed[-3:]]
        found[here] = rng.choice(choices).ljust(here.stop - here.start, b"\0")
    return found
