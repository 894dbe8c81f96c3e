"""The built site, in a real browser: links, hover, search, widths, accessibility, and no request to another host."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urldefrag, urljoin

import pytest
from support import ROOT, SCHEMA, inventory

from hgproto.language import load
from hgproto.language.mentions import all_parts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SHOWN = [
    "index",
    "tutorial",
    "protocol/overview",
    "protocol/framing",
    "protocol/frames/index",
    "protocol/frames/command-argument",
    "protocol/frames/text-output",
    "protocol/machines",
    "protocol/security",
    "protocol/questions",
    "protocol/registries",
    "requirements",
    "hgproto-requirements",
    "cli",
    "schema",
    "genindex",
    "api/index",
    "api/reactors",
]
"""Pages that are opened; between them they have everything that pages are made of."""

each_page = pytest.mark.parametrize("page", SHOWN)
needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium is installed (Debian: apt-get install chromium)"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as the docs say."""
    pytest.importorskip("furo", reason="the site is built with: pip install -e '.[docs]'")
    out = tmp_path_factory.mktemp("site")
    doctrees = tmp_path_factory.mktemp("doctrees")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-W",
        "-n",
        "-b",
        "html",
        "-d",
        str(doctrees),
        str(ROOT / "docs"),
        str(out),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


# Links, without a browser.


class Page(HTMLParser):
    """The anchors and the links of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        known = dict(attributes)
        self.anchors |= {value for key, value in attributes if key in ("id", "name") and value}
        address = known.get("href") or known.get("src")
        if address and tag in ("a", "img", "link", "script"):
            self.links.add(address)


def test_every_link_leads_somewhere(site: Path) -> None:
    pages = {file.relative_to(site).as_posix(): Page(file.read_text(encoding="utf-8")) for file in site.rglob("*.html")}
    assert len(pages) > 30
    broken = []
    followed = 0
    for name, page in pages.items():
        for link in page.links:
            if re.match(r"[a-z]+:|//", link):
                continue
            address, anchor = urldefrag(urljoin(f"/{name}", link))
            file = unquote(address).removeprefix("/").partition("?")[0] or "index.html"
            followed += 1
            # Two pages are made by scripts, and the theme refers to the top of a page that has no such anchor.
            if not (site / file).is_file() or (anchor and file in pages and unquote(anchor) not in pages[file].anchors):
                broken.append((name, link))
    assert broken == []
    assert followed > 3000


def test_every_part_of_the_schema_is_described(site: Path) -> None:
    described = inventory(site)
    parts = [("", part) for part in all_parts(load(SCHEMA / "framing-0002.yaml"))]
    parts += [("framing-0006/", part) for part in all_parts(load(SCHEMA / "framing-0006.yaml"))]
    assert set(described) == {(part.kind, f"{prefix}{part.name}") for prefix, part in parts}
    for address in described.values():
        file, _, anchor = address.partition("#")
        assert anchor in Page((site / file).read_text(encoding="utf-8")).anchors


# In a browser.


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Where the site is served."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="the pages are tested with: pip install -e '.[pages]'")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--disable-background-networking",
                "--disable-sync",
            ],
        )
        yield started
        started.close()


class Tab:
    """A page in a browser, with what it asked for and what it complained of."""

    def __init__(self, browser: Any, address: str, page: str, width: int = 1280, scheme: str = "light") -> None:
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.page = self.context.new_page()
        self.asked: list[str] = []
        self.size = 0
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("response", self._count)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._listen)
        self.page.goto(f"{address}/{page}.html")

    def _listen(self, said: Any) -> None:
        if said.type == "error":
            self.complaints.append(said.text)

    def _count(self, response: Any) -> None:
        self.size += int(response.headers.get("content-length", 0))


@pytest.fixture
def open_page(browser: Any, address: str) -> Iterator[Any]:
    tabs: list[Tab] = []

    def open_(page: str, **settings: Any) -> Tab:
        tabs.append(Tab(browser, address, page, **settings))
        return tabs[-1]

    yield open_
    for tab in tabs:
        tab.context.close()


@needs_browser
@each_page
def test_pages_ask_nobody_else_and_complain_of_nothing(open_page: Any, address: str, page: str) -> None:
    tab = open_page(page)
    tab.page.wait_for_load_state("networkidle")
    assert tab.asked
    assert [url for url in tab.asked if not url.startswith((address, "data:"))] == []
    assert tab.complaints == []
    assert 20_000 < tab.size < 2_500_000


@needs_browser
@pytest.mark.parametrize("width", [390, 1280])
@each_page
def test_nothing_scrolls_sideways_and_nothing_is_too_small(open_page: Any, page: str, width: int) -> None:
    tab = open_page(page, width=width)
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
    # Text of figures that are shown, in pixels of the screen; and of tables.
    sizes = tab.page.evaluate(
        """[...document.querySelectorAll('svg.hgp text')].filter(text => text.getBoundingClientRect().width)
           .map(text => parseFloat(getComputedStyle(text).fontSize) * text.ownerSVGElement.getBoundingClientRect().width
                        / text.ownerSVGElement.viewBox.baseVal.width)"""
    )
    assert min(sizes, default=12) > 6.5
    cut = tab.page.evaluate(
        """[...document.querySelectorAll('article table')].flatMap(table => [table, table.closest('.table-wrapper') ?? table])
           .filter(box => box.scrollWidth > box.clientWidth + 1).map(box => box.textContent.slice(0, 80))"""
    )
    assert cut == []


@needs_browser
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("page", ["protocol/framing", "protocol/frames/text-output", "protocol/machines"])
def test_text_in_figures_stays_in_its_box(open_page: Any, page: str, width: int) -> None:
    tab = open_page(page, width=width)
    outside = tab.page.evaluate(
        """[...document.querySelectorAll('svg.hgp .hgp-cell')].filter(cell => cell.getBoundingClientRect().width).flatMap(cell => {
             const box = cell.querySelector('.hgp-box').getBoundingClientRect();
             return [...cell.querySelectorAll('text')].filter(text => {
               const at = text.getBoundingClientRect();
               return at.left < box.left - 0.5 || at.right > box.right + 0.5 || at.top < box.top || at.bottom > box.bottom;
             }).map(text => text.textContent);
           })"""
    )
    assert outside == []
    assert tab.page.locator("svg.hgp:visible").count() > 0


LIT = "[...document.querySelectorAll('.hgp-bytes')][0].querySelectorAll('.hgp-lit')"


@needs_browser
def test_fields_light_up_their_bytes_and_bytes_their_fields(open_page: Any) -> None:
    tab = open_page("protocol/framing")
    example = tab.page.locator(".hgp-bytes").first

    def lit() -> list[str]:
        texts: list[str] = tab.page.evaluate(f"[...{LIT}].map(one => one.innerText.split('\\t')[0].trim())")
        return texts

    assert lit() == []
    example.locator("tr", has_text="request_id").hover()
    assert lit() == ["01 00", "3 to 4"]
    example.locator(".hgp-dump [data-fields]", has_text="11").first.hover()
    # Type and flags share a byte.
    assert lit() == ["11", "7", "7"]
    tab.page.mouse.move(5, 5)
    assert lit() == []
    example.locator("tr", has_text="length").first.focus()
    assert lit() == ["0e 00 00", "0 to 2"]


@needs_browser
def test_fields_of_a_figure_lead_to_their_rows(open_page: Any) -> None:
    tab = open_page("protocol/frames/command-argument")
    tab.page.locator("svg.hgp:visible a", has_text="value_length").first.click()
    assert tab.page.url.endswith("#field-argument.value_length")
    tab.page.locator("svg.hgp:visible a", has_text="stream_id").first.click()
    assert tab.page.url.endswith("/protocol/framing.html#field-frame-header.stream_id")
    assert tab.page.locator(":target").inner_text() == "stream_id"


@needs_browser
def test_transitions_in_a_figure_lead_to_the_table(open_page: Any) -> None:
    tab = open_page("protocol/machines")
    tab.page.locator("svg.hgp:visible a.hgp-transition", has_text="3").first.click()
    assert re.search(r"#transition-connection-3$", tab.page.url)
    assert tab.page.locator(":target").inner_text() == "3"


@needs_browser
def test_a_selected_state_shows_its_transitions_only(open_page: Any) -> None:
    tab = open_page("protocol/machines")
    figure = tab.page.locator("#request-server svg.hgp-machine:visible")
    chosen = figure.locator(".hgp-transition.hgp-chosen")
    assert chosen.count() == 0
    state = figure.locator('[data-state="exchanging"]')
    state.click()
    tab.page.mouse.move(5, 5)
    ends = chosen.evaluate_all("ways => ways.map(way => [way.dataset.from, way.dataset.to])")
    assert len(ends) == 4
    assert all("exchanging" in pair for pair in ends)
    faded = figure.locator('.hgp-transition[data-from="none"]').first
    assert float(faded.evaluate("way => getComputedStyle(way).opacity")) < 0.5
    state.click()
    tab.page.mouse.move(5, 5)
    tab.page.locator("h1").click()
    assert float(faded.evaluate("way => getComputedStyle(way).opacity")) == 1


@needs_browser
@pytest.mark.parametrize(
    ("words", "page"),
    [
        ("duplicate-name", "requirements"),
        ("stream-settings", "stream-settings"),
        ("tutorial byte", "tutorial"),
        ("fuzz", "fuzzing"),
        ("65535", "protocol/framing"),
        ("0x22", "protocol/frames/command-argument"),
        ("install", "index"),
        ("zstd", "protocol/registries"),
        ("frame.length-limit", "requirements.html#frame.length-limit"),
        ("stream-id.parity", "requirements.html#stream-id.parity"),
    ],
)
def test_search_finds(open_page: Any, words: str, page: str) -> None:
    tab = open_page("index")
    box = tab.page.locator("input[name=q]").first
    box.fill(words)
    box.press("Enter")
    results = tab.page.locator("ul.search li a")
    results.first.wait_for()
    assert any(page in (one.get_attribute("href") or "") for one in results.all())


@needs_browser
def test_figures_can_be_copied_as_text(open_page: Any) -> None:
    tab = open_page("protocol/framing")
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab.page.locator(".hgp-text summary").first.click()
    tab.page.locator(".hgp-copy").first.click()
    copied = tab.page.evaluate("navigator.clipboard.readText()")
    assert "|                    length                     |  request_id   |" in copied


@needs_browser
def test_figures_follow_the_theme(open_page: Any) -> None:
    colours = {
        scheme: open_page("protocol/framing", scheme=scheme).page.evaluate(
            """['.hgp-box', 'text'].map(part => getComputedStyle(document.querySelector(`svg.hgp ${part}`)).fill)"""
        )
        for scheme in ("light", "dark")
    }
    assert colours["light"][0] != colours["dark"][0]
    assert colours["light"][1] != colours["dark"][1]


@needs_browser
@pytest.mark.parametrize(
    ("page", "scheme"),
    [
        *((page, "light") for page in SHOWN),
        ("protocol/machines", "dark"),
        ("tutorial", "dark"),
        ("requirements", "dark"),
    ],
)
def test_pages_are_accessible(open_page: Any, page: str, scheme: str) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe comes with: pip install -e '.[pages]'"
    )
    tab = open_page(page, scheme=scheme)
    violations = axe.Axe().run(tab.page).response["violations"]
    serious = [
        (one["id"], one["help"], [node["html"][:120] for node in one["nodes"][:3]])
        for one in violations
        if one["impact"] in ("serious", "critical")
    ]
    assert serious == []
