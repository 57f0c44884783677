"""What can be typed: commands, arguments, help. Imports nothing heavy, so that ``--help`` is instant."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

import dccd

_TIMES = "ISO-8601 (UTC unless it says otherwise) or an integer of nanoseconds"
_TYPES = ("ohlc", "trades", "orderbook", "funding", "open_interest")

EPILOG = """\
examples:
  dccd                                             open the app
  dccd backfill binance BTC/USDT --span 1h --start 2024-01-01
  dccd read binance BTC/USDT --span 1h --limit 10
  dccd export binance BTC/USDT --span 1h --to ~/data
  dccd serve --port 8080                           collect without a window

exit status: 0 done, 1 failed or something found wrong, 2 wrong use, 130 interrupted (nothing is lost)
"""


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    everywhere = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    places = everywhere.add_argument_group("places")
    places.add_argument("--data-path", metavar="DIR", help="data folder (also DCCD_DATA_PATH)")
    places.add_argument("--config", metavar="FILE", help="configuration file (also DCCD_CONFIG)")

    parser = argparse.ArgumentParser(
        prog="dccd",
        description="Crypto-currency market data, complete, on your own disk, in plain Parquet.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[everywhere],
    )
    parser.add_argument("--version", action="version", version=f"dccd {dccd.__version__}")
    parser.add_argument("--hidden", action="store_true", help="start in the tray, without showing the window")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    def command(name: str, summary: str, aliases: Sequence[str] = ()) -> argparse.ArgumentParser:
        return commands.add_parser(
            name, help=summary, description=summary, aliases=list(aliases), parents=[everywhere]
        )

    serve = command(
        "serve", "Run without a window and print the address to open in a browser.", ("start", "ui")
    )
    serve.add_argument(
        "--port", type=_port, default=0, metavar="N", help="port on 127.0.0.1 (default: any free one)"
    )

    backfill = command("backfill", "Download history and store it; only what is missing is fetched.")
    _dataset_arguments(backfill)
    backfill.add_argument(
        "--start",
        default="last",
        help=f"last (go on), origin (since listing), or a time: {_TIMES} (default: last)",
    )
    backfill.add_argument("--end", help=f"exclusive; {_TIMES} (default: now)")
    backfill.add_argument(
        "--transport",
        choices=("auto", "rest", "archive"),
        default="auto",
        help="the exchange's API (rest), its public files (archive), or the best of both (default: auto)",
    )
    backfill.add_argument(
        "--derive-from",
        choices=("trades",),
        help="make the bars from stored trades, of any span, instead of fetching them",
    )
    backfill.add_argument("--plan", action="store_true", help="only say what would be fetched")

    read = command("read", "Print stored rows.")
    _dataset_arguments(read)
    _range_arguments(read)
    read.add_argument("--format", choices=("table", "csv", "json"), default="table", help="default: table")
    read.add_argument(
        "--limit", type=int, metavar="N", help="rows at most (default: 50 for a table, else all)"
    )

    inventory = command("inventory", "List what is stored.")
    inventory.add_argument("--json", action="store_true", help="as JSON")

    _exchange_commands(command)
    _mending_commands(command)

    export = command("export", "Write stored rows to files in a folder.")
    _dataset_arguments(export)
    _range_arguments(export)
    export.add_argument("--to", required=True, metavar="DIR", help="folder to write to; made if missing")
    export.add_argument(
        "--format", choices=("parquet", "csv", "arrow"), default="parquet", help="default: parquet"
    )

    export.add_argument(
        "--certificate", action="store_true", help="a file beside each, which says what it holds and lacks"
    )

    _keeping_commands(command)

    move = command("move", "Move all data to another folder, empty or new.")
    move.add_argument("to", metavar="DIR", help="made if missing; on another disk all is copied and compared")

    adopt = command("adopt", "Take over the data of the dccd 3 package; nothing of it is changed.")
    adopt.add_argument("folder", metavar="FOLDER", help="its data folder")
    adopt.add_argument(
        "--config-file", metavar="FILE", help="its YAML configuration: add its settings and jobs to ours"
    )
    adopt.add_argument("--dry-run", action="store_true", help="only say what there is; store nothing")

    command("validate", "Check the configuration file.")
    status = command("status", "Say whether dccd runs on the data folder, and what it does.")
    status.add_argument("--json", action="store_true", help="as JSON")
    command("open", "Show the running app's window, or print an address to open in a browser.")
    return parser


def _exchange_commands(command: Callable[[str, str], argparse.ArgumentParser]) -> None:
    capabilities = command("capabilities", "List what the exchanges offer, and what that is known from.")
    capabilities.add_argument("exchange", metavar="EXCHANGE", nargs="?", help="only this one")
    capabilities.add_argument("--json", action="store_true", help="as JSON")

    doctor = command("doctor", "Try what the exchanges offer, each once and small, and say what works.")
    doctor.add_argument("exchanges", metavar="EXCHANGE", nargs="*", help="only these (default: all)")
    doctor.add_argument(
        "--wait", type=float, metavar="S", help="seconds that each answer, or live message, may take (20)"
    )
    doctor.add_argument("--json", action="store_true", help="as JSON")


def _mending_commands(command: Callable[[str, str], argparse.ArgumentParser]) -> None:
    gaps = command("gaps", "List what was asked for and is not there, of one dataset or of all.")
    _dataset_arguments(gaps, optional=True)
    gaps.add_argument("--fill", action="store_true", help="fetch exactly these gaps")
    gaps.add_argument("--json", action="store_true", help="as JSON")

    repair = command("repair", "Fetch exactly the gaps, of one dataset or of all.")
    _dataset_arguments(repair, optional=True)

    check = command("check", "Fetch random stored stretches again and compare them with what is stored.")
    _dataset_arguments(check, optional=True)
    check.add_argument("--windows", type=int, metavar="N", help="how many stretches (default: 10)")
    check.add_argument("--seed", type=int, metavar="N", help="draw the same stretches again")
    check.add_argument("--json", action="store_true", help="as JSON")

    audit = command("audit", "Compare stored bars with what the stored trades make.")
    _dataset_arguments(audit)
    _range_arguments(audit)
    audit.add_argument("--json", action="store_true", help="as JSON")


def _keeping_commands(command: Callable[[str, str], argparse.ArgumentParser]) -> None:
    verify = command("verify", "Read what is stored again and compare every byte with what was written.")
    _dataset_arguments(verify, optional=True)
    verify.add_argument("--mend", action="store_true", help="put damaged files aside: a gap each, for repair")
    verify.add_argument("--json", action="store_true", help="as JSON")

    certificate = command("certificate", "Say what a dataset holds and lacks, with hashes to check, as JSON.")
    _dataset_arguments(certificate)
    certificate.add_argument("--output", metavar="FILE", help="write it there instead of printing it")

    delete = command("delete", "Move a dataset to the trash; dccd trash gives it back.")
    _dataset_arguments(delete)

    trash = command("trash", "List what was deleted, put it back, or remove it for good.")
    actions = trash.add_mutually_exclusive_group()
    actions.add_argument("--restore", metavar="ID", help="put one back")
    actions.add_argument("--empty", action="store_true", help="remove all of it for good")
    trash.add_argument("--json", action="store_true", help="as JSON")


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) < 65_536):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; choose one of 0 to 65535")
    return int(text)


def _dataset_arguments(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    nargs = "?" if optional else None
    parser.add_argument("exchange", metavar="EXCHANGE", nargs=nargs, help="for example binance")
    parser.add_argument(
        "symbol", metavar="SYMBOL", nargs=nargs, help="BTC/USDT, or BTC/USDT:USDT for a perpetual"
    )
    parser.add_argument("--type", dest="data_type", choices=_TYPES, default="ohlc", help="default: ohlc")
    parser.add_argument(
        "--span",
        help="bar length: 1m, 1h, 1d, 1w, 1mo … (ohlc, open_interest; default: 1m, 1h or the only one)",
    )
    parser.add_argument(
        "--depth", type=int, metavar="N", help="levels a side (orderbook; default: the deepest)"
    )


def _range_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--start", help=f"inclusive; {_TIMES}")
    parser.add_argument("--end", help=f"exclusive; {_TIMES}")
