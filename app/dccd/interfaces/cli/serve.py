"""``dccd serve``: the program without a window, until SIGINT or SIGTERM."""

from __future__ import annotations

import asyncio
from argparse import Namespace

from dccd.application.config import load_config
from dccd.application.service_factory import build_service
from dccd.interfaces.server import LocalServer


async def serve(arguments: Namespace) -> int:
    """Serve until told to end; ending is clean and the exit status 0."""
    config = load_config(getattr(arguments, "config", None), data_path=getattr(arguments, "data_path", None))
    server = LocalServer(build_service(config), port=getattr(arguments, "port", 0))
    await server.start()
    print(f"dccd collects into {config.data_path}")
    print(f"Open in a browser on this machine: {server.page_url()}", flush=True)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        print("Stopping.", flush=True)
    finally:
        await server.stop()
    return 0
