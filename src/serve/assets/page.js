// Keeps a page current by its server's events. Without this script it shows what it showed when it
// was loaded, and filters by its form.
"use strict";
(() => {
  const main = document.querySelector("main[data-events]");
  const link = document.getElementById("link");
  const say = document.getElementById("say");
  if (!main) return;

  // Times in words, as in src/serve/time.rs.
  const two = (one, unit, rest, name) => rest ? `${one} ${unit} ${rest} ${name}` : `${one} ${unit}`;
  const span = (seconds) => {
    const [minutes, hours, days] = [60, 3600, 86400].map((unit) => Math.floor(seconds / unit));
    if (days) return two(days, "d", hours % 24, "h");
    return hours ? two(hours, "h", minutes % 60, "min") : `${minutes} min`;
  };
  const words = (kind, seconds) => {
    if (kind === "ago") return seconds < 60 ? "just now" : `${span(seconds)} ago`;
    if (kind === "for") return seconds < 60 ? "under a minute" : span(seconds);
    if (seconds > 0) return "now";
    return seconds > -60 ? "within a minute" : `in ${span(-seconds)}`;
  };
  const tell = (root) => {
    for (const time of root.querySelectorAll("time[data-t]")) {
      const seconds = Math.floor((Date.now() - Date.parse(time.dateTime)) / 1000);
      const text = words(time.dataset.t, seconds);
      if (time.textContent !== text) time.textContent = text;
    }
  };

  // Updates one element to match another with minimal changes, which keeps focus and selection.
  const morph = (from, to) => {
    if (from.nodeName !== to.nodeName) return from.replaceWith(to);
    if (from.nodeType !== Node.ELEMENT_NODE) {
      if (from.data !== to.data) from.data = to.data;
      return;
    }
    for (const { name } of [...from.attributes]) {
      if (!to.hasAttribute(name)) from.removeAttribute(name);
    }
    for (const { name, value } of to.attributes) {
      if (from.getAttribute(name) !== value) from.setAttribute(name, value);
    }
    const [old, fresh] = [[...from.childNodes], [...to.childNodes]];
    fresh.forEach((node, at) => at < old.length ? morph(old[at], node) : from.append(node));
    old.slice(fresh.length).forEach((node) => node.remove());
  };
  const element = (html) => {
    const template = document.createElement("template");
    template.innerHTML = html;
    return template.content.firstElementChild;
  };

  const phase = (root) => root?.querySelector(".ph")?.textContent;
  const put = (id, fresh, said) => {
    const old = document.getElementById(id);
    if (!old || !fresh) return;
    const before = phase(old);
    morph(old, fresh);
    tell(old);
    if (id === "offer" && phase(old) !== before) said.push(`This offer is ${phase(old) ?? "gone"}`);
  };
  const body = document.getElementById("rows");
  const row = (key, fresh, said) => {
    const old = document.getElementById(key);
    const before = phase(old);
    if (!fresh) {
      old?.remove();
    } else if (old) {
      morph(old, fresh);
      tell(old);
    } else {
      let [low, high] = [0, body.rows.length];
      while (low < high) {
        const middle = (low + high) >> 1;
        if (body.rows[middle].id < key) low = middle + 1;
        else high = middle;
      }
      body.insertBefore(fresh, body.rows[low] ?? null);
      tell(fresh);
    }
    if (fresh && phase(document.getElementById(key)) !== before) {
      said.push(`${key} is ${phase(document.getElementById(key))}`);
    }
  };
  const announce = (said) => {
    if (said.length) {
      say.textContent = said.length > 3 ? `${said.length} offers changed` : said.join(". ");
    }
  };

  // Replaces the page's content by a fresh copy.
  const refresh = async () => {
    const answer = await fetch(location.href);
    if (!answer.ok && answer.status !== 404) throw new Error(answer.statusText);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const script = (page) => page.querySelector("script[src]")?.getAttribute("src");
    const other = fresh.querySelector("main[data-events]");
    if (!other || script(fresh) !== script(document)) return location.reload();
    main.dataset.digest = other.dataset.digest;
    const said = [];
    for (const part of fresh.querySelectorAll("#source, #notices, #phases, #caption, #empty, #offer")) {
      put(part.id, part, said);
    }
    if (body) {
      const rows = new Map([...fresh.querySelectorAll("#rows > tr")].map((it) => [it.id, it]));
      for (const old of [...body.rows]) if (!rows.has(old.id)) old.remove();
      for (const [key, it] of rows) row(key, it, said);
    }
    announce(said);
  };

  // What comes while the page is fetched is newer than it, and waits.
  let waiting;
  let once_more = false;
  const update = ({ parts, rows }) => {
    const said = [];
    for (const [key, html] of rows) row(key, html && element(html), said);
    for (const [id, html] of Object.entries(parts)) put(id, part(id, html), said);
    announce(said);
  };
  const reload = async () => {
    once_more = Boolean(waiting);
    if (once_more) return;
    waiting = [];
    try {
      await refresh();
    } catch {
      again();
    } finally {
      const late = waiting;
      waiting = undefined;
      late.forEach(update);
      if (once_more) reload();
    }
  };

  const state = (name, text) => {
    if (link.textContent !== text) link.textContent = text;
    link.className = name;
  };
  let stream;
  let pause = 1000;
  let timer;
  const lost = () => state("lost", "Connection lost. Trying again …");
  const again = () => {
    lost();
    stream.close();
    clearTimeout(timer);
    timer = setTimeout(connect, pause);
    pause = Math.min(pause * 2, 30000);
  };
  const connect = () => {
    clearTimeout(timer);
    stream?.close();
    stream = new EventSource(main.dataset.events);
    stream.addEventListener("hello", (event) => {
      pause = 1000;
      state("live", "Connected");
      if (JSON.parse(event.data) !== main.dataset.digest) reload();
    });
    stream.addEventListener("reload", reload);
    stream.addEventListener("update", (event) => {
      const data = JSON.parse(event.data);
      if (waiting) waiting.push(data);
      else update(data);
    });
    // A lost connection is made again by the browser; one that was refused is not.
    stream.onerror = () => stream.readyState === EventSource.CLOSED ? again() : lost();
  };
  // A caption is only read as one inside a table.
  const part = (id, html) => id === "caption"
    ? element(`<table>${html}</table>`).querySelector("caption")
    : element(html);

  // A browser has few connections for all its tabs: a hidden one needs none.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      clearTimeout(timer);
      stream.close();
    } else {
      connect();
      tell(document);
    }
  });
  addEventListener("pageshow", (event) => event.persisted && connect());
  setInterval(() => document.hidden || tell(document), 15000);
  tell(document);
  connect();
})();
