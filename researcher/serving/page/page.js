// Sends one picture to the model and shows what it says. Text of the server is set as text, never as markup.
"use strict";

const at = (id) => document.getElementById(id);
let picture = null;

function asked(path, body) {
  const headers = new Headers();
  if (at("token").value) headers.set("Authorization", `Bearer ${at("token").value}`);
  if (body) headers.set("Content-Type", "application/octet-stream");
  return fetch(path, { method: body ? "POST" : "GET", headers, body, cache: "no-store", credentials: "omit" });
}

async function answer(path, body) {
  const response = await asked(path, body);
  const found = await response.json();
  if (response.status === 401) at("more").open = true;
  if (!response.ok) throw new Error(found.error || `The server answered ${response.status}.`);
  return found;
}

function element(tag, text, name) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (name) made.className = name;
  return made;
}

async function working(what, run) {
  at("error").hidden = true;
  at("status").textContent = what;
  try {
    await run();
    at("status").textContent = "Done.";
  } catch (error) {
    at("status").textContent = "";
    at("error").textContent = error instanceof TypeError ? "The server cannot be reached." : error.message;
    at("error").hidden = false;
  }
}

function query(more) {
  const said = new URLSearchParams(more);
  if (at("frame").value !== "") said.set("frame", at("frame").value);
  return said.size ? `?${said}` : "";
}

function percent(value) {
  return `${(100 * value).toFixed(1)} %`;
}

function showClasses(found) {
  const of = found.pictures[0];
  at("use").textContent = found.use;
  at("kind").textContent = found.label_kind === "multi" ? "Each finding has its own probability; they do not add up." : "";
  const unlike = of.unlike_training;
  at("unlike").classList.toggle("flagged", Boolean(unlike && unlike.flagged));
  at("unlike").textContent = !unlike
    ? "Whether the picture is like the training pictures was not looked at: the server was given no public pictures."
    : unlike.flagged
      ? "Not like the training pictures: do not trust the classes below without a look at the picture. "
        + `Of pictures like the public ones at most ${percent(unlike.false_alarm_rate)} are flagged.`
      : "Brightness, contrast, colours and grain are like those of the public pictures.";
  at("classes").replaceChildren(...of.classes.map((one) => {
    const row = element("tr"), cell = element("td"), bar = element("div", undefined, "bar"), filled = element("span");
    const name = element("th", one.name);
    name.scope = "row";
    filled.style.width = `${100 * one.probability}%`;
    bar.setAttribute("aria-hidden", "true");
    bar.append(filled);
    cell.append(bar);
    row.append(name, cell, element("td", percent(one.probability)));
    return row;
  }));
  at("of").replaceChildren(...of.classes.map((one) => {
    const choice = element("option", one.name);
    choice.value = one.name;
    return choice;
  }));
  at("saliency").hidden = true;
  at("answer").hidden = false;
  at("answer-title").focus();
}

function showSaliency(found) {
  const rows = found.drops.length, columns = found.drops[0].length, map = at("map"), paper = map.getContext("2d");
  const largest = Math.max(1e-9, ...found.drops.flat().map(Math.abs));
  let most = [0, 0];
  map.width = columns;
  map.height = rows;
  found.drops.forEach((row, y) => row.forEach((drop, x) => {
    if (drop > found.drops[most[0]][most[1]]) most = [y, x];
    paper.fillStyle = `rgb(${drop > 0 ? "230 60 0" : "0 110 220"} / ${(0.7 * Math.abs(drop)) / largest})`;
    paper.fillRect(x, y, 1, 1);
  }));
  const told = `Most of it in row ${most[0] + 1} of ${rows}, column ${most[1] + 1} of ${columns}: covered, ${found.name} ` +
    `went from ${percent(found.probability)} to ${percent(found.probability - found.drops[most[0]][most[1]])}.`;
  at("seen").alt = `The picture as the model sees it. ${told}`;
  at("seen").src = `data:image/png;base64,${found.seen}`;
  at("caption").textContent = `${told} Orange: less probable where covered; blue: more probable. ${found.means} ` +
    "It shows what the model reacts to, not why, and not where a disease is.";
  at("saliency").hidden = false;
}

async function showModel() {
  const model = await answer("/v1/model");
  const look = model.unlike_training;
  const facts = [
    ["Model", `${model.name}, ${model.format}`],
    ["Classes", model.class_names.join(", ")],
    ["Sees", `${model.image_shape[0]} x ${model.image_shape[1]} pixels, ${model.image_shape[2] === 1 ? "grey" : "colour"}`],
    ["Privacy", model.promise],
    ["Not like training", look
      ? `At most ${percent(look.false_alarm_rate)} of pictures like the ${look.pictures} public ones are flagged. ${look.cannot}`
      : "Not looked at: the server was given no public pictures."],
    ["Weights (SHA-256)", model.model],
  ];
  at("use").textContent = model.use;
  at("facts").replaceChildren(...facts.flatMap(([name, value]) => [element("dt", name), element("dd", value)]));
}

// What is on the page is never of another picture than the one that is chosen, also where that one is refused.
function choose() {
  picture = at("file").files[0] || picture;
  at("answer").hidden = true;
}

function classify() {
  choose();
  const sent = picture;
  if (!sent) return;
  working("Classifying.", async () => {
    const found = await answer(`/v1/classify${query()}`, sent);
    if (sent === picture) showClasses(found);
    await showModel();
  });
}

at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  classify();
});
at("explain").addEventListener("click", () => working("Covering parts of the picture, one after the other.", async () => {
  const sent = picture, found = await answer(`/v1/saliency${query({ class: at("of").value })}`, sent);
  if (sent === picture) showSaliency(found);
}));
at("file").addEventListener("change", () => {
  choose();
  at("error").hidden = true;
  at("status").textContent = "";
});
at("overlay").addEventListener("change", () => { at("map").hidden = !at("overlay").checked; });
for (const name of ["dragenter", "dragover"]) {
  at("drop").addEventListener(name, (event) => {
    event.preventDefault();
    at("drop").classList.add("over");
  });
}
at("drop").addEventListener("dragleave", () => at("drop").classList.remove("over"));
at("drop").addEventListener("drop", (event) => {
  event.preventDefault();
  at("drop").classList.remove("over");
  if (!event.dataTransfer.files.length) return;
  at("file").files = event.dataTransfer.files;
  classify();
});
for (const name of ["dragover", "drop"]) {
  window.addEventListener(name, (event) => event.preventDefault());
}
showModel().catch(() => { at("facts").replaceChildren(element("dt", "State"), element("dd", "This server asks for a token.")); });
