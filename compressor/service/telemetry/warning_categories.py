"""Maps warnings, which are free text for people, to names that metrics can count.

The set of names is closed, so the labels of a metric do not grow with what clients send.
"""

from __future__ import annotations

import re

from compressor import errors

OTHER = "other"
#: Nothing went wrong: the context was within its budget, or had nothing that could be removed.
NOTHING = "nothing_to_cut"

#: Each category, and a pattern of its warnings. The first match counts.
_TEXTS: tuple[tuple[str, str], ...] = (
    ("scorer_fell_back", r"scored by the fast tier instead"),
    ("output_validation", r"^block \d+ \(message \d+\): "),
    ("rounds_left_out", r"were left out whole"),
    ("constraints_dropped", r"users. old constraints were removed"),
    ("summary_failed", r"^the summary was extracted"),
    ("summary_corrected", r"sentences were dropped: |goals in the user.s words were kept"),
    ("forced_compaction", r"forced a compaction"),
    ("too_long_for_provider", r"^too long for the provider"),
    ("above_budget", r"^above the budget|so the smallest possible view is sent"),
    ("cache_unavailable", r"neither looked up in the cache nor kept"),
    ("tools_not_cut", r"^tools not cut: "),
    ("examples_not_cut", r"^examples not cut: "),
    ("conversation_not_shared", r"^conversation not shared: "),
    ("refused_by_provider", r"^(the provider )?refused (by the provider|the compressed request)$"),
    ("unknown_header", r"^unknown header "),
    ("override_locked", r" is not allowed here$"),
    ("images_not_reduced", r"^(images|screenshots|image \d+) (are|were|is) "),
    ("audit_failed", r"^audit: would not be compressed"),
    ("not_one_history", r"^not one whole history$|^raw response$"),
    ("not_encodable", r"^(Value|Unicode\w*|Overflow)Error$"),
)
#: Codes of errors (`CompressorError.code`), and types of `HttpError`.
_KINDS = frozenset(
    "timeout internal_error no_object invalid_json too_deep invalid_context invalid_budget invalid_path unknown_session"
    " budget_too_small tokenizer_error store_error model_error device_error missing_dependency overloaded expired_ref"
    " unknown_ref ref_error conflict compressor_error invalid_option latency_exceeded too_large_for_latency"
    " not_one_history unsupported_api encoded_body invalid_session_id image_refused ocr_error".split()
)
#: Everything that `categorize` returns, and NOTHING.
ALL = frozenset({OTHER, NOTHING, *_KINDS, *(name for name, _ in _TEXTS)})
#: The code of an error by the name of its class.
_CODES = {
    name: kind.code
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.CompressorError)
}
_FINDS = [(name, re.compile(text)) for name, text in _TEXTS]


def categorize(warning: str) -> str:
    """Returns the category of a warning, of an error's class name or of its code: one of `ALL`."""
    kind = _CODES.get(warning, warning)
    if kind in ALL:
        return kind
    return next((name for name, finds in _FINDS if finds.search(warning)), OTHER)
