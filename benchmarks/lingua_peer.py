"""Runs LLMLingua in its own Python environment: reads cases as JSON lines and writes each compressed text.

    python lingua_peer.py FOLDER llmlingua|longllmlingua

The benchmark `lingua` starts this script. It imports nothing of the package, because llmlingua 0.2.2 needs
transformers 4.46. The settings of LongLLMLingua are those of its authors' example for questions over many documents.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module

LONG = {
    "rank_method": "longllmlingua",
    "condition_in_question": "after_condition",
    "reorder_context": "sort",
    "dynamic_context_compression_ratio": 0.3,
    "condition_compare": True,
    "context_budget": "+100",
}


def main() -> None:
    """Answers each line of stdin with one line on stdout."""
    folder, method = sys.argv[1:3]
    answers, sys.stdout = sys.stdout, sys.stderr  # the libraries print to stdout, which carries the answers
    import_module("torch").set_num_threads(1)
    compressor = import_module("llmlingua").PromptCompressor(
        folder, device_map="cpu", model_config={"trust_remote_code": False}
    )
    options = LONG if method == "longllmlingua" else {}
    for line in sys.stdin:
        case = json.loads(line)
        found = compressor.compress_prompt(
            case["documents"],
            question=case["question"],
            target_token=case["budget"],
            concate_question=False,
            **options,
        )
        answers.write(json.dumps({"text": found["compressed_prompt"]}) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
