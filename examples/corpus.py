"""Generates the documents that the example agents read: inspection reports of sixteen invented pumping stations.

They are the same in every run and have about 2,800 tokens each, of which an agent needs a sentence or two. This module
is not an example itself.
"""

from __future__ import annotations

import random

REGIONS = {
    "north": ("Aldermoor", "Brackwell", "Coldharbour", "Dunmere"),
    "east": ("Eastleigh", "Fenwick", "Garrowby", "Holmfirth"),
    "south": ("Inverell", "Jarrow Sands", "Kelmscott", "Lyndhurst"),
    "west": ("Marwood", "Netherby", "Oxley", "Penhallow"),
}
FILLER = (
    "{who} walked the {place} at {h:02}:{m:02} and found the {part} {state}.",
    "The {part} near the {place} was {state} when {who} came back on day {d}.",
    "A {part} of type T{n} stood in the {place}; {who} noted that it was {state}.",
    "At {h:02}:{m:02} the {place} was {state}, and the {part} ran at {n} turns a minute.",
    "{who} asked for a new {part} for the {place}, since the old one was {state} on {d} of {n} checks.",
)
WHO = ("Ann Weir", "Bo Lund", "Cyrus Hale", "Dora Finch", "Emil Stark")
PLACE = ("pump hall", "north basin", "control room", "gallery", "filter house", "outer fence", "roof", "cable duct")
PART = ("bearing", "lamp", "float switch", "handrail", "fan", "grating", "hatch", "drain cover", "gauge glass")
STATE = ("in order", "dusty", "freshly painted", "slightly worn", "dry", "cold to the touch", "clean", "a little loud")


def leak_rate(station: str) -> float:
    """Returns the percentage of its water that a station loses."""
    return random.Random(f"leak {station}").randrange(12, 98) / 10


def valve(station: str) -> str:
    """Returns the serial number of a station's main valve."""
    return f"MV-{random.Random(f'valve {station}').randrange(100_000, 999_999)}"


def _filler(draw: random.Random, sentences: int) -> str:
    made = []
    for _ in range(sentences):
        values = {"who": draw.choice(WHO), "place": draw.choice(PLACE), "part": draw.choice(PART)}
        numbers = {
            "h": draw.randrange(24),
            "m": draw.randrange(60),
            "d": draw.randint(1, 28),
            "n": draw.randint(30, 90),
        }
        made.append(draw.choice(FILLER).format(**values, **numbers, state=draw.choice(STATE)))
    return " ".join(made)


def report(station: str) -> str:
    """Returns a station's inspection report."""
    draw = random.Random(f"report {station}")
    return "\n\n".join(
        (
            f"Inspection report, {station} pumping station, {draw.randint(1, 28)} March 2026.",
            _filler(draw, 26),
            f"Water balance: {station} lost {leak_rate(station)} % of the water it pumped last year. "
            + _filler(draw, 24),
            f"Main valve: serial number {valve(station)}, closed by hand in {draw.randint(20, 90)} seconds. "
            + _filler(draw, 24),
            _filler(draw, 26),
            f"Costs: the inspection took {draw.randint(2, 9)} days and {draw.randint(11, 48) * 100:,} EUR. "
            + _filler(draw, 24),
        )
    )


def documents() -> dict[str, str]:
    """Returns all reports by id, such as "north-2"."""
    return {
        f"{region}-{number}": report(station)
        for region, stations in REGIONS.items()
        for number, station in enumerate(stations, 1)
    }
