// The behaviour of every report page: draws the figures, follows the theme, saves PNG and CSV.
// It is inlined, and allowed by its hash in the page's Content-Security-Policy.

const DARK = { "#0072b2": "#4aa8e6", "#7a8087": "#9aa3ac", "0,114,178": "74,168,230" };
const NARROW_PX = 560;
/** Fits between the margins of A4 and of Letter, upright. */
const PAPER_PX = 700;
const root = document.documentElement;
const themes = ["auto", "light", "dark"];
const figures = new Map();
let pointing = false;

function stored() {
  try {
    return localStorage.getItem("kvmark-theme");
  } catch {
    return null; // Storage is closed to this page: the theme lasts as long as the page.
  }
}

function setTheme(name) {
  if (name === "auto") delete root.dataset.theme;
  else root.dataset.theme = name;
  const button = document.getElementById("theme");
  button.textContent = `Theme: ${name}`;
  button.dataset.name = name;
  try {
    localStorage.setItem("kvmark-theme", name);
  } catch {
    // As above.
  }
}

function isDark(printing) {
  if (printing) return false;
  const chosen = root.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

/** The colours of the page, as the browser resolves them. */
function pageColours(dark) {
  const probe = document.createElement("i");
  probe.style.colorScheme = dark ? "dark" : "light";
  document.body.append(probe);
  const read = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const colours = {};
  for (const name of ["page", "surface", "text", "muted", "border", "grid"]) {
    colours[name] = read(name);
  }
  probe.remove();
  return colours;
}

function recoloured(value, dark) {
  let text = JSON.stringify(value);
  if (dark) { for (const [from, to] of Object.entries(DARK)) text = text.replaceAll(from, to); }
  return JSON.parse(text);
}

/** The figure with the colours of the page, its scale, and room for the width. */
function dressed(state, { dark, width, background }) {
  const colours = pageColours(dark);
  const { data, layout } = recoloured(state.figure, dark);
  layout.paper_bgcolor = background ?? "rgba(0,0,0,0)";
  layout.plot_bgcolor = "rgba(0,0,0,0)";
  layout.font = {
    family: getComputedStyle(document.body).fontFamily,
    size: 12,
    color: colours.text,
  };
  layout.hoverlabel = {
    bgcolor: colours.surface,
    bordercolor: colours.border,
    font: { color: colours.text },
    align: "left",
    namelength: -1,
  };
  layout.dragmode = matchMedia("(pointer: coarse)").matches ? false : "zoom";
  for (const [name, axis] of Object.entries(layout)) {
    if (!/^[xy]axis\d*$/.test(name)) continue;
    dressAxis(axis, colours);
    if (name.startsWith("x") && width < NARROW_PX && axis.dtick) axis.dtick *= 2;
  }
  fitPanels(layout, width);
  fitLabels(layout, width, colours.page);
  if (state.log) useLogScale(data, layout);
  return { data, layout };
}

function dressAxis(axis, colours) {
  axis.gridcolor = colours.grid;
  axis.zerolinecolor = colours.border;
  axis.linecolor = colours.border;
  axis.tickfont = { color: colours.muted, size: 11 };
  if (axis.title) axis.title.font = { color: colours.muted, size: 12 };
}

function useLogScale(data, layout) {
  const axes = layout.meta.logAxes;
  for (const trace of data) {
    // A zero has no place on this scale: a gap says so, where plotly would draw a line to the floor.
    const isLog = axes.includes(trace.yaxis.replace("y", "yaxis"));
    if (isLog && trace.fill !== "toself") trace.y = trace.y.map((y) => y > 0 ? y : null);
  }
  for (const name of axes) {
    layout[name].type = "log";
    // Labels at 1, 2 and 5 only: all nine of a decade run into each other.
    layout[name].dtick = "D2";
    delete layout[name].nticks;
    delete layout[name].range;
  }
}

/** Gives each panel the room above it that its title and legend need at this width. */
function fitPanels(layout, width) {
  const { panels } = layout.meta;
  const usable = width - 90;
  const above = panels.map(({ labels }) => 24 + 19 * legendRows(labels, usable));
  const between = 24;
  const plotPx = panels.reduce((sum, panel, i) => sum + panel.heightPx + above[i], 0) +
    between * (panels.length - 1);
  let from = plotPx;
  panels.forEach((panel, i) => {
    const n = i === 0 ? "" : i + 1;
    const top = from - above[i];
    layout[`yaxis${n}`].domain = [Math.max(0, (top - panel.heightPx) / plotPx), top / plotPx];
    layout[`legend${n}`].y = top / plotPx;
    fitTitle(layout.annotations[i], usable);
    layout.annotations[i].y = from / plotPx;
    from = top - panel.heightPx - between;
  });
  layout.height = plotPx + layout.margin.t + layout.margin.b;
}

/** Makes a title smaller that is longer than its panel. */
function fitTitle(title, width) {
  const needed = title.text.replace(/<.*?>/g, "").length * 8;
  if (needed > width) title.font.size = Math.max(9, Math.floor(title.font.size * width / needed));
}

/** Turns the name of a stretch of the axis upright where it is wider than its stretch. */
function fitLabels(layout, width, background) {
  for (const label of layout.annotations) {
    if (label.axisShare === undefined) continue;
    if (label.text.length * 7 + 4 > label.axisShare * (width - 90)) label.textangle = -90;
    label.bgcolor = background;
    label.opacity = 0.8;
  }
}

/** Rows of a horizontal legend: one if all entries fit side by side, else equal columns. */
function legendRows(labels, width) {
  if (labels.length === 0) return 0;
  const widths = labels.map((label) => label.length * 6.7 + 48);
  if (widths.reduce((sum, one) => sum + one, 0) <= width) return 1;
  const columns = Math.max(1, Math.floor(width / Math.max(...widths)));
  return Math.ceil(labels.length / columns);
}

function draw(element, printing = false) {
  const state = figures.get(element);
  if (!state || !globalThis.Plotly) return;
  // Before printing, the page still has the width of the screen.
  const width = printing ? PAPER_PX : state.plot.clientWidth;
  const { data, layout } = dressed(state, { dark: isDark(printing), width });
  if (printing) layout.width = width;
  const config = { displayModeBar: false, responsive: true, doubleClick: "reset" };
  state.plot.style.minHeight = `${layout.height}px`;
  Plotly.react(state.plot, data, layout, config);
  if (!state.drawn) {
    state.drawn = true;
    state.plot.on("plotly_hover", (event) => point(state, event.points[0].x));
    state.plot.on("plotly_unhover", () => point(state, undefined));
  }
}

/** Points at the same place in every graph of the page that shares the x axis. */
function point(from, x) {
  const key = from.figure.layout.meta.linkedBy;
  if (pointing || !key) return;
  pointing = true;
  for (const state of figures.values()) {
    if (state === from || !state.drawn || state.figure.layout.meta.linkedBy !== key) continue;
    if (x === undefined) Plotly.Fx.unhover(state.plot);
    else Plotly.Fx.hover(state.plot, { xval: x }, "xy");
  }
  pointing = false;
}

function save(name, url) {
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
}

async function savePng(element) {
  const state = figures.get(element);
  const { data, layout } = dressed(state, { dark: false, width: 1200, background: "#ffffff" });
  layout.title = { text: escaped(state.title), x: 0.01, xanchor: "left", font: { size: 17 } };
  layout.margin.t += 56;
  layout.height += 56;
  const image = { format: "png", width: 1200, height: layout.height, scale: 2 };
  save(`${element.dataset.name}.png`, await Plotly.toImage({ data, layout }, image));
}

function escaped(text) {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

function saveCsv(element) {
  const { header, rows } = figures.get(element).csv;
  const text = [header, ...rows].map((row) => row.map(csvCell).join(",")).join("\r\n");
  const blob = new Blob(["\ufeff", text, "\r\n"], { type: "text/csv;charset=utf-8" });
  const url = URL.createObjectURL(blob);
  save(`${element.dataset.name}.csv`, url);
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

function csvCell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

const TOOLS = {
  log(element, button) {
    const state = figures.get(element);
    state.log = !state.log;
    button.setAttribute("aria-pressed", String(state.log));
    draw(element);
  },
  reset: draw,
  png: savePng,
  csv: saveCsv,
};

function start() {
  const lazily = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      lazily.unobserve(target);
      draw(target);
    }
  }, { rootMargin: "600px" });
  for (const element of document.querySelectorAll("figure.graph")) {
    const { figure, csv, title } = JSON.parse(element.querySelector("script").textContent);
    const plot = element.querySelector(".plot");
    const tools = element.querySelector(".tools");
    tools.hidden = false;
    figures.set(element, {
      figure,
      csv,
      title,
      plot,
      log: figure?.layout.meta.log === true,
      drawn: false,
    });
    tools.addEventListener("click", ({ target }) => {
      const tool = target.dataset.tool;
      if (tool) TOOLS[tool](element, target);
    });
    if (plot) lazily.observe(element);
  }
  openTarget();
}

function redraw(printing) {
  for (const [element, state] of figures) if (state.drawn) draw(element, printing);
}

/** A link to a graph inside a closed group opens the group. */
function openTarget() {
  const target = document.getElementById(location.hash.slice(1));
  const group = target?.closest("details");
  if (group) {
    group.open = true;
    target.scrollIntoView();
  }
}

setTheme(themes.includes(stored()) ? stored() : "auto");
const button = document.getElementById("theme");
button.hidden = false;
button.addEventListener("click", () => {
  setTheme(themes[(themes.indexOf(button.dataset.name) + 1) % themes.length]);
  redraw();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraw());
addEventListener("hashchange", openTarget);
const unfolded = [];
addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details.printed:not([open])")) {
    part.open = true;
    unfolded.push(part);
  }
  for (const [element, state] of figures) {
    if (state.plot && !element.closest("details:not([open])")) draw(element, true);
  }
});
addEventListener("afterprint", () => {
  for (const part of unfolded.splice(0)) part.open = false;
  redraw();
});
addEventListener("DOMContentLoaded", start);
