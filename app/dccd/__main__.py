"""``dccd``, ``python -m dccd``, and the entry point of the packaged program."""

import sys
from importlib.abc import MetaPathFinder


class _KeptOut(MetaPathFinder):
    """Keeps modules out of this process that libraries do without, and this program has no use for.

    Where they are installed, pyarrow imports numpy, and pandas to make its first array: two seconds at every
    start. httpx imports its own command line, with click and rich.
    """

    NAMES = frozenset({"pandas", "numpy", "httpx._main"})

    def find_spec(self, fullname: str, *_: object) -> None:
        if fullname in self.NAMES:
            raise ModuleNotFoundError(f"{fullname} is kept out of this program", name=fullname)


_INTERRUPTED = 130  # a shell's way to say it


def main() -> None:
    """Run the window's process when told to be it, else the command line."""
    if "--window" in sys.argv[1:2]:
        from dccd.interfaces.desktop.window_process import main as window_main

        sys.exit(window_main())
    sys.meta_path.insert(0, _KeptOut())
    try:
        from dccd.interfaces.cli.main import run

        status = run()
    except KeyboardInterrupt:  # before there was anything to end
        status = _INTERRUPTED
    sys.exit(status)


if __name__ == "__main__":
    main()
