"""Draw the pictures of the system: `python docs/pictures.py` writes docs/assets/*.svg.

A picture is boxes on a grid and arrows between them. Its colours follow the reader's, light or
dark, wherever it is shown, because they are in the file itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

FOLDER = Path(__file__).parent / "assets"
STYLE = """
  .ground { fill: #ffffff; stroke: #d0d7de; }
  .box { fill: #f6f8fa; stroke: #8c959f; }
  .data { fill: #ddf4ff; stroke: #0969da; }
  .judge { fill: #fff8c5; stroke: #9a6700; }
  .serve { fill: #dafbe1; stroke: #1a7f37; }
  .group { fill: none; stroke: #8c959f; stroke-dasharray: 4 4; }
  text { font: 600 14px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328; }
  .small { font-weight: 400; font-size: 12px; fill: #59636e; }
  path { fill: none; stroke: #59636e; stroke-width: 1.5; }
  .back { stroke: #9a6700; stroke-dasharray: 5 4; }
  marker path { fill: #59636e; stroke: none; }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117; stroke: #3d444d; }
    .box { fill: #151b23; stroke: #656c76; }
    .data { fill: #12243d; stroke: #4493f8; }
    .judge { fill: #2b2208; stroke: #d29922; }
    .serve { fill: #0f2a18; stroke: #3fb950; }
    .group { stroke: #656c76; }
    text { fill: #f0f6fc; }
    .small { fill: #9198a1; }
    path { stroke: #9198a1; }
    .back { stroke: #d29922; }
    marker path { fill: #9198a1; stroke: none; }
  }
"""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle with a name and a line below it; x, y is the upper left corner."""

    x: int
    y: int
    name: str
    told: str = ""
    kind: str = "box"
    w: int = 140
    h: int = 52

    def draw(self) -> str:
        middle = self.x + self.w / 2
        top = self.y + (self.h / 2 + 5 if not self.told else 22)
        lines = [f'<text x="{middle}" y="{top}" text-anchor="middle">{escape(self.name)}</text>']
        if self.told:
            lines.append(
                f'<text class="small" x="{middle}" y="{self.y + 40}" text-anchor="middle">'
                f"{escape(self.told)}</text>"
            )
        return (
            f'<rect class="{self.kind}" x="{self.x}" y="{self.y}" width="{self.w}" '
            f'height="{self.h}" rx="8"/>' + "".join(lines)
        )


@dataclass(frozen=True, slots=True)
class Arrow:
    """A line through points, "x,y x,y ...", with an optional word at a place."""

    points: str
    word: str = ""
    at: tuple[int, int] = (0, 0)
    kind: str = ""

    def draw(self) -> str:
        line = f'<path class="{self.kind}" marker-end="url(#end)" d="M{self.points}"/>'
        if not self.word:
            return line
        x, y = self.at
        return f'{line}<text class="small" x="{x}" y="{y}">{escape(self.word)}</text>'


@dataclass(frozen=True, slots=True)
class Group:
    """A dashed frame with its name in the upper left corner, or the lower one."""

    x: int
    y: int
    w: int
    h: int
    name: str
    low: bool = False

    def draw(self) -> str:
        y = self.y + (self.h - 12 if self.low else 18)
        return (
            f'<rect class="group" x="{self.x}" y="{self.y}" width="{self.w}" height="{self.h}" '
            f'rx="10"/><text class="small" x="{self.x + 12}" y="{y}">'
            f"{escape(self.name)}</text>"
        )


def picture(title: str, w: int, h: int, parts: list[Box | Arrow | Group]) -> str:
    """Return the SVG."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" role="img" '
        f'width="{w}" height="{h}"><title>{escape(title)}</title><style>{STYLE}</style>'
        '<defs><marker id="end" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
        'markerHeight="8" orient="auto"><path d="M0,0 8,4 0,8z"/></marker></defs>'
        f'<rect class="ground" x="1" y="1" width="{w - 2}" height="{h - 2}" rx="12"/>\n'
        + "\n".join(part.draw() for part in parts)
        + "\n</svg>\n"
    )


SYSTEM = picture(
    "From sources to /predict, and back through the monitor",
    1000,
    500,
    [
        Box(24, 60, "Sources", "bars, vintages"),
        Arrow("164,86 196,86"),
        Group(184, 24, 612, 104, "lake: Delta tables, every row with known_at"),
        Box(200, 60, "Bronze", "as it came", "data"),
        Arrow("340,86 372,86"),
        Box(376, 60, "Silver", "curated, as of", "data"),
        Arrow("516,86 548,86"),
        Box(552, 60, "Gold", "features, labels, regimes", "data", w=228),
        Arrow("666,112 666,176"),
        Arrow("780,86 868,86 868,176"),
        Box(24, 180, "Walk-forward", "monthly refits, QLIKE"),
        Arrow("600,180 600,150 94,150 94,176"),
        Arrow("164,206 196,206"),
        Box(200, 180, "Gate", "skill, coverage, Brier", "judge"),
        Arrow("340,206 372,206"),
        Box(376, 180, "MLflow", "signed versions"),
        Box(552, 180, "Published Parquet", "for everyone", "data", w=228),
        Box(808, 180, "Monitor", "drift, realised skill", "judge", w=168),
        Arrow("446,232 446,276", "asks", (456, 260)),
        Box(24, 280, "Airflow", "runs each step as one command, backfills too", w=316),
        Box(376, 280, "Rollout", "golden, canary, bake", "judge"),
        Arrow("516,320 532,320 532,362 580,362 580,376"),
        Arrow("666,232 666,276"),
        Box(552, 280, "Feast on Redis", "online features", "data", w=228),
        Arrow("666,332 666,348 620,348 620,376"),
        Arrow("666,348 732,348 732,376"),
        Box(552, 380, "blue", "champion", "serve", w=104),
        Box(676, 380, "green", "candidate", "serve", w=104),
        Arrow("446,332 446,406 360,406", "moves", (456, 372)),
        Arrow("552,420 364,420"),
        Arrow("728,432 728,452 290,452 290,436"),
        Box(220, 380, "nginx", "one door", "serve"),
        Arrow("220,406 168,406"),
        Box(24, 380, "/predict", "clients, dashboard"),
        Arrow("910,232 910,482 12,482 12,160 60,160 60,176", "drift: retrain", (700, 474), "back"),
        Arrow(
            "850,232 850,260 534,260 534,300 520,300", "guardrail: take back", (690, 252), "back"
        ),
    ],
)

AWS = picture(
    "What stands where on AWS",
    1000,
    560,
    [
        Box(24, 56, "Clients, people"),
        Arrow("164,82 196,82"),
        Box(200, 56, "WAF", "rules, rate"),
        Arrow("340,82 372,82"),
        Box(376, 56, "Load balancer", "TLS, weights, login", w=160),
        Arrow("456,108 456,132 294,132 294,176"),
        Arrow("456,132 446,132 446,176"),
        Arrow("456,132 608,132 608,176"),
        Group(184, 150, 792, 248, "private subnets, ECS on Fargate", low=True),
        Box(224, 180, "API blue", "", "serve"),
        Box(376, 180, "API green", "", "serve"),
        Box(528, 180, "MLflow, dashboard", "", "box", w=160),
        Box(720, 180, "Rollout", "moves weights", "judge"),
        Arrow("860,206 944,206 944,82 540,82", "", (0, 0), "back"),
        Box(224, 320, "Redis", "of Feast", "data"),
        Box(376, 320, "EFS", "keys, spool", "data"),
        Box(528, 320, "PostgreSQL", "registry", "data", w=160),
        Box(720, 320, "Steps", "a task and a role each"),
        Arrow("294,232 294,316"),
        Arrow("430,232 430,316"),
        Arrow("608,232 608,316"),
        Arrow("790,320 790,270 320,270 320,316"),
        Arrow("790,270 462,270 462,316"),
        Arrow("790,270 644,270 644,236"),
        Box(24, 320, "Schedule", "MWAA, EventBridge", w=148),
        Arrow("98,372 98,412 706,412 706,346 716,346"),
        Box(200, 464, "S3 artifacts", "of MLflow", "data"),
        Arrow("688,222 702,222 702,440 270,440 270,460"),
        Box(376, 464, "S3 lake", "Athena, QuickSight", "data"),
        Box(552, 464, "DynamoDB", "mirror", "data"),
        Box(728, 464, "CloudWatch", "alarms, SNS, mail", "judge", w=160),
        Arrow("770,372 770,426 446,426 446,460"),
        Arrow("770,426 622,426 622,460"),
        Arrow("808,372 808,460"),
    ],
)

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "system.svg").write_text(SYSTEM)
    (FOLDER / "aws.svg").write_text(AWS)
