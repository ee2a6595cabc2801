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

from compressor.errors import BudgetError, CompressorError
from compressor.sessions.summaries.extractive import ScoredPassages, raw_lines
from compressor.sessions.summaries.llm import (
    AsyncSummaryLLM,
    ChatModelLLM,
    Completion,
    SummaryLLM,
    SummaryLLMError,
    awrite,
    make_llm,
)
from compressor.sessions.summaries.merge import merge_lines, verify_lines
from compressor.sessions.summaries.passage import Passage
from compressor.sessions.summaries.prompt import SummaryPrompt, build_prompt
from compressor.sessions.summaries.response_parser import parse_response
from compressor.sessions.summaries.summary import Summary, SummaryLine, with_lines
from compressor.sessions.summaries.timeouts import DeadlineExecutor
from compressor.tokens import TokenCounter

LEAST_ROOM = 48  # tokens of passages below which it is not worth asking
Sections = list[tuple[str, SummaryLine]]


def summarizer(writer: Any, *, timeout: float = 30.0, tokens: int = 600, key: str | None = None) -> Summarizer:
    """A summarizer that writes with `writer`:

    - any LangChain chat model;
    - "http://host/v1#model-name", an OpenAI-compatible server (`key`, or OPENAI_API_KEY; needs httpx);
    - "gguf:path/to/model.gguf" or a `llama_cpp.Llama` (needs llama-cpp-python);
    - a function from prompt to answer, str to str;
    - None: no model, everything is extracted.

    timeout: seconds an update may wait for the model. tokens: what is asked for as an answer. Raises CompressorError
    for what is no writer or makes no sense, MissingDependencyError, ModelError.
    """
    if not 0 < timeout < float("inf"):
        raise CompressorError(f"timeout must be a positive number of seconds, not {timeout!r}")
    if isinstance(tokens, bool) or not tokens >= 1:
        raise CompressorError(f"tokens must be a positive number, not {tokens!r}")
    return Summarizer(make_llm(writer, key), timeout, int(tokens))


@dataclass(slots=True)
class _Job:
    """One update on its way. old: the previous lines, numbered as in the prompt. since: the number of this update."""

    previous: Summary
    passages: list[Passage]
    budget: int
    counter: TokenCounter
    since: int
    old: Sections
    rated: ScoredPassages


class Summarizer:
    """Made by `summarizer`. Safe to share between threads and event loops; holds no summary."""

    def __init__(self, writer: SummaryLLM | None, timeout: float, tokens: int) -> None:
        self._writer, self._timeout, self._tokens = writer, timeout, tokens
        self._calls = DeadlineExecutor()

    def __repr__(self) -> str:
        return f"<Summarizer {self._writer.name if self._writer else 'by extraction'}>"

    def update(
        self, previous: Summary | None, passages: Sequence[Passage], budget: int, counter: TokenCounter
    ) -> Summary:
        """The summary of all so far: previous lines and what is new in `passages`, which may be of any size; its
        `text(budget, counter)` leaves nothing out. Only the passages and the previous lines go to the model.

        Of previous lines go those that the model drops or replaces, and the oldest of little worth where the budget
        has no room. Never fails for the model's sake: `.warnings` says what happened. BudgetError for a budget below
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
        self, previous: Summary | None, passages: Sequence[Passage], budget: int, counter: TokenCounter
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
            if isinstance(writer, ChatModelLLM) and writer.is_async:
                answer = await awrite(cast(AsyncSummaryLLM, writer), prompt, self._tokens, left)
            else:
                answer = await self._calls.arun(lambda seconds: writer.write(prompt, self._tokens, seconds), left)
            return await self._in_thread(lambda: self._written(job, answer, prompt))
        except Exception as error:
            failed = error
            return await self._in_thread(lambda: self._extracted(job, failed))

    @staticmethod
    async def _in_thread(function: Callable[[], Summary]) -> Summary:
        from compressor.scoring.runtime.executor import run_in_thread

        return await run_in_thread(function)

    def _prompt(self, writer: SummaryLLM, job: _Job) -> SummaryPrompt:
        """The prompt; passages that a small window does not hold are cut by the fast tier."""
        room, count = writer.room(job.counter.count, self._tokens)
        for short in (False, True):
            prompt = build_prompt(job.old, job.passages, self._tokens, short)
            bare = build_prompt(job.old, [replace(p, text="") for p in job.passages], self._tokens, short)
            size = count(prompt.system) + count(prompt.user)
            space = room - count(bare.system) - count(bare.user)
            if size > room and space < LEAST_ROOM:
                continue
            while size > room and space >= LEAST_ROOM:
                prompt = build_prompt(job.old, job.rated.shortened(space), self._tokens, short)
                size = count(prompt.system) + count(prompt.user)
                space = min(space - max(0, size - room), space * 3 // 4)  # the model's tokens are not the counter's
            if size <= room:
                return prompt
        raise SummaryLLMError(f"the model's window is too small: {max(0, room)} tokens are left for the prompt")

    def _written(self, job: _Job, answer: Completion, prompt: SummaryPrompt) -> Summary:
        notes = parse_response(answer.text, prompt.data_delimiter, answer.is_truncated)
        if not prompt.numbered:
            notes.lines, notes.dropped = [replace(n, replaces=0) for n in notes.lines], set()
        lines, gone, warnings = verify_lines(notes, job.passages, job.old, job.since)
        if not lines:
            raise CompressorError("; ".join([*warnings, "nothing of the model's answer could be verified"]))
        if not job.previous.goal and not any(section == "goal" for section, _ in lines):
            extracted = job.rated.lines(job.budget, job.since, aimed=False)
            lines = [x for x in extracted if x[0] == "goal" and x[1].source_name == "user"][:2] + lines
        return self._fitted(job, merge_lines(job.old, lines, gone), True, tuple(warnings))

    def _extracted(self, job: _Job, error: Exception | None) -> Summary:
        warnings: tuple[str, ...] = ()
        if error is not None and self._writer is not None:
            said = str(error) or type(error).__name__
            kind = "" if isinstance(error, CompressorError) else f"{type(error).__name__}: "
            warnings = (f"summary by extraction, because {self._writer.name} failed: {kind}{_short(said)}",)
        lines = job.rated.lines(job.budget, job.since, aimed=bool(job.previous.goal))
        if not lines:
            lines = raw_lines(job.passages, job.since)
        return self._fitted(job, merge_lines(job.old, lines, frozenset()), False, warnings)

    @staticmethod
    def _fitted(job: _Job, lines: Sections, written: bool, warnings: tuple[str, ...]) -> Summary:
        whole = with_lines(Summary(written=written, warnings=warnings, updates=job.since), lines)
        return whole.within(job.budget, job.counter)


def _short(text: str) -> str:
    return " ".join(text.split())[:240]


def _job(previous: Summary | None, passages: Sequence[Passage], budget: int, counter: TokenCounter) -> _Job | Summary:
    """The job, or the summary where there is nothing to do."""
    if isinstance(budget, bool) or not budget >= 1:
        raise BudgetError(f"a summary needs a budget of at least 1 token, not {budget!r}")
    before = previous or Summary()
    said = [p for p in passages if p.text.strip()]
    if not said:
        return replace(before, warnings=()).within(budget, counter)
    aims = [line.text for line in before.goal]
    rated = ScoredPassages(said, counter, aims)
    return _Job(before, said, budget, counter, before.updates + 1, before.lines(), rated)
