// Charts: uPlot in the page's own colours, drawn again when these change.

const paint = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const colour = (n) => paint(`--c${n % 8}`);

const redraws = new Map();
const redrawAll = () => redraws.forEach((redraw) => redraw());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawAll);
matchMedia("print").addEventListener("change", redrawAll);
addEventListener("beforeprint", redrawAll);
addEventListener("afterprint", redrawAll);

const legend = (holder, entries) => holder.replaceChildren(...entries.map(([name, n, faded]) =>
  element("span", faded ? { style: "opacity:.55" } : {}, element("span", { class: "dot", style: `background:var(--c${n % 8})` }), name)));

const compact = (x) => {
  const size = Math.abs(x);
  if (size >= 1e9) return +(x / 1e9).toPrecision(3) + "B";
  if (size >= 1e6) return +(x / 1e6).toPrecision(3) + "M";
  if (size >= 1e4) return +(x / 1e3).toPrecision(3) + "k";
  return String(+x.toPrecision(3));
};

// Says what stands nearest to the pointer.
const tooltip = (describe) => {
  const tip = element("div", { class: "tip", hidden: true });
  return {
    hooks: {
      init: (u) => {
        u.over.append(tip);
        u.over.addEventListener("mouseleave", () => { tip.hidden = true; });
      },
      setCursor: (u) => {
        const { left, top } = u.cursor;
        let nearest = null;
        let distance = 24;
        for (let s = 1; s < u.series.length; s++) {
          if (!u.series[s].show) continue;
          for (let i = 0; i < u.data[0].length; i++) {
            if (!known(u.data[s][i])) continue;
            const [dx, dy] = [u.valToPos(u.data[0][i], "x") - left, u.valToPos(u.data[s][i], "y") - top];
            const d = Math.hypot(dx, dy);
            if (d < distance) [distance, nearest] = [d, [s, i, left + dx, top + dy]];
          }
        }
        tip.hidden = !nearest || left < 0;
        if (tip.hidden) return;
        const [s, i, x, y] = nearest;
        tip.replaceChildren(...describe(u, s, i).flatMap((line, n) => (n ? [element("br"), line] : [element("b", {}, line)])));
        const flip = x > u.over.clientWidth / 2;
        tip.style.left = flip ? "" : `${x + 12}px`;
        tip.style.right = flip ? `${u.over.clientWidth - x + 12}px` : "";
        tip.style.top = `${Math.max(0, y - 30)}px`;
      },
    },
  };
};

// Shades what lies inside a target.
const shaded = (from, label) => ({
  hooks: {
    drawClear: (u) => {
      if (!known(from)) return;
      const { left, top, width, height } = u.bbox;
      const x = Math.min(Math.max(u.valToPos(from, "x", true), left), left + width);
      const context = u.ctx;
      context.save();
      context.fillStyle = paint("--shade");
      context.fillRect(x, top, left + width - x, height);
      context.strokeStyle = paint("--good");
      context.setLineDash([5 * devicePixelRatio, 4 * devicePixelRatio]);
      context.lineWidth = devicePixelRatio;
      context.beginPath();
      context.moveTo(x, top);
      context.lineTo(x, top + height);
      context.stroke();
      context.fillStyle = paint("--good");
      context.font = `${12 * devicePixelRatio}px system-ui, sans-serif`;
      context.textAlign = x > left + width * 0.6 ? "right" : "left";
      const gap = (context.textAlign === "right" ? -7 : 7) * devicePixelRatio;
      context.fillText(label, x + gap, top + 15 * devicePixelRatio);
      context.restore();
    },
  },
});

const axis = (label, values) => ({
  label,
  labelSize: 26,
  labelFont: "12px system-ui, sans-serif",
  font: "12px system-ui, sans-serif",
  stroke: paint("--soft"),
  grid: { stroke: paint("--line"), width: 1 },
  ticks: { stroke: paint("--line"), width: 1 },
  values: values || ((u, splits) => splits.map((x) => (x === null ? "" : compact(x)))),
});

// Draws a chart into a holder, as wide as that is; `build` returns uPlot's options and data, or null where
// there is nothing to show.
const chart = (holder, build) => {
  let plot = null;
  let width = 0;
  const draw = () => {
    if (plot) plot.destroy();
    plot = null;
    const built = build();
    width = holder.clientWidth;
    if (!built) return holder.replaceChildren(element("p", { class: "empty" }, "nothing to show"));
    holder.replaceChildren();
    const { options, data } = built;
    plot = new uPlot({ width, height: 300, legend: { show: false }, cursor: { drag: { x: false, y: false }, points: { show: false } }, ...options }, data, holder);
  };
  redraws.set(holder, draw);
  draw();
  if (!holder.watched) {
    holder.watched = new ResizeObserver(() => {
      if (Math.abs(holder.clientWidth - width) > 2) redraws.get(holder)();
    });
    holder.watched.observe(holder);
  }
};

// Lines of several clusters over a common axis: [{name, n, points: [[x, y, …]], faded, stepped}].
const lines = (holder, lists, scales, axes, extra) => chart(holder, () => {
  const shown = lists.filter((list) => list.points.length > 0);
  if (shown.length === 0) return null;
  const tables = shown.map((list) => {
    const sorted = [...list.points].sort((a, b) => a[0] - b[0]);
    return [sorted.map((p) => p[0]), sorted.map((p) => p[1])];
  });
  const data = tables.length > 1 ? uPlot.join(tables) : tables[0];
  const sources = shown.map((list) => new Map(list.points.map((p) => [p[0], p])));
  const series = shown.map((list) => ({
    label: list.name,
    stroke: colour(list.n),
    width: list.faded ? 1 : 2,
    dash: list.faded ? [4, 4] : undefined,
    spanGaps: true,
    paths: list.stepped ? uPlot.paths.stepped({ align: 1 }) : undefined,
    points: list.marks === false ? { show: false } : { show: true, size: 6, fill: colour(list.n) },
  }));
  const describe = (u, s, i) => extra.describe(shown[s - 1], sources[s - 1].get(u.data[0][i]) || [u.data[0][i], u.data[s][i]]);
  const plugins = [tooltip(describe), ...(extra.plugins || [])];
  return { options: { scales, axes: axes(), series: [{}, ...series], plugins }, data };
});
