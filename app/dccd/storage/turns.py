"""Who changes a dataset's files takes turns with everybody else who does."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from dccd.domain.dataset import DatasetId
from dccd.domain.errors import StorageError


class Turns:
    """One turn at a time for each dataset. Thread-safe.

    Attributes
    ----------
    ended : bool
        Whether :meth:`end` was called; who has a turn then ends it soon.
    """

    def __init__(self) -> None:
        self.ended = False
        self._mutex = threading.Lock()
        self._turns: defaultdict[DatasetId, threading.Lock] = defaultdict(threading.Lock)

    @contextmanager
    def turn(self, dataset: DatasetId) -> Iterator[None]:
        """Held while the dataset's files are changed: whoever holds it sees files and index agree.

        Raises
        ------
        StorageError
            After :meth:`end`.
        """
        with self._mutex:
            turn = self._turns[dataset]
        with turn:
            self.check()
            yield

    def check(self) -> None:
        """Raise once nobody may change a file any more.

        Raises
        ------
        StorageError
            After :meth:`end`.
        """
        if self.ended:
            raise StorageError("The data folder has been closed.")

    def end(self) -> None:
        """Return once nobody changes a file any more, nor will.

        A file that is renamed after the folder was let go would take the place of another process's.
        """
        self.ended = True
        with self._mutex:
            turns = list(self._turns.values())
        for turn in turns:
            with turn:
                pass
