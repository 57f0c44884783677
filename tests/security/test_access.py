"""Who gets in: tokens, tickets, scopes. Each test is a row of the table in docs/security.md."""

from __future__ import annotations

import logging

import pytest

from dccd.interfaces.api.access import Scope
from dccd.interfaces.api.app import ENDPOINTS
from dccd.interfaces.api.endpoint import Endpoint
from tests.unit.api.running import Running, client

pytestmark = pytest.mark.asyncio(loop_scope="module")


def filled(endpoint: Endpoint) -> str:
    """The endpoint's path with something in place of its parameters."""
    path = endpoint.path
    for name in endpoint.path_names:
        path = path.replace(f"{{{name}}}", "binance:BTC-USDT:ohlc:1m")
    return path


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda item: item.name)
async def test_every_route_but_the_ticket_exchange_needs_a_token(api: Running, endpoint: Endpoint) -> None:
    answer = await api.anyone.request(endpoint.method, filled(endpoint))
    if endpoint.name == "POST /api/session":
        assert answer.status_code == 415  # let in, and refused for what it carries
        return
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["code"] == "not_authenticated"


@pytest.mark.parametrize(
    "path", ["/api/", "/api/nothing", "/api/health/", "/api//health", "/api/static/app.js"]
)
async def test_unknown_api_paths_need_a_token_too(api: Running, path: str) -> None:
    assert (await api.anyone.get(path)).status_code == 401
    assert (await api.local.get(path)).status_code == 404


@pytest.mark.parametrize(
    "credentials",
    [
        "Bearer",
        "Bearer wrong",
        "Basic {secret}",
        "{secret}",
        "Bearer {secret}x",
        "Bearer {secret} x",
    ],
)
async def test_a_wrong_token_is_refused(api: Running, credentials: str) -> None:
    header = {"Authorization": credentials.format(secret=api.server.secret)}
    assert (await api.anyone.get("/api/health", headers=header)).status_code == 401


async def test_two_authorization_headers_are_refused(api: Running) -> None:
    value = f"Bearer {api.server.secret}"
    headers = [("Authorization", value), ("Authorization", value)]
    assert (await api.anyone.get("/api/health", headers=headers)).status_code == 401


async def test_a_token_in_the_query_or_a_cookie_is_no_token(api: Running) -> None:
    secret = api.server.secret
    assert (await api.anyone.get("/api/health", params={"token": secret})).status_code == 401
    assert (await api.anyone.get("/api/health", headers={"Cookie": f"token={secret}"})).status_code == 401


async def test_a_ticket_becomes_a_token_once(api: Running) -> None:
    ticket = api.server.new_ticket()
    first = await api.anyone.post("/api/session", json={"ticket": ticket})
    async with client(api.server.url, first.json()["token"]) as page:
        assert (await page.get("/api/health")).status_code == 200
    second = await api.anyone.post("/api/session", json={"ticket": ticket})
    assert (second.status_code, second.json()["code"]) == (401, "invalid_ticket")


async def test_a_ticket_is_no_token_and_a_token_no_ticket(api: Running) -> None:
    ticket = api.server.new_ticket()
    headers = {"Authorization": f"Bearer {ticket}"}
    assert (await api.anyone.get("/api/health", headers=headers)).status_code == 401
    answer = await api.anyone.post("/api/session", json={"ticket": api.server.secret})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "endpoint", [item for item in ENDPOINTS if item.scope is Scope.LOCAL], ids=lambda i: i.name
)
async def test_a_page_may_not_use_what_is_for_local_programs(api: Running, endpoint: Endpoint) -> None:
    async with await api.page() as page:
        answer = await page.request(endpoint.method, filled(endpoint))
    assert (answer.status_code, answer.json()["code"]) == (403, "access_denied")


async def test_a_page_may_not_name_a_folder_to_export_to(api: Running) -> None:
    body = {"dataset": "binance:BTC-USDT:ohlc:1m", "folder": "/anywhere"}
    async with await api.page() as page:
        answer = await page.post("/api/export", json=body)
    assert (answer.status_code, answer.json()["code"]) == (403, "access_denied")
    assert (await api.local.post("/api/export", json=body)).json()["code"] == "unknown_dataset"


async def test_a_page_may_not_name_the_data_folder(api: Running) -> None:
    body = {"sections": {"settings": {"data_path": "/anywhere"}}}
    async with await api.page() as page:
        answer = await page.put("/api/config", json=body)
    assert (answer.status_code, answer.json()["code"]) == (403, "access_denied")
    assert "anywhere" not in api.service.config.path.read_text()


async def test_a_made_up_folder_handle_is_refused(api: Running) -> None:
    body = {"dataset": "binance:BTC-USDT:ohlc:1m", "folder_handle": "../../etc"}
    async with await api.page() as page:
        answer = await page.post("/api/export", json=body)
    assert (answer.status_code, answer.json()["code"]) == (403, "access_denied")


async def test_secrets_stay_out_of_logs_and_errors(api: Running, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    ticket = api.server.new_ticket()
    answers = [
        await api.local.get("/api/health"),
        await api.local.get("/api/nothing"),
        await api.local.get("/api/datasets/nonsense"),
        await api.anyone.post("/api/session", json={"ticket": ticket, "more": 1}),
        await api.anyone.get("/api/health", headers={"Authorization": f"Basic {api.server.secret}"}),
    ]
    said = caplog.text + "".join(answer.text for answer in answers)
    assert api.server.secret not in said
    assert ticket not in said
