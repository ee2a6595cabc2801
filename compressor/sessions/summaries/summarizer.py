r"""Updates a summary: a model writes notes on what is new, which are verified; if it fails, sentences are extracted.

    previous + new passages -> prompt -> model, with a timeout -> notes -> verified lines -> merged, within the budget
                            \-> extraction, if one of these steps fails

A summary is never a placeholder, an error message or a refusal. `verification.py` says what verification cannot see.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from compressor.errors import BudgetError, CompressorError
from compressor.sessions.summaries.extractive import ScoredPassages, raw_lines
from compressor.sessions.summaries.llm import Completion, SummaryLLM, SummaryLLMError
from compressor.sessions.summaries.llm_factory import make_llm
from compressor.sessions.summaries.merge import Sections, merge_lines, verify_lines
from compressor.sessions.summaries.passage import Passage
from compressor.sessions.summaries.prompt import SummaryPrompt, build_prompt
from compressor.sessions.summaries.response_parser import parse_response
from compressor.sessions.summaries.summary import Summary, with_lines
from compressor.sessions.summaries.timeouts import DeadlineExecutor
from compressor.tokens import TokenCounter

MIN_PASSAGE_TOKENS = 48  # of passages: with less the model is not asked


def summarizer(llm: Any, *, timeout: float = 30.0, max_tokens: int = 600, api_key: str | None = None) -> Summarizer:
    """Makes a summarizer for `Policy(summarizer=...)`.

    Example:
        >>> policy = Policy(summarizer=summarizer("http://localhost:8000/v1#qwen3-8b"))

    Args:
        llm: What writes the summaries: a LangChain chat model; "http://host/v1#model-name" for an OpenAI-compatible
            server (needs httpx); "gguf:path/to/model.gguf" or a `llama_cpp.Llama` (needs llama-cpp-python); a function
            from prompt to answer, str to str; or None to extract sentences without a model.
        timeout: Seconds that an update may wait for the model.
        max_tokens: About the most tokens of the model's answer.
        api_key: The key for an OpenAI-compatible server. None takes OPENAI_API_KEY.

    Raises:
        CompressorError: An argument makes no sense.
        MissingDependencyError: The package that the model needs is not installed.
        ModelError: The GGUF file cannot be read.
    """
    if not 0 < timeout < float("inf"):
        raise CompressorError(f"timeout must be a positive number of seconds, not {timeout!r}")
    if isinstance(max_tokens, bool) or not max_tokens >= 1:
        raise CompressorError(f"max_tokens must be a positive number of tokens, not {max_tokens!r}")
    return Summarizer(make_llm(llm, api_key), timeout, int(max_tokens))


@dataclass(slots=True)
class _UpdateJob:
    """One update in progress. `old`: the previous lines, numbered as in the prompt. `update`: the update's number."""

    previous: Summary
    passages: list[Passage]
    budget: int
    counter: TokenCounter
    update: int
    old: Sections
    scored: ScoredPassages


class Summarizer:
    """Updates summaries. `summarizer` makes it. It holds no summary, and is safe to share between threads."""

    def __init__(self, llm: SummaryLLM | None, timeout: float, max_tokens: int) -> None:
        """Takes the LLM (None extracts sentences), seconds to wait for it, and about the most tokens of its answer."""
        self._llm, self._timeout, self._max_tokens = llm, timeout, max_tokens
        self._calls = DeadlineExecutor()

    def __deepcopy__(self, memo: dict[int, Any]) -> Summarizer:
        """Returns this summarizer itself: it holds no summary, and its model may be large."""
        return self

    def __repr__(self) -> str:
        return f"<Summarizer {self._llm.name if self._llm else 'by extraction'}>"

    def update(
        self, previous: Summary | None, passages: Sequence[Passage], budget: int, counter: TokenCounter
    ) -> Summary:
        """Returns the summary of everything so far.

        It never fails because of the model; the summary's `warnings` say what happened. Only the passages and the
        previous lines go to the model. Previous lines are dropped if the model drops or replaces them; where the budget
        is short, the oldest lines of low score are dropped.

        Args:
            previous: The summary so far, or None.
            passages: What is new, of any size.
            budget: The most tokens of the summary; `text(budget, counter)` of the result leaves nothing out.
            counter: Counts the tokens.

        Raises:
            BudgetError: The budget is below 1 token.
        """
        job = _make_job(previous, passages, budget, counter)
        if isinstance(job, Summary):
            return job
        if self._llm is None:
            return self._extract(job, None)
        try:
            llm, start = self._llm, time.monotonic()
            prompt = self._calls.run(lambda _: self._build_prompt(llm, job), self._timeout)
            left = max(0.0, self._timeout - (time.monotonic() - start))
            completion = self._calls.run(lambda seconds: llm.write(prompt, self._max_tokens, seconds), left)
            return self._from_completion(job, completion, prompt)
        except Exception as e:
            return self._extract(job, e)

    def _build_prompt(self, llm: SummaryLLM, job: _UpdateJob) -> SummaryPrompt:
        """Builds the prompt. Passages that exceed a small window are cut by the fast scorer."""
        budget, count = llm.prompt_budget(job.counter.count, self._max_tokens)
        for short in (False, True):
            prompt = build_prompt(job.old, job.passages, self._max_tokens, short)
            empty = build_prompt(job.old, [replace(p, text="") for p in job.passages], self._max_tokens, short)
            size = count(prompt.system) + count(prompt.user)
            available = budget - count(empty.system) - count(empty.user)
            if size > budget and available < MIN_PASSAGE_TOKENS:
                continue
            while size > budget and available >= MIN_PASSAGE_TOKENS:
                prompt = build_prompt(job.old, job.scored.shorten(available), self._max_tokens, short)
                size = count(prompt.system) + count(prompt.user)
                # The model counts tokens differently from the counter, so this may take several rounds.
                available = min(available - max(0, size - budget), available * 3 // 4)
            if size <= budget:
                return prompt
        raise SummaryLLMError(f"the model's window is too small: it leaves {max(0, budget)} tokens for the prompt")

    def _from_completion(self, job: _UpdateJob, completion: Completion, prompt: SummaryPrompt) -> Summary:
        draft = parse_response(completion.text, prompt.data_delimiter, completion.is_truncated)
        if not prompt.has_note_numbers:
            draft.lines, draft.dropped = [replace(line, replaces=0) for line in draft.lines], set()
        lines, dropped, warnings = verify_lines(draft, job.passages, job.old, job.update)
        if not lines:
            raise CompressorError("; ".join([*warnings, "no line of the model's answer could be verified"]))
        if not job.previous.goal and not any(section == "goal" for section, _ in lines):
            extracted = job.scored.lines(job.budget, job.update, has_goal=False)
            lines = [x for x in extracted if x[0] == "goal" and x[1].source_name == "user"][:2] + lines
        return self._fit(job, merge_lines(job.old, lines, dropped), True, tuple(warnings))

    def _extract(self, job: _UpdateJob, error: Exception | None) -> Summary:
        warnings: tuple[str, ...] = ()
        if error is not None and self._llm is not None:
            kind = "" if isinstance(error, CompressorError) else f"{type(error).__name__}: "
            reason = " ".join((str(error) or type(error).__name__).split())[:240]
            warnings = (f"the summary was extracted because {self._llm.name} failed: {kind}{reason}",)
        lines = job.scored.lines(job.budget, job.update, has_goal=bool(job.previous.goal))
        if not lines:
            lines = raw_lines(job.passages, job.update)
        return self._fit(job, merge_lines(job.old, lines, frozenset()), False, warnings)

    @staticmethod
    def _fit(job: _UpdateJob, lines: Sections, written: bool, warnings: tuple[str, ...]) -> Summary:
        whole = with_lines(Summary(written=written, warnings=warnings, updates=job.update), lines)
        return whole.within(job.budget, job.counter)


def _make_job(
    previous: Summary | None, passages: Sequence[Passage], budget: int, counter: TokenCounter
) -> _UpdateJob | Summary:
    """Returns the job, or the summary if there is nothing to do."""
    if isinstance(budget, bool) or not budget >= 1:
        raise BudgetError(f"the budget of a summary must be at least 1 token, not {budget!r}")
    before = previous or Summary()
    new = [p for p in passages if p.text.strip()]
    if not new:
        return replace(before, warnings=()).within(budget, counter)
    scored = ScoredPassages(new, counter, [line.text for line in before.goal])
    return _UpdateJob(before, new, budget, counter, before.updates + 1, before.lines(), scored)
