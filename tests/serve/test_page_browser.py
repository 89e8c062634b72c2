"""The served page in a browser: search, comparison, live curves, hostile texts, keyboard, phone."""

from __future__ import annotations

import json
import queue
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlparse

import pytest

import hypestore as hs

pytestmark = pytest.mark.browser

NAMES = ("chromium", "chromium-headless-shell", "chromium-browser", "google-chrome")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SCRIPT = "<script>window.broken = 1</script><img src=x onerror='window.broken = 1'>"
HOSTILE = {
    "<b>h0</b>": f"river {SCRIPT} bank",
    'h1"><script>window.broken = 1</script>': "river </mark></p><svg onload='window.broken = 1'>",
    "h2/../../etc?a=b&c=#d": "river \u202egnp.exe\u2066 שלום river",
    "h3": "river " + "a-word-without-blanks" * 5_000,
    "h4": "{{ 7 * 7 }} {% raw %} &lt;b&gt; javascript:alert(1) river",
}
VIEWS = {
    "search": "/?q=river+bank&model_b=plain&embeddings_b=plain-docs",
    "compare": "/compare?a=hyper-run&b=plain-run",
    "runs": "/runs",
    "document": "/document?id=d0&embeddings=hyper-docs&q=river",
    "error": "/compare?a=no-such-run&b=plain-run",
    "failed": "/?q=river&k=5000",
}
EXPECTED = ("status of 400", "status of 404", "Loading the image 'https://evil.example/x'")
"""What the console may say: a test asks for what is wrong, or for what the policy blocks."""
Page = Any


@pytest.fixture(scope="module")
def root(finished_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished study, with hostile documents."""
    from hypencli.__main__ import main

    folder = tmp_path_factory.mktemp("page")
    root = Path(shutil.copytree(finished_study, folder / "study"))
    documents = [{"id": id, "text": text} for id, text in HOSTILE.items()]
    write_lines(folder / "docs.jsonl", documents)
    encode = ["encode", folder / "docs.jsonl", "--model", "hyper", "--name", "hostile-docs"]
    encode += ["--max-length", "128"]
    assert main([str(part) for part in [*encode, "--store", root]]) == 0
    return root


def write_lines(path: Path, records: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(one) + "\n" for one in records), encoding="utf-8")


@pytest.fixture(scope="module")
def address(root: Path, tiny_collection: Path) -> Iterator[str]:
    """A server of the study in a thread of this process."""
    from hypencli.serve.run import make_server
    from hypencli.serve.settings import Settings

    urls: queue.Queue[str] = queue.Queue()
    settings = Settings(
        store=root,
        model="hyper",
        embeddings="hyper-docs",
        qrels=(str(tiny_collection / "qrels.txt"),),
        warm=False,
        port=0,
    )
    server, listening = make_server(settings, urls.put)
    with listening:
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        yield urls.get(timeout=60)
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The browser. It ends with this module, because its event loop would disturb other tests."""
    program = next((actual for name in NAMES if (actual := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"no Chromium on the path: {', '.join(NAMES)}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Any, address: str) -> Iterator[Callable[..., Page]]:
    """Opens a view; the test fails if a page reports an error or asks another server."""
    said: list[str] = []
    asked: list[str] = []
    contexts: list[Any] = []

    def opened(path: str, *, width: int = 1300, scheme: str = "light", script: bool = True) -> Page:
        context = chromium.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            java_script_enabled=script,
            base_url=address,
        )
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.on(
            "requestfailed", lambda request: request.failure == "csp" and asked.remove(request.url)
        )
        page.goto(path)
        return page

    yield opened
    for context in contexts:
        context.close()
    told = [text for text in said if not any(part in text for part in EXPECTED)]
    assert told == []
    assert [url for url in asked if not url.startswith((address, "data:"))] == []


def until(page: Page, condition: str, argument: object = None) -> None:
    """Wait for a condition. The browser's own waiting needs ``eval``, which the policy forbids."""
    end = time.monotonic() + 20
    while not page.evaluate(condition, argument):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(30)


def query_of(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlparse(page.url).query)


def test_documents_appear_while_a_question_is_typed(open_page: Callable[..., Page]) -> None:
    page = open_page("/")
    page.locator("input[name=q]").press_sequentially("river bank", delay=20)
    page.wait_for_selector(".results li")
    until(page, "location.search.includes('river+bank')")
    page.wait_for_selector("#shown:not([aria-busy])")
    shown = page.locator(".results li a.id").all_inner_texts()
    answer = page.request.get("/v1/search?q=river+bank&k=10").json()
    assert shown == [hit["doc_id"] for hit in answer["hits"]]
    assert answer["hits"][0]["text"] in page.locator(".results li").first.inner_text()
    marked = set(page.locator("mark").all_inner_texts())
    texts = " ".join(hit["text"] for hit in answer["hits"]).split()
    assert marked == {"river", "bank"} & set(texts)
    assert "120 of 120 documents scored" in page.locator(".facts").inner_text()
    # The address is enough for the same page, also without a script.
    again = open_page(page.url, script=False)
    assert again.locator(".results li a.id").all_inner_texts() == shown
    assert again.locator("input[name=q]").input_value() == "river bank"


def test_a_later_question_cancels_an_earlier_one(open_page: Callable[..., Page]) -> None:
    page = open_page("/?q=river")
    held: list[Any] = []
    page.route("**/?q=stars&*", lambda route: held.append(route))
    page.locator("input[name=q]").fill("stars")
    page.wait_for_timeout(400)
    assert len(held) == 1
    with page.expect_event("requestfailed") as failed:
        page.locator("input[name=q]").fill("bread")
        until(page, "location.search.includes('q=bread')")
    assert "q=stars" in failed.value.url
    assert query_of(page)["q"] == ["bread"]


def test_two_models_side_by_side_mark_what_moved(open_page: Callable[..., Page]) -> None:
    page = open_page("/?q=river+bank&k=20")
    page.get_by_text("Side by side with").click()
    page.get_by_label("Model B").select_option("plain")
    page.get_by_label("Documents B").select_option("plain-docs")
    page.wait_for_selector("#answer-B")
    lists = [
        page.locator(f"section[aria-labelledby=answer-{side}] li").all() for side in ("A", "B")
    ]
    ranks = [
        {one.locator("a.id").inner_text(): i for i, one in enumerate(some, 1)} for some in lists
    ]
    assert len(ranks[0]) == len(ranks[1]) == 20
    for document, rank in ranks[0].items():
        said = " ".join(lists[0][rank - 1].locator(".note").inner_text().split())
        other = ranks[1].get(document)
        if other is None:
            assert said.endswith("only A")
        elif other == rank:
            assert said.endswith("=")
        else:
            assert said.endswith(f"{'up' if other < rank else 'down'} {abs(other - rank)}")
    assert query_of(page)["model_b"] == ["plain"]


def test_a_comparison_is_filtered_sorted_and_saved(open_page: Callable[..., Page]) -> None:
    page = open_page("/compare?a=hyper-run&b=plain-run&qrels=")
    all_rows = page.locator(".queries > tbody").count()
    assert all_rows == 12
    page.get_by_label("Query has").fill("RIVER")
    until(page, "document.querySelectorAll('.queries > tbody').length < 12")
    rows = page.locator(".queries > tbody > tr:first-child > th span").all_inner_texts()
    assert rows == [text for text in rows if "river" in text]
    assert rows
    page.get_by_label("Sort by").select_option("id")
    until(page, "location.search.includes('order=id')")
    page.wait_for_selector("#shown:not([aria-busy])")
    with page.expect_download() as download:
        page.get_by_role("link", name="JSON").click()
    saved = json.loads(Path(download.value.path()).read_text("utf-8"))
    ids = page.locator(".queries > tbody > tr:first-child > th .id").all_inner_texts()
    assert [one["query_id"] for one in saved] == ids == sorted(ids)
    assert all(one["difference"] == one["value_b"] - one["value_a"] for one in saved)
    page.locator("summary").first.click()
    page.wait_for_selector(".ranking li")
    text = page.locator(".more").first.inner_text()
    assert "Relevant documents: 20" in text
    assert "grade" in text
    assert "score in A" in text


def test_curves_move_while_a_training_runs(open_page: Callable[..., Page], root: Path) -> None:
    store = hs.Store.open(root)
    page = open_page("/runs")
    assert page.locator("#now article").count() == 0
    with store.draft("model", "growing", {"architecture": "hypencoder"}, name="growing") as draft:
        draft.progress([(step, "loss", 1 / step) for step in range(1, 5)])
        page.wait_for_selector("#now path.curve")
        assert "loss 0.25 at step 4" in page.locator("#now article").inner_text()
        held = page.locator("#now table").inner_text()
        assert "growing" in held
        assert "process" in held
        drawn = "document.querySelector('#now path.curve').getAttribute('d')"
        before = page.evaluate(drawn)
        draft.progress([(step, "loss", 1 / step) for step in range(5, 9)])
        until(
            page, "d => document.querySelector('#now path.curve').getAttribute('d') !== d", before
        )
        assert "loss 0.125 at step 8" in page.locator("#now article").inner_text()
        draft.discard()
    until(page, "!document.querySelector('#now article')")


@pytest.mark.parametrize("width", [1300, 400])
def test_hostile_documents_are_text(open_page: Callable[..., Page], width: int) -> None:
    page = open_page("/?q=river&embeddings=hostile-docs", width=width)
    text = page.locator("#shown").inner_text()
    assert SCRIPT in text
    assert "{{ 7 * 7 }}" in text
    assert "\u202e" not in text
    assert page.locator(".results li").count() == len(HOSTILE)
    assert len(page.locator("body").inner_html()) < 60_000
    assert page.evaluate("document.documentElement.scrollWidth") == width
    ids = page.locator(".results a.id").all_inner_texts()
    for place in range(len(ids)):
        page.locator(".results a.id").nth(place).click()
        assert page.locator("h1").inner_text() == ids[place]
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate("[document.images.length, typeof window.broken]") == [0, "undefined"]
        page.go_back()
    assert page.evaluate("typeof window.broken") == "undefined"


def test_a_hostile_address_is_text(open_page: Callable[..., Page]) -> None:
    for field in (
        "/?q={}&model={}&engine={}",
        "/compare?a={}&b={}&text={}",
        "/runs?model={}&text={}",
    ):
        hostile = urlencode({"x": f'">{SCRIPT}'})[2:]
        page = open_page(field.replace("{}", hostile))
        assert page.evaluate("[document.images.length, typeof window.broken]") == [0, "undefined"]


def test_the_policy_runs_nothing_that_a_page_would_let_in(open_page: Callable[..., Page]) -> None:
    page = open_page("/")
    blocked = page.evaluate(
        """() => new Promise((done) => {
             document.addEventListener("securitypolicyviolation", (e) => done(e.violatedDirective));
             document.body.insertAdjacentHTML("beforeend", "<img src='https://evil.example/x'>");
           })"""
    )
    assert blocked == "img-src"


def test_everything_works_by_keyboard(open_page: Callable[..., Page]) -> None:
    page = open_page("/compare?a=hyper-run&b=plain-run")
    focused = "document.activeElement.textContent.trim()"
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "Skip to the content"
    for _ in range(3):
        page.keyboard.press("Tab")
    assert page.evaluate(focused) == "Compare"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/")
    page.keyboard.type("river")
    page.wait_for_selector(".results li")
    page.wait_for_selector("#shown:not([aria-busy])")
    links = page.locator(".results a.id").all_inner_texts()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) == links[1]
    style = "getComputedStyle(document.activeElement)"
    assert page.evaluate(f"{style}.outlineStyle") == "solid"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.name") == "q"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/document?*")
    assert page.locator("h1").inner_text() == links[0]
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "theme":
            break
    page.keyboard.press("Enter")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 24, 28)"
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 24, 28)"


@pytest.mark.parametrize("view", VIEWS)
def test_no_view_has_a_barrier_or_scrolls_sideways(
    open_page: Callable[..., Page], view: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    axe = Axe()
    for width, scheme, rules in ((1300, "light", None), (400, "dark", ["color-contrast"])):
        page = open_page(VIEWS[view], width=width, scheme=scheme)
        if view == "compare":
            page.locator("summary").first.click()
            page.wait_for_selector(".ranking li")
        assert page.evaluate("document.documentElement.scrollWidth") == width
        options = None if rules is None else {"runOnly": rules}
        barriers = axe.run(page, options=options).response["violations"]
        assert [
            (one["id"], one["help"], one["nodes"][0]["html"])
            for one in barriers
            if one["impact"] in ("serious", "critical")
        ] == []
