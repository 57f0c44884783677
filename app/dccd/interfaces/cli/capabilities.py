"""``dccd capabilities``: what the exchanges offer, and what that is known from."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator

from dccd.domain.capability import Capability
from dccd.domain.types import DataType, Evidence, Mode
from dccd.interfaces.api import convert, models
from dccd.interfaces.cli.connection import config_of
from dccd.interfaces.cli.output import print_json, print_table, time_ms
from dccd.interfaces.cli.statuses import DONE

EVIDENCE_WORDS = {
    Evidence.RECORDED: "recorded answers",
    Evidence.DOCUMENTED: "documentation only",
    Evidence.CONFIRMED: "confirmed live",
}
_DAY_S = 86_400


async def capabilities(arguments: Namespace) -> int:
    """Print them; the exit status.

    Nothing of it is asked of a running program: it is declared, but for a file that any process may read.
    """
    from dccd.application.service_factory import build_registry
    from dccd.storage.confirmed import Confirmations

    config = config_of(arguments)
    registry = build_registry(config)
    names = registry.ids() if arguments.exchange is None else [arguments.exchange]
    confirmed = Confirmations(config.data_path).read()
    found = [convert.exchange(registry.get(name).source, confirmed) for name in names]
    if arguments.json:
        print_json([exchange.model_dump(mode="json") for exchange in found])
        return DONE
    print_table(
        ("EXCHANGE", "TYPE", "VIA", "MARKETS", "HISTORY", "EVIDENCE", "SPANS OR DEPTHS"),
        [line for exchange in found for line in _lines(exchange)],
    )
    if any(item.evidence is Evidence.DOCUMENTED for exchange in found for item in exchange.capabilities):
        print()
        print(
            "documentation only: not yet checked against real data. A dccd check of stored data that finds\n"
            "no difference confirms that type of data, for its market, in this data folder."
        )
    return DONE


def _lines(exchange: models.Exchange) -> Iterator[tuple[str, ...]]:
    for item in exchange.capabilities:
        yield (
            exchange.id,
            item.data_type,
            item.transport,
            ", ".join(item.markets),
            _history(item),
            ", ".join((EVIDENCE_WORDS[item.evidence], *_confirmed(exchange, item))),
            _spans(item),
        )


def _history(item: Capability) -> str:
    if item.mode is Mode.LIVE:
        return "live"
    if item.data_type is DataType.ORDERBOOK:
        return "now"
    if item.lookback_s is not None:
        return f"{item.lookback_s // _DAY_S} days"
    return "all" if item.history == "full" else "the newest"


def _confirmed(exchange: models.Exchange, item: Capability) -> Iterator[str]:
    for check in exchange.confirmed:
        if (check.data_type, check.transport) == (item.data_type, item.transport) and (
            check.market in item.markets
        ):
            yield f"{check.market} confirmed here on {time_ms(check.checked_ms)[:10]}"


def _spans(item: Capability) -> str:
    """Those of all markets, in the order in which they are declared."""
    spans = dict.fromkeys(span for market in item.markets for span in item.spans.get(market, ()))
    return " ".join(spans) or " ".join(map(str, item.depths))
