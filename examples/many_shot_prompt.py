"""Sends most examples of a many-shot prompt from the provider's prompt cache, and a few chosen for each query.

    python examples/many_shot_prompt.py

There are 240 examples for 60 intents. The prompt begins with a block of examples that is the same for all queries, so
the provider's prompt cache holds it, and ends with the examples that matter to the query. The script prints what is
cached, what is chosen for each query, and what a thousand calls cost, also without the cache. No model is called.

Exit code: 0 on success; 1 if the block differs between queries or the right intent is not shown.
"""

from __future__ import annotations

from dataclasses import replace

from compressor import Compressor
from compressor.tokens.pricing import find_price

MODEL = "claude-sonnet-4-5"
CACHED, CHOSEN = 1_400, 80  # tokens of the block, and of the examples for a query; providers cache 1,024 or more
CALLS, WRITES = 1_000, 10  # the cache is written again after a pause of five minutes
THINGS = (
    "card,savings account,loan,phone contract,insurance,newsletter,parking permit,gym pass,tax file,mortgage".split(",")
)
PHRASES = {
    "cancel": ("please cancel my {}", "i no longer want the {}", "how do i get rid of my {}", "end the {} this month"),
    "lost": ("i lost my {}", "where has my {} gone", "i cannot find the {} anywhere", "somebody took my {}"),
    "fees": ("what does the {} cost", "why was i charged for my {}", "is the {} free", "which fees has the {}"),
    "renew": ("my {} runs out soon", "extend the {} by a year", "please renew my {}", "how long is my {} valid"),
    "open": ("i would like a {}", "can i apply for a {} online", "open a {} for me", "what do i need for a new {}"),
    "change": ("put my new address on the {}", "my name on the {} is wrong", "update the {}", "i want to move my {}"),
}
QUERIES = {
    "somebody stole my gym pass": "lost_gym_pass",
    "is my insurance still valid": "renew_insurance",
    "what would a mortgage cost me": "fees_mortgage",
}


def main() -> int:
    """Chooses examples for each query and prints them with the bill."""
    examples = [
        {"input": phrase.format(thing), "output": f"{verb}_{thing}".replace(" ", "_")}
        for verb, phrases in PHRASES.items()
        for thing in THINGS
        for phrase in phrases
    ]
    compressor, blocks, shown = Compressor(store="memory"), set[str](), 0
    for query, intent in QUERIES.items():
        chosen = compressor.select_examples(examples, query, CACHED + CHOSEN, MODEL, cached_budget=CACHED)
        if not blocks:
            print(f"cached: {chosen.cached_count} of {len(examples)} examples, {chosen.cached_tokens:,} tokens")
        blocks.add(chosen.cached_text)
        own = chosen.text.removeprefix(chosen.cached_text).strip().splitlines()
        right = any(example["output"] == intent for example in chosen.examples)
        shown += right
        print(f"\n{query} ({intent}{'' if right else ' is not shown'})", *own, sep="\n  ")
    bill, price = chosen.bill(CALLS, MODEL, WRITES), find_price(MODEL)
    plain = replace(price, cache_read=price.input, cache_write=price.input)
    print(f"\n{CALLS:,} calls: {bill.cached:,} tokens from the cache, {bill.cache_written:,} written, ", end="")
    print(f"{bill.uncached:,} uncached: ${bill.cost_usd:.2f}")
    print(f"the same without a cache: ${chosen.bill(CALLS, plain, WRITES).cost_usd:.2f}")
    return 0 if len(blocks) == 1 and shown == len(QUERIES) else 1


if __name__ == "__main__":
    raise SystemExit(main())
