// Shows the images of a set: sorted by a detector's scores, of one class, or sorted by
// how much two detectors disagree.
"use strict";

const STEP = 200;

function numbers(text, Kind) {
  return new Kind(Uint8Array.from(atob(text), (byte) => byte.charCodeAt(0)).buffer);
}

function element(tag, text, parent) {
  const made = document.createElement(tag);
  made.textContent = text;
  parent.append(made);
  return made;
}

/** A list of choices, each a value and its text, with a label before it. */
function select(form, label, choices) {
  const made = document.createElement("select");
  for (const [value, text] of choices) {
    element("option", text, made).value = value;
  }
  element("label", `${label} `, form).append(made);
  return made;
}

class Viewer {
  constructor(root) {
    this.root = root;
    this.data = JSON.parse(root.querySelector("script").textContent);
    for (const one of this.data.detectors) {
      one.scores = numbers(one.scores, Float32Array);
      one.quantiles = numbers(one.quantiles, Float32Array);
    }
    if (this.data.near) {
      const near = this.data.near;
      near.distances = numbers(near.distances, Float32Array);
      for (const name of ["tiles", "places", "labels"].filter((one) => near[one])) {
        near[name] = numbers(near[name], Int32Array);
      }
    }
    for (const name of Object.keys(this.data.classes)) {
      this.data.classes[name] = numbers(this.data.classes[name], Int32Array);
    }
    this.controls();
    this.count = element("p", "", root);
    this.count.setAttribute("aria-live", "polite");
    this.wall = element("ul", "", root);
    this.wall.className = "wall";
    this.more = element("button", `Show ${STEP} more`, root);
    this.more.type = "button";
    this.more.addEventListener("click", () => this.show(this.shown + STEP));
    this.update();
  }

  controls() {
    const form = element("form", "", this.root);
    const labels = this.data.detectors.map((one, index) => [
      index,
      one.label + (one.control ? " (control)" : ""),
    ]);
    this.first = select(form, "detector", labels);
    this.second = select(form, "against", [["", "none"], ...labels]);
    this.order = select(form, "first the", [
      ["-1", "highest"],
      ["1", "lowest"],
    ]);
    this.filters = Object.entries(this.data.classes).map(([name, values]) => {
      const known = [...new Set(values)].sort((one, other) => one - other);
      const choices = [["", "all"], ...known.map((value) => [value, value])];
      return [values, select(form, name.slice(0, -1), choices)];
    });
    form.addEventListener("change", () => this.update());
  }

  /** Chooses a detector by its label. */
  choose(label) {
    const index = this.data.detectors.findIndex((one) => one.label === label);
    if (index >= 0) {
      this.first.value = index;
      this.update();
    }
  }

  update() {
    const first = this.data.detectors[this.first.value];
    const second = this.data.detectors[this.second.value];
    this.wall.replaceChildren();
    if (!first) {
      this.count.textContent = "No detector has scores of these images.";
      this.more.hidden = true;
      return;
    }
    const value = second
      ? (place) => first.quantiles[place] - second.quantiles[place]
      : (place) => first.scores[place];
    const sign = Number(this.order.value);
    this.places = [...Array(this.data.images).keys()].filter((place) =>
      this.filters.every(([values, chosen]) => !chosen.value || values[place] == chosen.value),
    );
    this.places.sort((one, other) => sign * (value(one) - value(other)) || one - other);
    this.show(STEP);
  }

  show(count) {
    const before = this.wall.childElementCount;
    this.shown = Math.min(count, this.places.length);
    this.wall.append(...this.places.slice(before, this.shown).map((place) => this.item(place)));
    this.more.hidden = this.shown === this.places.length;
    const what = this.second.value
      ? "sorted by the difference of the quantiles"
      : "sorted by score";
    this.count.textContent =
      `${this.shown} of ${this.places.length} images, ${what}. Below each image: its place, ` +
      "label and prediction where known, and for each detector its score and its quantile " +
      "among the in-distribution images; red where the threshold that accepts 95 % of " +
      `these ${this.data.inside ? "rejects" : "accepts"} the image.` +
      (this.data.near ? ` ${this.data.near.legend}` : "");
  }

  item(place) {
    const made = document.createElement("li");
    this.draw(made, this.data.sheet, place, `image ${place} of ${this.data.name}`);
    element("span", `#${place}`, made);
    for (const [name, values] of Object.entries(this.data.classes)) {
      element("span", `${name.slice(0, -1)} ${values[place]}`, made);
    }
    for (const chosen of [this.first, this.second]) {
      const one = this.data.detectors[chosen.value];
      if (one) {
        const share = (100 * one.quantiles[place]).toFixed(1);
        const text = `${one.scores[place].toPrecision(3)} · ${share} %`;
        const accepted = one.quantiles[place] >= Math.fround(one.threshold);
        const line = element("span", text.replace("-", "−"), made);
        line.className = accepted === this.data.inside ? "" : "wrong";
        line.title = `${one.label}: ${accepted ? "accepted" : "rejected"}`;
      }
    }
    if (this.data.near) {
      this.neighbours(made, this.data.near, place);
    }
    return made;
  }

  /** Lists the training images that are nearest to an image. */
  neighbours(parent, near, place) {
    const list = element("ul", "", parent);
    list.className = "near";
    for (let index = near.count * place; index < near.count * (place + 1); index++) {
      const made = element("li", "", list);
      const tile = near.tiles[index];
      this.draw(made, near.sheet, tile, `image ${near.places[tile]} of ${near.name}`);
      if (near.labels) {
        element("span", `class ${near.labels[tile]}`, made);
      }
      element("span", near.distances[index].toFixed(3), made);
    }
  }

  /** Shows one image of a sheet; a blank where the images could not be opened. */
  draw(parent, sheet, place, name) {
    const picture = element("i", "", parent);
    picture.setAttribute("role", "img");
    picture.setAttribute("aria-label", name);
    if (!sheet) {
      return;
    }
    const { columns, rows, urls } = sheet;
    const within = place % (columns * rows);
    const [row, column] = [Math.floor(within / columns), within % columns];
    const percent = (index, count) => `${(100 * index) / (count - 1)}%`;
    picture.style.backgroundImage = `url("${urls[Math.floor(place / (columns * rows))]}")`;
    picture.style.backgroundSize = `${100 * columns}% ${100 * rows}%`;
    picture.style.backgroundPosition = `${percent(column, columns)} ${percent(row, rows)}`;
  }
}

const viewers = new Map();

/** Makes the viewer of a part of the page when it is first seen. */
function opened(root) {
  if (!viewers.has(root)) {
    viewers.set(root, new Viewer(root));
  }
  return viewers.get(root);
}

/** Shows what the address names: #ANCHOR=DETECTOR. */
function follow() {
  const [anchor, label] = location.hash.slice(1).split("=");
  const root = document.getElementById(anchor);
  if (root && root.classList.contains("viewer")) {
    const around = root.closest("details");
    if (around) {
      around.open = true;
      around.scrollIntoView();
    }
    opened(root).choose(decodeURIComponent(label || ""));
  }
}

for (const root of document.querySelectorAll(".viewer")) {
  const around = root.closest("details");
  if (around) {
    around.addEventListener("toggle", () => opened(root));
  } else {
    opened(root);
  }
}
window.addEventListener("hashchange", follow);
follow();
