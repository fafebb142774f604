"""The pages in a real Chromium, from the real server: by mouse, keyboard and screen reader."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, Route, expect, sync_playwright

from model.service.training.saving import save
from support import ROOT, loopback, models, ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHROMIUM = Path("/usr/bin/chromium")
LIMIT = 60.0  # seconds
PATHS = ("/", "/model", "/docs")
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 360, "height": 740}

# Playwright's default of 5 seconds is too short for a busy machine.
expect.set_options(timeout=LIMIT * 1000)

# The sum of the layout shifts that no input caused.
LAYOUT_SHIFT = """
new Promise((resolve) => {
  let sum = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) sum += entry.value;
  }).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => resolve(sum), 300);
})
"""
VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
"""


class Service:
    """A server process and the answers of its API."""

    def __init__(self, folder: Path) -> None:
        self.port = ports.free()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "model.main"],
            cwd=ROOT,
            env=os.environ
            | {
                "PREDICTION_MODEL_FOLDER": str(folder),
                "PREDICTION_HOST": "127.0.0.1",
                "PREDICTION_LEAVE_SECONDS": "0",
                "PORT": str(self.port),
            },
            stdout=subprocess.DEVNULL,
        )
        try:
            self._wait()
        except BaseException:
            self.close()
            raise

    def _wait(self) -> None:
        deadline = time.monotonic() + LIMIT
        while not self._alive():
            assert self.process.poll() is None, "the server has ended"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.05)

    def _alive(self) -> bool:
        try:
            return self._ask("GET", "/isAlive") == b"true"
        except ConnectionRefusedError:
            return False

    def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)) as connection:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            return connection.getresponse().read()

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(LIMIT)
        finally:
            self.process.kill()
            self.process.wait()

    def predict(self, record: dict[str, Any], **more: Any) -> dict[str, Any]:
        body = json.dumps({"records": [record]} | more).encode()
        return json.loads(self._ask("POST", "/v1/predictions", body))


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Service]]:
    started: list[Service] = []

    def begin(train: Callable[[], Any]) -> Service:
        folder = tmp_path_factory.mktemp(train.__name__)
        save(train(), folder, inputs=models.PROVEN_BY)
        started.append(Service(folder))
        return started[-1]

    try:
        yield begin
    finally:
        for service in started:
            service.close()


@pytest.fixture(scope="module")
def line(start: Callable[..., Service]) -> Service:
    return start(models.line)


@pytest.fixture(scope="module")
def mixed(start: Callable[..., Service]) -> Service:
    return start(models.mixed)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.fail(f"There is no {CHROMIUM}: run scripts/setup-test.")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


class Tab:
    """A page in a separate browser context, with its requests, errors and warnings."""

    def __init__(self, browser: Browser, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": WIDE, **options})
        self.page = self.context.new_page()
        self.page.add_init_script(VIOLATIONS)
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on(
            "console",
            lambda message: (
                self.complaints.append(message.text)
                if message.type in ("error", "warning")
                else None
            ),
        )


@pytest.fixture
def open_tab(browser: Browser) -> Iterator[Callable[..., Tab]]:
    """A function that opens an empty tab."""
    with ExitStack() as opened:

        def open_one(**options: Any) -> Tab:
            tab = Tab(browser, **options)
            opened.callback(tab.context.close)
            # A handler that outlives its tab would fail later, possibly in another test.
            opened.callback(tab.page.unroute_all, behavior="wait")
            return tab

        yield open_one


@pytest.fixture
def open_page(open_tab: Callable[..., Tab]) -> Iterator[Callable[..., Page]]:
    """A function that opens a page, which must request only its server and log no errors."""
    visited: list[tuple[Tab, Service]] = []

    def visit(service: Service, path: str = "/", **options: Any) -> Page:
        tab = open_tab(**options)
        visited.append((tab, service))
        tab.page.goto(service.url + path)
        return tab.page

    yield visit
    for tab, service in visited:
        assert tab.complaints == []
        assert [url for url in tab.asked if not url.startswith(service.url)] == []


def open_details(page: Page) -> None:
    page.locator("details").evaluate_all("all => { for (const one of all) one.open = true; }")


def answered(page: Page) -> Locator:
    return page.locator("#value:not(.stale)")


def expect_answer(page: Page, prediction: Any) -> None:
    """Wait until the page shows the API's prediction; the title has all of its digits."""
    expect(answered(page)).to_have_attribute("title", str(prediction))


def expect_f(page: Page, line: Service, value: float) -> None:
    expect_answer(page, line.predict({"f": value})["predictions"][0])


def asked_point(page: Page) -> tuple[float, float]:
    point = page.locator("#chart .asked")
    return float(point.get_attribute("cx") or ""), float(point.get_attribute("cy") or "")


def test_the_answer_is_there_without_a_press(line: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(line)
    usual = float(page.get_by_label("f bmi", exact=True).input_value())
    (prediction,) = line.predict({"f": usual})["predictions"]
    expect_answer(page, prediction)
    expect(page.locator("#value")).to_have_text(f"{prediction:.6g}")
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("^Predict "))


def test_a_slider_moved_by_keys(line: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(line)
    slider, number = page.get_by_role("slider"), page.get_by_role("spinbutton")
    expect(answered(page)).to_be_visible()
    before, point = float(number.input_value()), asked_point(page)
    slider.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    after = float(number.input_value())
    assert after == pytest.approx(before + 0.005)
    assert after == float(slider.input_value())
    expect_f(page, line, after)
    moved = asked_point(page)
    assert moved[0] > point[0]
    assert moved[1] < point[1]
    page.keyboard.press("End")
    expect_f(page, line, float(number.input_value()))


def test_a_number_typed(line: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(line)
    page.get_by_role("spinbutton").fill("0.05")
    expect_f(page, line, 0.05)
    expect(page.locator("#value")).to_have_text("199.605")
    assert page.get_by_role("slider").input_value() == "0.05"
    # Announced by a screen reader once the value no longer changes.
    expect(page.locator("#status")).to_have_text(re.compile(r"^Prediction: 199\.605\."))
    # The point is on the line.
    (x, y), curve = asked_point(page), page.locator("#chart .curve").get_attribute("points") or ""
    ends = [tuple(map(float, pair.split(","))) for pair in curve.split()]
    (x0, y0), (x1, y1) = ends[0], ends[-1]
    assert y == pytest.approx(y0 + (x - x0) * (y1 - y0) / (x1 - x0), abs=0.1)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "f is missing"),
        ("1e308", "f is too large: the prediction is beyond the largest number."),
        ("--", "f is not a number such as 0.05, -1 or 5e-2."),
    ],
)
def test_what_cannot_be_predicted_is_told_at_its_field(
    line: Service, open_page: Callable[..., Page], typed: str, said: str
) -> None:
    page = open_page(line)
    expect(answered(page)).to_be_visible()
    number = page.get_by_role("spinbutton")
    number.fill("")
    number.press_sequentially(typed)
    expect(page.locator("#f0-error")).to_contain_text(said)
    expect(number).to_have_attribute("aria-invalid", "true")
    assert "f0-error" in (number.get_attribute("aria-describedby") or "")
    expect(page.locator("#status")).to_contain_text(said)
    expect(page.locator("#value")).to_have_class("value stale")
    number.fill("0.05")
    expect_f(page, line, 0.05)
    expect(page.locator("#f0-error")).to_be_hidden()
    expect(number).to_have_attribute("aria-invalid", "false")


def test_beyond_the_training_data_is_allowed_and_said(
    line: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(line)
    page.get_by_role("spinbutton").fill("0.5")
    expect(page.locator("#f0-hint")).to_contain_text("Outside the training data")
    expect_f(page, line, 0.5)
    slider = page.get_by_role("slider")
    assert float(slider.input_value()) == float(slider.get_attribute("max") or "")
    page.get_by_role("button", name="Usual values").click()
    expect(page.locator("#f0-hint")).to_contain_text("Training data: ")


def test_the_plot_is_asked_by_a_click_and_told_as_text(
    line: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(line)
    chart = page.get_by_role("img", name=re.compile("training rows as dots"))
    expect(chart).to_be_visible()
    assert page.locator("#chart .dot").count() == 200
    assert page.locator("#chart text").count() >= 6
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    assert box
    page.mouse.click(box["x"] + box["width"] * 0.75, box["y"] + box["height"] / 2)
    value = float(page.get_by_role("spinbutton").input_value())
    expect_f(page, line, value)
    assert asked_point(page)[0] == pytest.approx(box["width"] * 0.75, abs=5)
    expect(page.locator("#chart-text")).to_contain_text("These inputs: ")
    page.get_by_text("The line as a table").click()
    rows = page.get_by_role("table").get_by_role("row")
    assert rows.count() >= 3
    expect(rows.first).to_contain_text("bmi")


def test_a_training_row_shows_what_was_true(line: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(line)
    page.get_by_role("button", name="A training row").click()
    expect(page.locator("#note")).to_contain_text("In the training data: ")
    page.get_by_role("spinbutton").fill("0.05")
    expect(page.locator("#note")).not_to_contain_text("In the training data")


def test_the_address_keeps_the_inputs(line: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(line, "/?f=0.05")
    expect_f(page, line, 0.05)
    page.get_by_role("spinbutton").fill("0.06")
    expect(page).to_have_url(f"{line.url}/?f=0.06")
    page.reload()
    assert page.get_by_role("spinbutton").input_value() == "0.06"
    expect_f(page, line, 0.06)


def test_the_commands_ask_the_same(line: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(line, "/?f=0.05")
    page.get_by_text("The same by curl").click()
    expect(page.locator("#request")).to_contain_text(f"curl '{line.url}/prediction/?f=0.05'")
    expect(page.locator("#request")).to_contain_text('--data \'{"records":[{"f":0.05}]}\'')


def test_the_latest_inputs_win_and_one_request_is_under_way(
    line: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(line)
    expect(answered(page)).to_be_visible()
    held: list[Route] = []

    def hold_the_first(route: Route) -> None:
        held.append(route)
        if len(held) > 1:
            route.continue_()

    page.route("**/v1/predictions", hold_the_first)
    number = page.get_by_role("spinbutton")
    slider = page.get_by_role("slider")
    number.fill("0.01")
    while not held:
        page.wait_for_timeout(50)
    slider.focus()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    page.wait_for_timeout(300)
    assert len(held) == 1
    held[0].continue_()
    expect_f(page, line, 0.03)
    assert len(held) == 2


def test_a_busy_service_is_asked_again(line: Service, open_tab: Callable[..., Tab]) -> None:
    tab = open_tab()

    def refuse(route: Route) -> None:
        detail = json.dumps({"status": 503, "title": "Busy", "detail": "Too much."})
        route.fulfill(status=503, body=detail, headers={"Retry-After": "1"})

    tab.page.route("**/v1/predictions", refuse)
    tab.page.goto(f"{line.url}/?f=0.05")
    expect(tab.page.locator("#note")).to_have_text("The service is busy: asking again.")
    tab.page.unroute("**/v1/predictions")
    expect_f(tab.page, line, 0.05)


def test_a_service_that_is_gone_is_said_and_found_again(
    line: Service, open_tab: Callable[..., Tab]
) -> None:
    tab = open_tab()
    tab.page.route("**/v1/predictions", lambda route: route.abort())
    tab.page.goto(f"{line.url}/?f=0.05")
    expect(tab.page.locator("#note")).to_have_text("The service cannot be reached.")
    expect(tab.page.locator("#status")).to_contain_text("The service cannot be reached.")
    tab.page.unroute("**/v1/predictions")
    tab.page.get_by_role("spinbutton").fill("0.06")
    expect_f(tab.page, line, 0.06)


RECORD = {
    "bill_mm": 45.5,
    "body_g": 4000,
    "age": 5,
    "island": "Dream",
    "sex": "female",
    "tagged": False,
}


def opened_with(record: dict[str, Any]) -> str:
    texts = {
        name: str(value).lower() if value in (True, False) else str(value)
        for name, value in record.items()
    }
    return "/?" + "&".join(f"{name}={quote(text)}" for name, text in texts.items())


def expect_class(page: Page, service: Service, record: dict[str, Any]) -> None:
    said = service.predict(record, probabilities=True)
    expect_answer(page, said["predictions"][0])
    shares = [f"{100 * share:.1f} %" for share in said["probabilities"][0]]
    expect(page.get_by_role("list", name="Probabilities").get_by_role("listitem")).to_have_text(
        [f"{name}{share}" for name, share in zip(said["classes"], shares, strict=True)]
    )


def test_a_classifier_of_mixed_features(mixed: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(mixed, opened_with(RECORD))
    expect_class(page, mixed, RECORD)
    page.get_by_label("island", exact=True).select_option("Torgersen")
    expect_class(page, mixed, RECORD | {"island": "Torgersen"})
    page.get_by_label("sex", exact=True).select_option("missing")
    expect_class(page, mixed, RECORD | {"island": "Torgersen", "sex": None})
    page.get_by_label("island", exact=True).select_option("another …")
    page.get_by_label("island, another").fill("Anvers")
    expect(page.get_by_text("Not in the training data")).to_be_visible()
    expect_class(page, mixed, RECORD | {"island": "Anvers", "sex": None})
    page.get_by_label("body_g is missing").check()
    expect(page.get_by_role("spinbutton", name="body_g")).to_be_disabled()
    expect_class(page, mixed, RECORD | {"island": "Anvers", "sex": None, "body_g": None})
    page.get_by_role("group", name="tagged").get_by_label("false").focus()
    page.keyboard.press("ArrowDown")
    after = RECORD | {"island": "Anvers", "sex": None, "body_g": None, "tagged": True}
    expect_class(page, mixed, after)


def test_an_integer_is_whole(mixed: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(mixed, opened_with(RECORD))
    slider = page.get_by_role("slider", name="age")
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("spinbutton", name="age").input_value() == "6"
    expect_class(page, mixed, RECORD | {"age": 6})
    page.get_by_role("spinbutton", name="age").fill("6.5")
    error = page.locator(".error:visible")
    expect(error).to_contain_text("age ")
    expect(page.locator("#note")).to_have_text("No prediction: see the marked input.")


@pytest.mark.parametrize("feature", ["bill_mm", "body_g", "age", "island", "sex", "tagged"])
def test_the_dependence_on_each_feature(
    mixed: Service, open_page: Callable[..., Page], feature: str
) -> None:
    page = open_page(mixed, opened_with(RECORD))
    expect(answered(page)).to_be_visible()
    page.get_by_label("on", exact=True).select_option(feature)
    expect(page.locator("#x-label")).to_have_text(feature)
    expect(page.locator("#chart .curve").first).to_be_attached()
    expect(page.locator("#chart .asked")).to_be_visible()
    page.get_by_label("for", exact=True).select_option("gentoo")
    expect(page.locator("#y-label")).to_have_text("probability of gentoo")
    (shares,) = mixed.predict(RECORD, probabilities=True)["probabilities"]
    expect(page.locator("#chart-text")).to_contain_text(f"{float(f'{shares[2]:.6g}'):g}"[:5])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("model", ["line", "mixed"])
def test_anybody_can_use_it(
    request: pytest.FixtureRequest,
    open_page: Callable[..., Page],
    model: str,
    path: str,
    scheme: str,
) -> None:
    page = open_page(
        request.getfixturevalue(model), path, color_scheme=scheme, reduced_motion="reduce"
    )
    if path == "/":
        expect(answered(page)).to_be_visible()
    open_details(page)
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("model", ["line", "mixed"])
def test_a_screen_scrolls_one_way(
    request: pytest.FixtureRequest,
    open_page: Callable[..., Page],
    model: str,
    path: str,
    viewport: dict[str, int],
) -> None:
    page = open_page(request.getfixturevalue(model), path, viewport=viewport)
    if path == "/":
        expect(answered(page)).to_be_visible()
    open_details(page)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= viewport["width"]
    if path == "/" and viewport is NARROW:
        # The prediction stays visible while the inputs are changed.
        page.get_by_role("spinbutton").first.focus()
        expect(page.locator("#value")).to_be_in_viewport()


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("model", ["line", "mixed"])
def test_nothing_jumps_while_it_loads(
    request: pytest.FixtureRequest,
    open_page: Callable[..., Page],
    model: str,
    viewport: dict[str, int],
) -> None:
    page = open_page(request.getfixturevalue(model), viewport=viewport)
    expect(answered(page)).to_be_visible()
    assert page.evaluate(LAYOUT_SHIFT) < 0.02


def test_every_control_is_reached_by_keys_and_seen(
    mixed: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(mixed)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        identifier, outline = page.evaluate(
            "[document.activeElement.id || document.activeElement.textContent,"
            " getComputedStyle(document.activeElement).outlineStyle]"
        )
        assert outline != "none", identifier
        reached.append(identifier.strip())
        if identifier == "example":
            break
    for wanted in ("f0-slider", "f0", "f1-missing", "f3", "Usual values", "example"):
        assert wanted in reached


@contextmanager
def below_a_prefix(service: Service) -> Iterator[str]:
    """Serve the service below a prefix of a reverse proxy; yield the URL without a final slash."""
    prefix = "/some/prefix"

    class Relay(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._relay()

        def do_POST(self) -> None:
            self._relay()

        def _relay(self) -> None:
            if not self.path.startswith(f"{prefix}/"):
                self.send_error(404)
                return
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with closing(HTTPConnection("127.0.0.1", service.port, timeout=LIMIT)) as behind:
                path = self.path.removeprefix(prefix)
                behind.request(self.command, path, body, dict(self.headers))
                answer = behind.getresponse()
                said = answer.read()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *arguments: object) -> None:
            pass

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Relay)
    with loopback.answering(proxy):
        yield f"http://127.0.0.1:{proxy.server_port}{prefix}"


@pytest.mark.parametrize("path", PATHS)
def test_it_works_below_a_prefix(line: Service, open_tab: Callable[..., Tab], path: str) -> None:
    tab = open_tab()
    with below_a_prefix(line) as base:
        tab.page.goto(base + path)
        if path == "/":
            tab.page.get_by_role("spinbutton").fill("0.05")
            expect_f(tab.page, line, 0.05)
        for image in tab.page.get_by_role("img").all():
            image.scroll_into_view_if_needed()
        tab.page.get_by_role("link", name="API", exact=True).click()
        expect(tab.page.locator("#address")).to_have_text(f"URL={base}")
    assert tab.complaints == []
    assert [url for url in tab.asked if not url.startswith(f"{base}/")] == []


def test_plots_of_the_card_are_drawn(line: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(line, "/model")
    images = page.get_by_role("img").all()
    assert images
    for image in images:
        image.scroll_into_view_if_needed()
        page.wait_for_function("image => image.complete", arg=image.element_handle())
        assert image.evaluate("image => image.naturalWidth") > 0


def test_the_reference_sends_requests(line: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(line, "/docs")
    expect(page.locator("#address")).to_have_text(f"URL={line.url}")
    single = page.locator("article", has=page.locator("form[data-path='/prediction/']"))
    single.get_by_text("Try it").click()
    single.get_by_label("f", exact=True).fill("0.05")
    single.get_by_role("button", name="Send").click()
    expect(single.get_by_role("status")).to_contain_text("200 OK · text/plain")
    expect(single.locator(".output")).to_have_text("[199.60524718]")
    many = page.locator("article", has=page.locator("form[data-path='/v1/predictions']"))
    many.get_by_text("Try it").click()
    many.get_by_label("Body").fill('{"columns": {"f": [0.05]}}')
    many.get_by_role("button", name="Send").click()
    expect(many.locator(".output")).to_contain_text('"predictions": [\n    199.6052471')


def test_each_command_of_the_reference_works(line: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(line, "/docs")
    commands = page.get_by_role("group", name="Command").all_text_contents()
    assert len(commands) >= 10
    for command in commands:
        ran = subprocess.run(
            ["sh", "-c", f"{command} --silent --output /dev/null --write-out '%{{http_code}}'"],
            env=os.environ | {"URL": line.url, "NO_PROXY": "*"},
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        assert ran.stdout == "200", command


def test_without_scripts_the_form_asks_and_all_is_read(
    line: Service, open_tab: Callable[..., Tab]
) -> None:
    tab = open_tab(java_script_enabled=False)
    tab.page.goto(line.url)
    expect(tab.page.get_by_role("slider")).to_have_count(0)
    tab.page.get_by_role("spinbutton").fill("0.05")
    tab.page.get_by_role("button", name="Predict").click()
    expect(tab.page.locator("body")).to_have_text("[199.60524718]")
    tab.page.goto(f"{line.url}/docs")
    expect(tab.page.get_by_role("heading", name="GET /prediction/")).to_be_visible()
    expect(tab.page.get_by_role("button", name="Send")).to_have_count(0)
