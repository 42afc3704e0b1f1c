"""Writes the measured tables of docs/gpu.md, between their markers, from a results CSV.

    python3 bench/gpu/tables.py bench/results/gpu-h200-2026-11-23.csv docs/gpu.md
"""

import csv
import math
import os
import re
import sys

REFERENCE = os.path.join(os.path.dirname(__file__), "..", "results", "gpu-reference-h200.csv")
BYTES_PER_US, FLOPS_PER_US = 4.3e6, 790e6  # measured on an H200


def number(text):
    value = float(text) if text else math.nan
    return None if math.isnan(value) else value


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def load(source):
    """Measured rows, each with the reference's times and the regime that its token count stands for."""
    key = lambda row: (row["network"], row["layer"], row["tokens"])
    reference = {key(row): row for row in read(REFERENCE)}
    rows = []
    for row in read(source):
        times = {name: number(value) for name, value in row.items() if name.endswith("_us")}
        known = reference[key(row)]
        times["blast_reference_us"], times["monarch_reference_us"] = (
            number(known["blast_triton_us"]), number(known["monarch_triton_us"]))
        regime = row["tokens"] if row["tokens"] in ("1", "16", "128") else "own"
        rows.append({**row, **times, "regime": regime})
    return rows


def ratio(rows, over, under):
    pairs = [(row[over], row[under]) for row in rows if row[over] and row[under]]
    mean = math.exp(sum(math.log(a / b) for a, b in pairs) / len(pairs))
    ahead = sum(a > b for a, b in pairs)
    return f"{mean:.2f}× ({ahead} of {len(pairs)})"


def speedups(rows):
    lines = [("BLAST over the reference", "blast_reference_us", "blast_us"), ("BLAST over dense cuBLASLt", "dense_us", "blast_us"),
             ("Monarch over the reference", "monarch_reference_us", "monarch_us"), ("Monarch over dense", "dense_us", "monarch_us"),
             ("low rank over dense", "dense_us", "low_rank_us"), ("low rank over two GEMMs", "two_gemms_us", "low_rank_us"),
             ("BLAST int8 over BLAST bf16", "blast_us", "blast_int8_us")]
    yield "| | 1 token | 16 | 128 | own sequence | all |"
    yield "|---|---|---|---|---|---|"
    for title, over, under in lines:
        parts = [ratio([r for r in rows if r["regime"] == regime], over, under) for regime in ("1", "16", "128", "own")]
        yield f"| {title} | {' | '.join(parts)} | {ratio(rows, over, under)} |"


def layers(rows):
    yield "| layer | tokens | dense | dense fp8 | two GEMMs | BLAST | floor | reference | BLAST int8 | Monarch | reference | low rank |"
    yield "|---|---|---|---|---|---|---|---|---|---|---|---|"
    show = lambda value: "–" if value is None else f"{value:.1f}"
    seen = set()
    for row in rows:
        shape = (row["layer"], row["in_features"], row["out_features"], row["tokens"])  # of several networks: once
        if shape in seen:
            continue
        seen.add(shape)
        floor = f"{row['blast_floor_us']:.1f} ({100 * row['blast_floor_us'] / row['blast_us']:.0f}%)"
        cells = [row["dense_us"], row["dense_fp8_us"], row["two_gemms_us"], row["blast_us"], floor, row["blast_reference_us"],
                 row["blast_int8_us"], row["monarch_us"], row["monarch_reference_us"], row["low_rank_us"]]
        yield f"| {row['network']}.{row['layer']} | {row['tokens']} | " + " | ".join(
            cell if isinstance(cell, str) else show(cell) for cell in cells) + " |"


def behind(rows):
    found = [f"{r['network']}.{r['layer']} at {r['tokens']} ({r['blast_reference_us'] / r['blast_us']:.2f}×)"
             for r in rows if r["blast_us"] >= r["blast_reference_us"]]
    yield "Behind the reference: " + (", ".join(found) if found else "none") + "."


def roofline(rows):
    """FLOP per byte with each tensor moved once, the ceiling that is nearer, and TFLOP/s reached."""
    yield "| layer | tokens | dense | BLAST | Monarch |"
    yield "|---|---|---|---|---|"
    for row in rows:
        if row["regime"] not in ("1", "own"):
            continue
        tokens, features_in, features_out = (int(row[name]) for name in ("tokens", "in_features", "out_features"))
        io = 2 * tokens * (features_in + features_out)
        cells = []
        for name in ("dense", "blast", "monarch"):
            floor, measured = row[f"{name}_floor_us"], row[f"{name}_us"]
            if not floor or not measured:
                cells.append("–")
                continue
            parameters = (features_in * features_out if name == "dense" else
                          min((floor * BYTES_PER_US - io) / 2, floor * FLOPS_PER_US / (2 * tokens)))
            flops = 2 * tokens * parameters
            intensity, reached = flops / (2 * parameters + io), flops / measured / 1e6
            bound = "FLOPs" if intensity > FLOPS_PER_US / BYTES_PER_US else "bytes"
            cells.append(f"{intensity:.0f} {bound}, {reached:.{0 if reached >= 10 else 1}f}")
        yield f"| {row['network']}.{row['layer']} | {tokens} | " + " | ".join(cells) + " |"


def main(source, page):
    rows = load(source)
    with open(page, encoding="utf-8") as file:
        text = file.read()
    for name, lines in (("speedups", speedups), ("behind", behind), ("layers", layers), ("roofline", roofline)):
        start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        body = start + "\n" + "\n".join(lines(rows)) + "\n\n" + end
        text, count = re.subn(re.escape(start) + ".*?" + re.escape(end), lambda _: body, text, flags=re.S)
        if count != 1:
            raise SystemExit(f"{page}: expected the markers {start.strip()} and {end} once, found them {count} times")
    with open(page, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
