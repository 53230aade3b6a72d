"""A report in a headless Chromium: what is seen of it once its script has run."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

# A page's own policy is kept, and this script allowed beside the page's.
SCRIPT = """
const refused = [];
document.addEventListener("securitypolicyviolation", (event) => refused.push(event.blockedURI));
document.addEventListener("DOMContentLoaded", () => {
  for (const image of document.images) image.loading = "eager";
});
addEventListener("load", () => {
  const broken = [];
  for (const cell of document.querySelectorAll("td, th, figcaption span")) {
    const nodes = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
    while (nodes.nextNode())
    for (const found of nodes.currentNode.textContent.matchAll(/[A-Za-z]+/g)) {
      const range = document.createRange();
      range.setStart(nodes.currentNode, found.index);
      range.setEnd(nodes.currentNode, found.index + found[0].length);
      const lines = new Set([...range.getClientRects()].map((box) => Math.round(box.top)));
      if (lines.size > 1) broken.push(found[0]);
    }
  }
  const marks = [...document.querySelectorAll(".text .span, .text .prompt")].map((each) => {
    const style = getComputedStyle(each), label = each.querySelector(".label");
    const text = [...each.childNodes].filter((node) => node !== label);
    const plain = ["transparent", "rgba(0, 0, 0, 0)"].includes(style.backgroundColor);
    const look = `${style.backgroundColor}, ${style.borderBottomStyle} ${style.borderBottomColor}`;
    const words = text.map((node) => node.textContent).join("");
    return [words, label ? label.innerText : "", plain || !each.offsetWidth ? "" : look];
  });
  const images = [...document.images], inline = (url) => url.startsWith("data:");
  const named = [...document.querySelectorAll("[src], [srcset], [data], link[href]")];
  const loaded = performance.getEntriesByType("resource").map((each) => each.name);
  const outside = [...named.map((each) => each.src || each.href || "other"), ...loaded];
  document.body.dataset.seen = JSON.stringify({
    broken,
    marks,
    images: images.length,
    empty: images.filter((each) => !each.naturalWidth).map((each) => each.alt),
    gifs: images.filter((each) => each.src.startsWith("data:image/gif")).length,
    outside: [...outside.filter((url) => !inline(url)), ...refused],
  });
});
"""


def seen(page: str, folder: Path) -> dict[str, Any]:
    """What a browser of 700 pixels shows of a page; skips the test where there is no Chromium.

    Args:
        page: the HTML document.
        folder: an empty one, for the page and the browser's profile.

    Returns:
        "document" after its scripts have run; "broken" words, which are on several lines; "marks",
        (text, label, look) of each marked span, whose look is "" where it is as the text around it;
        number of "images", descriptions of those that are "empty", number of "gifs"; and "outside",
        the addresses of what is not in the page or was refused by its policy.
    """
    names = ("chromium", "chromium-browser", "google-chrome")
    browser = next((found for name in names if (found := shutil.which(name))), None)
    if browser is None:
        pytest.skip("no Chromium is installed: how a browser shows the page is not looked at")
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    text, count = re.subn(r"(<meta [^>]*script-src )", rf"\1'sha256-{digest}' ", page, count=1)
    assert count == 1, "the page has no policy"
    text = text.replace("</head>", f"<script>{SCRIPT}</script></head>", 1)
    file = folder / "page.html"
    file.write_text(text, encoding="utf-8")
    words = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-sync",
        "--disable-component-update",
        f"--user-data-dir={folder / 'profile'}",
        "--window-size=700,900",
    )
    command = [browser, *words, "--dump-dom", file.as_uri()]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    found = re.search(r'data-seen="([^"]*)"', run.stdout)
    assert found is not None, run.stderr
    return {"document": run.stdout, **json.loads(html.unescape(found[1]))}
