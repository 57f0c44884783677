"""Who gets in: tokens, tickets, scopes. Each test is a row of the table in docs/security.md."""

from __future__ import annotations

import logging

import pytest

from dccd.domain.errors import AccessDenied
from dccd.interfaces.api.access import TICKET_LIFE_S, TOKENS_MAX, Access, FolderHandles, Scope
from dccd.interfaces.api.app import ENDPOINTS
from dccd.interfaces.api.endpoint import Endpoint
from dccd.interfaces.api.problems import InvalidTicket
from tests.unit.api.running import Running, client


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


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
        "Bearer ",
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


def test_a_ticket_expires_after_a_minute() -> None:
    clock = Clock()
    access = Access(clock)
    in_time, too_late = access.new_ticket(), access.new_ticket()
    clock.now_s += TICKET_LIFE_S - 0.001
    assert access.scope_of(access.redeem(in_time)) is Scope.PAGE
    clock.now_s += 0.001
    with pytest.raises(InvalidTicket):
        access.redeem(too_late)


def test_the_ticket_printed_by_serve_lasts_until_it_is_used() -> None:
    clock = Clock()
    access = Access(clock)
    ticket = access.new_ticket(lasting=True)
    clock.now_s += 90 * 86_400
    assert access.scope_of(access.redeem(ticket)) is Scope.PAGE
    with pytest.raises(InvalidTicket):
        access.redeem(ticket)


def test_a_token_in_use_outlives_many_others() -> None:
    access = Access()
    kept, unused = (access.redeem(access.new_ticket()) for _ in range(2))
    for _ in range(TOKENS_MAX - 1):
        access.redeem(access.new_ticket())
        assert access.scope_of(kept) is Scope.PAGE
    assert access.scope_of(unused) is Scope.PUBLIC


def test_secrets_are_long_and_differ() -> None:
    made = Access()
    texts = {
        made.secret,
        Access().secret,
        made.new_ticket(),
        made.new_ticket(),
        made.redeem(made.new_ticket()),
    }
    assert len(texts) == 5
    assert min(map(len, texts)) >= 43  # 256 bits in base64


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


def test_a_folder_handle_is_good_for_one_use_unless_that_failed(tmp_path) -> None:  # type: ignore[no-untyped-def]
    handles = FolderHandles()
    handle = handles.give(tmp_path)
    with pytest.raises(ZeroDivisionError), handles.lend(handle):
        raise ZeroDivisionError
    with handles.lend(handle) as folder:
        assert folder == tmp_path
    with pytest.raises(AccessDenied), handles.lend(handle):
        pytest.fail("the handle was used before")


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
