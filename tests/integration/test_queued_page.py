"""A job on the page at `/`, in a browser over a played service: from its submission to its result."""

import json

import pytest
from page_driver import LATER, card, comes_true, job_ids, shows, submit
from queued_system import eventually

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

# --- a job's life ---


def test_a_job_is_watched_from_its_place_in_the_queue_to_its_result(played, open_page):
    """Place, expected wait that counts down by itself, progress with a note, result: without a reload."""
    page = open_page(played.url)
    submit(page)
    (job_id,) = job_ids(played, 1)
    one = card(page, 1)
    shows(one, "queued")
    assert one.locator(".place dd").inner_text() == "3"
    first = one.locator(".wait dd").inner_text()
    assert first in ("about 40 s", "about 39 s")
    comes_true(page, "was => document.querySelector('.wait dd').textContent !== was", first)
    played.say(job_id, ahead=1, expected_wait=2.0)
    comes_true(page, "document.querySelector('.place dd').textContent === '1'")
    played.say(job_id, state="running", started=LATER, attempt=1, ahead=None, expected_wait=None)
    shows(one, "running")
    assert not one.locator(".place").is_visible()
    played.say(job_id, progress=0.42, note="epoch 4 of 10")
    shows(one, "epoch 4 of 10")
    assert one.get_by_role("progressbar", name="Progress of job 1").evaluate("e => e.value") == 0.42
    assert one.locator(".percent").inner_text() == "42 %"
    played.jobs[job_id].result = b'{"output":{"seconds":0.2500001}}'
    played.say(job_id, state="done", finished=LATER + 3.25)
    shows(one, '{"seconds":0.2500001}')
    shows(one, "3.3 s")
    assert one.locator(".state").inner_text() == "done"
    assert not one.get_by_role("button", name="Cancel job 1").is_visible()


def test_a_job_is_cancelled_by_its_button(played, open_page):
    """The service is told, and the card says so."""
    page = open_page(played.url)
    submit(page)
    one = card(page, 1)
    one.get_by_role("button", name="Cancel job 1").click()
    shows(one, "cancelled")
    assert [asked.path for asked in played.asked if asked.method == "DELETE"] == [
        f"/jobs/{job_ids(played, 1)[0]}"
    ]
    one.get_by_role("button", name="Remove job 1 from this page").click()
    page.get_by_text("None yet").wait_for()


def test_a_result_that_came_before_the_cancelling_is_not_deleted(played, open_page):
    """DELETE of a finished job deletes it: the page looks first."""
    played.events = False
    played.first = {"state": "running", "started": LATER}
    page = open_page(played.url, bears=["503"])
    submit(page)
    (job_id,) = job_ids(played, 1)
    one = card(page, 1)
    shows(one, "running")
    played.jobs[job_id].facts |= {"state": "done", "finished": LATER + 1}
    played.jobs[job_id].result = b'{"output":"kept"}'
    one.get_by_role("button", name="Cancel job 1").click()
    shows(one, '"kept"')
    assert not [asked for asked in played.asked if asked.method == "DELETE"]


def test_a_failure_is_told_from_its_problem_details(played, open_page):
    """Title and detail, as text; the failure of an attempt that is tried again is not the job's."""
    page = open_page(played.url)
    submit(page)
    (job_id,) = job_ids(played, 1)
    one = card(page, 1)
    problem = {"title": "The job failed", "detail": "ValueError: <b>no</b> such class"}
    played.say(job_id, state="running", started=LATER, attempt=2, problem=problem)
    shows(one, "The attempt before: The job failed: ValueError: <b>no</b> such class")
    assert not one.locator(".trouble").is_visible()
    played.say(job_id, state="failed", finished=LATER + 1)
    comes_true(
        page,
        "text => document.querySelector('.job .trouble').textContent === text",
        arg="The job failed: ValueError: <b>no</b> such class",
    )
    assert not one.locator(".before").is_visible()


def test_several_jobs_are_watched_at_once_beyond_what_a_browser_keeps_open(played, open_page):
    """A browser has six connections to one host: eight jobs are submitted all the same, and all end here."""
    page = open_page(played.url)
    for n in range(1, 9):
        submit(page, str(n))
        card(page, n)
    for n, job_id in enumerate(job_ids(played, 8), 1):
        played.jobs[job_id].result = b'{"output":"result of %d"}' % n
        played.say(job_id, state="done", started=LATER, finished=LATER + n)
    for n in range(1, 9):
        shows(card(page, n), f'"result of {n}"')
    heads = page.locator(".job h3").all_inner_texts()
    assert heads == [f"{n}. sleep" for n in range(8, 0, -1)], "newest first"


def test_a_reload_keeps_the_jobs(played, open_page):
    """What was submitted in this tab is there again, in order, and goes on."""
    page = open_page(played.url)
    submit(page, "1")
    card(page, 1)
    submit(page, "2")
    card(page, 2)
    first, second = job_ids(played, 2)
    played.say(first, state="cancelled")
    page.reload()
    shows(card(page, 1), "cancelled")
    shows(card(page, 2), "queued")
    played.say(second, state="running", started=LATER)
    shows(card(page, 2), "running")
    assert page.locator(".job h3").all_inner_texts() == ["2. sleep", "1. sleep"]


def test_a_job_that_expired_meanwhile_is_said_to_be_unknown(played, open_page):
    """After a reload, say; nothing asks for it any more."""
    page = open_page(played.url, bears=["404"])
    submit(page)
    card(page, 1)
    played.jobs.clear()
    page.reload()
    shows(card(page, 1), "not known any more")
    shows(card(page, 1), "there is none with this id")


def test_without_event_streams_the_page_polls(played, open_page):
    """As often as Retry-After says, asking only for what is new."""
    played.events = False
    page = open_page(played.url, bears=["503"])
    submit(page)
    (job_id,) = job_ids(played, 1)
    one = card(page, 1)

    def conditional():
        return any("If-None-Match" in asked.headers for asked in played.asked)

    eventually(conditional, "the page asks with the ETag it has")
    played.say(job_id, state="running", started=LATER)
    shows(one, "running")
    played.say(job_id, state="done", finished=LATER + 1)
    shows(one, "null")


def test_a_service_that_is_away_for_a_moment_is_met_again(played, open_page):
    """The page says that it can't be reached, and goes on when it can."""
    page = open_page(played.url, bears=["ERR_INTERNET_DISCONNECTED", "ERR_NETWORK"])
    submit(page)
    (job_id,) = job_ids(played, 1)
    one = card(page, 1)
    shows(one, "queued")
    page.context.set_offline(True)
    submit(page, "2")
    page.get_by_text("it will not become a second job").wait_for()
    page.context.set_offline(False)
    page.get_by_role("button", name="Submit").click()
    card(page, 2)
    played.say(job_id, state="cancelled")
    shows(one, "cancelled")


# --- results ---


def test_a_long_result_is_cut_and_the_whole_can_be_had(played, open_page):
    """All digits of what is shown are the result's own; the link leads to the rest."""
    page = open_page(played.url)
    submit(page)
    (job_id,) = job_ids(played, 1)
    digits = "123456789" * 20_000
    played.jobs[job_id].result = f'{{"output":{digits}}}'.encode()
    played.say(job_id, state="done", started=LATER, finished=LATER + 1)
    one = card(page, 1)
    shows(one, "Its first 4,000 characters of 180,011 bytes")
    assert one.locator("pre").inner_text() == digits[:4000] + " …"
    with page.expect_download() as started:
        one.get_by_role("link", name="The whole result").click()
    assert started.value.path().read_bytes() == played.jobs[job_id].result


def test_a_result_is_text_and_never_markup(played, open_page):
    """Whatever a task gives or says, nothing of it becomes part of the page."""
    page = open_page(played.url)
    markup = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    submit(page, markup, as_text=True)
    (job_id,) = job_ids(played, 1)
    played.say(job_id, state="running", started=LATER, progress=0.5, note=markup)
    one = card(page, 1)
    shows(one, markup)
    played.jobs[job_id].result = json.dumps({"output": markup}).encode()
    played.say(job_id, state="done", finished=LATER + 1)
    one.locator("pre").get_by_text(markup).wait_for()
    assert page.locator(".job img, .job script").count() == 0
