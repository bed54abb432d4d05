"""What a page in a real browser asks for, and what it has to complain of."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Page


def overhear(page: Page) -> tuple[list[str], list[str]]:
    """Give the addresses that a page asks, and its complaints; both grow as it lives."""
    asked: list[str] = []
    wrong: list[str] = []

    def said(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            wrong.append(message.text)

    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda socket: asked.append(socket.url))
    page.on("requestfailed", lambda request: wrong.append(f"no {request.url}"))
    page.on("console", said)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    return asked, wrong
