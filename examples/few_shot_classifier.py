"""Classifies messages with a few-shot prompt that holds only the examples that matter.

There are twelve intents, 96 examples and seven messages to classify. For each message, `ExampleStore` chooses examples
within a budget. The script prints the tokens of all examples and of the chosen ones, and whether the right intent is
among those shown. With OPENAI_API_KEY set and the package openai installed (or with --model), a real model answers;
--offline forbids it.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from compressor import Compressor, ExampleStore

DATA = Path(__file__).parent / "data" / "support_intents.jsonl"
ASK = "Name the intent of the last message. Answer with the intent only.\n\n"
MESSAGES = [
    ("my bag was taken on the train, the card was in it", "lost_card"),
    ("it says wrong pin, card blocked", "new_pin"),
    ("the supermarket did not accept my card", "card_declined"),
    ("i want to send 80 to my brother", "transfer"),
    ("what do you charge for taking out cash abroad", "fees"),
    ("could you lend me 5,000", "loan"),
    ("we live in another street now", "address"),
]


def main() -> None:
    """Chooses examples for each message and prints the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", type=int, default=110, help="maximum tokens of the examples (default: 110)")
    parser.add_argument("--model", help="a model of OpenAI, or of the server that OPENAI_BASE_URL names")
    parser.add_argument("--offline", action="store_true", help="never call a real model")
    args = parser.parse_args()
    use_model = not args.offline and (args.model or os.environ.get("OPENAI_API_KEY"))

    store = ExampleStore(Compressor(store="memory"))
    store.add([json.loads(line) for line in DATA.read_text(encoding="utf-8").splitlines()])
    shown = right = 0
    for message, intent in MESSAGES:
        chosen = store.select(message, args.budget)
        there = any(example["output"] == intent for example in chosen.examples)
        shown += there
        print(f"{message!r}: {len(chosen.examples)} of {len(store)} examples, {chosen.tokens_before} -> ", end="")
        print(f"{chosen.tokens_after} tokens, {intent} {'shown' if there else 'not shown'}")
        if use_model:
            answer = ask(f"{ASK}{chosen.text}\n{message} ->", args.model or "gpt-4o-mini")
            right += answer == intent
            print(f"  the model answers {answer}")
    print(f"\nintent among the examples: {shown} of {len(MESSAGES)}")
    print(
        f"the model was right: {right} of {len(MESSAGES)}" if use_model else "no model was asked (set OPENAI_API_KEY)"
    )
    print(f"\nthe last prompt:\n{ASK}{chosen.text}\n{message} ->")


def ask(prompt: str, model: str) -> str:
    """Returns the answer of a real model."""
    from openai import OpenAI

    answer = OpenAI(timeout=60).chat.completions.create(model=model, messages=[{"role": "user", "content": prompt}])
    return (answer.choices[0].message.content or "").strip()


if __name__ == "__main__":
    main()
