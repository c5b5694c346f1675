"""JUnit XML that every reader can parse, whatever the names and reasons hold."""

import xml.etree.ElementTree as ET

from hypothesis import given, settings
from hypothesis import strategies as st

from bench.report.junit import Case, document

ANYTHING = st.text(st.characters(), max_size=40)
"""Every code point, surrogates and control characters too."""
CASES = st.builds(
    Case,
    name=ANYTHING,
    group=st.one_of(st.just("quick.load"), ANYTHING),
    seconds=st.floats(min_value=0),
    outcome=st.sampled_from(["passed", "failed", "skipped", "error"]),
    text=ANYTHING,
)


def test_cases_stand_in_their_suites_with_their_counts():
    """One suite a group; failures, errors and skips are counted, as readers sum them up."""
    cases = [
        Case("a", "quick.load", 1.5, "passed", "9 of 10 in time"),
        Case("b", "quick.burst", 2.25, "error", "nginx did not start\nsee its log"),
        Case("c", "quick.load", 0.25, "skipped", "memory is not capped"),
        Case("d", "quick.objectives", 0.0, "failed", "p95<2s, measured 3 s"),
    ]
    text = document(cases)
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n')
    root = ET.fromstring(text)
    assert root.tag == "testsuites"
    assert {k: root.get(k) for k in ("tests", "failures", "errors", "skipped", "time")} == {
        "tests": "4", "failures": "1", "errors": "1", "skipped": "1", "time": "4.000"}  # fmt: skip
    assert [(s.get("name"), s.get("tests")) for s in root] == [
        ("quick.load", "2"),
        ("quick.burst", "1"),
        ("quick.objectives", "1"),
    ]
    error = root.find("testsuite[@name='quick.burst']/testcase/error")
    assert error is not None
    assert (error.get("message"), error.text) == ("nginx did not start", "nginx did not start\nsee its log")
    assert root.find("testsuite/testcase[@name='a']/system-out") is not None
    assert [c.get("classname") for c in root.iter("testcase")] == [
        "quick.load", "quick.load", "quick.burst", "quick.objectives"]  # fmt: skip


def test_what_xml_does_not_take_is_shown_as_what_it_was():
    """A terminal's escape in a log must not make the report unreadable."""
    text = document([Case("a<b>&\"'", "g", 0.0, "failed", "\x1b[31mred\x1b[0m \ud800 \ufffe \x00")])
    (failure,) = ET.fromstring(text).iter("failure")
    assert failure.text == r"\x1b[31mred\x1b[0m \xd800 \xfffe \x00"
    assert ET.fromstring(text).find("testsuite/testcase").get("name") == "a<b>&\"'"


def test_no_case_at_all_is_a_document_too():
    """A reader that gets an empty file calls the job broken."""
    assert ET.fromstring(document([])).get("tests") == "0"


@settings(deadline=None)
@given(st.lists(CASES, max_size=8))
def test_any_text_gives_a_document_that_parses_with_the_right_counts(cases):
    """And can be written as UTF-8."""
    root = ET.fromstring(document(cases).encode())
    assert len(list(root.iter("testcase"))) == len(cases) == int(root.get("tests"))
    elements = {"failed": "failure", "error": "error", "skipped": "skipped"}
    for outcome, element in elements.items():
        assert len(list(root.iter(element))) == sum(c.outcome == outcome for c in cases)
    attributes = {"failures": "failure", "errors": "error", "skipped": "skipped"}
    for suite in [root, *root]:
        for attribute, element in attributes.items():
            assert int(suite.get(attribute)) == len(list(suite.iter(element)))
    by_group = {group: [c for c in cases if c.group == group] for group in {c.group for c in cases}}
    assert [len(suite) for suite in root] == [len(by_group[g]) for g in dict.fromkeys(c.group for c in cases)]


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60))
def test_ordinary_text_comes_back_as_it_was(text):
    """Letters of any language are not touched."""
    (case,) = ET.fromstring(document([Case(text, "g", 0.0, "passed")])).iter("testcase")
    assert case.get("name") == text.replace("\ufffe", "\\xfffe").replace("\uffff", "\\xffff")
