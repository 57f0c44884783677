"""A page for the window to show, and the loopback server it comes from."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = b"""<!doctype html><meta charset="utf-8"><title>dccd</title><h1>Here it is</h1>
<p><a id="allowed" href="https://www.tradingview.com/" target="_blank">charts</a>
<a id="allowed-here" href="https://www.tradingview.com/here">charts</a>
<a id="refused" href="https://example.com/" target="_blank">elsewhere</a>
<a id="refused-here" href="https://example.com/here">elsewhere</a>
<a id="own" href="/other">another page of ours</a></p>
"""


class PageServer:
    """Serves the page on a free port until closed."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Security-Policy", "default-src 'none'")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_: object) -> None:
        return
