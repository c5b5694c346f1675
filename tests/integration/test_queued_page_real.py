"""The page at `/`, in a browser over the real service."""

import pytest
from page_driver import card, shows, submit

pytestmark = [pytest.mark.browser, pytest.mark.integration, pytest.mark.timeout(180)]

STEPS = """
import os, time
from workloads.progress import report

def run(folder):
    report(0.25, "the first of four steps")
    while not os.path.exists(folder + "/go"):
        time.sleep(0.01)
    report(0.75, "the third of four steps")
    while not os.path.exists(folder + "/end"):
        time.sleep(0.01)
    return {"steps": 4}
"""


@pytest.fixture
def stepping(system):
    """Web and worker of the real service, whose task goes on when the test makes the files `go` and `end`."""
    (system.folder / "steps.py").write_text(STEPS)
    system.task = "steps:run"
    system.web(QUEUED_API_KEYS="")
    system.worker()
    return system


def test_a_real_job_is_watched_to_its_result(stepping, open_alone):
    """Submit, progress as the task reports it, a second job that waits and is cancelled, the result."""
    page = open_alone(f"http://127.0.0.1:{stepping.port}/", viewport={"width": 360, "height": 740})
    submit(page, str(stepping.folder), as_text=True)
    one = card(page, 1)
    shows(one, "the first of four steps")
    assert one.locator(".percent").inner_text() == "25 %"
    submit(page, str(stepping.folder), as_text=True)
    two = card(page, 2)
    shows(two, "queued")
    assert two.locator(".place dd").inner_text() == "0"
    two.get_by_role("button", name="Cancel job 2").click()
    shows(two, "cancelled")
    page.reload()
    one, two = card(page, 1), card(page, 2)
    shows(two, "cancelled")
    (stepping.folder / "go").touch()
    shows(one, "the third of four steps")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    (stepping.folder / "end").touch()
    shows(one, '{"steps":4}')
    assert one.locator(".state").inner_text() == "done"


def test_a_real_job_is_cancelled_while_it_runs(stepping, open_alone):
    """The child is killed, and the worker goes on with the next job."""
    page = open_alone(f"http://127.0.0.1:{stepping.port}/")
    submit(page, str(stepping.folder), as_text=True)
    one = card(page, 1)
    shows(one, "the first of four steps")
    one.get_by_role("button", name="Cancel job 1").click()
    one.locator(".state", has_text="cancelled").wait_for()  # the input on the card holds this word too
    (stepping.folder / "go").touch()
    (stepping.folder / "end").touch()
    submit(page, str(stepping.folder), as_text=True)
    shows(card(page, 2), '{"steps":4}')
    assert one.locator(".state").inner_text() == "cancelled"


def test_the_real_service_s_words_reach_the_page(system, open_alone):
    """A key that is missing, an input that the task refuses, a job that fails."""
    system.task = "factorial,work:end"
    system.web(QUEUED_API_KEYS="me:the-key", QUEUED_PRIORITIES="1")
    system.worker(QUEUED_TASK="work:end", QUEUED_PRIORITIES="1", QUEUED_MAX_ATTEMPTS="1")
    page = open_alone(f"http://127.0.0.1:{system.port}/", bears=["401", "400"])
    submit(page, "5")
    page.get_by_text("this service asks for an API key").wait_for()
    page.get_by_label("API key").fill("the-key")
    submit(page, "-5")
    page.get_by_text("n of factorial must be from 0 to 1,000,000, not -5").wait_for()
    page.get_by_label("Task").select_option("work:end")
    page.get_by_text("More", exact=True).click()
    page.get_by_label("Priority").select_option("high")
    submit(page, "raise", as_text=True)
    shows(card(page, 1), "no such class")
    assert card(page, 1).locator(".state").inner_text() == "failed"
    submit(page, "fine")
    shows(card(page, 2), '"fine"')
