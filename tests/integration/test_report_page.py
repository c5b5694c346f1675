"""The page as a reader meets it: opened from disk in a browser, on a desk and on a phone, light and dark."""

from pathlib import Path

import pytest
from synthetic import everything

from bench import report

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def page_path(tmp_path_factory):
    """A run with data for every chart, and its page."""
    return report.build(everything(tmp_path_factory.mktemp("page") / "run"))


@pytest.fixture(scope="module")
def browser(chromium):
    """The installed Chromium, ended with the tests."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def open_page(browser, page_path):
    """Open the page; afterwards insist that nothing was complained about and nothing fetched."""
    opened, wrong, asked = [], [], []

    def _open(**context):
        held = browser.new_context(**context)
        opened.append(held)
        page = held.new_page()
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(page_path.as_uri())
        return page

    yield _open
    for held in opened:
        held.close()
    assert wrong == []
    assert [url for url in asked if url != page_path.as_uri() and not url.startswith("data:")] == []


def test_the_page_opens_without_a_complaint_and_without_the_network(open_page):
    """Verdict first, then every chart, then the trials."""
    page = open_page(viewport={"width": 1280, "height": 900})
    assert page.title() == "A simulated run, not a measurement · Queuebench"
    assert page.locator("h2").all_inner_texts() == [
        "Verdict",
        "Charts",
        "Every trial",
        "Conditions",
        "Repeat it",
    ]
    assert "queued" in page.locator(".lead").inner_text()
    assert page.locator("figure").count() == 17
    assert page.locator("table.sortable tbody tr").count() > 20


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_its_screen_and_can_be_read(open_page, scheme, width):
    """No sideways scrolling of the page, text in the charts not too small, ink against paper."""
    page = open_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    sizes = page.evaluate(
        """[...document.querySelectorAll('.panels svg')].map(s => {
          const scale = s.getBoundingClientRect().width / s.viewBox.baseVal.width;
          return scale * 6.6; })"""
    )
    assert min(sizes) >= 5.9, "the smallest text of a chart, in CSS pixels"
    boxes = page.evaluate(
        "[...document.querySelectorAll('.panels svg')].map(s => s.getBoundingClientRect().right)"
    )
    assert max(boxes) <= width
    ink, paper = page.evaluate(
        """['.panels text', 'figure'].map((s, n) => getComputedStyle(document.querySelector(s))
          [n ? 'backgroundColor' : 'fill'].match(/\\d+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0))"""
    )
    assert (ink > paper + 300) if scheme == "dark" else (paper > ink + 300)


def test_the_charts_show_something_in_the_dark_too(open_page):
    """Lines have their dark colours, not the light ones on black."""
    colours = [
        open_page(color_scheme=scheme).evaluate(
            "getComputedStyle(document.documentElement).getPropertyValue('--queued-0').trim()"
        )
        for scheme in ("light", "dark")
    ]
    assert colours == ["#0b5cad", "#62b2ff"]


def test_the_table_sorts_by_keyboard_and_says_so(open_page):
    """Numbers as numbers, both ways, what is unknown last."""
    page = open_page(viewport={"width": 1280, "height": 900})

    def values(label):
        return page.evaluate(
            """label => {
              const heads = [...document.querySelectorAll('table.sortable thead th')];
              const column = heads.findIndex(h => h.innerText.trim() === label);
              const rows = [...document.querySelectorAll('table.sortable tbody tr')];
              return rows.map(r => r.cells[column].dataset.sort); }""",
            label,
        )

    button = page.get_by_role("button", name="arrivals", exact=True)
    heading = page.locator("table.sortable th", has=button)
    button.focus()
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "ascending"
    rising = [float(v) for v in values("arrivals")]
    assert rising == sorted(rising)
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    assert [float(v) for v in values("arrivals")] == sorted(rising, reverse=True)
    page.get_by_role("button", name="p95", exact=True).click()
    assert page.locator("th[aria-sort=ascending]").count() == 1
    shown = values("p95")
    assert shown[-1] == ""
    known = [float(v) for v in shown if v]
    assert known == sorted(known)


def test_a_reader_who_can_not_see_is_told_what_is_there(open_page):
    """Every chart has a name, every table its headings, the page its language and landmarks."""
    page = open_page()
    assert page.locator("html").get_attribute("lang") == "en"
    labels = page.evaluate(
        "[...document.querySelectorAll('svg[role=img]')].map(s => s.getAttribute('aria-label'))"
    )
    assert len(labels) > 25
    assert all(len(label) > 10 for label in labels)
    assert page.locator("main, header, footer, nav").count() == 4
    assert page.locator("thead th:not([scope=col])").count() == 0
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(set(ids)) == len(ids)


def test_the_page_prints_on_paper(open_page, tmp_path):
    """Ink on white, without navigation, no figure torn apart more than it must."""
    page = open_page(color_scheme="dark")
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == "rgb(255, 255, 255)"
    assert len(page.pdf()) > 50_000


def test_the_run_folder_can_be_moved(page_path, open_page):
    """Links to files are relative and lead to files."""
    page = open_page()
    for target in page.evaluate("[...document.querySelectorAll('a[href]')].map(a => a.getAttribute('href'))"):
        if not target.startswith("#"):
            assert (Path(page_path).parent / target).exists(), target
