"""Draws the pictures of README.md: the page of `shardfit serve` in light and dark.

    python tools/page_pictures.py target/release/shardfit docs/images

Needs Playwright and a Chromium (`CHROMIUM` names another than the one on the path).
"""

import os
import shutil
import subprocess
import sys
import time
import urllib.request

from playwright.sync_api import sync_playwright

QUESTION = "model=llama-3.1-70b&cluster=8xh100-sxm&isl=2048&osl=512&ttft=1s&tpot=50ms"
PORT = 18765


def main(shardfit: str, folder: str) -> None:
    server = subprocess.Popen([shardfit, "serve", "--port", str(PORT)])
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{PORT}/healthz", timeout=1)
                break
            except OSError:
                time.sleep(0.1)
        chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
            for scheme in ("light", "dark"):
                page = browser.new_page(viewport={"width": 1280, "height": 860}, color_scheme=scheme)
                page.goto(f"http://127.0.0.1:{PORT}/#/plan?v=1&{QUESTION}")
                page.wait_for_selector("table tbody tr", timeout=60_000)
                page.wait_for_timeout(1500)
                page.screenshot(path=os.path.join(folder, f"page-{scheme}.png"))
            browser.close()
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main(*sys.argv[1:3])
