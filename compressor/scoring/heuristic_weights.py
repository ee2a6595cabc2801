"""The weights of the default scorer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HeuristicWeights:
    """How much each feature counts. Chosen on the dev sessions and questions: benchmarks/LOG.md.

    Attributes:
        identity: The worth of a token by its class, in the order of the classes of `token_index`.
        reuse: The weight of the learned model in an exact string's worth, as an exponent.
        retained: The factor on an identity that is in text which stays anyway, or that the agent has used.
        lexical: A unit that holds all of the query.
        source: A source that holds all of the query.
        answer: The sentence of a document that most likely answers the query.
        match: A model's best match outside of documents.
        read: The factor on identity in documents that are read for an answer.
        column: A table column that the query names.
        strength: The exponent on how much of the query the best unit holds: a vague query counts little.
        rare: A record with a rare value.
        queried_rare: A record with a rare value in a column that the query names.
        rare_line: A log line of a form that occurs at most twice.
        after: The part of a record's or unit's relevance that the next one gets.
        before: The part of it that the previous one gets.
        group: The part of the best relevance in a record, block or section that the rest of it gets.
        length: The exponent of the cost by which relevance and structure are divided.
        image_tokens: An image counts as a text of at most this many tokens. It cannot be cut to the part that matches,
            as a text is, so its relevance is not spread over all of its tokens.
        error: An error.
        queried_error: The factor on errors if the query asks for failures.
        warning: A warning.
        summary: A scalar beside a long list of JSON, such as a total.
        summary_line: A line that sums up.
        change: A changed line of a diff.
        header: A header.
        signature: A signature.
        noise: The factor on noise.
        comment: The factor on comments.
        recency: What the newest source gains; the gain fades with age.
        fade: The number of sources after which the gain has fallen to 1/e.
        reserve: The share of the budget that goes to the best matches with an open question first.
        dialogue_reserve: The same in conversations, where identities matter less.
        spread: How much of the matches of other turns a turn of a conversation gets; a topic lasts for some turns.
        spread_turns: The distance in turns at which that has fallen to 1/e.
        turn_tokens: Turns up to this size match as a whole.
        question_terms: The number of content words from which on a question counts less: a long one is a task.
        covered: The fraction of a question's words that the best record must hold for the question to count in full.
        error_match: The weight of being an error among the words of a question that asks for failures.
        read_match: How much a model's reading counts in the match of a document's sentences.
        near: The part of a unit's match that its neighbours get, and half of it the next but one.
        record_tokens: Records up to this size match as a whole; of larger ones, the fields without the question's words
            get less.
        speech: The factor on what the agent itself wrote, as its decisions carry the run.
        last_word: A further factor on the newest of that, which the user answered.
    """

    identity: tuple[float, ...] = (0.05, 0.2, 0.3, 1.0, 1.5, 1.5)
    reuse: float = 0.25
    retained: float = 0.1
    lexical: float = 4.0
    source: float = 1.0
    answer: float = 4.0
    match: float = 2.0
    read: float = 0.05
    column: float = 2.0
    strength: float = 0.5
    rare: float = 0.5
    queried_rare: float = 4.0
    rare_line: float = 3.0
    after: float = 0.5
    before: float = 0.3
    group: float = 0.9
    length: float = 0.5
    image_tokens: float = 32.0
    error: float = 1.5
    queried_error: float = 10.0
    warning: float = 0.2
    summary: float = 1.0
    summary_line: float = 2.0
    change: float = 4.0
    header: float = 0.2
    signature: float = 0.15
    noise: float = 0.1
    comment: float = 0.6
    recency: float = 1.5
    fade: float = 4.0
    reserve: float = 0.5
    dialogue_reserve: float = 0.95
    spread: float = 0.3
    spread_turns: float = 8.0
    turn_tokens: float = 1000.0
    question_terms: float = 8.0
    covered: float = 0.4
    error_match: float = 2.0
    read_match: float = 0.3
    near: float = 0.4
    record_tokens: float = 60.0
    speech: float = 1.5
    last_word: float = 3.0
