"""Draws docs/gpu-roofline.svg from a results CSV: one point per layer, token count and structure.

    python3 bench/gpu/roofline.py bench/results/gpu-h200-2026-11-23.csv docs/gpu-roofline.svg
"""

import csv
import math
import sys

BYTES_PER_US, FLOPS_PER_US = 4.3e6, 790e6  # measured on an H200
COLOURS = {"dense": "#777777", "blast": "#c0392b", "monarch": "#2471a3"}
WIDTH, HEIGHT, LEFT, TOP = 720, 420, 60, 20
X_RANGE, Y_RANGE = (0.5, 2000), (0.01, 1000)  # FLOP per byte, TFLOP/s


def place(value, low_high, length):
    low, high = low_high
    return (math.log(value) - math.log(low)) / (math.log(high) - math.log(low)) * length


def point(intensity, tflops):
    return LEFT + place(intensity, X_RANGE, WIDTH), TOP + HEIGHT - place(tflops, Y_RANGE, HEIGHT)


def points(rows):
    """The floor tells a structure's bytes or operations; both follow from it and from what the layer reads and writes."""
    for row in rows:
        size, tokens = int(row["in_features"]) * int(row["out_features"]), int(row["tokens"])
        io = 2 * tokens * (int(row["in_features"]) + int(row["out_features"]))
        for name in COLOURS:
            floor, measured = row[f"{name}_floor_us"], row[f"{name}_us"]
            if not floor or not measured:
                continue
            by_bytes = (float(floor) * BYTES_PER_US - io) / 2
            by_flops = float(floor) * FLOPS_PER_US / (2 * tokens)
            parameters = size if name == "dense" else min(by_bytes, by_flops)
            if parameters > 0:
                flops = 2 * tokens * parameters
                yield name, flops / (2 * parameters + io), flops / float(measured) / 1e6


def main(source, target):
    with open(source, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    ridge = FLOPS_PER_US / BYTES_PER_US
    roof = [(X_RANGE[0], X_RANGE[0] * BYTES_PER_US / 1e6), (ridge, FLOPS_PER_US / 1e6), (X_RANGE[1], FLOPS_PER_US / 1e6)]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH + LEFT + 20}" height="{HEIGHT + TOP + 50}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect x="{LEFT}" y="{TOP}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#bbb"/>',
        '<polyline fill="none" stroke="#000" points="' + " ".join("%.1f,%.1f" % point(*p) for p in roof) + '"/>',
    ]
    for value in (1, 10, 100, 1000):
        parts.append(f'<text x="{point(value, 1)[0]:.1f}" y="{TOP + HEIGHT + 16}" text-anchor="middle">{value}</text>')
    for value in (0.01, 0.1, 1, 10, 100, 1000):
        parts.append(f'<text x="{LEFT - 6}" y="{point(1, value)[1] + 4:.1f}" text-anchor="end">{value}</text>')
    for name, intensity, tflops in points(rows):
        x, y = point(intensity, tflops)
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{COLOURS[name]}" fill-opacity="0.7"/>')
    for i, (name, colour) in enumerate(COLOURS.items()):
        parts.append(f'<text x="{LEFT + 12}" y="{TOP + 20 + 16 * i}" fill="{colour}">{name}</text>')
    parts.append(f'<text x="{LEFT + WIDTH / 2}" y="{TOP + HEIGHT + 38}" text-anchor="middle">FLOP per byte (each tensor once)</text>')
    parts.append(f'<text x="{LEFT}" y="14">TFLOP/s, NVIDIA H200, bf16</text></svg>')
    with open(target, "w", encoding="utf-8") as file:
        file.write("\n".join(parts) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
