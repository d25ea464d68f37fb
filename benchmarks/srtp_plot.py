"""The plot of one row of the comparison: nanoseconds per packet as bars, in SVG."""

from __future__ import annotations

from html import escape

WIDTH, BAR, GAP, LEFT, RIGHT = 760, 18, 8, 190, 70
TITLE = "AES_CM_128_HMAC_SHA1_80, 160 bytes of payload: ns per packet (less is better)"


def plot(values: dict[str, float]) -> str:
    """Returns an SVG with one bar a value, the longest first; ours are those without the name of a peer."""
    rows = sorted(values.items(), key=lambda item: -item[1])
    height = 40 + len(rows) * (BAR + GAP)
    scale = (WIDTH - LEFT - RIGHT) / max(values.values())
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="10" y="20" font-weight="bold">{escape(TITLE)}</text>',
    ]
    for i, (name, value) in enumerate(rows):
        top = 34 + i * (BAR + GAP)
        colour = "#9aa5b1" if " " in name else "#2b6cb0"
        lines += [
            f'<text x="{LEFT - 8}" y="{top + 13}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{LEFT}" y="{top}" width="{value * scale:.1f}" height="{BAR}" fill="{colour}"/>',
            f'<text x="{LEFT + value * scale + 6:.1f}" y="{top + 13}">{value:.0f}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])
