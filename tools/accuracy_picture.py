"""Draws predicted against measured: the picture of README.md and of docs/accuracy.md.

    shardfit-evidence validate serving closed_loop.csv -o predicted.csv
    python tools/accuracy_picture.py predicted.csv docs/images/accuracy.png

Reads what `validate serving -o` writes: each row with `predicted_tpot_ms` and `predicted_ttft_ms` beside what was
measured. One dot a row; the band is 20 % either way. Needs pandas and matplotlib.
"""

import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd

INK = "#888888"  # Readable on light and on dark.
ENGINES = {"vllm": "#2b5fe0", "sglang": "#c2680c", "trtllm": "#178a63"}


def panel(axes, rows, column, title):
    measured, predicted = rows[column], rows[f"predicted_{column}"]
    known = measured.notna() & predicted.notna() & (measured > 0) & (predicted > 0)
    low, high = measured[known].min() * 0.7, measured[known].max() * 1.4
    axes.fill_between([low, high], [low * 0.8, high * 0.8], [low * 1.2, high * 1.2], color=INK, alpha=0.25, lw=0)
    axes.plot([low, high], [low, high], color=INK, lw=0.8)
    for engine, colour in ENGINES.items():
        of = known & rows["engine"].str.startswith(engine)
        axes.scatter(measured[of], predicted[of], s=3, color=colour, alpha=0.5, lw=0, rasterized=True, label=engine)
    error = ((predicted - measured).abs() / measured)[known].median()
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high), xlabel="measured, ms", ylabel="predicted, ms")
    axes.set_title(f"{title}: {known.sum():,} runs, median error {100 * error:.1f} %", fontsize=9, color=INK)
    axes.tick_params(colors=INK, which="both", labelsize=7)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=INK, fontsize=8)
    for side in axes.spines.values():
        side.set_color(INK)


def main(source, target):
    rows = pd.read_csv(source)
    if "quality" in rows:
        rows = rows[rows["quality"] == "A"]
    figure, both = plt.subplots(1, 2, figsize=(9, 4), dpi=110)
    panel(both[0], rows, "tpot_ms", "Time per output token")
    panel(both[1], rows, "ttft_ms", "Time to first token")
    both[0].legend(fontsize=7, frameon=False, labelcolor=INK, markerscale=3)
    figure.tight_layout()
    figure.savefig(target, transparent=True)


if __name__ == "__main__":
    main(*sys.argv[1:3])
