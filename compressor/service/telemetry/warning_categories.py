"""What went wrong, in few words: warnings are free text for people, and these are names that can be counted.

A closed set, so that no label of a metric grows with what clients send. Takes no part in what is done about it.
"""

from __future__ import annotations

import re

from compressor import errors

OTHER = "other"
#: Nothing went wrong: a context was within its budget, or had nothing that could go.
NOTHING = "nothing_to_cut"

#: The reason, and what the warnings have in them that it stands for. The first that fits.
_TEXTS: tuple[tuple[str, str], ...] = (
    ("scorer_fell_back", r"scored by the fast tier instead"),
    ("guard", r"^block \d+ \(message \d+\): "),
    ("rounds_left_out", r"were left out whole"),
    ("constraints_lost", r"old constraints? of users found no room"),
    ("summary_failed", r"^summary by extraction"),
    ("summary_corrected", r"sentences were dropped: |goals of the user's were kept"),
    ("forced_compaction", r"forced a compaction"),
    ("cache_away", r"neither looked up in the cache nor kept"),
    ("refused_by_provider", r"^refused by the provider$"),
    ("not_one_history", r"^not one whole history$|^raw response$"),
    ("not_encodable", r"^(Value|Unicode\w*|Overflow)Error$"),
)
#: Errors of ours by their class in snake case, or by what `problems.refusal` calls them.
_KINDS = frozenset(
    "timeout internal_error no_object invalid_json too_deep invalid_context invalid_budget invalid_path unknown_session"
    " budget_too_small tokenizer_error store_error model_error device_error missing_dependency overloaded expired_ref"
    " unknown_ref ref_error conflict compressor_error".split()
)
#: All that `reason` gives, and NOTHING.
ALL = frozenset({OTHER, NOTHING, *_KINDS, *(name for name, _ in _TEXTS)})
#: The code of an error by the name of its class.
_CODES = {
    name: kind.code
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.CompressorError)
}
_FINDS = [(name, re.compile(text)) for name, text in _TEXTS]


def categorize(warning: str) -> str:
    """The name of what a warning, an error's class or its kind is about: one of `ALL`."""
    kind = _CODES.get(warning, warning)
    if kind in ALL:
        return kind
    return next((name for name, finds in _FINDS if finds.search(warning)), OTHER)
