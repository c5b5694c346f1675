"""The page at `/`, in a browser over a played service: its form, its looks, and for whom it works."""

import json
import time

import pytest
from page_driver import LATER, SETTINGS, card, comes_true, job_ids, shows, submit
from played_api import PlayedApi

from queued.settings import Settings

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

WITH_KEYS = Settings(
    "amqp://nowhere:1", "redis://nowhere:1", "sleep", priorities=True, api_keys=(("one", "the-key"),)
)

# --- the form ---


def test_the_submission_is_what_was_written(played, open_page):
    """A long number keeps its digits; text goes as text; a deadline goes along; each has its own key."""
    page = open_page(played.url)
    page.get_by_label("Task").select_option("my.module:function")
    submit(page, " [12345678901234567890123, 1.0] ")
    card(page, 1)
    page.get_by_text("More", exact=True).click()
    page.get_by_label("Wanted within, in seconds").fill("7.5")
    submit(page, '{"not": json', as_text=True)
    card(page, 2)
    one, two = (asked for asked in played.asked if asked.method == "POST")
    assert one.body == b'{"task":"my.module:function","input":[12345678901234567890123, 1.0]}'
    assert json.loads(two.body) == {
        "task": "my.module:function",
        "input": '{"not": json',
        "deadline": 7.5,
    }
    assert len({asked.headers["Idempotency-Key"] for asked in (one, two)}) == 2


def test_input_that_is_not_json_is_told_before_it_is_sent(played, open_page):
    """At the field, in words, with the focus there; a missing input too."""
    page = open_page(played.url)
    submit(page, "{oops")
    alert = page.get_by_role("alert")
    assert "This is not JSON" in alert.inner_text()
    field = page.get_by_label("Input", exact=True)
    assert field.get_attribute("aria-invalid") == "true"
    assert field.evaluate("e => e === document.activeElement")
    submit(page, "")
    assert alert.inner_text() == "The input is missing."
    page.get_by_text("More", exact=True).click()
    page.get_by_label("Wanted within, in seconds").fill("-1")
    submit(page, "1")
    assert "seconds above 0" in alert.inner_text()
    assert not [asked for asked in played.asked if asked.method == "POST"]


def test_a_refusal_is_told_in_the_service_s_words(played, open_page):
    """Bad input, and a full queue with the time after which to try again."""
    page = open_page(played.url, bears=["400", "429"])
    played.answers.append(played.problem(400, "The input is not valid", "seconds must be a number"))
    submit(page, '"x"')
    page.get_by_text("The input is not valid: seconds must be a number").wait_for()
    played.answers.append(played.problem(429, "The wait would be too long", "it is 100 s", Retry_After="95"))
    page.get_by_role("button", name="Submit").click()
    page.get_by_text("it is 100 s. Try again in 1 min 35 s.").wait_for()
    page.get_by_role("button", name="Submit").click()
    shows(card(page, 1), "queued")
    assert not page.get_by_role("alert").is_visible()


def test_the_example_of_a_built_in_task_can_be_used(played, open_page):
    """One press fills it in; a function of the user's own has none."""
    page = open_page(played.url)
    page.get_by_label("Task").select_option("factorial")
    page.get_by_role("button", name="Use it").click()
    assert page.get_by_label("Input", exact=True).input_value() == "20000"
    page.get_by_label("Task").select_option("my.module:function")
    assert not page.locator("#example").is_visible()


def test_the_api_key_is_sent_and_kept_nowhere(open_page):
    """In a header of each request; in no address and no storage, so it is asked for after a reload."""
    with PlayedApi(WITH_KEYS) as api:
        api.key = "the-key"
        page = open_page(api.url, bears=["401"])
        submit(page)
        page.get_by_text("Unauthorized: an API key is needed").wait_for()
        page.get_by_label("API key").fill("the-key")
        page.get_by_text("More", exact=True).click()
        page.get_by_label("Priority").select_option("high")
        submit(page)
        one = card(page, 1)
        (job_id,) = job_ids(api, 1)
        assert json.loads(api.asked[-1].body or b"{}").get("priority", "high") == "high"
        api.say(job_id, state="running", started=LATER)
        shows(one, "running")
        stored = page.evaluate("JSON.stringify([{...sessionStorage}, {...localStorage}, document.cookie])")
        assert job_id in stored
        assert "the-key" not in stored
        page.reload()
        one = card(page, 1)
        shows(one, "Give the API key to go on.")
        page.get_by_label("API key").fill("the-key")
        page.keyboard.press("Tab")
        shows(one, "running")
        api.jobs[job_id].result = b'{"output":"%s"}' % (b"x" * 9000)
        api.say(job_id, state="done", finished=LATER + 1)
        with page.expect_download() as started:
            one.get_by_role("link", name="The whole result").click()
        assert len(started.value.path().read_bytes()) == 9013
        assert not [asked for asked in api.asked if "the-key" in asked.path]


# --- for everybody ---


def test_the_page_can_be_used_by_keyboard_alone(played, open_page):
    """From the first field to the result, and the focus never gets lost."""
    page = open_page(played.url)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "task"
    page.keyboard.press("Tab")
    page.keyboard.type("0.5")
    page.keyboard.press("Control+Enter")
    one = card(page, 1)
    cancel = one.get_by_role("button", name="Cancel job 1")
    for _ in range(12):
        if cancel.evaluate("e => e === document.activeElement"):
            break
        page.keyboard.press("Tab")
    assert cancel.evaluate("e => e === document.activeElement")
    page.keyboard.press("Enter")
    shows(one, "cancelled")
    assert page.evaluate("document.activeElement.closest('.job') !== null"), "not back to the page's start"


def test_a_reader_who_can_not_see_is_told_of_changes_only(played, open_page):
    """Each state once in the live region, and nothing every second; every field and button has a name."""
    page = open_page(played.url)
    page.evaluate(
        """() => { window.said = [];
          const told = document.querySelector('#told');
          new MutationObserver(() => said.push(told.textContent))
            .observe(told, {childList: true, characterData: true, subtree: true}); }"""
    )
    submit(page)
    (job_id,) = job_ids(played, 1)
    one = card(page, 1)
    played.say(job_id, state="running", started=LATER)
    shows(one, "running")
    for step in range(1, 6):
        played.say(job_id, progress=step / 10)
    shows(one, "50 %")
    played.say(job_id, state="done", finished=LATER + 1)
    shows(one, "null")
    comes_true(page, "said.some(words => words.includes('Result'))")
    assert page.evaluate("said") == [
        "Job 1, sleep: queued.",
        "Job 1, sleep: running.",
        "Job 1, sleep: done.",
        "Job 1, sleep: done. Result: null",
    ]
    nameless = page.evaluate(
        """[...document.querySelectorAll('button, input, select, textarea')].filter(e =>
          !e.labels?.length && !e.getAttribute('aria-label') && !e.textContent.trim()).length"""
    )
    assert nameless == 0
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(set(ids)) == len(ids)
    assert page.locator("html").get_attribute("lang") == "en"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_fits_its_screen_and_can_be_read(played, open_page, scheme, width):
    """No sideways scrolling whatever a job says; fingers meet large enough buttons; ink against paper."""
    page = open_page(played.url, viewport={"width": width, "height": 740}, color_scheme=scheme)
    submit(page, '"' + "w" * 300 + '"')
    (job_id,) = job_ids(played, 1)
    one = card(page, 1)
    problem = {"title": "The job failed", "detail": "x" * 300}
    played.say(
        job_id, state="running", started=LATER, progress=0.3, note="n" * 300, attempt=2, problem=problem
    )
    shows(one, "n" * 300)
    page.get_by_text("More", exact=True).click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    played.jobs[job_id].result = b'{"output":"%s"}' % (b"9" * 30_000)
    played.say(job_id, state="done", finished=LATER + 1)
    shows(one, "Its first 4,000 characters")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    small = page.evaluate(
        """[...document.querySelectorAll('button:not(.link), input:not([type=radio]), select')]
          .filter(e => e.offsetParent && e.getBoundingClientRect().height < 44).length"""
    )
    assert small == 0
    # WCAG 2.2, 1.4.3: at least 4.5 between text and what is behind it
    contrast = page.evaluate(
        """() => {
          const parse = c => c.match(/[\\d.]+/g).slice(0, 3).map(v => { v /= 255;
            return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
          const light = c => { const [r, g, b] = parse(c); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
          const behind = e => { for (; e; e = e.parentElement) {
            const c = getComputedStyle(e).backgroundColor; if (!/, 0\\)$|transparent/.test(c)) return c; } };
          return ['h1', '.quiet', '.job .state', '.job .quiet', 'pre', 'button.main', '.remove', 'label', 'a']
            .map(s => { const e = document.querySelector(s);
              const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x);
              return [s, (a + 0.05) / (b + 0.05)]; }).filter(([, ratio]) => ratio < 4.5); }"""
    )
    assert contrast == []


# --- around it ---


def test_the_page_allows_nothing_but_its_own_files(played, open_page):
    """Security headers on the page and on its files; nothing inline, so the policy has no exception."""
    page = open_page(played.url)
    for path in ("", "static/page.js", "static/page.css", "static/icon.svg"):
        headers = page.request.get(played.url + path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
    assert page.locator("script:not([src]), style, [style], [onclick]").count() == 0
    assert page.request.get(played.url + "openapi.json").json()["openapi"].startswith("3.1")


def test_the_page_is_fetched_again_only_when_it_changed(played, open_page):
    """304 to a browser that has it; a new version is never met with an old page."""
    page = open_page(played.url)
    for path in ("", "openapi.json", "static/page.js"):
        first = page.request.get(played.url + path)
        assert "no-cache" in first.headers["cache-control"]
        again = page.request.get(played.url + path, headers={"If-None-Match": first.headers["etag"]})
        assert again.status == 304


def test_the_page_works_below_a_path_prefix(open_page):
    """A gateway may serve it as /queue/: every address on the page is relative."""
    with PlayedApi(SETTINGS, prefix="/below/here") as api:
        page = open_page(api.url)
        submit(page)
        (job_id,) = job_ids(api, 1)
        api.say(job_id, state="done", started=LATER, finished=LATER + 1)
        shows(card(page, 1), "null")


def test_the_elapsed_time_survives_a_clock_that_is_wrong(played, open_page):
    """The server's times are counted by the server's clock, as its Date header says it."""
    page = open_page(played.url)
    page.clock.install(time=time.time() - 86_400)
    page.reload()
    played.first = {"state": "running", "started": time.time() - 150}
    submit(page)
    one = card(page, 1)
    assert one.locator(".time dd").inner_text().startswith("2 min")
