"use strict";
// Reading works without this file; it refreshes what is shown, copies text, and knows a few keys.
(() => {
  const body = document.body;
  const find = (selector) => document.querySelector(selector);

  let source = null;
  let isPaused = sessionStorage.getItem("live") === "paused";
  let isLate = false;

  const refresh = () => {
    const live = find("#live");
    if (!live || live.contains(document.activeElement)) {  // a swap would take the focus away
      isLate = true;
      return;
    }
    isLate = false;
    htmx.ajax("GET", location.pathname + location.search, { target: "#live", select: "#live", swap: "outerHTML" });
  };

  // Whoever has moved into the part meanwhile keeps the focus, too. What the operator asked for has an event.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { target, requestConfig } = event.detail;
    if (target.id !== "live" || requestConfig.triggeringEvent || !target.contains(document.activeElement)) return;
    event.detail.shouldSwap = false;
    isLate = true;
  });

  const show = (number) => {
    const bar = find(".live");
    if (!bar) return;
    bar.hidden = false;
    find("#live-state").textContent = bar.dataset.liveWords.split("|")[number];
    find("#pause").setAttribute("aria-pressed", String(isPaused));
  };

  const listen = () => {
    if (source) source.close();
    source = null;
    if (!find("#live") || isPaused || document.hidden) {
      show(1);
      return;
    }
    source = new EventSource("/dashboard/live");
    source.addEventListener("open", () => show(0));
    source.addEventListener("changed", refresh);
    source.addEventListener("error", () => show(2));
  };

  document.addEventListener("visibilitychange", () => {
    listen();
    if (!document.hidden && find("#live") && !isPaused) refresh();
  });

  document.addEventListener("click", (event) => {
    const target = event.target.closest("#pause, [data-help], [data-copy]");
    if (!target) return;
    if (target.id === "pause") {
      isPaused = !isPaused;
      sessionStorage.setItem("live", isPaused ? "paused" : "on");
      listen();
      if (!isPaused) refresh();
    } else if (target.matches("[data-help]")) {
      event.preventDefault();
      find("#keys").showModal();
    } else {
      navigator.clipboard.writeText(find(target.dataset.copy).textContent).then(() => {
        target.textContent = target.dataset.copied;
      });
    }
  });

  const move = (by) => {
    const rows = [...document.querySelectorAll("[data-row] a[id]")];
    if (!rows.length) return;
    const at = rows.indexOf(document.activeElement);
    rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(Math.max(at + by, 0), rows.length - 1)].focus();
  };

  const nextTheme = () => {
    const form = find("[data-theme-form]");
    if (!form) return;
    const buttons = [...form.querySelectorAll("button")];
    const at = buttons.findIndex((button) => button.value === body.dataset.themeNow);
    form.requestSubmit(buttons[(at + 1) % buttons.length]);
  };

  const keys = {
    "/": () => find("input[type=search]") && find("input[type=search]").focus(),
    "?": () => find("#keys") && find("#keys").showModal(),
    j: () => move(1),
    k: () => move(-1),
    r: () => (find("#live") ? refresh() : location.reload()),
    t: nextTheme,
  };
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.closest("input, textarea, select, dialog");
    if (body.dataset.keys !== "on" || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });

  document.addEventListener("focusout", () => isLate && setTimeout(refresh, 0));
  document.addEventListener("htmx:afterSettle", () => show(isPaused ? 1 : 0));

  listen();
})();
