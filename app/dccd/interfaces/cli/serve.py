"""``dccd serve``: the program without a window, until SIGINT or SIGTERM."""

from __future__ import annotations

import asyncio
from argparse import Namespace

from dccd.application.config import AppConfig
from dccd.interfaces.cli.connection import config_of
from dccd.interfaces.cli.statuses import DONE
from dccd.interfaces.program import Program


async def serve(arguments: Namespace) -> int:
    """Serve until told to end; ending is clean and the exit status 0."""
    return await serve_until_ended(config_of(arguments), port=arguments.port)


async def serve_until_ended(config: AppConfig, *, port: int = 0) -> int:
    """Print the address of the page, and serve until this task is cancelled."""
    program = Program(config, port=port)
    await program.start()
    print(f"dccd serves {config.data_path}")
    print(f"Open in a browser on this machine: {program.server.page_url(lasting=True)}")
    print("Ctrl-C ends it.", flush=True)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        print("Stopping.", flush=True)
    finally:
        await program.stop()
    return DONE
