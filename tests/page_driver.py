"""Drives the page at `/` in a browser, for its tests: the fixtures, and what a person does on it."""

import pytest
from played_api import PlayedApi
from queued_system import eventually

from queued.settings import Settings

SETTINGS = Settings("amqp://nowhere:1", "redis://nowhere:1", "sleep,factorial,my.module:function")
"""Of the played service."""
PATIENCE = 30_000
"""Milliseconds after which something never comes."""
LATER = 2000.0
"""A moment of the played service."""


@pytest.fixture(scope="module")
def launch(chromium):
    """Start the installed Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield lambda: playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])


@pytest.fixture(scope="module")
def browser(launch):
    """One for all tests of this file that start nothing else."""
    started = launch()
    yield started
    started.close()


@pytest.fixture
def open_page(browser):
    """Open an address; afterwards insist that the browser complained of nothing and asked nobody else."""
    yield from opening(browser)


@pytest.fixture
def open_alone(launch):
    """As `open_page`, in a browser of its own: it starts processes when it likes, and they must be gone."""
    started = launch()
    yield from opening(started)
    started.close()


def opening(browser):
    """`bears` are parts of complaints that a test expects: Chromium reports each answer of 4xx and 5xx."""
    opened, wrong, asked, borne, origins = [], [], [], [], set()

    def _open(url, bears=(), **context):
        held = browser.new_context(**context)
        held.set_default_timeout(PATIENCE)
        opened.append(held)
        borne.extend(bears)
        origins.add("/".join(url.split("/")[:3]))
        page = held.new_page()
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(url)
        return page

    yield _open
    for held in opened:
        held.close()
    assert [words for words in wrong if not any(part in words for part in borne)] == []
    elsewhere = [url for url in asked if not any(url.startswith(f"{origin}/") for origin in origins)]
    assert [url for url in elsewhere if not url.startswith("blob:")] == []


@pytest.fixture
def played():
    """A played service without API keys."""
    with PlayedApi(SETTINGS) as api:
        yield api


def comes_true(page, expression, arg=None):
    """Wait until it is so on the page. Playwright's own waiting evaluates text, which the page forbids."""
    eventually(lambda: bool(page.evaluate(expression, arg)), expression)


def submit(page, text="0.25", as_text=False):
    """Fill in the form and send it."""
    page.get_by_label("Input", exact=True).fill(text)
    if as_text:
        page.get_by_label("text", exact=True).check()
    page.get_by_role("button", name="Submit").click()


def card(page, n):
    """The card of the n-th job, once it is there."""
    found = page.get_by_role("article", name=f"Job {n}", exact=True)
    found.wait_for()
    return found


def shows(card, text):
    """Wait until the card says it."""
    card.get_by_text(text).first.wait_for()


def job_ids(api, count):
    """The ids of the jobs, once so many were submitted."""
    eventually(lambda: len(api.jobs) >= count, f"{count} jobs are submitted")
    return list(api.jobs)
