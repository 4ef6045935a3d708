// One card per picture: the picture, what the model says about it, and where it looked.

import {sendCorrection} from "./api.js";
import {percent, problem, word} from "./words.js";

const FRAME = 4 / 3;

export class Card {
  constructor(file, model) {
    this.file = file;
    this.model = model;
    this.name = file.name || word("pasted");
    this.answer = null;
    this.fault = null;
    this.hasAskedHeat = false;
    this.wasOffered = false;
    this.element = document.getElementById("card").content.firstElementChild.cloneNode(true);
    this.find = query => this.element.querySelector(query);
    this.url = URL.createObjectURL(file);
    this.#showPhoto();
    this.#prepareCorrection();
    this.show();
  }

  get isDone() {
    return this.answer !== null || this.fault !== null;
  }

  get lacksHeat() {
    return this.answer !== null && !this.hasAskedHeat;
  }

  get text() {
    if (this.fault) return word("not_read");
    const [best] = this.answer.top;
    return `${this.answer.unsure ? word("unsure_says", {name: best.class}) : best.class}, ${percent(best.probability)}`;
  }

  take(answer, withHeat) {
    this.answer = answer;
    this.fault = null;
    this.hasAskedHeat = withHeat;
  }

  // A heat map that does not come costs a card that is answered already no more than the map.
  fail(problem, withHeat) {
    if (this.answer) this.hasAskedHeat = withHeat;
    else this.fault = problem;
  }

  forget() {
    URL.revokeObjectURL(this.url);
    this.element.remove();
  }

  show() {
    this.element.classList.toggle("waiting", !this.isDone);
    this.element.classList.toggle("broken", this.fault !== null);
    this.element.classList.toggle("unsure", Boolean(this.answer?.unsure));
    this.find(".name").textContent = this.name;
    this.find(".photo").alt = word("photo_of", {name: this.name});
    this.#showVerdict();
    this.#showFault();
    this.#showBars();
    this.#showCorrection();
  }

  showHeat(wanted) {
    const heat = this.find(".heat"), url = this.answer?.heat_map;
    heat.hidden = !(wanted && url);
    this.find(".no-heat").hidden = !(wanted && this.answer && this.hasAskedHeat && !url);
    this.find(".no-heat").textContent = word("no_heat");
    if (heat.hidden) return;
    heat.src = url;
    heat.alt = word("heat_of", {name: this.answer.top[0].class});
  }

  #showPhoto() {
    const photo = this.find(".photo");
    photo.addEventListener("load", () => this.#place(photo.naturalWidth, photo.naturalHeight));
    photo.addEventListener("error", () => this.element.classList.add("unseen"));
    photo.src = this.url;
  }

  // Fit the picture into its frame, and the heat map over the centred square that the network saw.
  #place(width, height) {
    const picture = this.find(".picture"), heat = this.find(".heat");
    const isWide = width / height > FRAME;
    picture.style.aspectRatio = `${width} / ${height}`;
    picture.style[isWide ? "width" : "height"] = "100%";
    const side = this.model.seen * Math.min(width, height);
    const [across, down] = this.model.seen ? [side / width, side / height] : [1, 1];
    Object.assign(heat.style, {
      width: `${100 * across}%`, height: `${100 * down}%`, left: `${50 * (1 - across)}%`, top: `${50 * (1 - down)}%`,
    });
  }

  #showVerdict() {
    const badge = this.find(".badge"), verdict = this.find(".answer");
    badge.hidden = !this.answer?.unsure;
    badge.textContent = word("unsure");
    if (!this.isDone) verdict.textContent = word("waiting");
    else if (this.fault) verdict.textContent = word("not_read");
    else verdict.textContent = this.answer.top[0].class;
  }

  #showFault() {
    const fault = this.find(".fault"), detail = this.find(".detail");
    fault.hidden = !this.fault;
    detail.hidden = !this.fault?.message;
    fault.textContent = this.fault ? problem(this.fault.status) : "";
    detail.textContent = this.fault?.message ?? "";
  }

  #showBars() {
    const bars = this.find(".bars");
    bars.setAttribute("aria-label", word("likely"));
    bars.hidden = !this.answer;
    bars.replaceChildren(...(this.answer?.top ?? []).map(bar));
  }

  #prepareCorrection() {
    if (!this.model.corrections) return;
    const form = this.find(".correct"), select = form.querySelector("select");
    const place = Math.random().toString(36).slice(2);
    select.id = `right-${place}`;
    form.querySelector("label").htmlFor = select.id;
    select.replaceChildren(...this.model.classes.map(name => new Option(name, name)));
    form.addEventListener("submit", event => {
      event.preventDefault();
      this.#correct(select.value, form.querySelector(".saved"));
    });
  }

  #showCorrection() {
    const form = this.find(".correct");
    form.hidden = !(this.model.corrections && this.answer);
    if (form.hidden) return;
    form.querySelector("label").textContent = word("correct");
    form.querySelector("button").textContent = word("save");
    if (!this.wasOffered) form.querySelector("select").value = this.answer.top[0].class;
    this.wasOffered = true;
  }

  async #correct(name, saved) {
    try {
      await sendCorrection(this.file, name);
      saved.textContent = word("saved");
    } catch (error) {
      saved.textContent = problem(error.status);
    }
  }
}

function bar({class: name, probability}) {
  const row = document.createElement("li");
  const parts = ["label", "track", "share"].map(kind => {
    const part = document.createElement("span");
    part.className = kind;
    return part;
  });
  const [label, track, share] = parts;
  label.textContent = name;
  share.textContent = percent(probability);
  const fill = track.appendChild(document.createElement("span"));
  fill.style.width = `${100 * probability}%`;
  row.append(label, share, track);
  return row;
}
