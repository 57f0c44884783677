"""``dccd``, ``python -m dccd``, and the entry point of the packaged program."""

import sys
from importlib.abc import MetaPathFinder


class _WithoutPandas(MetaPathFinder):
    """Keeps pandas out of this process.

    Where pandas is installed pyarrow imports it to make its first array: two seconds at every start, for
    something this program does not use.
    """

    def find_spec(self, fullname: str, *_: object) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("pandas is kept out of this program", name=fullname)


def main() -> None:
    """Run the window's process when told to be it, else the command line."""
    if "--window" in sys.argv[1:2]:
        from dccd.interfaces.desktop.window_process import main as window_main

        sys.exit(window_main())
    sys.meta_path.insert(0, _WithoutPandas())
    from dccd.interfaces.cli.main import run

    sys.exit(run())


if __name__ == "__main__":
    main()
