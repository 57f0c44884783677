"""``python -m dccd``, and the entry point of the packaged program."""

import sys


def main() -> None:
    """Run the window's process when told to be it, else the command line."""
    if "--window" in sys.argv[1:2]:
        from dccd.interfaces.desktop.window_process import main as window_main

        sys.exit(window_main())
    from dccd.interfaces.cli.main import run

    sys.exit(run())


if __name__ == "__main__":
    main()
