"""Prompts that training never met: held-out combinations said in held-out phrasings.

python -m evaluate.make_prompts --work W --modules M --stages 1 --count 1000     (writes <work>/evaluate/prompts.json)"""

import json
import os
import random

from tiny.captions import caption
from tiny.draw import Painter
from tiny.options import parser_with

SHARES = {"one": 0.40, "paint": 0.20, "beside": 0.14, "three": 0.06, "count": 0.12, "word": 0.10, "eye": 0.04}
"""Kinds of prompts; "paint" is one object in a colour that it never had in training."""
REPEATED, SEEDS = 30, 4
"""For the diversity: so many prompts of kind "one" again, each with so many seeds (rows of kind "again")."""


def main() -> None:
    parser = parser_with("work", "modules", "stages")
    parser.add_argument("--count", type=int, default=1000)
    options = parser.parse_args()
    painter = Painter(options.work, options.modules, options.stages)
    r = random.Random("evaluate")
    rows = []
    for kind, share in SHARES.items():
        for _ in range(round(share * options.count)):
            spec = held_spec(painter, kind, r)
            rows.append({"kind": kind, "seed": r.getrandbits(31), "prompt": caption(spec, r, held=True), "spec": spec})
    r.shuffle(rows)  # so that the first hundreds are a fair sample too
    for row in [row for row in rows if row["kind"] == "one"][:REPEATED]:
        rows += [{**row, "kind": "again", "seed": r.getrandbits(31), "spec": {**row["spec"], "seed": r.getrandbits(32)}} for _ in range(SEEDS)]
    os.makedirs(os.path.join(options.work, "evaluate"), exist_ok=True)
    with open(os.path.join(options.work, "evaluate", "prompts.json"), "w", encoding="utf-8") as file:
        json.dump(rows, file, indent=1)
    print(len(rows), "prompts")


def held_spec(painter: Painter, kind: str, r: random.Random) -> dict:
    while True:
        spec = painter.spec(r, kind="one" if kind == "paint" else kind, held=True)
        items = spec.get("items", [])
        if kind == "paint":
            if items[0].get("paint") in ("red", "yellow", "green", "blue", "purple", "pink", "orange") and not spec.get("scene"):
                spec.pop("back", None)
                if painter.is_held(spec):
                    return spec
        elif kind == "one":
            if not items[0].get("paint"):
                return spec
        elif kind in ("beside", "three", "count"):
            spec.pop("scene", None)
            spec.pop("back", None)
            for item in items:
                item.pop("paint", None)
            if painter.is_held(spec):
                return spec
        else:
            return spec


if __name__ == "__main__":
    main()
