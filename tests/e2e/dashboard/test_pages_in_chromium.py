"""Every page in a browser: phone and desktop, light and dark, Russian and English."""

from typing import Any

import pytest

from tests.e2e.dashboard.conftest import OpenTab, Tab
from tests.e2e.serving import Served

PAGES = (
    "",
    "/deliveries",
    "/deliveries?q=state:dead",
    "/deliveries?q=state:daed",
    "/deliveries/61",
    "/messages",
    "/messages/60",
    "/jobs",
    "/jobs/64",
    "/errors",
    "/charts?period=6h",
    "/certificate",
    "/doctor",
    "/history",
    "/deliveries/act?operation=redrive&q=state:dead",
    "/messages/act?operation=ignore&q=state:dead",
    "/nothing",
)
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}
VIEWS = (
    (DESKTOP, "light", "ru"),
    (DESKTOP, "dark", "en"),
    (PHONE, "light", "en"),
    (PHONE, "dark", "ru"),
)
# One element of each look: what it is, its classes, and whether it is pressed or chosen.
LOOKS = """
(() => {
  const seen = new Map();
  for (const one of document.querySelectorAll("a, button, summary, input:not([type=hidden])")) {
    if (!one.checkVisibility()) continue;
    const where = one.closest("header, .verdict, table, .facets, .login, dialog")?.className ?? "";
    const look = [one.tagName, one.className, one.ariaPressed, one.ariaCurrent, where].join("|");
    if (!seen.has(look)) seen.set(look, one);
  }
  window.__looks = [...seen.values()];
  return window.__looks.length;
})()
"""
FOCUS = "(() => {{ {one}.scrollIntoView({{block: 'center'}}); {one}.focus(); return true; }})()"
MIDDLE = "(() => {{ const b = {one}.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; }})()"


def view(tab: Tab, theme: str, language: str) -> None:
    tab.login()
    tab.prefer("theme", theme)
    tab.prefer("language", language)


@pytest.mark.parametrize(("size", "theme", "language"), VIEWS)
def test_every_page_is_accessible_and_quiet(
    served: Served, open_tab: OpenTab, size: dict[str, int], theme: str, language: str
) -> None:
    """axe finds nothing against WCAG 2.2 AA, nothing goes against the policy, no stranger's text runs (fault 47)."""
    tab = open_tab(served, viewport=size, color_scheme="dark" if theme == "light" else "light")
    view(tab, theme, language)
    for path in PAGES:
        tab.go(f"/dashboard{path}")
        assert tab.axe() == [], path
        quiet = [line for line in tab.quiet() if "status of 40" not in line]  # the two pages that refuse
        assert quiet == [], path
        wide = tab.run("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{path} is {wide} px wider than the screen"
        assert tab.run("document.documentElement.lang") == language


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", ["", "/deliveries?q=state:dead", "/deliveries/61", "/charts?period=6h", "/doctor"])
def test_contrast_holds_under_pointer_and_focus(served: Served, open_tab: OpenTab, theme: str, path: str) -> None:
    """Every look of a link, button and field keeps its contrast while it is pointed at and while it has the focus."""
    tab = open_tab(served)
    view(tab, theme, "en")
    tab.go(f"/dashboard{path}")
    tab.page.evaluate("document.querySelector('#pause')?.click()")  # a refresh would take the elements away
    tab.page.wait_for_timeout(500)
    tab.page.evaluate("document.querySelector('details.menu').open = true")
    for number in range(tab.run(LOOKS)):
        one = f"window.__looks[{number}]"
        assert tab.run(FOCUS.format(one=one))
        tab.page.wait_for_timeout(250)
        assert tab.axe(["color-contrast"], one) == []
        where: Any = tab.run(MIDDLE.format(one=one))
        tab.page.mouse.move(*where)
        tab.page.wait_for_timeout(250)
        assert tab.axe(["color-contrast"], one) == []


def test_the_login_is_accessible(served: Served, open_tab: OpenTab) -> None:
    """A stranger's page, with and without a link, and after a failure."""
    tab = open_tab(served)
    for path in ("/dashboard/login", "/dashboard/login?link=abc"):
        tab.go(path)
        assert tab.axe() == []
        assert tab.quiet() == []
    tab.page.click("button[type=submit]")
    assert "too old or is wrong" in tab.page.inner_text("[role=alert]")
    assert tab.axe() == []


def test_keys_lead_through_the_pages(served: Served, open_tab: OpenTab) -> None:
    """`/` searches, `?` helps, `j` and `k` walk rows, `t` changes the colours; switched off they do nothing."""
    tab = open_tab(served)
    view(tab, "light", "en")
    page = tab.page
    tab.go("/dashboard/deliveries")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert tab.run("document.activeElement.id") == "open-63"
    page.keyboard.press("?")
    assert tab.run("document.querySelector('#keys').open")
    assert tab.axe() == []
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    assert tab.run("document.activeElement.id") == "q"
    page.keyboard.type("state:de")
    page.wait_for_selector('#suggestions option[value="state:dead"]', state="attached")
    page.keyboard.type("ad")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert page.locator("[data-row]").count() == 3
    page.locator("h1").click()
    with page.expect_navigation():
        page.keyboard.press("t")
    assert tab.run("document.documentElement.dataset.theme") == "dark"
    tab.prefer("keys", "off")
    page.keyboard.press("/")
    assert tab.run("document.activeElement.id") != "q"
    assert tab.quiet() == []


def test_reading_needs_no_javascript(served: Served, open_tab: OpenTab) -> None:
    """Without scripts every page is read, searched and walked, and a session is opened and ended."""
    tab = open_tab(served, java_script_enabled=False)
    tab.login()
    page = tab.page
    page.click("ul.places >> text=Deliveries")
    page.fill("input[name=q]", "state:dead")
    page.click("form.search button")
    assert page.locator("[data-row]").count() == 3
    page.click("[data-row] a >> nth=0")
    assert page.locator("ol.timeline li").count() > 2
    page.click("details.menu summary")
    page.click("form[action$=logout] button")
    page.wait_for_url("**/dashboard/login")
