// Takes pictures by drop, paste, choice or camera, asks for each, and shows what came back.

import {askModel, askPicture, Problem, useKey} from "./api.js";
import {Card} from "./cards.js";
import {download} from "./table.js";
import {chosen, choose, percent, problem, word} from "./words.js";

const AT_ONCE = 4, NAMED = 12;
const at = id => document.getElementById(id);
const cards = [], waiting = [], asking = new Set();
const isTouched = matchMedia("(pointer: coarse)").matches;
let model = null;

// What is asked

function take(files) {
  if (!model) return;
  const added = [...files].map(file => new Card(file, model));
  cards.push(...added);
  at("gallery").append(...added.map(card => card.element));
  waiting.push(...added);
  if (cards.length) showResults(true);
  work();
}

function isOpen(card) {
  return asking.has(card) || waiting.includes(card);
}

function work() {
  while (asking.size < AT_ONCE && waiting.length) {
    const card = waiting.shift();
    asking.add(card);
    answer(card).finally(() => {
      asking.delete(card);
      askForHeat([card]);
      work();
    });
  }
  tell();
}

async function answer(card) {
  const withHeat = at("heat").checked;
  try {
    if (card.file.size > model.limits.body_bytes) throw new Problem(413, "");
    card.take(await askPicture(card.file, withHeat), withHeat);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    card.fail(error, withHeat);
    if (error.status === 401) askForKey();
  }
  card.show();
  card.showHeat(at("heat").checked);
}

function askForHeat(some) {
  if (at("heat").checked) waiting.push(...some.filter(card => card.lacksHeat && cards.includes(card) && !isOpen(card)));
}

// What is shown

function tell() {
  const done = cards.filter(card => !isOpen(card)).length;
  at("progress").max = Math.max(1, cards.length);
  at("progress").value = done;
  at("progress").hidden = done === cards.length;
  at("download").disabled = !done;
  at("gallery").classList.toggle("single", cards.length === 1);
  if (done < cards.length) at("summary").textContent = word("working", {done, count: cards.length});
  else at("summary").textContent = cards.length === 1 ? word("summary_one", {text: cards[0].text}) : counted();
}

function counted() {
  const faults = cards.filter(card => card.fault).length;
  const unsure = cards.filter(card => !card.fault && card.answer?.unsure).length;
  return word("summary", {count: cards.length, sure: cards.length - unsure - faults, unsure, faults});
}

function showResults(areThere) {
  at("results").hidden = !areThere;
  at("zone").classList.toggle("small", areThere);
}

function tellModel() {
  const few = model.classes.slice(0, NAMED).join(chosen() === "zh" ? "、" : ", "), more = model.classes.length - NAMED;
  const names = more > 0 ? word("classes_more", {names: few, more}) : few;
  at("classes").textContent = word("classes", {count: model.classes.length, names});
  at("taken").textContent = word("taken", {size: `${Math.floor(model.limits.body_bytes / 1e6)} MB`});
  const facts = {
    network: model.network, engine: `${model.engine}, ${model.precision}`, image_size: word("pixels", {side: model.image_size}),
    threshold: percent(model.threshold), version: model.version, digest: model.digest,
    api: "POST /v1/predict, GET /openapi.json",
  };
  at("facts").replaceChildren(...Object.entries(facts).flatMap(([key, value]) => [term("dt", word(key)), term("dd", value)]));
  document.querySelector("footer").textContent = word(model.corrections ? "private_but_saved" : "private");
}

function term(kind, text) {
  const made = document.createElement(kind);
  made.textContent = text;
  return made;
}

function speak(language) {
  choose(language);
  for (const element of document.querySelectorAll("[data-word]")) element.textContent = word(element.dataset.word);
  if (isTouched) at("zone-title").textContent = word("drop_touch");
  at("language").textContent = chosen() === "en" ? "中文" : "English";
  at("language").lang = chosen() === "en" ? "zh-CN" : "en";
  document.title = `${word("title")} · frostline`;
  for (const card of cards) {
    card.show();
    card.showHeat(at("heat").checked);
  }
  if (model) tellModel();
  if (cards.length) tell();
}

// What is done

function askForKey() {
  at("key-form").hidden = false;
  at("key").focus();
}

async function start() {
  try {
    model = await askModel();
  } catch (error) {
    at("classes").textContent = problem(error.status);
    if (error.status === 401) askForKey();
    return;
  }
  at("key-form").hidden = true;
  at("about").hidden = false;
  tellModel();
  for (const card of cards.filter(card => card.fault?.status === 401)) waiting.push(card);
  work();
}

function listen() {
  at("photograph").hidden = !isTouched;
  at("choose").addEventListener("click", () => at("files").click());
  at("photograph").addEventListener("click", () => at("camera").click());
  for (const input of [at("files"), at("camera")]) {
    input.addEventListener("change", () => {
      take(input.files);
      input.value = "";
    });
  }
  addEventListener("paste", event => take([...event.clipboardData.files]));
  addEventListener("dragover", event => {
    event.preventDefault();
    at("zone").classList.add("over");
  });
  addEventListener("dragleave", event => event.relatedTarget || at("zone").classList.remove("over"));
  addEventListener("drop", event => {
    event.preventDefault();
    at("zone").classList.remove("over");
    take(event.dataTransfer.files);
  });
  at("heat").addEventListener("change", () => {
    for (const card of cards) card.showHeat(at("heat").checked);
    askForHeat(cards);
    work();
  });
  at("download").addEventListener("click", () => download(cards.filter(card => card.isDone)));
  at("clear").addEventListener("click", clear);
  at("language").addEventListener("click", () => {
    speak(chosen() === "en" ? "zh" : "en");
    localStorage.setItem("language", chosen());
  });
  at("theme").addEventListener("click", () => turn());
  at("key-form").addEventListener("submit", event => {
    event.preventDefault();
    useKey(at("key").value);
    start();
  });
}

function clear() {
  waiting.length = 0;
  for (const card of cards.splice(0)) card.forget();
  showResults(false);
  at("choose").focus();
}

function turn() {
  const root = document.documentElement, isDark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = root.dataset.theme || (isDark ? "dark" : "light");
  root.dataset.theme = now === "dark" ? "light" : "dark";
}

const named = new URLSearchParams(location.search).get("lang") ?? localStorage.getItem("language") ?? navigator.language;
speak(named.toLowerCase().startsWith("zh") ? "zh" : "en");
listen();
start();
