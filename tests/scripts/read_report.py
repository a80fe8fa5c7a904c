"""Opens reports of sweeps in headless Chromium: charts are drawn, tables filter and sort, the console is quiet
and nothing is asked of any network, in light, in dark and in print.

usage: read_report.py REPORT [REPORT WITH MONTHS] [--shots DIR]; exits 77 where Playwright or a browser is missing.
"""

import pathlib
import re
import shutil
import sys

try:
    from playwright.sync_api import Error, sync_playwright
except ImportError:
    print("Playwright is not installed (pip install playwright)")
    sys.exit(77)

arguments = sys.argv[1:]
shots = None
if "--shots" in arguments:
    place = arguments.index("--shots")
    shots = pathlib.Path(arguments[place + 1])
    shots.mkdir(parents=True, exist_ok=True)
    del arguments[place : place + 2]
reports = [pathlib.Path(path).resolve() for path in arguments]


def launch(playwright):
    own = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
    try:
        return playwright.chromium.launch(executable_path=own, args=["--no-sandbox"])
    except Error as refused:
        print(f"no browser: {str(refused).splitlines()[0]} (apt install chromium, or playwright install chromium)")
        sys.exit(77)


# Colours of a canvas that are neither transparent nor the same everywhere: something is drawn on it.
DRAWN = """canvas => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const seen = new Set();
  for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 128) seen.add(data[i] << 16 | data[i + 1] << 8 | data[i + 2]);
  return seen.size;
}"""


def texts(page, table, column):
    return page.eval_on_selector_all(f"{table} tbody tr td:nth-child({column})", "cells => cells.map(c => c.innerText)")


def heads(page, table):
    return page.eval_on_selector_all(f"{table} thead th", "heads => heads.map(h => h.innerText.replace(/ [▾▴]$/, ''))")


def number(text):
    found = re.search(r"[\d,.]+", text)
    if not found:
        return None
    value = float(found.group().replace(",", ""))
    return value * 1000 if text.endswith(" s") else value


def check_sorting(page, table, heading):
    place = heads(page, table).index(heading) + 1
    for order in ("ascending", "descending"):
        page.click(f"{table} thead th:nth-child({place}) button")
        assert page.get_attribute(f"{table} thead th:nth-child({place})", "aria-sort") == order
        values = [v for v in map(number, texts(page, table, place)) if v is not None]
        assert values == sorted(values, reverse=order == "descending"), (table, heading, order, values)
        assert len(values) > 1, (table, heading)


def check_filters(page):
    every = page.locator("#cases tbody tr").count()
    # Why a case has no answer begins right of its status, where its figures would be: nobody scrolls for it.
    for said in page.locator("#cases td[colspan]").all():
        assert said.inner_text() and said.evaluate("e => e.previousElementSibling.innerText") != "found"
    status = page.locator("#cases-filters label", has_text="Status").locator("select")
    status.select_option("found")
    found = page.locator("#cases tbody tr").count()
    place = heads(page, "#cases").index("Status") + 1
    assert set(texts(page, "#cases", place)) == {"found"} and 0 < found <= every
    page.locator("#cases-filters input").fill("no such word anywhere")
    assert page.locator("#cases tbody tr").count() == 0
    page.locator("#cases-filters input").fill("")
    status.select_option("")
    assert page.locator("#cases tbody tr").count() == every


def check_charts(page, ids):
    for chart in ids:
        canvas = page.locator(f"#{chart} canvas")
        assert canvas.count() == 1, chart
        assert canvas.evaluate(DRAWN) > 3, f"nothing is drawn in {chart}"


def check(browser, report, scheme, has_months):
    page = browser.new_page(viewport={"width": 1360, "height": 900}, color_scheme=scheme)
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    page.wait_for_selector("html[data-ready=true]", state="attached")
    check_charts(page, ["time-gpus", "time-cost", "cost", "pareto"] if has_months else ["pareto", "cost"])
    assert page.locator("#memory .bar").count() > 0
    if not has_months:
        check_filters(page)
        check_sorting(page, "#cases", "TPOT")
        check_sorting(page, "#answers", "GPUs")
        before = page.inner_text("#verdict")
        answered = page.locator("#answers tbody tr:not(.picked):not(:has(.badge.bad))")
        answered.first.click()
        assert page.inner_text("#verdict") != before, "choosing a question shows it"
        compared = page.evaluate("data.comparison !== null")
        assert page.locator("#changes-section").is_visible() == compared
    page.locator("#pareto .u-over").scroll_into_view_if_needed()
    box = page.locator("#pareto .u-over").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    if shots:
        name = f"{'months' if has_months else 'report'}-{scheme}"
        page.screenshot(path=shots / f"{name}.png")
        page.locator("#detail-section").screenshot(path=shots / f"{name}-detail.png")
    if scheme == "light":
        assert len(page.pdf(prefer_css_page_size=True)) > 10_000
    page.emulate_media(media="print")
    page.wait_for_timeout(100)
    assert not page.locator("#cases-filters").is_visible(), "filters are not printed"
    ground = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert ground == "rgb(255, 255, 255)", ground
    check_charts(page, ["pareto", "cost"])
    if shots:
        page.locator("#detail-section").screenshot(path=shots / f"{name}-print.png")
    page.set_viewport_size({"width": 390, "height": 800})
    page.emulate_media(media="screen")
    page.wait_for_timeout(400)
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, f"a narrow window scrolls sideways by {wide}"
    assert said == [], said
    assert asked == [report.as_uri()] or all(url.startswith(("file:", "data:")) for url in asked), asked
    assert len([url for url in asked if url.startswith("file:")]) == 1, asked
    page.close()


with sync_playwright() as playwright:
    browser = launch(playwright)
    for place, report in enumerate(reports):
        for scheme in ("light", "dark"):
            check(browser, report, scheme, place == 1)
    browser.close()
print(f"{len(reports)} reports are in order")
