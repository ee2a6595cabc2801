"""Generates runs in which users set, change and lift rules, and an agent keeps lists, fails, decides and promises.

Everything follows from the seed and the number of the run. No method sees what is asked.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import cache

from benchmarks.facts_kept_case import Case, Fact, asked_calls
from benchmarks.facts_kept_reuse import ReusedFacts
from benchmarks.facts_kept_rules import RULE_KINDS, RULES
from benchmarks.facts_kept_script import DOING, DONE, LIST_TOOLS, OPEN, REMINDERS, Script
from benchmarks.facts_kept_talk import TALK
from benchmarks.runs_chains import Recorded

GENERATED = "generated"
RUNS = 8
PER_LIMIT = 3
ROUNDS = 50  # tool rounds of a run, besides those of lists, tests and remarks
ASKED = 8  # calls of a run, and the last one
LARGE_RESULT = 15_000  # tokens of one result of each run
OBJECTS = 16  # of rules in a run
TASKS = (
    "Port the checkout to the new gateway, account {v}, and keep the old one working until I say so.",
    "Find out why {v} is slow on Mondays and write down what you see.",
    "Migrate the tables of {v} to the new schema, one module at a time.",
    "Clean up {v}: unused code first, then the tests, then the documents.",
)
STEPS = ("Read {a}", "Port the endpoints of {a}", "Move the data of {a}", "Test {a}", "Write the notes on {a}")
ASSERTIONS = (
    "AssertionError: assert {x} == {y}",
    "AssertionError: assert 'state-{x}' in ['state-{y}', 'open']",
    "AssertionError: assert response.status == {x}, got {y}",
)
AREAS = ("cart totals", "refund flow", "stock import", "price cache", "audit export", "login form", "invoice layout")
MEANS = ("optimistic locking", "a nightly batch", "an append-only table", "the v2 client", "a lease of 30 s")


def generated_cases(limit: int | None, seed: int) -> Iterator[Case]:
    """Yields the runs, `PER_LIMIT` for one of the limit. Each has users of three languages, and any three have all."""
    for number in range(min((limit or RUNS) * PER_LIMIT, RUNS)):
        yield _case(seed, number)


def _case(seed: int, number: int) -> Case:
    script = write_run(seed, number)
    sampled = asked_calls(script.messages, ASKED, start=0.4)
    by_call = ReusedFacts(script.messages, [0], sampled[0]).by_call
    planted = {call: [f for f in facts if f.text in script.values] for call, facts in by_call.items()}
    reused = {call: facts for call, facts in planted.items() if facts}

    @cache
    def at(call: int) -> list[Fact]:
        return (script.facts_at(call) if call in sampled else []) + reused.get(call, [])

    recording = Recorded(f"{GENERATED}-{seed}-{number}", script.messages, {})
    return Case(GENERATED, GENERATED, recording, sorted({*sampled, *reused}), at)


def write_run(seed: int, number: int) -> Script:
    """Writes one run. The same arguments give the same run."""
    rng = random.Random(f"facts kept {seed} {number}")
    languages = [list(RULES)[(number + 3 * k) % len(RULES)] for k in range(3)]
    script = Script(rng)
    script.messages.append(
        {"role": "system", "content": "You are an engineer with tools. Work until the task is done."}
    )
    task = rng.choice(TASKS).format(v=f"ADY-{rng.randrange(1000, 9999)}")
    script.user(task, task)
    plan: dict[int, list[Callable[[], None]]] = {}
    for event, at in _events(script, rng, languages):
        plan.setdefault(at, []).append(event)
    large = rng.randrange(ROUNDS // 3, ROUNDS - 10)
    for step in range(ROUNDS):
        for event in plan.get(step, []):
            event()
        size = LARGE_RESULT if step == large else int(300 * 10 ** rng.random())
        script.work(size)
    return script


def _events(script: Script, rng: random.Random, languages: list[str]) -> Iterator[tuple[Callable[[], None], int]]:
    """Yields what happens besides the agent's usual rounds, with the round before which it happens."""
    yield from _rules(script, rng, languages)
    yield from _small_talk(script, rng, languages)
    for k in range(2):
        yield from _lists(script, rng, k)
    yield from _tests(script, rng)
    yield from _remarks(script, rng, languages)
    yield from _values(script, rng)


def _rules(script: Script, rng: random.Random, languages: list[str]) -> Iterator[tuple[Callable[[], None], int]]:
    kinds = rng.sample(list(RULE_KINDS), OBJECTS)
    used: set[str] = set()
    for kind in kinds:
        language = rng.choice(languages)
        name = next(
            (o for o in rng.sample(RULE_KINDS[kind].objects, len(RULE_KINDS[kind].objects)) if o not in used), ""
        )
        if not name:
            continue
        used.add(name)
        x, y = rng.choice(RULE_KINDS[kind].values)
        said = [text.format(a=name, x=x, y=y) for text in RULES[language][kind]]
        times = sorted(rng.sample(range(1, ROUNDS - 8), 3))
        fate = rng.choice(("set", "set", "changed", "changed", "lifted", "set and lifted"))
        steps = {"set": (0,), "changed": (0, 1), "lifted": (0, 1, 2), "set and lifted": (0, 2)}[fate]
        for step, at in zip(steps, times, strict=False):
            lead = rng.choice(TALK[language].leads)

            def event(name: str = name, text: str = said[step], lead: str = lead, lifted: bool = step == 2) -> None:
                script.state_rule(name, text, lead, lifted)
                script.say("OK.")

            yield event, at


def _small_talk(script: Script, rng: random.Random, languages: list[str]) -> Iterator[tuple[Callable[[], None], int]]:
    for at in rng.sample(range(3, ROUNDS), 14):
        word = rng.choice(TALK[rng.choice(languages)].acknowledgements)
        yield lambda word=word: script.user(word), at  # type: ignore[misc]
    for at in rng.sample(range(3, ROUNDS), 6):
        reminder = rng.choice(REMINDERS).format(a=f"src/{rng.choice(AREAS).replace(' ', '_')}.py")
        yield lambda reminder=reminder: script.user(reminder), at  # type: ignore[misc]


def _lists(script: Script, rng: random.Random, number: int) -> Iterator[tuple[Callable[[], None], int]]:
    tool, shape = rng.choice(LIST_TOOLS[number::2])
    title = f"{('plan', 'progress')[number]}-{rng.randrange(100)}"
    area = rng.choice(AREAS)
    texts = [step.format(a=area) for step in STEPS]
    counted = rng.random() < 0.5
    times = [0 if number == 0 else 2, *sorted(rng.sample(range(3, ROUNDS - 4), 7))]  # a plan comes before the work
    for version, at in enumerate(times):
        done = version * len(texts) // len(times)
        states = [DONE if k < done else DOING if k == done else OPEN for k in range(len(texts))]
        entries = [
            (t + (f" ({version * 5 + 2} of 40)" if counted and k == done else ""), states[k])
            for k, t in enumerate(texts)
        ]
        yield lambda entries=entries: script.write_list(tool, shape, title, entries), at  # type: ignore[misc]


def _tests(script: Script, rng: random.Random) -> Iterator[tuple[Callable[[], None], int]]:
    for area in rng.sample(AREAS, 5):
        path = f"tests/test_{area.replace(' ', '_')}.py"
        test = f"{path}::test_{rng.choice(('empty', 'rounding', 'twice', 'late'))}_{rng.randrange(99)}"
        command = f"pytest -v {path}"
        x = rng.randrange(100, 999)
        assertion = rng.choice(ASSERTIONS).format(x=x, y=x + rng.randrange(1, 90))
        first, last = sorted(rng.sample(range(4, ROUNDS - 6), 2))
        yield lambda c=command, t=test, a=assertion: script.run_tests(c, t, a, True), first  # type: ignore[misc]
        if rng.random() < 0.5:
            yield lambda c=command, t=test, a=assertion: script.run_tests(c, t, a, False), last  # type: ignore[misc]


def _remarks(script: Script, rng: random.Random, languages: list[str]) -> Iterator[tuple[Callable[[], None], int]]:
    for kind in ("promises", "decisions"):
        for area in rng.sample(AREAS, 4):
            said = TALK[rng.choice(languages)]
            text = rng.choice(said.promises if kind == "promises" else said.decisions)
            text = text.format(a=f"{area} ({rng.randrange(100, 999)})", b=rng.choice(MEANS))
            owner = f"{kind} {area}"
            first, last = sorted(rng.sample(range(2, ROUNDS - 6), 2))
            yield lambda k=kind, o=owner, t=text: script.remark(k, o, t), first  # type: ignore[misc]
            if kind == "promises" and rng.random() < 0.4:

                def kept(owner: str = owner, area: str = area) -> None:
                    script.work(400, words=f"As promised, the {area} are done.")
                    script.forget(owner)

                yield kept, last


def _values(script: Script, rng: random.Random) -> Iterator[tuple[Callable[[], None], int]]:
    """Plants values in results that a call uses 6 to 30 rounds later."""
    for _ in range(16):
        value = rng.choice(("dep-{:06x}", "OPS-{:07d}", "build/{:06x}.tar", "acct_{:08d}")).format(rng.randrange(16**6))
        what = (
            rng.choice(("deployment", "ticket", "release token", "backup", "account")) + f" of the {rng.choice(AREAS)}"
        )
        script.values.add(value)
        first = rng.randrange(1, ROUNDS - 8)
        last = min(ROUNDS - 1, first + rng.choice((6, 10, 14, 20)))
        yield lambda v=value, w=what: script.work(800, [f"{w}: {v} (verified)"]), first  # type: ignore[misc]
        yield lambda v=value: script.call("inspect", {"target": v}, "status: fine"), last  # type: ignore[misc]
