"""What gets in: hosts, origins, bodies, paths. Each test is a row of the table in docs/security.md."""

from __future__ import annotations

import json

import psutil
import pytest

from dccd.interfaces.api.endpoint import BODY_BYTES_MAX
from tests.security.raw_http import send
from tests.unit.api.running import Running

pytestmark = pytest.mark.asyncio(loop_scope="module")

OTHER_HOSTS = [
    "localhost",
    "localhost:{port}",
    "127.0.0.1",
    "127.0.0.1:1",
    "127.0.0.1:{port}0",
    "127.0.0.1:{port}.evil.com",
    "127.0.0.1:0{port}",
    "127.1:{port}",
    "0.0.0.0:{port}",
    "2130706433:{port}",
    "evil.com",
    "evil.com:{port}",
    "evil.com@127.0.0.1:{port}",
    "127.0.0.1.evil.com:{port}",
    "[::1]",
    "[::1]:{port}",
    "",
]


@pytest.mark.parametrize("path", ["/", "/api/health", "/api/session"])
@pytest.mark.parametrize("host", OTHER_HOSTS)
async def test_another_host_is_refused(api: Running, host: str, path: str) -> None:
    named = host.format(port=api.host.partition(":")[2])
    status, answer = await send(
        api.host, f"GET {path} HTTP/1.1\nHost: {named}\nAuthorization: Bearer {api.server.secret}"
    )
    assert status == 403
    assert b"access_denied" in answer


async def test_our_host_is_let_in(api: Running) -> None:
    head = f"GET /api/health HTTP/1.1\nHost: {api.host}\nAuthorization: Bearer {api.server.secret}"
    assert (await send(api.host, head))[0] == 200


async def test_two_hosts_or_none_are_refused(api: Running) -> None:
    authorization = f"Authorization: Bearer {api.server.secret}"
    two = f"GET /api/health HTTP/1.1\nHost: {api.host}\nHost: {api.host}\n{authorization}"
    assert (await send(api.host, two))[0] in (400, 403)
    assert (await send(api.host, f"GET /api/health HTTP/1.1\n{authorization}"))[0] in (400, 403)
    assert (await send(api.host, f"GET /api/health HTTP/1.0\n{authorization}"))[0] in (400, 403)


@pytest.mark.parametrize("target", ["http://evil.com/api/health", "http://{host}/api/health", "evil.com:80"])
async def test_an_absolute_target_is_refused(api: Running, target: str) -> None:
    line = f"GET {target.format(host=api.host)} HTTP/1.1"
    head = f"{line}\nHost: {api.host}\nAuthorization: Bearer {api.server.secret}"
    assert (await send(api.host, head))[0] in (400, 403)


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "http://evil.com",
        "http://localhost:{port}",
        "https://127.0.0.1:{port}",
        "http://127.0.0.1",
        "http://127.0.0.1:{port}.evil.com",
        "http://127.0.0.1:{port}/",
        "file://",
        "",
    ],
)
@pytest.mark.parametrize("path", ["/", "/api/health", "/api/session"])
async def test_a_foreign_origin_is_refused(api: Running, origin: str, path: str) -> None:
    header = {"Origin": origin.format(port=api.host.partition(":")[2])}
    answer = await api.local.get(path, headers=header)
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


async def test_our_origin_is_let_in(api: Running) -> None:
    answer = await api.local.get("/api/health", headers={"Origin": api.server.url})
    assert answer.status_code == 200


async def test_a_preflight_gets_no_permission(api: Running) -> None:
    headers = {"Origin": "http://evil.com", "Access-Control-Request-Method": "POST"}
    answer = await api.anyone.options("/api/backfill", headers=headers)
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "application/jsonp"],
)
async def test_a_body_that_is_not_json_is_refused(api: Running, content_type: str) -> None:
    body = json.dumps({"ticket": api.server.new_ticket()})
    headers = {"Content-Type": content_type} if content_type else {}
    answer = await api.anyone.post("/api/session", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "wrong_content_type")


async def test_a_body_may_say_its_charset(api: Running) -> None:
    body = json.dumps({"ticket": api.server.new_ticket()})
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert (await api.anyone.post("/api/session", content=body, headers=headers)).status_code == 200


async def test_a_body_too_large_is_refused_before_it_is_read_whole(api: Running) -> None:
    body = json.dumps({"ticket": "x" * BODY_BYTES_MAX})
    answer = await api.anyone.post("/api/session", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    # A length that is announced and never sent must not be waited for.
    head = f"""POST /api/session HTTP/1.1
        Host: {api.host}
        Content-Type: application/json
        Content-Length: 99999999999"""
    assert (await send(api.host, head))[0] == 413


async def test_json_nested_beyond_reason_is_an_error_not_a_crash(api: Running) -> None:
    body = '{"ticket":' + "[" * 100_000 + "]" * 100_000 + "}"
    answer = await api.anyone.post("/api/session", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


@pytest.mark.parametrize(
    "path",
    [
        "/../models.py",
        "/assets/../../models.py",
        "/..%2fmodels.py",
        "/%2e%2e/models.py",
        "/%2e%2e%2fmodels.py",
        "/..\\models.py",
        "/..%5cmodels.py",
        "//etc/passwd",
        "/%2fetc%2fpasswd",
        "/.sources",
        "/index.html%00.js",
        "/assets",
    ],
)
async def test_the_static_shell_has_no_way_out(api: Running, path: str) -> None:
    status, answer = await send(api.host, f"GET {path} HTTP/1.1\nHost: {api.host}")
    assert status == 404
    assert b"not_found" in answer


@pytest.mark.parametrize(
    "name",
    [
        "..",
        "..%2f..%2fetc%2fpasswd",
        "%2fetc%2fpasswd",
        "binance:..:ohlc:1m",
        "binance:..-..:ohlc:1m",
        "..%2f..:BTC-USDT:ohlc:1m",
        "..:BTC-USDT:ohlc:1m",
        "binance:BTC-USDT:ohlc:1m%00",
        "binance%00:BTC-USDT:ohlc:1m",
        "C:%5cWindows",
    ],
)
@pytest.mark.parametrize("tail", ["", "/rows", "/gaps", "/chart", "/download"])
async def test_a_dataset_id_is_no_path(api: Running, name: str, tail: str) -> None:
    head = f"""GET /api/datasets/{name}{tail} HTTP/1.1
        Host: {api.host}
        Authorization: Bearer {api.server.secret}"""
    status, answer = await send(api.host, head)
    assert status in (404, 422)
    assert b"application/problem+json" in answer
    assert b"root:" not in answer


async def test_reading_an_unknown_dataset_makes_no_folder(api: Running) -> None:
    before = sorted(api.service.data_path.iterdir())
    for tail in ("", "/rows", "/rows?format=arrow", "/gaps", "/chart", "/download"):
        answer = await api.local.get(f"/api/datasets/binance:BTC-USDT:ohlc:1m{tail}")
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_dataset")
    assert sorted(api.service.data_path.iterdir()) == before


@pytest.mark.parametrize("path", ["/", "/nothing.js", "/api/health", "/api/nothing", "/api/session"])
async def test_every_answer_carries_the_security_headers(api: Running, path: str) -> None:
    answer = await api.local.get(path)
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "font-src": "'self'",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert "server" not in answer.headers
    if path.startswith("/api/"):
        assert answer.headers["cache-control"] == "no-store"


async def test_refusals_carry_the_security_headers(api: Running) -> None:
    answer = await api.local.get("/api/health", headers={"Host": "evil.com"})
    assert answer.status_code == 403
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_websocket_is_not_spoken(api: Running) -> None:
    head = f"""GET /api/events HTTP/1.1
        Host: {api.host}
        Upgrade: websocket
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
        Sec-WebSocket-Version: 13"""
    assert (await send(api.host, head))[0] == 401


async def test_the_server_listens_on_the_loopback_address_alone(api: Running) -> None:
    port = int(api.host.partition(":")[2])
    listening = [
        connection.laddr.ip
        for connection in psutil.Process().net_connections("inet")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
    ]
    assert listening == ["127.0.0.1"]


async def test_the_page_carries_no_inline_script(api: Running) -> None:
    page = (await api.anyone.get("/")).text
    assert "<script>" not in page
    assert "javascript:" not in page
    assert " style=" not in page
