"""Decides what happens to a tenant's conversation: compressed, held out of a rollout, audited, or left alone.

The share of a rollout is decided by a hash of the conversation, as feature flags do it: each conversation has a fixed
place between 0 and 1, and those below the share are compressed. So all workers, machines and restarts decide alike, and
a share that grows only ever adds conversations.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Literal

#: What a tenant's requests get: compression, its measurement, or neither.
Mode = Literal["enforce", "audit", "off"]
#: What a conversation belongs to, for comparisons.
Group = Literal["compressed", "holdout", "audit"]
GROUPS: tuple[Group, ...] = ("compressed", "holdout", "audit")
_SYSTEM = ("system", "developer")
_TRANSIENT = ("cache_control",)  # clients move it from message to message


def is_in_share(key: str, share: float, salt: str = "") -> bool:
    """Returns whether a conversation belongs to the share that is compressed.

    Args:
        key: What identifies the conversation, see `conversation_key`.
        share: The fraction of all conversations, from 0 to 1.
        salt: Another salt draws another share.
    """
    if share >= 1 or share <= 0:
        return share >= 1
    digest = hashlib.blake2b(f"{salt}\0{key}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64 < share


def conversation_key(tenant: str, session: str, messages: Sequence[Any]) -> str:
    """Returns what identifies a conversation for as long as it lasts.

    Args:
        tenant: The tenant's name.
        session: The id of the session that the request names, or "".
        messages: The history. Without a session the text of its first message counts that is not the system's, because
            system prompts change (they tell the time), and so do marks such as `cache_control`.
    """
    if session:
        return f"{tenant}\0session\0{session}"
    first: Any = next((m for m in messages if not (isinstance(m, dict) and m.get("role") in _SYSTEM)), "")
    content = first.get("content", first) if isinstance(first, dict) else first
    text = "".join(_texts(content)) or json.dumps(_without_marks(content), sort_keys=True, default=str)
    return f"{tenant}\0begin\0{hashlib.blake2b(text.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}"


def _texts(content: Any) -> list[str]:
    if isinstance(content, str):
        return [content]
    if isinstance(content, dict):
        return _texts(content.get("text"))
    return [text for part in content for text in _texts(part)] if isinstance(content, list) else []


def _without_marks(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_marks(one) for name, one in value.items() if name not in _TRANSIENT}
    return [_without_marks(one) for one in value] if isinstance(value, list) else value
