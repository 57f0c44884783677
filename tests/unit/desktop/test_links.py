import os
import sys

import pytest

from dccd.interfaces.desktop import links

REFUSED = [
    "http://www.tradingview.com/",
    "https://example.com/",
    "https://www.tradingview.com.example.com/",
    "https://www.tradingview.com@example.com/",
    "https://somebody@www.tradingview.com/",
    "https://www.tradingview.com:8443/",
    "https://www.tradingview.com:port/",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "www.tradingview.com",
    "",
]


@pytest.fixture
def opened(monkeypatch):
    urls: list[str] = []

    def browser(url, _new, _autoraise):
        urls.append(url)
        return True

    monkeypatch.setattr(links, "_open_in_browser", browser)
    return urls


def test_a_host_of_the_allow_list_opens(opened):
    assert links.open_external("https://www.tradingview.com/lightweight-charts/")
    assert opened == ["https://www.tradingview.com/lightweight-charts/"]


@pytest.mark.parametrize("url", REFUSED)
def test_nothing_else_opens(opened, url):
    assert not links.open_external(url)
    assert opened == []


@pytest.mark.parametrize("original", [None, "/usr/lib/theirs"])
def test_a_frozen_binary_keeps_its_libraries_from_the_browser(monkeypatch, original):
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/dccd")
    monkeypatch.delenv("LD_LIBRARY_PATH_ORIG", raising=False)
    if original is not None:
        monkeypatch.setenv("LD_LIBRARY_PATH_ORIG", original)
    seen: list[str | None] = []

    def browser(_url, _new, _autoraise):
        seen.append(os.environ.get("LD_LIBRARY_PATH"))
        return True

    monkeypatch.setattr(links, "_open_in_browser", browser)
    links.open_external("https://www.tradingview.com/")
    assert seen == [original]
    assert os.environ["LD_LIBRARY_PATH"] == "/opt/dccd"
