"""Draws the demo's lines of text: test/*.png, calibration/*.png, and lines.json with what each one says.

    python3 -m venv venv && venv/bin/pip install pillow==13.0.0
    apt-get install fonts-dejavu-core fonts-droid-fallback
    venv/bin/python make_lines.py [folder of truetype fonts, default /usr/share/fonts/truetype]

The two sets share no line. Fonts, sizes, colours and slight noise differ from line to line (seeded), so that calibration
sees more than one kind of picture. FONTS.md has the fonts' licences.
"""

import json
import random
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter, ImageFont

HERE = Path(__file__).parent
FONTS = Path(sys.argv[1] if len(sys.argv) > 1 else "/usr/share/fonts/truetype")
LATIN = ["DejaVuSans.ttf", "DejaVuSerif.ttf", "DejaVuSansMono.ttf", "DejaVuSans-Bold.ttf", "DejaVuSerif-Bold.ttf"]
CHINESE = ["DroidSansFallbackFull.ttf"]

TEST = [
    "The quick brown fox jumps over the lazy dog.",
    "Invoice No. 2026-1123, total 4,096.50 EUR",
    "床前明月光，疑是地上霜。",
    "学而时习之，不亦说乎？",
]
CALIBRATION = [
    "It is a truth universally acknowledged, that a",
    "single man in possession of a good fortune,",
    "must be in want of a wife. However little known",
    "Call me Ishmael. Some years ago - never mind",
    "Chapter 17: Whales & Ships (pages 238-251)",
    "Open daily 9:30 am to 6:45 pm, closed Mondays",
    "Order #58731 / qty 16 / unit price $27.90",
    "PLATFORM 4 MIND THE GAP EXIT WEST",
    "temperature 21.7 C, humidity 63%, wind 8 km/h",
    "www.example.org/help?page=42&lang=en",
    "有朋自远方来，不亦乐乎？",
    "三人行，必有我师焉。",
    "道可道，非常道；名可名，非常名。",
    "白日依山尽，黄河入海流。",
    "欲穷千里目，更上一层楼。",
    "春眠不觉晓，处处闻啼鸟。",
    "上善若水，水善利万物而不争。",
    "电话：010-65283947 北京市东城区",
    "营业时间：上午九点至下午六点",
    "共计人民币壹仟贰佰元整",
]


def is_chinese(text):
    return any(ord(letter) > 0x2E80 for letter in text)


def font_file(name):
    found = sorted(FONTS.rglob(name))
    if not found:
        sys.exit(f"{name} is not under {FONTS}: install fonts-dejavu-core and fonts-droid-fallback, or name the folder")
    return str(found[0])


def draw_line(text, chance):
    """A line of dark text on a light ground (or the reverse), 44 to 60 pixels high."""
    font = ImageFont.truetype(font_file(chance.choice(CHINESE if is_chinese(text) else LATIN)), chance.randint(26, 36))
    left, top, right, bottom = font.getbbox(text)
    margin = chance.randint(6, 11)
    ground, ink = (chance.randint(215, 255) for _ in range(3)), (chance.randint(0, 70) for _ in range(3))
    if chance.random() < 0.2:
        ground, ink = ink, ground
    image = Image.new("RGB", (right - left + 2 * margin, bottom - top + 2 * margin), tuple(ground))
    ImageDraw.Draw(image).text((margin - left, margin - top), text, tuple(ink), font)
    image = image.filter(ImageFilter.GaussianBlur(chance.uniform(0, 0.8)))
    return image.quantize(16, dither=Image.Dither.NONE)


def main():
    chance = random.Random(20261123)
    lines = {}
    for folder, texts in (("calibration", CALIBRATION), ("test", TEST)):
        (HERE / folder).mkdir(exist_ok=True)
        for number, text in enumerate(texts):
            name = f"{folder}/{number:02d}.png"
            draw_line(text, chance).save(HERE / name, optimize=True)
            lines[name] = text
    (HERE / "lines.json").write_text(json.dumps(lines, ensure_ascii=False, indent=2) + "\n")


if __name__ == "__main__":
    main()
