"""The page in a real browser, against the real server: what is seen, heard, corrected, saved and reached by keys."""

import csv
import io
import json
import re
import secrets
import shutil
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import uvicorn

import add4rsc
from add4rsc.inference.annotations.audacity import AudacityAnnotation
from add4rsc.inference.annotations.icbhi import IcbhiAnnotation
from add4rsc.serve.app import create_app
from add4rsc.serve.limits import Limits

PAGE = Path(add4rsc.__file__).parent / "serve" / "page"
NAME = "101_1b1_Al_sc_Meditron.wav"
ANNOTATION = b"0.1\t1.9\t0\t0\n2.0\t3.5\t1\t0\n3.5\t5.5\t0\t1\n"
NOTICE = "Research use only, not a medical device."
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip
PATIENCE = 40_000


def wait_until(condition: Callable[[], object], duration: float = 40.0) -> None:
    """Ask again until it is so; `wait_for_function` would need `eval`, which the page's policy forbids."""
    end = time.monotonic() + duration
    while not condition():
        assert time.monotonic() < end, "it never became so"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def browser() -> Iterator:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine: the page is not tested in a browser")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def start_server(classifier) -> Iterator[Callable[..., str]]:
    """The address of a server in a thread of its own."""
    servers: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(token: str = "") -> str:
        app = create_app(classifier, Limits(n_workers=1), token=token, hosts=frozenset({"127.0.0.1"}))
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        servers.append((server, thread))
        wait_until(lambda: server.started)
        return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"

    yield start
    classifier.may_go_on.set()
    for server, thread in servers:
        server.should_exit = True
        thread.join(10)


class Visit:
    """A page that is open in the browser, with what it complained of and what it asked for."""

    def __init__(self, context, address: str) -> None:
        self.address = address
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        self.tab = context.new_page()
        self.tab.set_default_timeout(PATIENCE)
        self.tab.on(
            "console", lambda message: self.complaints.append(message.text) if message.type == "error" else None
        )
        self.tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.tab.on("dialog", lambda dialog: dialog.accept())
        context.on("request", lambda request: self._note(request.url))

    def _note(self, url: str) -> None:
        if not url.startswith((f"{self.address}/", f"blob:{self.address}/", "data:")):
            self.foreign.append(url)

    def open(self) -> "Visit":
        self.tab.goto(f"{self.address}/")
        self.tab.locator("html[data-ready]").wait_for()
        return self

    def upload(self, *files: tuple[str, bytes], n_recordings: int = 1) -> None:
        self.tab.set_input_files("#files", [{"name": n, "mimeType": "", "buffer": content} for n, content in files])
        wait_until(lambda: self.tab.locator("#shelf-list .pick").count() >= n_recordings)
        wait_until(lambda: not self.tab.locator("#shelf-list progress").count())
        self.wait_for_picture()

    def wait_for_picture(self) -> None:
        self.tab.locator(".recording[data-ready]").wait_for()

    def keys(self, *keys: str) -> None:
        for key in keys:
            self.tab.keyboard.press(key)

    def download(self, what) -> tuple[str, bytes]:
        with self.tab.expect_download() as waiting:
            what.click()
        return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()

    def fetch(self, path: str) -> bytes:
        return self.tab.request.get(f"{self.address}/{path}").body()

    @property
    def ids(self) -> list[str]:
        return self.tab.locator("#shelf-list li").evaluate_all("all => all.map((each) => each.dataset.id)")

    @property
    def region_ids(self) -> list[str]:
        found = self.tab.locator('.wave [part^="region c"]').evaluate_all("all => all.map((each) => each.part[1])")
        return sorted(found, key=lambda each: int(each[1:]))

    def is_playing(self) -> bool:
        return self.tab.locator('.tools button[aria-label="Pause"]').count() == 1

    def clock(self) -> float:
        minutes, seconds = self.tab.locator(".time").inner_text().split(" / ")[0].split(":")
        return 60 * int(minutes) + float(seconds)


@pytest.fixture
def visit(browser, start_server) -> Iterator[Callable[..., Visit]]:
    """Open the page; afterwards it must not have complained, nor asked anything of anybody else."""
    visits: list[Visit] = []
    contexts: list = []

    def start(width: int = 1300, token: str = "", **options) -> Visit:
        still = {"reduced_motion": "reduce"}  # colours on their way from one to the other have no contrast of their own
        view = {"width": width, "height": 850}
        context = browser.new_context(viewport=view, accept_downloads=True, **still, **options)
        contexts.append(context)
        visits.append(Visit(context, start_server(token)))
        return visits[-1]

    yield start
    for context in contexts:
        context.close()
    assert [each.complaints for each in visits] == [[] for _ in visits]
    assert [each.foreign for each in visits] == [[] for _ in visits]


@pytest.fixture
def shown(visit, sound) -> Visit:
    """The page with one annotated recording of three cycles."""
    page = visit().open()
    page.upload((NAME, sound()), (NAME.replace(".wav", ".txt"), ANNOTATION))
    return page


@pytest.mark.browser
def test_what_was_found_is_shown(shown):
    recording = json.loads(shown.fetch(f"v1/recordings/{shown.ids[0]}"))
    cycles, result = recording["result"]["cycles"], recording["result"]
    assert len(cycles) == 3
    assert shown.region_ids == ["c0", "c1", "c2"]
    rows = shown.tab.locator("table.cycles tbody tr").all_inner_texts()
    for row, cycle in zip(rows, cycles, strict=True):
        assert f"{cycle['start']:.2f} \u2013 {cycle['end']:.2f}" in row
        assert cycle["heard"] in row
        assert all(f"{100 * share:.0f} %" in row for share in cycle["probabilities"].values())
    assert result["heard"].lower() in shown.tab.locator(".verdict-word").inner_text().lower()
    assert "from the annotation" in shown.tab.locator(".summary").inner_text()
    assert "patient 101 · front, left" in shown.tab.locator(".recording-head").inner_text()
    assert all(text in shown.tab.locator(".axes").inner_text() for text in ("2 kHz", "500 Hz", "100 Hz"))
    assert "2.0 s" in shown.tab.locator('.wave [part="timeline"]').inner_text()


@pytest.mark.browser
def test_the_spectrogram_shows_the_pitch_where_it_is(visit, sound):
    page = visit().open()
    tone = 0.3 * np.sin(2 * np.pi * 500 * np.arange(5 * 4000) / 4000)
    page.upload(("tone.wav", sound(tone.astype(np.float32))))
    canvas = page.tab.locator(".wave canvas").last
    wait_until(lambda: canvas.evaluate("each => each.height") == 200)  # drawn after the waveform, which has 128
    time.sleep(0.3)
    brightest = canvas.evaluate(
        """canvas => {
          const { data } = canvas.getContext("2d").getImageData(canvas.width / 2, 0, 1, canvas.height);
          const light = Array.from({ length: canvas.height }, (_, row) => data[4 * row] + data[4 * row + 1]);
          return (light.indexOf(Math.max(...light)) + 0.5) / canvas.height;
        }"""
    )
    mel = lambda hertz: 2595 * np.log10(1 + hertz / 700)  # noqa: E731
    assert brightest == pytest.approx(1 - mel(500) / mel(2000), abs=0.03)
    labels = page.tab.locator(".axis-scale span")
    place = labels.filter(has_text="500 Hz").evaluate("each => parseFloat(each.style.bottom)")
    assert place / 100 == pytest.approx(1 - brightest, abs=0.03)


@pytest.mark.browser
def test_a_cycle_is_played_to_its_end_and_looped(shown):
    shown.keys("ArrowRight", "Enter")
    wait_until(shown.is_playing)
    wait_until(lambda: not shown.is_playing())
    assert shown.clock() == pytest.approx(3.5, abs=0.25)
    shown.keys("l", "Enter")
    time.sleep(2.2)
    assert shown.is_playing()
    assert 1.9 <= shown.clock() <= 3.7
    shown.keys("Space")
    wait_until(lambda: not shown.is_playing(), 5.0)
    time.sleep(0.5)
    assert not shown.is_playing()


@pytest.mark.browser
def test_a_click_on_a_region_chooses_and_plays_it(shown):
    shown.tab.locator('.wave [part~="c2"]').click(position={"x": 20, "y": 60})
    wait_until(shown.is_playing)
    assert "Cycle 3 of 3" in shown.tab.locator("#cycle-title").inner_text()
    assert shown.clock() >= 3.4


@pytest.mark.browser
def test_zoom_to_a_cycle_and_back(shown):
    width = lambda: shown.tab.locator('.wave [part="wrapper"]').evaluate("each => each.scrollWidth")  # noqa: E731
    whole = width()
    shown.keys("ArrowRight", "z")
    wait_until(lambda: width() > 2.5 * whole)
    box, frame = (shown.tab.locator(where).bounding_box() for where in ('.wave [part~="c1"]', ".wave"))
    assert box["x"] >= frame["x"]
    assert box["x"] + box["width"] <= frame["x"] + frame["width"]
    shown.keys("0")
    wait_until(lambda: width() == whole)


@pytest.mark.browser
def test_labels_are_corrected_by_keys_and_saved(shown, tmp_path):
    recording = json.loads(shown.fetch(f"v1/recordings/{shown.ids[0]}"))
    decisions = [cycle["decision"] for cycle in recording["result"]["cycles"]]
    corrected = "4" if decisions[1] != "both" else "2"
    shown.keys("ArrowRight", corrected, "ArrowRight", "r")
    own = shown.tab.locator("table.cycles .own")
    assert "corrected to" in own.nth(1).text_content()
    assert "rejected" in own.nth(2).text_content()
    saving = shown.tab.locator(".saving")
    name, content = shown.download(saving.get_by_role("button", name="ICBHI .txt"))
    assert name == "101_1b1_Al_sc_Meditron.txt"
    (tmp_path / name).write_bytes(content)
    label = "both" if corrected == "4" else "crackle"
    assert IcbhiAnnotation.read(tmp_path / name) == [(2.0, 3.5, label)]
    name, content = shown.download(saving.get_by_role("button", name="Audacity labels"))
    (tmp_path / name).write_bytes(content)
    assert AudacityAnnotation.read(tmp_path / name) == [(2.0, 3.5, label)]
    _, content = shown.download(saving.get_by_role("button", name="CSV", exact=True))
    rows = list(csv.DictReader(io.StringIO(content.decode())))
    assert [(row["review"], row["label"]) for row in rows] == [("corrected", label), ("rejected", "")]
    assert {row["notice"] for row in rows} == {NOTICE}
    shown.keys("r")
    assert own.nth(2).text_content() == ""


@pytest.mark.browser
def test_labels_of_several_recordings_are_one_zip(visit, sound, tmp_path):
    page = visit().open()
    note = (NAME.replace(".wav", ".txt"), ANNOTATION)
    other = "102_1b1_Ar_sc_Meditron"
    page.upload((NAME, sound()), note, (f"{other}.wav", sound()), (f"{other}.txt", ANNOTATION), n_recordings=2)
    page.tab.get_by_text("where I have not looked").click()
    page.tab.get_by_text("of all recordings").click()
    page.keys("3")
    name, content = page.download(page.tab.locator(".saving").get_by_role("button", name="ICBHI .txt"))
    assert name == "labels-icbhi.zip"
    with zipfile.ZipFile(io.BytesIO(content)) as files:
        assert files.testzip() is None
        assert files.namelist() == [NAME.replace(".wav", ".txt"), f"{other}.txt"]
        files.extractall(tmp_path)
    assert IcbhiAnnotation.read(tmp_path / f"{NAME[:-4]}.txt")[0] == (0.1, 1.9, "wheeze")


@pytest.mark.browser
def test_every_format_is_downloaded_as_the_server_writes_it(shown):
    formats = json.loads(shown.fetch("v1/models"))["formats"]
    links = shown.tab.locator(".saving .links a")
    assert links.count() == len(formats) == 7
    for index, name in enumerate(formats):
        file, content = shown.download(links.nth(index))
        assert file.endswith(formats[name])
        if name != "fhir":  # its bundle has the hour in it
            assert content == shown.fetch(f"v1/recordings/{shown.ids[0]}/predictions?format={name}")
    file, content = shown.download(shown.tab.locator(".all-tables").get_by_role("button"))
    assert file == "predictions.csv"
    assert content.count(b"\n") == 4


@pytest.mark.browser
def test_a_reload_keeps_recordings_and_labels_until_they_are_removed(shown):
    shown.keys("2")
    own = shown.tab.locator("table.cycles .own").first
    before = own.inner_text()
    assert before
    identity = shown.ids[0]
    shown.tab.reload()
    shown.wait_for_picture()
    assert (shown.ids, own.inner_text()) == ([identity], before)
    stored = shown.tab.evaluate("JSON.stringify({ ...sessionStorage }) + JSON.stringify({ ...localStorage })")
    assert "Meditron" not in stored
    shown.tab.get_by_role("button", name=f"Remove {NAME}").click()
    wait_until(lambda: shown.tab.request.get(f"{shown.address}/v1/recordings/{identity}").status == 404)
    shown.tab.reload()
    shown.tab.locator("html[data-ready]").wait_for()
    assert shown.ids == []


@pytest.mark.browser
def test_a_bad_file_is_said_and_its_name_is_only_text(visit, sound):
    page = visit().open()
    page.upload(
        ("<img src=x onerror=alert(1)>.wav", b"no sound"), ("<b>bold.wav", sound()), ("<b>bold.txt", ANNOTATION)
    )
    problem = page.tab.locator("#problems .problem")
    assert "<img src=x onerror=alert(1)>.wav" in problem.inner_text()
    assert page.tab.locator("h2#recording-title").inner_text() == "<b>bold.wav"
    assert page.tab.locator("#problems img, #recording-title b").count() == 0
    assert [text for text in page.complaints if "415" not in text] == []
    page.complaints.clear()  # the browser itself logs each answer of 4xx


@pytest.mark.browser
def test_silence_is_not_judged_and_said_so(visit, sound):
    page = visit().open()
    page.upload(("still.wav", sound(np.zeros(4 * 4000, np.float32))))
    assert "Could not be judged" in page.tab.locator(".recording .problem").inner_text()
    assert "not sure" in page.tab.locator(".cycle-panel, .verdict").first.inner_text().lower() or "not judged" in (
        page.tab.locator(".summary").inner_text().lower()
    )


@pytest.mark.browser
def test_views_that_the_network_lacks_are_off_and_say_why(shown):
    radio = shown.tab.locator('.views input[value="denoised"]')
    assert radio.is_disabled()
    reason = radio.get_attribute("aria-describedby")
    assert len(shown.tab.locator(f"#{reason}").inner_text()) > 20
    assert shown.tab.locator('.views input[value="explanation"]').is_enabled()


@pytest.mark.browser
def test_denoised_and_explanation_views_of_a_network_that_has_them(visit, sound):
    page = visit()

    def with_views(route) -> None:
        content = route.fetch().json()
        route.fulfill(json=content | {"views": content["views"] | {"denoised": True}})

    def picture(route) -> dict:
        return route.fetch(url=route.request.url.replace("denoised", "spectrogram")).json()

    def layers(route) -> None:
        content = picture(route)
        shift = (content["end"] - content["start"]) / content["n_frames"]
        times = {"first_time": content["start"] + shift / 2, "frame_shift": shift, "note": "Illustrative."}
        route.fulfill(json=content | dict.fromkeys(("before", "after", "gain"), content.pop("data")) | times)

    heard: list[str] = []
    page.tab.on("request", lambda request: heard.append(request.url))
    page.tab.route("**/v1/models", with_views)
    page.tab.route(re.compile(r"/denoised\?"), layers)
    page.tab.route(re.compile(r"/denoised/audio"), lambda route: route.fulfill(body=sound(), content_type="audio/wav"))
    page.open()
    page.upload(("breath.wav", sound()), ("breath.txt", ANNOTATION))
    page.tab.locator(".views").get_by_text("Denoised").click()
    titles = page.tab.locator(".row-title")
    wait_until(lambda: titles.count() == 3)
    assert "Illustrative." in page.tab.locator(".captions").inner_text()
    page.tab.get_by_text("Filtered, illustrative").click()
    page.keys("Space")
    wait_until(page.is_playing)
    assert any("/denoised/audio" in url for url in heard)
    page.keys("Space")
    page.tab.locator(".views").get_by_text("Explanation").click()
    wait_until(lambda: titles.count() == 2)
    assert "occlusion" in titles.last.inner_text()
    assert "not of the lung" in page.tab.locator(".captions").inner_text()


@pytest.mark.browser
def test_recordings_of_a_patient_lie_where_they_were_made(visit, sound):
    page = visit().open()
    names = ("101_1b1_Al_sc_Meditron.wav", "101_1b1_Pr_sc_Meditron.wav", "40069321_15.3_0_p1_981.wav", "breath.wav")
    stems = [name.removesuffix(".wav") for name in names]
    page.upload(
        *((f"{stem}.wav", sound()) for stem in stems), *((f"{stem}.txt", ANNOTATION) for stem in stems), n_recordings=4
    )
    page.tab.locator("#open-compare").click()
    patient = page.tab.locator(".compare .recording-head select")
    patient.select_option("101")
    assert page.tab.locator(".cell.front-left .link").all_inner_texts() == [names[0]]
    assert page.tab.locator(".cell.back-right .link").all_inner_texts() == [names[1]]
    patient.select_option("40069321")
    assert page.tab.locator(".cell.back-left .link").all_inner_texts() == [names[2]]
    patient.select_option("")
    card = page.tab.locator(".cell.elsewhere .card")
    card.locator("summary").click()
    card.locator("select").select_option("Tc")
    card = page.tab.locator(".cell.neck .card")
    card.locator("summary").click()
    card.locator("input").fill("101")
    card.locator("input").press("Tab")
    patient.select_option("101")
    assert page.tab.locator(".cell.neck .link").all_inner_texts() == ["breath.wav"]


@pytest.mark.browser
def test_the_report_holds_the_users_labels(shown):
    shown.keys("r")
    shown.tab.locator("#open-report").click()
    report = shown.tab.locator(".report")
    assert "1 of 3 cycles looked at by a person" in report.inner_text()
    assert "rejected" in report.locator("table.cycles tbody tr").first.inner_text()
    shown.tab.emulate_media(media="print")
    assert not shown.tab.locator("#intake").is_visible()
    assert shown.tab.get_by_text(NOTICE).first.is_visible()


@pytest.mark.browser
def test_a_long_recording_is_shown_in_parts(visit, sound, breath):
    page = visit().open()
    rows = b"".join(b"%d\t%d\t0\t0\n" % (start, start + 3) for start in range(0, 93, 3))
    page.upload(("long.wav", sound(breath(95.0))), ("long.txt", rows))
    assert len(page.region_ids) == 10
    page.tab.locator("table.cycles tbody tr").nth(20).locator("button").click()
    wait_until(lambda: "c20" in page.region_ids)
    assert "c0" not in page.region_ids
    assert page.clock() >= 57
    assert "of 1:35" in page.tab.locator(".parts output").inner_text()


@pytest.mark.browser
def test_a_server_with_a_token_asks_for_it(visit, sound):
    token = secrets.token_hex(16)
    page = visit(token=token)
    page.tab.goto(f"{page.address}/")
    field = page.tab.locator("#token-field")
    field.fill("wrong")
    field.press("Enter")
    page.tab.get_by_text("That is not the token").wait_for()
    field.fill(token)
    field.press("Enter")
    page.tab.locator("html[data-ready]").wait_for()
    page.upload((NAME, sound()), (NAME.replace(".wav", ".txt"), ANNOTATION))
    page.keys("Space")
    wait_until(page.is_playing)
    assert [text for text in page.complaints if "401" not in text] == []
    page.complaints.clear()


@pytest.mark.browser
def test_an_example_is_one_click_away(visit):
    page = visit().open()
    page.tab.locator("#examples button").first.click()
    page.wait_for_picture()
    wait_until(lambda: page.region_ids)


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1300, 360])
def test_no_serious_barrier_and_nothing_wider_than_the_screen(visit, sound, scheme, width):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    page = visit(width=width, color_scheme=scheme).open()

    def check(view: str) -> None:
        n_complaints = len(page.complaints)
        found = axe.Axe().run(page.tab).response["violations"]
        del page.complaints[n_complaints:]  # of the style element that axe itself puts in, which the policy refuses
        serious = [each for each in found if each["impact"] in ("serious", "critical")]
        assert {each["id"]: [node["html"] for node in each["nodes"]] for each in serious} == {}, view
        assert page.tab.evaluate("document.documentElement.scrollWidth") <= width, view
        notice = page.tab.locator("#notice").bounding_box()
        assert notice["y"] >= 0
        assert notice["y"] + notice["height"] < 200

    check("empty")
    stems = ("101_1b1_Al_sc_Meditron", "101_1b1_Ar_sc_Meditron")
    page.upload(
        *((f"{stem}.wav", sound()) for stem in stems), *((f"{stem}.txt", ANNOTATION) for stem in stems), n_recordings=2
    )
    page.keys("z", "2")
    time.sleep(0.3)
    check("recording")
    page.tab.evaluate("scrollTo(0, 600)")
    check("scrolled")
    page.tab.locator("#open-compare").click()
    check("compare")
    page.tab.locator("#open-report").click()
    check("report")
    page.tab.locator("#help-open").click()
    check("help")


def test_the_page_names_nothing_elsewhere():
    own = [path for path in PAGE.rglob("*") if path.suffix in (".html", ".js", ".css") and "vendor" not in path.parts]
    assert len(own) > 15
    for path in own:
        addresses = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"'`)]*", path.read_text(encoding="utf-8")))
        assert addresses <= {"http://www.w3.org/2000/svg"}, path


def test_the_page_has_no_inline_script_or_style():
    page = (PAGE / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|javascript:", page)


def test_the_player_is_shipped_with_its_licence():
    folder = PAGE / "vendor" / "wavesurfer"
    assert "Redistribution and use in source and binary forms" in (folder / "LICENSE").read_text(encoding="utf-8")
    assert {path.name for path in folder.rglob("*.js")} == {
        "wavesurfer.esm.js", "regions.esm.js", "spectrogram.esm.js", "timeline.esm.js",
    }  # fmt: skip
