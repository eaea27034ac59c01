// Charts of the last minutes on a canvas: lines or stacked areas, a common cursor, a legend with the current values,
// and the same as a table.
import { make, write } from "./dom.js";
import { axis, nearest, runs, stack } from "../model/series.js";

const PADDING = { top: 8, right: 2, bottom: 18, left: 40 };
const FRAME_MS = 33;
/** A page that was just opened shows less of the past: an empty chart says little. */
const SPANS_MS = [60_000, 120_000];
const TABLE_ROWS = 30;

/**
 * @typedef {object} Series
 * @property {string} name
 * @property {(number|null)[]} values one for each time
 * @property {boolean[]} [rough] where few samples are behind a value
 *
 * @typedef {object} ChartOptions
 * @property {(value: number) => string} format of the axis and the legend
 * @property {boolean} [stacked]
 * @property {boolean} [whole] only whole numbers on the axis
 * @property {number} spanMs how far back it looks at most
 * @property {number} [least] the axis goes at least so far @property {string} empty what to say without values
 */

/** The time under the pointer, the same in all charts. @type {number|null} */
let cursor = null;
/** @type {Set<Chart>} */
const charts = new Set();
const still = matchMedia("(prefers-reduced-motion: reduce)");

export class Chart {
  /** @type {number[]} */
  #times = [];
  /** @type {Series[]} */
  #series = [];
  #drawnAt = 0;
  #visible = true;
  #top = 0;
  #spanMs = SPANS_MS[0];

  /** @param {HTMLElement} figure with a figcaption @param {ChartOptions} options @param {AbortSignal} signal */
  constructor(figure, options, signal) {
    this.options = options;
    this.canvas = make("canvas", { role: "img", "aria-label": options.empty });
    this.legend = make("div", { class: "legend" });
    this.table = make("div", {
      class: "scroll",
      tabindex: "0",
      role: "region",
      "aria-label": `${figure.querySelector("h2")?.textContent} as a table`,
    });
    this.details = make("details", { ontoggle: () => this.#tabulate() }, make("summary", {}, "As a table"), this.table);
    const caption = /** @type {HTMLElement} */ (figure.querySelector("figcaption"));
    caption.querySelector(".legend")?.remove();
    caption.append(this.legend);
    figure.replaceChildren(caption, this.canvas, this.details);
    this.canvas.addEventListener(
      "pointermove",
      (/** @type {PointerEvent} */ event) => point(this.#timeAt(event.offsetX)),
      { signal },
    );
    this.canvas.addEventListener("pointerleave", () => point(null), { signal });
    const seen = new IntersectionObserver(([entry]) => {
      this.#visible = entry.isIntersecting;
    });
    seen.observe(this.canvas);
    const sized = new ResizeObserver(() => this.draw());
    sized.observe(this.canvas);
    charts.add(this);
    signal.addEventListener("abort", () => {
      charts.delete(this);
      seen.disconnect();
      sized.disconnect();
    });
    if (charts.size === 1) requestAnimationFrame(move);
  }

  /** @param {number[]} times @param {Series[]} series */
  show(times, series) {
    this.#times = times;
    const past = Date.now() - (times[0] ?? Date.now());
    this.#spanMs = SPANS_MS.find((span) => past <= span) ?? this.options.spanMs;
    this.#series = series;
    this.#tell();
    this.#tabulate();
    if (still.matches) this.draw();
  }

  /** @param {number} now */
  animate(now) {
    if (still.matches || !this.#visible || this.#times.length === 0 || now - this.#drawnAt < FRAME_MS) return;
    this.#drawnAt = now;
    this.draw();
  }

  /** The legend: the newest values, or those under the pointer. */
  #tell() {
    const at = cursor === null ? this.#times.length - 1 : nearest(this.#times, cursor);
    if (
      this.legend.children.length !== this.#series.length ||
      this.#series.some(({ name }, position) => this.legend.children[position].dataset.name !== name)
    ) {
      this.legend.replaceChildren(
        ...this.#series.map(({ name }, position) =>
          make(
            "span",
            { dataset: { name } },
            make("i", { class: `swatch series-${position + 1}` }),
            `${name} `,
            make("b"),
          ),
        ),
      );
    }
    const words = this.#series.map(({ name, values, rough }, position) => {
      const value = at >= 0 ? values[at] : null;
      const text =
        value === null || value === undefined ? "–" : `${rough?.[at] ? "~" : ""}${this.options.format(value)}`;
      const label = this.legend.children[position];
      write(label.querySelector("b"), text);
      label.title = rough?.[at] ? "Few samples: a rough value" : "";
      return `${name} ${text}${rough?.[at] ? " (few samples)" : ""}`;
    });
    const text = this.#empty() ? this.options.empty : `Now: ${words.join(", ")}`;
    if (cursor === null && this.canvas.getAttribute("aria-label") !== text)
      this.canvas.setAttribute("aria-label", text);
  }

  #empty() {
    return !this.#series.some(({ values }) => values.some((value) => value !== null));
  }

  #tabulate() {
    if (!this.details.open) return;
    const step = Math.max(1, Math.ceil(this.#times.length / TABLE_ROWS));
    const rows = this.#times
      .map((time, at) => ({ time, at }))
      .filter(({ at }) => (this.#times.length - 1 - at) % step === 0)
      .reverse();
    this.table.replaceChildren(
      make(
        "table",
        {},
        make(
          "thead",
          {},
          make(
            "tr",
            {},
            make("th", {}, "Time"),
            ...this.#series.map(({ name }) => make("th", { class: "amount" }, name)),
          ),
        ),
        make(
          "tbody",
          {},
          ...rows.map(({ time, at }) =>
            make(
              "tr",
              {},
              make("td", {}, new Date(time).toLocaleTimeString()),
              ...this.#series.map(({ values, rough }) =>
                make(
                  "td",
                  { class: "amount" },
                  values[at] === null
                    ? "–"
                    : `${rough?.[at] ? "~" : ""}${this.options.format(/** @type {number} */ (values[at]))}`,
                ),
              ),
            ),
          ),
        ),
      ),
    );
  }

  #timeAt(/** @type {number} */ x) {
    const width = this.canvas.clientWidth - PADDING.left - PADDING.right;
    return Date.now() - (1 - (x - PADDING.left) / width) * this.#spanMs;
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (width === 0) return;
    const scale = devicePixelRatio;
    if (this.canvas.width !== Math.round(width * scale) || this.canvas.height !== Math.round(height * scale)) {
      this.canvas.width = Math.round(width * scale);
      this.canvas.height = Math.round(height * scale);
    }
    const pen = this.canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    const style = getComputedStyle(this.canvas);
    const box = { left: PADDING.left, top: PADDING.top, right: width - PADDING.right, bottom: height - PADDING.bottom };
    const now = still.matches ? (this.#times.at(-1) ?? Date.now()) : Date.now();
    const x = (/** @type {number} */ time) => box.right - ((now - time) / this.#spanMs) * (box.right - box.left);
    const sums = this.options.stacked
      ? stack(this.#series, this.#times.length)
      : this.#series.map(({ values }) => values);
    const ticks = axis(
      Math.max(this.options.least ?? 0, ...sums.flat().map((value) => value ?? 0)),
      this.options.whole,
    );
    // The axis glides to its new end instead of jumping.
    const top = /** @type {number} */ (ticks.at(-1));
    this.#top = still.matches || this.#top === 0 ? top : this.#top + (top - this.#top) * 0.2;
    const y = (/** @type {number} */ value) => box.bottom - (value / this.#top) * (box.bottom - box.top);
    this.#grid(pen, box, ticks, y, style);
    pen.save();
    pen.beginPath();
    pen.rect(box.left, 0, box.right - box.left, height);
    pen.clip();
    sums.forEach((values, position) => {
      const color = getComputedStyle(this.legend.children[position]?.firstElementChild ?? this.canvas).color;
      this.#line(
        pen,
        values,
        position > 0 && this.options.stacked ? sums[position - 1] : null,
        this.#series[position].rough,
        color,
        x,
        y,
      );
    });
    if (cursor !== null) this.#cross(pen, x(this.#times[nearest(this.#times, cursor)] ?? 0), box, style);
    pen.restore();
    if (this.#empty()) {
      pen.fillStyle = style.color;
      pen.globalAlpha = 0.65;
      pen.textAlign = "center";
      pen.font = `13px ${style.fontFamily}`;
      const [middle, at] = [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
      const room = Math.min(pen.measureText(this.options.empty).width + 16, box.right - box.left);
      // No line of the grid goes through the words.
      pen.clearRect(middle - room / 2, at - 10, room, 20);
      pen.fillText(this.options.empty, middle, at, room);
      pen.globalAlpha = 1;
    }
  }

  #grid(
    /** @type {any} */ pen,
    /** @type {any} */ box,
    /** @type {number[]} */ ticks,
    /** @type {(value: number) => number} */ y,
    /** @type {CSSStyleDeclaration} */ style,
  ) {
    pen.font = `11px ${style.fontFamily}`;
    pen.fillStyle = pen.strokeStyle = style.color;
    pen.lineWidth = 1;
    pen.textBaseline = "middle";
    for (const tick of ticks) {
      const at = Math.round(y(tick)) + 0.5;
      if (at < box.top - 4) continue;
      pen.globalAlpha = tick === 0 ? 0.35 : 0.1;
      pen.beginPath();
      pen.moveTo(box.left, at);
      pen.lineTo(box.right, at);
      pen.stroke();
      pen.globalAlpha = 0.65;
      pen.textAlign = "right";
      pen.fillText(this.options.format(tick), box.left - 6, at, box.left - 8);
    }
    const step = this.#spanMs > 120_000 ? 60_000 : this.#spanMs / 4;
    for (let back = 0; back < this.#spanMs; back += step) {
      pen.textAlign = back === 0 ? "right" : "center";
      const words = back === 0 ? "now" : step === 60_000 ? `−${back / 60_000} min` : `−${back / 1000} s`;
      pen.fillText(words, box.right - (back / this.#spanMs) * (box.right - box.left), box.bottom + 11);
    }
    pen.globalAlpha = 1;
  }

  #line(
    /** @type {any} */ pen,
    /** @type {(number|null)[]} */ values,
    /** @type {(number|null)[]|null} */ below,
    /** @type {boolean[]|undefined} */ rough,
    /** @type {string} */ color,
    /** @type {(time: number) => number} */ x,
    /** @type {(value: number) => number} */ y,
  ) {
    pen.strokeStyle = pen.fillStyle = color;
    pen.lineJoin = "round";
    for (const [from, to] of runs(this.#times, values)) {
      const trace = (
        /** @type {number} */ first,
        /** @type {number} */ last,
        /** @type {(at: number) => number} */ height,
      ) => {
        pen.beginPath();
        for (let at = first; at <= last; at++) pen.lineTo(x(this.#times[at]), height(at));
      };
      if (this.options.stacked) {
        trace(from, to, (at) => y(values[at] ?? 0));
        for (let at = to; at >= from; at--) pen.lineTo(x(this.#times[at]), y(below?.[at] ?? 0));
        pen.globalAlpha = 0.3;
        pen.fill();
        pen.globalAlpha = 1;
      }
      pen.lineWidth = 1.75;
      if (from === to) {
        pen.beginPath();
        pen.arc(x(this.#times[from]), y(values[from] ?? 0), 2, 0, 2 * Math.PI);
        pen.fill();
        continue;
      }
      // Dashed where few samples are behind it.
      for (let start = from; start < to;) {
        let end = start + 1;
        while (end < to && Boolean(rough?.[end]) === Boolean(rough?.[start + 1])) end += 1;
        pen.setLineDash(rough?.[start + 1] ? [3, 3] : []);
        trace(start, Math.min(end, to), (at) => y(values[at] ?? 0));
        pen.stroke();
        start = end;
      }
      pen.setLineDash([]);
    }
  }

  #cross(
    /** @type {any} */ pen,
    /** @type {number} */ at,
    /** @type {any} */ box,
    /** @type {CSSStyleDeclaration} */ style,
  ) {
    pen.strokeStyle = style.color;
    pen.globalAlpha = 0.5;
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(Math.round(at) + 0.5, box.top);
    pen.lineTo(Math.round(at) + 0.5, box.bottom);
    pen.stroke();
    pen.globalAlpha = 1;
  }

  refresh() {
    this.#tell();
    this.draw();
  }
}

function move(/** @type {number} */ now) {
  for (const chart of charts) chart.animate(now);
  if (charts.size > 0) requestAnimationFrame(move);
}

function point(/** @type {number|null} */ time) {
  cursor = time;
  for (const chart of charts) chart.refresh();
}
