"""The page in a browser: no errors, sorted by keyboard, readable on a phone, harmless."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hypencli.reporting.contents import HtmlReport
from hypencli.reporting.page import render_page

pytestmark = pytest.mark.browser

SampleReport = Callable[..., HtmlReport]
Browser = Any

BOARD = "document.querySelector('#leaderboards table')"
RUNS = f"[...{BOARD}.tBodies[0].rows].map(row => row.cells[0].textContent)"
SORTED = f"[...{BOARD}.tHead.rows[0].cells].map(cell => cell.getAttribute('aria-sort'))"
FOCUSED = "[document.activeElement.tagName, document.activeElement.textContent.trim()]"
HOSTILE = "<script>window.broken = 1</script><img src=x onerror='window.broken = 1'>\u202eevil"


@pytest.fixture
def page(tmp_path: Path, sample_report: SampleReport) -> Path:
    return written(tmp_path, sample_report())


def written(folder: Path, report: HtmlReport) -> Path:
    path = folder / "page.html"
    path.write_text(render_page(report), encoding="utf-8")
    return path


def focus(browser: Browser, label: str) -> None:
    """Press Tab until a button of the first table has the focus."""
    for _ in range(60):
        browser.press("Tab")
        if browser.evaluate(FOCUSED) == ["BUTTON", label]:
            return
    pytest.fail(f"no button {label!r} can be reached with the Tab key")


def test_no_errors_and_no_requests(browser: Browser, page: Path) -> None:
    browser.open(page)
    assert browser.console == []
    assert browser.requests == [page.absolute().as_uri()]
    assert browser.evaluate("document.compatMode") == "CSS1Compat"


def test_tables_are_sorted_by_keyboard(browser: Browser, page: Path) -> None:
    browser.open(page)
    assert browser.evaluate(RUNS) == ["run 0", "run 1", "run 2", "run 3"]
    assert browser.evaluate(SORTED) == [None, "descending", None, None, None, None]
    focus(browser, "nDCG@10")
    browser.press("Enter")
    assert browser.evaluate(SORTED)[1] == "ascending"
    # What has no value stays last.
    assert browser.evaluate(RUNS) == ["run 2", "run 1", "run 0", "run 3"]
    browser.press("Space")
    assert browser.evaluate(RUNS) == ["run 0", "run 1", "run 2", "run 3"]
    focus(browser, "seconds")
    browser.press("Enter")
    assert browser.evaluate(SORTED) == [None, None, None, "descending", None, None]
    assert browser.evaluate(RUNS) == ["run 2", "run 1", "run 3", "run 0"]
    said = browser.evaluate("document.getElementById('announcement').textContent")
    assert said == "corpus · qrels: sorted by seconds, descending"
    assert browser.console == []


def test_numbers_are_not_sorted_as_text(
    browser: Browser, tmp_path: Path, sample_report: SampleReport
) -> None:
    browser.open(written(tmp_path, sample_report(n_runs=4)))
    browser.evaluate(f"{BOARD}.tHead.rows[0].cells[3].querySelector('button').click()")
    shown = browser.evaluate(f"[...{BOARD}.tBodies[0].rows].map(row => row.cells[3].textContent)")
    assert shown == ["100.0", "10.0", "3.0", "1.0"]


def test_a_query_keeps_its_documents_when_it_is_sorted(browser: Browser, page: Path) -> None:
    browser.open(page)
    table = "document.querySelector('#pairs .queries')"
    browser.evaluate(f"{table}.tHead.rows[0].cells[3].querySelector('button').click()")
    shown = browser.evaluate(
        f"[...{table}.tBodies].map(body => [body.rows.length, body.rows[0].cells[3].textContent, "
        "body.querySelector('.id').textContent, body.querySelector('summary bdi').textContent])"
    )
    assert shown == [
        [2, "+0.7500", "q0", "q0"],
        [2, "+0.5000", "q1", "q1"],
        [2, "−0.2500", "q2", "q2"],
    ]


def test_details_open_by_keyboard(browser: Browser, page: Path) -> None:
    browser.open(page)
    for _ in range(80):
        browser.press("Tab")
        if browser.evaluate("document.activeElement.tagName") == "SUMMARY":
            break
    browser.press("Enter")
    assert browser.evaluate("document.activeElement.parentElement.open") is True
    assert "14" in browser.evaluate("document.activeElement.parentElement.innerText")


def test_the_focus_is_seen(browser: Browser, page: Path) -> None:
    browser.open(page)
    focus(browser, "RR")
    style = "getComputedStyle(document.activeElement)"
    assert browser.evaluate(f"{style}.outlineStyle") == "solid"
    assert browser.evaluate(f"parseFloat({style}.outlineWidth)") >= 2


@pytest.mark.parametrize("width", [320, 375])
def test_a_phone_scrolls_tables_and_not_the_page(
    browser: Browser, tmp_path: Path, sample_report: SampleReport, width: int
) -> None:
    report = sample_report("-and-a-name-without-a-single-blank-that-is-rather-long" * 2)
    browser.open(written(tmp_path, report), width=width)
    browser.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    scrolling = "[...document.querySelectorAll('.scroll')].some(e => e.scrollWidth > e.clientWidth)"
    assert browser.evaluate(scrolling) is True
    font = "parseFloat(getComputedStyle(document.querySelector('td')).fontSize)"
    assert browser.evaluate(font) >= 14


def test_without_a_script_the_tables_are_there_in_their_order(browser: Browser, page: Path) -> None:
    browser.open(page, script=False)
    assert browser.console == []
    assert browser.evaluate(RUNS) == ["run 0", "run 1", "run 2", "run 3"]
    assert browser.evaluate("document.querySelectorAll('th button').length") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_the_paper(browser: Browser, page: Path, scheme: str) -> None:
    """Every colour of text has a contrast of 4.5 or more, as WCAG AA asks."""
    browser.media(prefers_color_scheme=scheme)
    browser.open(page)
    paper = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (luminance(paper) < 0.1) == (scheme == "dark")
    colours = browser.evaluate(
        "[...new Set([...document.querySelectorAll('p, a, td, th, button, summary, .side, .note')]"
        ".map(one => getComputedStyle(one).color))]"
    )
    browser.media(prefers_color_scheme="light")
    assert len(colours) >= 4
    for colour in colours:
        lighter, darker = sorted((luminance(colour), luminance(paper)), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, colour


def luminance(colour: str) -> float:
    """Relative luminance of ``rgb(r, g, b)``, as WCAG defines it."""
    parts = [float(part) / 255 for part in colour.strip("rgb()").split(",")]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_nothing_in_data_runs(
    browser: Browser, tmp_path: Path, sample_report: SampleReport
) -> None:
    browser.open(written(tmp_path, sample_report(HOSTILE)))
    assert browser.evaluate("typeof window.broken") == "undefined"
    assert browser.evaluate("document.scripts.length") == 1
    assert browser.evaluate("document.images.length") == 0
    assert len(browser.requests) == 1
    assert browser.console == []


def test_the_policy_holds_if_escaping_ever_failed(browser: Browser, page: Path) -> None:
    added = "<img src='https://evil.example/x'><script>window.broken = 1</script></main>"
    page.write_text(page.read_text("utf-8").replace("</main>", added), encoding="utf-8")
    browser.open(page)
    assert browser.evaluate("typeof window.broken") == "undefined"
    assert any("Content Security Policy" in text for _, text in browser.console)


def test_it_prints_with_dark_ink_on_white_paper(browser: Browser, page: Path) -> None:
    browser.media(prefers_color_scheme="dark")
    browser.open(page)
    browser.send("Emulation.setEmulatedMedia", media="print")
    body = "getComputedStyle(document.body)"
    assert browser.evaluate(f"[{body}.color, {body}.backgroundColor]") == [
        "rgb(0, 0, 0)",
        "rgb(255, 255, 255)",
    ]
    assert browser.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
    browser.send("Emulation.setEmulatedMedia", media="", features=[])
