"""What the tests of this folder share: a watched page, and axe-core's findings."""

from __future__ import annotations

from dataclasses import dataclass, field

from playwright.sync_api import Page

TIMEOUT = 120_000  # milliseconds; a busy machine is slow


@dataclass
class Watched:
    """A page, with what it asked for and what it complained about."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


def watch(page: Page) -> Watched:
    """Record the requests, failed ones included, and the errors of ``page``."""
    watched = Watched(page)
    page.on("request", lambda request: watched.requests.append(request.url))
    page.on("websocket", lambda socket: watched.requests.append(socket.url))
    page.on("pageerror", lambda error: watched.complaints.append(str(error)))
    page.on(
        "console",
        lambda message: (
            watched.complaints.append(message.text) if message.type == "error" else None
        ),
    )
    page.set_default_timeout(TIMEOUT)
    return watched


def violations(page: Page, axe: str, context: str = "document") -> list[str]:
    """What axe-core finds on ``page``: the rule, and the first places that break it."""
    page.evaluate(axe)
    found = page.evaluate(f"axe.run({context}, {{resultTypes: ['violations']}})")
    return [
        f"{item['id']} ({item['impact']}): {[node['html'][:160] for node in item['nodes'][:4]]}"
        for item in found["violations"]
    ]
