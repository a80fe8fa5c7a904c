"""Tries the page of `shardfit serve` in headless Chromium as a person does: controls, hover and click, back and forward,
links, copying, saving, a dropped file, bad input, the keyboard alone; in light and dark, on a phone and a wide screen.
The console stays quiet, nothing is asked of any other place, and axe finds no serious fault where it is installed.

usage: try_page.py ADDRESS [--shots DIR]; exits 77 where Playwright or a browser is missing.
"""

import json
import pathlib
import shutil
import sys
import tempfile

try:
    from playwright.sync_api import Error, expect, sync_playwright
except ImportError:
    print("Playwright is not installed (pip install playwright)")
    sys.exit(77)

try:
    from axe_playwright_python.sync_playwright import Axe
except ImportError:
    Axe = None

address = sys.argv[1]
shots = None
if "--shots" in sys.argv:
    shots = pathlib.Path(sys.argv[sys.argv.index("--shots") + 1])
    shots.mkdir(parents=True, exist_ok=True)

VIEWS = ["plan", "fit", "model", "compare", "size", "train", "budget", "simulate", "sweep"]
OWN = {
    "_name_or_path": "mine/own-1b", "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 2048,
    "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8,
    "vocab_size": 128256, "tie_word_embeddings": True, "torch_dtype": "bfloat16", "max_position_embeddings": 8192,
}
SERIOUS = {"serious", "critical"}
expect.set_options(timeout=60_000)


def launch(playwright):
    own = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
    try:
        return playwright.chromium.launch(executable_path=own, args=["--no-sandbox"])
    except Error as refused:
        print(f"no browser: {str(refused).splitlines()[0]} (apt install chromium, or playwright install chromium)")
        sys.exit(77)


class Watched:
    """A page whose console and requests are looked at."""

    def __init__(self, browser, **settings):
        self.context = browser.new_context(**settings)
        self.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=address)
        self.page = self.context.new_page()
        self.faults = []
        self.page.on("pageerror", lambda fault: self.faults.append(f"error: {fault}"))
        self.page.on("console", self.console)
        self.page.on("request", self.request)

    def console(self, message):
        # The browser itself tells of answers that say what is wrong with a question.
        refused = "Failed to load resource" in message.text and ("422" in message.text or "400" in message.text)
        if message.type in ("error", "warning") and not refused:
            self.faults.append(f"console: {message.text}")

    def request(self, request):
        if not request.url.startswith((address, "data:", "blob:")):
            self.faults.append(f"asks elsewhere: {request.url}")

    def open(self, path="/"):
        self.page.goto(address + path)
        self.settled()

    def settled(self):
        expect(self.page.locator("#result:not([aria-busy]) h1")).to_be_visible()

    def done(self):
        self.context.close()
        assert not self.faults, self.faults


def heading(page):
    return page.locator("#result h1").inner_text()


def rows(page, label):
    return page.locator(f'#result [aria-label="{label}"] tbody tr')


def plan(browser):
    watched = Watched(browser, viewport={"width": 1280, "height": 900})
    page = watched.page
    watched.open()
    assert heading(page) == "meta-llama/Meta-Llama-3.1-70B on 8xh100-sxm", heading(page)
    assert "model=llama-3.1-70b" in page.url and "v=1" in page.url, page.url
    first = rows(page, "Ranking").count()
    assert first >= 3
    # What makes a figure honest stands beside it: the chance that targets hold, where servers lie, layouts nobody launches.
    told = page.locator("#result").inner_text()
    for said in ["would keep these targets", "As simulated the best plan", "Likely range of the best plan", "Holds %", "unusual"]:
        assert said in told, said
    assert page.locator('[aria-label="Ranking"] tbody tr').first.locator("td:nth-child(9)").inner_text().isdigit()
    # A target moves: other plans, another address, and one step back to the first.
    page.get_by_label("Per token", exact=True).fill("20ms")
    page.get_by_label("Per token", exact=True).press("Enter")
    expect(page.locator("#result .fault")).to_have_count(0)
    page.wait_for_timeout(900)
    assert "tpot=20ms" in page.url
    cells = rows(page, "Ranking").locator("td:nth-child(8)").all_inner_texts()
    assert cells and all(float(cell) <= 20 for cell in cells), cells
    page.go_back()
    watched.settled()
    expect(rows(page, "Ranking")).to_have_count(first)
    assert "tpot=50ms" in page.url, page.url
    expect(page.get_by_label("Per token", exact=True)).to_have_value("50ms")
    page.go_forward()
    watched.settled()
    expect(page.get_by_label("Per token", exact=True)).to_have_value("20ms")
    page.go_back()
    watched.settled()
    # A slider that moves asks again; what is left is the answer to where it came to rest.
    slider = page.get_by_label("Prompt tokens", exact=True)
    slider.focus()
    for _ in range(6):
        slider.press("ArrowRight")
    page.wait_for_timeout(900)
    watched.settled()
    assert "isl=" in page.url
    link = page.url
    told = page.locator("#result p").first.inner_text()
    # The link opens the same answer.
    other = Watched(browser, viewport={"width": 1280, "height": 900})
    other.page.goto(link)
    other.settled()
    assert other.page.locator("#result p").first.inner_text() == told
    other.done()
    # Hover over the front, click a point, and choose by keyboard.
    dot = page.locator("svg .dot").nth(2)
    dot.hover()
    expect(page.locator("#tip")).to_contain_text("tok/s per GPU")
    dot.click()
    expect(page.locator('[aria-label="The chosen plan"] h2')).to_contain_text("Plan")
    rows(page, "Ranking").nth(1).focus()
    page.keyboard.press("Enter")
    expect(page.locator('[aria-label="The chosen plan"] h2')).to_contain_text("Plan 2")
    page.get_by_role("button", name="Launch command").click()
    expect(page.locator("#result pre").first).to_contain_text("vllm serve")
    page.get_by_role("button", name="Copy", exact=True).first.click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert "vllm serve" in page.evaluate("() => navigator.clipboard.readText()")
    page.get_by_label("as", exact=True).select_option("k8s")
    expect(page.locator("#result pre").first).to_contain_text("kind:")
    page.get_by_role("button", name="Operator by operator").click()
    expect(page.locator('[aria-label="Operators of decode"] tbody tr').first).to_be_visible()
    page.get_by_label("Why not").fill("tp=1")
    page.get_by_role("button", name="Ask").click()
    expect(page.locator("#result li").first).to_contain_text("out of memory")
    # Files.
    for name, holds in [("CSV", "output_tokens_per_s"), ("JSON", '"schema_version": 1'), ("Page", "<!doctype html>")]:
        with page.expect_download() as saved:
            page.get_by_role("button", name=name, exact=True).click()
        assert holds in pathlib.Path(saved.value.path()).read_text(), name
    with page.expect_download() as saved:
        page.get_by_role("button", name="Image", exact=True).click()
    assert pathlib.Path(saved.value.path()).read_bytes().startswith(b"\x89PNG")
    with page.expect_download() as saved:
        page.get_by_role("button", name="CSV", exact=True).click()
    head = pathlib.Path(saved.value.path()).read_text().splitlines()[0].split(",")
    assert {"model", "cluster", "isl", "osl", "target_tpot_ms"} <= set(head), head
    # Over plain HTTP from another machine a browser has no clipboard: the button copies all the same, and says so.
    page.evaluate("() => Object.defineProperty(navigator, 'clipboard', { value: undefined, configurable: true })")
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    # What makes no sense is said with its cure, and the last answer stays in sight as that of another question.
    page.get_by_label("Cluster", exact=True).fill("8xh100-smx")
    expect(page.locator("#result .fault")).to_contain_text("did you mean")
    assert page.locator("#result h1").count() == 1
    assert page.locator("#result .old h1").count() == 1
    assert page.locator('#result .old[inert] [aria-label="Save the answer"]').count() == 1
    page.get_by_label("Cluster", exact=True).fill("1xl40s")
    expect(page.locator("#result .fault")).to_have_count(0)
    expect(page.locator("#result p").first).to_contain_text("Nothing is feasible")
    assert page.locator("#result .old").count() == 0
    # Advice is a question that is asked by a click.
    watched.open("/#/plan?v=1&model=llama-3.1-70b&cluster=1xl40s")
    page.locator('[aria-label="Advice"] a').first.click()
    expect(page.locator("#result p").first).to_contain_text("tokens/s")
    # Hostile text stays text.
    page.get_by_label("Name", exact=True).fill("<img src=x onerror=alert(1)>")
    expect(page.locator("#result .fault")).to_contain_text("unknown model")
    assert page.locator("#result img").count() == 0
    watched.done()


def own_model(browser):
    watched = Watched(browser, viewport={"width": 1280, "height": 900})
    page = watched.page
    watched.open("/#/model")
    assert "Llama-3.1-8B" in heading(page)
    shares = page.locator('[aria-label="decode"] tr.total td').all_inner_texts()
    assert shares.count("100 %") == 2, shares
    page.get_by_role("button", name="qwen3-8b").click()
    expect(page.locator("#result h1")).to_contain_text("Qwen3-8B")
    before = page.locator('[aria-label="prefill"] tr.total').inner_text()
    page.get_by_label("No flash attention").check()
    expect(page.locator('[aria-label="prefill"] tr.total')).not_to_have_text(before)
    page.get_by_label("Compare with").fill("gemma-2-9b")
    expect(page.locator('[aria-label="Models compared"] th')).to_have_count(3)
    page.get_by_label("Compare with").fill("")
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(OWN, file)
        file.flush()
        page.set_input_files("input[type=file]", file.name)
        expect(page.locator("#result h1")).to_have_text("mine/own-1b")
    assert "1.24 B parameters" in page.locator("#result p").first.inner_text()
    transfer = page.evaluate_handle(
        """text => { const t = new DataTransfer(); t.items.add(new File([text], "config.json", { type: "application/json" })); return t; }""",
        json.dumps({**OWN, "_name_or_path": "mine/dropped"}),
    )
    page.dispatch_event("textarea", "drop", {"dataTransfer": transfer})
    expect(page.locator("#result h1")).to_have_text("mine/dropped")
    # A name takes the place of the configuration, and a configuration that of a name.
    page.get_by_label("Name", exact=True).fill("qwen3-8b")
    expect(page.locator("#result h1")).to_contain_text("Qwen3-8B")
    expect(page.locator("textarea")).to_have_value("")
    page.locator("textarea").fill(json.dumps(OWN))
    page.locator("textarea").blur()
    expect(page.locator("#result h1")).to_have_text("mine/own-1b")
    expect(page.get_by_label("Name", exact=True)).to_have_value("")
    page.locator("textarea").fill("{ no json")
    page.locator("textarea").blur()
    expect(page.locator('output[for="f-config"]')).to_contain_text("not read")
    watched.done()


def keyboard(browser):
    watched = Watched(browser, viewport={"width": 1280, "height": 900})
    page = watched.page
    watched.open()
    page.locator("body").press("Tab")
    assert page.evaluate("() => document.activeElement.className") == "skip"
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("() => document.activeElement.name ?? document.activeElement.textContent.slice(0, 20)"))
    assert {"model", "cluster", "isl", "ttft", "engine"} <= seen, seen
    page.get_by_role("link", name="Size").focus()
    page.keyboard.press("Enter")
    watched.settled()
    assert "requests/s" in heading(page)
    watched.done()


def looks(browser):
    sizes = {"light": (1280, 900, "light"), "dark": (1280, 900, "dark"), "phone": (390, 844, "light"), "wide": (1920, 1080, "light")}
    for name, (width, height, scheme) in sizes.items():
        watched = Watched(browser, viewport={"width": width, "height": height}, color_scheme=scheme)
        page = watched.page
        for view in VIEWS:
            watched.open(f"/#/{view}")
            assert page.evaluate("() => document.documentElement.dataset.theme") == scheme
            beyond = page.evaluate("() => document.documentElement.scrollWidth - innerWidth")
            assert beyond <= 0, f"{view} on {name} is {beyond} pixels too wide"
            if shots:
                page.screenshot(path=shots / f"{view}-{name}.png", full_page=True)
            if Axe and name in ("light", "dark"):
                found = [v for v in Axe().run(page).response["violations"] if v["impact"] in SERIOUS]
                assert not found, [(view, name, v["id"], [n["html"][:120] for n in v["nodes"][:3]]) for v in found]
        page.get_by_role("button", name="Light or dark").click()
        assert page.evaluate("() => document.documentElement.dataset.theme") != scheme
        watched.done()


def questions(browser):
    """Compare, Simulate and Sweep: added, dropped, cancelled."""
    watched = Watched(browser, viewport={"width": 1280, "height": 900})
    page = watched.page
    watched.open("/#/compare")
    assert page.locator('[aria-label="Asked"] td.differs').count() >= 1
    page.get_by_role("button", name="Add a question").click()
    expect(page.locator('[aria-label="Best plans"] th')).to_have_count(4)
    page.get_by_role("button", name="Drop C").click()
    expect(page.locator('[aria-label="Best plans"] th')).to_have_count(3)
    watched.open("/#/simulate")
    assert rows(page, "Percentiles").count() == 4
    assert page.locator("svg path.line").count() == 3, "queue, running sequences, cache"
    page.get_by_label("Requests", exact=True).fill("1500000")
    page.get_by_label("Requests", exact=True).press("Enter")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    expect(page.locator("#result .fault")).to_contain_text("cancelled")
    # Controls that stand for the same give way to each other, those that need each other come together.
    watched.open("/#/budget")
    page.get_by_label("or dollars").fill("1e6")
    page.get_by_label("GPU", exact=True).fill("h100-sxm")
    expect(page.locator("#result .fault")).to_have_count(0)
    assert "flops=" not in page.url and "dollars=" in page.url, page.url
    watched.open("/#/train")
    page.get_by_label("Trained").select_option("qlora")
    expect(page.get_by_label("LoRA", exact=True)).to_have_value("rank=16")
    expect(page.locator("#result .fault")).to_have_count(0)
    watched.open("/#/size?v=1&model=llama-3.1-8b&gpu=l40s,h100-sxm&rate=20&tpot=5ms")
    expect(rows(page, "What serves nothing")).to_have_count(1)
    assert "Holds %" in page.locator("#result").inner_text()
    watched.open("/#/sweep?v=1&models=llama-3.1-8b&clusters=1xh100-sxm,1xl40s&workloads=512/128")
    assert rows(page, "Cases").count() == 2
    watched.done()


def fitting(browser):
    """Fit: models that run on a machine, filtered, one of them planned."""
    watched = Watched(browser, viewport={"width": 1280, "height": 900})
    page = watched.page
    watched.open("/#/fit")
    assert "run on 1xrtx-4090" in heading(page), heading(page)
    scores = rows(page, "Models").locator("td:nth-child(4)").all_inner_texts()
    values = [float(score.replace(",", "")) for score in scores if score != "–"]
    assert values and values == sorted(values, reverse=True), scores
    page.locator("svg .dot").first.hover()
    expect(page.locator("#tip")).to_contain_text("tokens/s")
    expect(page.locator("#result")).to_contain_text("would make it run")
    page.get_by_label("Task", exact=True).select_option("code")
    watched.settled()
    assert "task=code" in page.url
    page.get_by_label("Family", exact=True).fill("no-such-family")
    expect(page.locator("#result h1")).to_contain_text("No model runs")
    page.get_by_label("Family", exact=True).fill("qwen3")
    expect(rows(page, "Models").first).to_be_visible()
    rows(page, "Models").first.get_by_role("link").click()
    watched.settled()
    assert "#/plan" in page.url and "cluster=1xrtx-4090" in page.url, page.url
    watched.done()


with sync_playwright() as playwright:
    browser = launch(playwright)
    for trial in (plan, fitting, own_model, keyboard, questions, looks):
        trial(browser)
        print(f"{trial.__name__}: passed" + ("" if Axe or trial is not looks else ", without axe"))
    browser.close()
