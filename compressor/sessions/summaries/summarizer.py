"""The summarizer: asks a model for notes on what is new, proves them, and extracts where the model fails.

    previous + new passages -> prompt -> model, within its time -> notes -> verified lines -> merged, within the budget
                            \\-> extraction, wherever a step above fails

A summary is never a placeholder, an error message or a refusal. What verification can and cannot see: `verify.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from compressor.errors import CompressorError, InvalidBudget
from compressor.sessions.summaries.extractive import Rated, raw_lines
from compressor.sessions.summaries.llm import (
    Answer,
    AsyncWriter,
    ChatModelWriter,
    Writer,
    WriterError,
    awrite,
    make_writer,
)
from compressor.sessions.summaries.merge import merged, proven
from compressor.sessions.summaries.passage import Passage
from compressor.sessions.summaries.prompt import Prompt, prompt_for
from compressor.sessions.summaries.response_parser import read_answer
from compressor.sessions.summaries.summary import Line, Summary, with_lines
from compressor.sessions.summaries.timeouts import Calls
from compressor.tokens import Counter

LEAST_ROOM = 48  # tokens of passages below which it is not worth asking
Sections = list[tuple[str, Line]]


def summarizer(writer: Any, *, timeout: float = 30.0, tokens: int = 600, key: str | None = None) -> Summarizer:
    """A summarizer that writes with `writer`:

    - any LangChain chat model;
    - "http://host/v1#model-name", an OpenAI-compatible server (`key`, or OPENAI_API_KEY; needs httpx);
    - "gguf:path/to/model.gguf" or a `llama_cpp.Llama` (needs llama-cpp-python);
    - a function from prompt to answer, str to str;
    - None: no model, everything is extracted.

    timeout: seconds an update may wait for the model. tokens: what is asked for as an answer. Raises CompressorError
    for what is no writer or makes no sense, MissingExtra, ModelError.
    """
    if not 0 < timeout < float("inf"):
        raise CompressorError(f"timeout must be a positive number of seconds, not {timeout!r}")
    if isinstance(tokens, bool) or not tokens >= 1:
        raise CompressorError(f"tokens must be a positive number, not {tokens!r}")
    return Summarizer(make_writer(writer, key), timeout, int(tokens))


@dataclass(slots=True)
class _Job:
    """One update on its way. old: the previous lines, numbered as in the prompt. since: the number of this update."""

    previous: Summary
    passages: list[Passage]
    budget: int
    counter: Counter
    since: int
    old: Sections
    rated: Rated


class Summarizer:
    """Made by `summarizer`. Safe to share between threads and event loops; holds no summary."""

    def __init__(self, writer: Writer | None, timeout: float, tokens: int) -> None:
        self._writer, self._timeout, self._tokens = writer, timeout, tokens
        self._calls = Calls()

    def __repr__(self) -> str:
        return f"<Summarizer {self._writer.name if self._writer else 'by extraction'}>"

    def update(self, previous: Summary | None, passages: Sequence[Passage], budget: int, counter: Counter) -> Summary:
        """The summary of all so far: previous lines and what is new in `passages`, which may be of any size; its
        `text(budget, counter)` leaves nothing out. Only the passages and the previous lines go to the model.

        Of previous lines go those that the model drops or replaces, and the oldest of little worth where the budget
        has no room. Never fails for the model's sake: `.warnings` says what happened. InvalidBudget for a budget below
        1 token.
        """
        job = _job(previous, passages, budget, counter)
        if isinstance(job, Summary):
            return job
        if self._writer is None:
            return self._extracted(job, None)
        try:
            writer, start = self._writer, time.monotonic()
            prompt = self._calls.run(lambda _: self._prompt(writer, job), self._timeout)
            left = max(0.0, self._timeout - (time.monotonic() - start))
            answer = self._calls.run(lambda seconds: writer.write(prompt, self._tokens, seconds), left)
            return self._written(job, answer, prompt)
        except Exception as e:
            return self._extracted(job, e)

    async def aupdate(
        self, previous: Summary | None, passages: Sequence[Passage], budget: int, counter: Counter
    ) -> Summary:
        """`update` for asyncio: awaits chat models that are async, all others in a thread."""
        job = _job(previous, passages, budget, counter)
        if isinstance(job, Summary):
            return job
        if self._writer is None:
            return await self._in_thread(lambda: self._extracted(job, None))
        try:
            writer, start = self._writer, time.monotonic()
            prompt = await self._calls.arun(lambda _: self._prompt(writer, job), self._timeout)
            left = max(0.0, self._timeout - (time.monotonic() - start))
            if isinstance(writer, ChatModelWriter) and writer.is_async:
                answer = await awrite(cast(AsyncWriter, writer), prompt, self._tokens, left)
            else:
                answer = await self._calls.arun(lambda seconds: writer.write(prompt, self._tokens, seconds), left)
            return await self._in_thread(lambda: self._written(job, answer, prompt))
        except Exception as error:
            failed = error
            return await self._in_thread(lambda: self._extracted(job, failed))

    @staticmethod
    async def _in_thread(function: Callable[[], Summary]) -> Summary:
        from compressor.scoring.runtime.executor import in_thread

        return await in_thread(function)

    def _prompt(self, writer: Writer, job: _Job) -> Prompt:
        """The prompt; passages that a small window does not hold are cut by the fast tier."""
        room, count = writer.room(job.counter.count, self._tokens)
        for short in (False, True):
            prompt = prompt_for(job.old, job.passages, self._tokens, short)
            bare = prompt_for(job.old, [replace(p, text="") for p in job.passages], self._tokens, short)
            size = count(prompt.system) + count(prompt.user)
            space = room - count(bare.system) - count(bare.user)
            if size > room and space < LEAST_ROOM:
                continue
            while size > room and space >= LEAST_ROOM:
                prompt = prompt_for(job.old, job.rated.shortened(space), self._tokens, short)
                size = count(prompt.system) + count(prompt.user)
                space = min(space - max(0, size - room), space * 3 // 4)  # the model's tokens are not the counter's
            if size <= room:
                return prompt
        raise WriterError(f"the model's window is too small: {max(0, room)} tokens are left for the prompt")

    def _written(self, job: _Job, answer: Answer, prompt: Prompt) -> Summary:
        notes = read_answer(answer.text, prompt.fence, answer.cut)
        if not prompt.numbered:
            notes.lines, notes.dropped = [replace(n, replaces=0) for n in notes.lines], set()
        lines, gone, warnings = proven(notes, job.passages, job.old, job.since)
        if not lines:
            raise CompressorError("; ".join([*warnings, "nothing of the model's answer could be verified"]))
        if not job.previous.goal and not any(section == "goal" for section, _ in lines):
            extracted = job.rated.lines(job.budget, job.since, aimed=False)
            lines = [x for x in extracted if x[0] == "goal" and x[1].who == "user"][:2] + lines
        return self._fitted(job, merged(job.old, lines, gone), True, tuple(warnings))

    def _extracted(self, job: _Job, error: Exception | None) -> Summary:
        warnings: tuple[str, ...] = ()
        if error is not None and self._writer is not None:
            said = str(error) or type(error).__name__
            kind = "" if isinstance(error, CompressorError) else f"{type(error).__name__}: "
            warnings = (f"summary by extraction, because {self._writer.name} failed: {kind}{_short(said)}",)
        lines = job.rated.lines(job.budget, job.since, aimed=bool(job.previous.goal))
        if not lines:
            lines = raw_lines(job.passages, job.since)
        return self._fitted(job, merged(job.old, lines, frozenset()), False, warnings)

    @staticmethod
    def _fitted(job: _Job, lines: Sections, written: bool, warnings: tuple[str, ...]) -> Summary:
        whole = with_lines(Summary(written=written, warnings=warnings, updates=job.since), lines)
        return whole.within(job.budget, job.counter)


def _short(text: str) -> str:
    return " ".join(text.split())[:240]


def _job(previous: Summary | None, passages: Sequence[Passage], budget: int, counter: Counter) -> _Job | Summary:
    """The job, or the summary where there is nothing to do."""
    if isinstance(budget, bool) or not budget >= 1:
        raise InvalidBudget(f"a summary needs a budget of at least 1 token, not {budget!r}")
    before = previous or Summary()
    said = [p for p in passages if p.text.strip()]
    if not said:
        return replace(before, warnings=()).within(budget, counter)
    aims = [line.text for line in before.goal]
    rated = Rated(said, counter, aims)
    return _Job(before, said, budget, counter, before.updates + 1, before.lines(), rated)
