"""The page as text: well-formed, self-contained, harmless whatever is in the data."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from hypencli.reporting.contents import HtmlReport
from hypencli.reporting.page import SECTIONS, render_page

SampleReport = Callable[..., HtmlReport]
VOID = {"meta", "link", "br", "img", "input", "hr"}
OPTIONAL_SELF_CLOSING = {"path", "line", "circle"}

HOSTILE = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "</style><img src=x onerror=alert(1)>",
    '"><img src=\'https://evil.example/x\' onerror="alert(1)">',
    "' onmouseover='alert(1)",
    "&lt;b&gt; &amp; {{ 7 * 7 }} {% raw %}",
    "--><!--",
    "javascript:alert(1)",
]
STEERING = (
    "\x1b[31m\x1b]8;;https://evil.example\x07\u202egnp.exe\u2066\u200f\u061c\x00\x0c\ufeff\ufffe"
)


class Strict(HTMLParser):
    """Every tag is closed in order, no attribute and no id twice; what is where."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []
        ids = [about["id"] for _, about in self.tags if "id" in about]
        assert len(ids) == len(set(ids))
        self.ids = set(ids)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, names)
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID | OPTIONAL_SELF_CLOSING, tag
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def named(self, tag: str) -> list[dict[str, str]]:
        return [about for name, about in self.tags if name == tag]


def test_the_page_is_well_formed_and_its_links_lead_somewhere(sample_report: SampleReport) -> None:
    page = Strict(render_page(sample_report()))
    for about in page.named("a"):
        assert about["href"].startswith("#")
        assert about["href"][1:] in page.ids
    for _, about in page.tags:
        for target in about.get("aria-labelledby", "").split():
            assert target in page.ids
    assert set(SECTIONS) <= page.ids


def test_tables_say_what_they_are(sample_report: SampleReport) -> None:
    page = Strict(render_page(sample_report()))
    tables, captions = page.named("table"), page.named("caption")
    assert len(tables) == len(captions) == 2 + 1 + 3 + 1 + 3  # a moved documents' table a query
    assert {about["scope"] for about in page.named("th")} == {"col", "row"}
    assert {about["aria-sort"] for about in page.named("th") if "aria-sort" in about} == {
        "ascending",
        "descending",
    }
    drawings = page.named("svg")
    assert len(drawings) == 1 + 2 + 2
    assert all(about["role"] == "img" and about["aria-label"] for about in drawings)


def test_nothing_is_asked_of_a_network(sample_report: SampleReport) -> None:
    text = render_page(sample_report())
    page = Strict(text)
    for tag, about in page.tags:
        assert "src" not in about
        assert not [name for name in about if name.startswith("on") or name == "style"]
        assert tag not in {"iframe", "object", "embed", "form", "base", "img"}
    assert [about["href"] for about in page.named("link")] == ["data:,"]
    assert "http://" not in text
    assert "https://" not in text
    assert "@import" not in text
    assert "url(" not in text


def test_the_policy_lets_only_the_pages_own_parts_run(sample_report: SampleReport) -> None:
    text = render_page(sample_report())
    (policy,) = [
        about["content"]
        for about in Strict(text).named("meta")
        if about.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["img-src"] == "data:"
    for tag in ("style", "script"):
        (source,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert rules[f"{tag}-src"] == f"'sha256-{digest}'"


@pytest.mark.parametrize("text", HOSTILE)
def test_markup_in_data_is_text(sample_report: SampleReport, text: str) -> None:
    """Names, ids, queries and documents add no tag and no attribute, and are shown as they are."""
    plain, page = (Strict(render_page(sample_report(one))) for one in ("", text))
    shape = [(tag, sorted(about)) for tag, about in plain.tags]
    assert [(tag, sorted(about)) for tag, about in page.tags] == shape
    assert f"a question{text}" in page.text
    assert f"study{text}" in page.text


def test_what_steers_terminals_or_turns_text_is_gone(sample_report: SampleReport) -> None:
    text = render_page(sample_report(STEERING))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e]", text)
    assert not re.search("[\u2066-\u2069\u2028\u2029\ufeff\ufffe\uffff]", text)
    assert "a question[31m]8;;https://evil.examplegnp.exe" in text
    text.encode("utf-8")


def test_lone_surrogates_do_not_stop_the_page(sample_report: SampleReport) -> None:
    assert "a question!" in render_page(sample_report("\ud800!"))


def test_letters_that_run_right_to_left_stay_and_are_isolated(sample_report: SampleReport) -> None:
    text = render_page(sample_report(" שלום"))
    assert '<span dir="auto">a question שלום</span>' in text
    assert "<bdi>run 0 שלום</bdi>" in text


def test_numbers_are_as_people_read_them(sample_report: SampleReport) -> None:
    page = render_page(sample_report())
    assert ">0.9000</" in page
    assert ">&lt;0.0001</bdi>" in page
    assert "+0.2500" in page
    assert "−0.2500" in page  # a true minus
    assert ">1,000.00</bdi>" in page
    assert "up </span>11</span></td>" in page  # from rank 14 to 3
    assert '<td class="n">7.2500</td>' in page


def test_an_empty_store_says_what_to_do(sample_report: SampleReport) -> None:
    created = sample_report().made
    page = Strict(render_page(HtmlReport("study", created, "1.2.3", {})))
    said = " ".join(page.text)
    assert "No run has been evaluated yet" in said
    assert "Nothing in the store yet" in said
    assert page.ids & SECTIONS.keys() == {"leaderboards"}


def test_remarks_stand_in_their_sections(sample_report: SampleReport) -> None:
    report = replace(sample_report(), costs=(), remarks={"costs": ("Nothing was timed.",)})
    text = render_page(report)
    section = text[text.index('id="costs"') : text.index('id="curves"')]
    assert "Nothing was timed." in section


def test_a_run_leads_to_its_lineage_and_a_model_to_its_recipe(sample_report: SampleReport) -> None:
    text = render_page(sample_report())
    assert '<a href="#artifact-0"><bdi>run 0</bdi></a>' in text
    row = text[text.index('<tr id="artifact-4"') :]
    assert '<a href="#recipe-0"><bdi>tiny</bdi></a>' in row[: row.index("</tr>")]
    assert re.search(r'<pre id="recipe-0"><code>a = 1</code></pre>', text)
    assert "<bdi>gone</bdi>" in row  # made from what cannot be read: named, and no link
    assert "values of loss not finite" in text


def test_the_same_report_is_the_same_page(sample_report: SampleReport) -> None:
    assert render_page(sample_report()) == render_page(sample_report())
