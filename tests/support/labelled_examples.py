"""Examples with labels and worked sums, as tests of example selection offer them."""

from __future__ import annotations

INTENTS = {
    "lost_card": ["my card is gone", "i lost my card", "where is my card, i cannot find it", "card stolen in a bar"],
    "balance": ["what is my balance", "how much money do i have", "show the balance of my account", "balance please"],
    "weather": ["will it rain today", "weather in oslo", "is it cold outside in rome", "rain or sun tomorrow"],
    "alarm": ["wake me at six", "set an alarm for noon", "alarm at seven please", "i have to wake up at five"],
}
BANK = [{"input": text, "output": label} for label, texts in INTENTS.items() for text in texts]
SOLVED = [
    {
        "question": f"Ann has {n} boxes of {m} pens and gives {k} away. How many are left?",
        "answer": f"Let us think about what we know.\nThere are {n} boxes of {m} pens.\nAnn has {n} * {m} = {n * m}.\n"
        f"Pens are useful things to have.\nShe gives {k} away, so {n * m} - {k} = {n * m - k}.\n#### {n * m - k}",
    }
    for n, m, k in ((3, 12, 5), (4, 10, 7), (6, 8, 9), (2, 24, 3), (7, 7, 4))
]
