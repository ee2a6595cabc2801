"""Lets two agents, a researcher and a writer, exchange messages within a token budget each, and loses nothing.

    python examples/two_agent_handoff.py
    python examples/two_agent_handoff.py --budget 200

The researcher has read four reports of about 2,800 tokens for each region. What it sends the writer about a region is
those reports, cut to the budget for the question that the writer asked; the draft that comes back for checking has the
same budget. When the writer needs a detail that no message has, it expands the ref in the message, once. It gets back
the exact text that the researcher had, and reads only the part that answers its question.

Each agent has its own `Compressor`; they share only the store, as two processes would. Both are scripted, without a
framework or a model: they read with a regular expression what a model would read.

Exit code: 0 on success; 1 if a message is over its budget, a figure is wrong, or the detail was not found; 2 if the
budget is too small for a message.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from corpus import REGIONS, documents

from compressor import Compressor, CompressorError
from compressor.context.refs import find_refs
from compressor.tokens import get_counter

MODEL = "gpt-4o"  # budgets are in its tokens
QUESTION = "Water balance: how much of the water it pumped was lost?"
DETAIL = "What is the serial number of {}'s main valve?"
LOSS = re.compile(r"(\w+(?: \w+)?) lost ([\d.]+) % of the water")


def tokens(text: str) -> int:
    """Counts the tokens of a text, independently of the numbers in a result."""
    return get_counter(MODEL).count(text)


@dataclass
class Channel:
    """Carries messages between agents and records their sizes."""

    budget: int
    sizes: list[int] = field(default_factory=list)
    untouched: int = 0

    def carry(self, direction: str, text: str, whole: str) -> str:
        """Returns the message after recording it; `whole` is the message without a budget."""
        self.sizes.append(tokens(text))
        self.untouched += tokens(whole)
        print(f"  {direction:22} {tokens(whole):7,} -> {tokens(text):4,} tokens, budget {self.budget:,}")
        return text

    @property
    def over(self) -> int:
        """Counts the messages that exceeded the budget."""
        return sum(size > self.budget for size in self.sizes)


class Researcher:
    """Has read all reports and answers questions."""

    def __init__(self, compressor: Compressor, channel: Channel) -> None:
        self.compressor, self.channel = compressor, channel
        self.read = documents()

    def answer(self, region: str, question: str) -> str:
        """Returns what the reports of a region say about a question, within the budget."""
        found = [{"title": name, "text": text} for name, text in self.read.items() if name.startswith(region)]
        made = self.compressor.compress_documents(found, question, self.channel.budget, MODEL)
        whole = "\n\n".join(f"{document['title']}: {document['text']}" for document in found)
        return self.channel.carry("researcher to writer", made.text, whole)

    def check(self, draft: str) -> tuple[int, int]:
        """Counts the losses that a draft names, and those of them that the reports confirm."""
        reported = {match[0] for text in self.read.values() for match in LOSS.finditer(text)}
        named = [match[0] for match in LOSS.finditer(draft)]
        return len(named), sum(loss in reported for loss in named)


class Writer:
    """Has read only its messages, and writes the overview."""

    def __init__(self, compressor: Compressor, channel: Channel) -> None:
        self.compressor, self.channel = compressor, channel
        self.messages: dict[str, str] = {}
        self.expansions = 0

    def draft(self) -> str:
        """Returns the overview: one paragraph per region, and the worst station at the end."""
        losses = self.losses()
        parts = [
            "This overview is drawn from the inspection reports of March 2026. It was written by a writer who has read "
            "none of them, but only what a researcher said of them. The writer thanks the researcher for the quick "
            "answers, asks for a check, and is sorry for the short notice. There is no hurry with the spelling."
        ]
        for region, message in self.messages.items():
            found = sorted(((float(rate), name) for name, rate in LOSS.findall(message)), reverse=True)
            losses_text = "; ".join(f"{name} lost {rate} % of the water it pumped" for rate, name in found)
            parts.append(
                f"In the {region}, {len(found)} stations were inspected. In order of what they lost: {losses_text}."
            )
        worst = max(losses, key=lambda name: losses[name])
        return "\n\n".join([*parts, f"The worst of all, {worst}, needs a new main valve before the summer."])

    def losses(self) -> dict[str, float]:
        """Returns the losses that the messages name, by station."""
        return {name: float(rate) for message in self.messages.values() for name, rate in LOSS.findall(message)}

    def send(self, draft: str) -> str:
        """Returns the draft for the researcher, cut to the budget so that its figures stay."""
        made = self.compressor.compress_text(draft, self.channel.budget, QUESTION, MODEL)
        return self.channel.carry("writer to researcher", made.text, draft)

    def look_up(self, station: str) -> str | None:
        """Finds the serial number of a station's valve in a message, or else in the original behind the message."""
        message = next(text for text in self.messages.values() if f"{station} lost" in text)
        pattern = re.compile(rf"{station} pumping station.*?(MV-\d+)", re.S)
        if (found := pattern.search(message)) is None:
            (ref,) = find_refs(message)
            original = self.compressor.expand(ref)
            self.expansions += 1
            report = next(part for part in re.split(r"\n\n(?=\w+-\d: )", original) if f"{station} lost" in part)
            read = self.compressor.compress_text(report, self.channel.budget, DETAIL.format(station), MODEL).text
            print(f"  expand {ref}: {tokens(original):,} tokens are there, the writer reads {tokens(read):,} of them")
            found = re.search(r"(MV-\d+)", read)
        return found[1] if found else None


def handoff(budget: int, folder: Path) -> int:
    """Lets the two agents write an overview, and returns the exit code."""
    store, channel = str(folder / "shared.db"), Channel(budget)
    compressors = [Compressor(store=store), Compressor(store=store)]
    try:
        researcher, writer = Researcher(compressors[0], channel), Writer(compressors[1], channel)
        print(f"The writer asks about each region: {QUESTION}")
        for region in REGIONS:
            writer.messages[region] = researcher.answer(region, QUESTION)

        if not (losses := writer.losses()):
            print("The messages contain no figure. Give a larger budget.")
            return 1

        print("\nThe writer has a draft checked.")
        draft = writer.draft()
        named, right = researcher.check(writer.send(draft))
        print(f"  figures that arrived: {named} of {len(losses)}, right: {right}")

        worst = max(losses, key=lambda name: losses[name])
        print(f"\nThe writer needs a detail that it had not asked for. {DETAIL.format(worst)}")
        serial = writer.look_up(worst)
        print(f"  {serial}")
    finally:
        for compressor in compressors:
            compressor.close()

    print(f"\nmessages           {len(channel.sizes)}, {channel.over} over the budget of {budget:,} tokens each")
    print(f"tokens handed over {sum(channel.sizes):,}, untouched {channel.untouched:,}")
    print(f"stations           {len(losses)} of {sum(map(len, REGIONS.values()))}")
    print(f"expansions         {writer.expansions}")
    correct = any(f"serial number {serial}," in text for text in documents().values() if f"{worst} lost" in text)
    return int(bool(channel.over) or right < named or not named or not correct)


def main() -> int:
    """Runs the example."""
    parser = argparse.ArgumentParser(description="Two agents and a token budget per message.")
    parser.add_argument("--budget", type=int, default=300, help="maximum tokens of a message (default: 300)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            return handoff(options.budget, Path(folder))
        except CompressorError as error:
            print(f"A budget of {options.budget} tokens is too small for a message: {error}", file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main())
