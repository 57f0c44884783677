"""``dccd move``: all data to another folder."""

from __future__ import annotations

import sys
from argparse import Namespace

from dccd.domain.errors import RunsUnderWay
from dccd.interfaces.cli.connection import config_of, connect, require_data
from dccd.interfaces.cli.progress import RunProgress
from dccd.interfaces.cli.statuses import DONE, FAILED, status_of_run
from dccd.interfaces.client import ApiError


async def move(arguments: Namespace) -> int:
    """Move it; the exit status."""
    require_data(arguments)
    config = config_of(arguments)
    async with connect(arguments) as client:
        try:
            with RunProgress(f"move to {arguments.to}") as progress:
                outcome = await client.move(arguments.to, on_progress=progress)
        except ApiError as error:
            if error.problem_code != RunsUnderWay.code:
                raise
            again = f"What was copied is taken up by the next `dccd move {arguments.to}`."
            print(f"dccd: {error} {again}", file=sys.stderr)
            return FAILED
    if outcome["state"] == "cancelled":
        print("cancelled; what was copied is taken up by the next attempt", file=sys.stderr)
        return status_of_run(outcome)
    if outcome["state"] != "succeeded":
        print(f"dccd: moving the data: {outcome.get('error', 'it was interrupted')}", file=sys.stderr)
        return status_of_run(outcome)
    print(f"The data is in {outcome['folder']} now.")
    if config.names_data_path_apart:
        print("The old folder was named by --data-path or DCCD_DATA_PATH: name the new one from now on.")
    return DONE
