// Keeps the lines of runs on an open page current, from the console's own stream of events. Pages work without it.
"use strict";

(() => {
  const said = document.getElementById("live-said");
  const on = document.getElementById("live-on");
  if (!said || !on || !document.querySelector("[data-active]")) return;

  const put = (place, name, text) => {
    const found = place.querySelector(`[data-live="${name}"]`);
    if (found && found.textContent !== text) found.textContent = text;
    return found;
  };

  const renew = (line) => {
    for (const place of document.querySelectorAll("[data-run]")) {
      if (place.dataset.run !== line.id) continue;
      const badge = place.querySelector('[data-live="state"]');
      if (badge.textContent !== line.word) said.textContent = `${said.dataset.word} ${line.id.slice(0, 8)}: ${line.word}`;
      put(place, "state", line.word).className = `badge ${line.tone}`;
      place.querySelector('[data-live="progress"]').value = line.progress;
      put(place, "share", line.share);
      put(place, "seconds", line.seconds);
      if (line.state !== "queued") put(place, "left", line.left);
    }
  };

  const source = new EventSource("/runs/events");
  const stop = () => { source.close(); on.hidden = true; };
  source.addEventListener("runs", (event) => { on.hidden = false; JSON.parse(event.data).forEach(renew); });
  source.addEventListener("full", stop);
  source.addEventListener("ended", stop);
  source.addEventListener("error", () => { on.hidden = true; });
  window.addEventListener("pagehide", stop);
})();
