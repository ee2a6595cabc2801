"""The commands `compressor admin ...`: keys, tenants, sessions, refs and the audit log of a service.

With `--url` they ask a running service; otherwise they use the store, or edit the key file, of its configuration.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime, timezone
from typing import Annotated, Any
from urllib.parse import quote

import typer

from compressor.cli.admin_connection import Connection, connected, connected_to_keys
from compressor.cli.admin_output import print_fields, print_key, print_new_key, print_rows
from compressor.errors import CompressorError

Limit = Annotated[int, typer.Option(min=1, max=1000, help="The maximum number of entries.")]
Offset = Annotated[int, typer.Option(min=0, help="How many entries to leave out at the beginning.")]
KeyId = Annotated[str, typer.Argument(help="The id of the key, from `key list`.", show_default=False)]
TenantName = Annotated[str, typer.Argument(help="The tenant's name.", show_default=False)]
TenantFilter = Annotated[str | None, typer.Option(help="Only those of this tenant.")]

admin = typer.Typer(no_args_is_help=True, help="Manage keys, tenants, sessions and refs of a service.")
key = typer.Typer(no_args_is_help=True, help="API keys.")
tenant = typer.Typer(no_args_is_help=True, help="Tenants and their settings.")
session = typer.Typer(no_args_is_help=True, help="Sessions of all tenants.")
ref = typer.Typer(no_args_is_help=True, help="Originals behind refs.")
for _name, _group in (("key", key), ("tenant", tenant), ("session", session), ("ref", ref)):
    admin.add_typer(_group, name=_name)


# --- keys


@key.command("create")
@connected_to_keys
def create_key(
    connection: Connection,
    name: Annotated[str, typer.Option("--tenant", help="The tenant that the key is for.")],
    is_admin: Annotated[bool, typer.Option("--admin", help="The key may use /admin/v1.")] = False,
    expires: Annotated[
        str | None, typer.Option(help="When it ends: a time (2026-12-31T00:00:00Z), or a duration from now (90d).")
    ] = None,
) -> None:
    """Make a key and print it. It is shown this once."""
    made = connection.send("POST", "/keys", {"tenant": name, "admin": is_admin, "expires": expires})
    connection.show(made, print_new_key)


@key.command("list")
@connected_to_keys
def list_keys(
    connection: Connection,
    name: Annotated[str | None, typer.Option("--tenant", help="Only keys of this tenant.")] = None,
    state: Annotated[str | None, typer.Option(help="Only these: valid, expired or blocked.")] = None,
    limit: Limit = 100,
    offset: Offset = 0,
) -> None:
    """List keys. None can be read: only their hashes are stored."""
    found = connection.send("GET", "/keys", tenant=name, state=state, limit=limit, offset=offset)
    connection.show(found, lambda data: print_rows(data, "keys", ("id", "tenant", "admin", "state", "expires")))


@key.command("block")
@connected_to_keys
def block_key(connection: Connection, id: KeyId) -> None:
    """Refuse a key until it is unblocked."""
    connection.show(connection.send("PATCH", f"/keys/{_segment(id)}", {"blocked": True}), print_key)


@key.command("unblock")
@connected_to_keys
def unblock_key(connection: Connection, id: KeyId) -> None:
    """Accept a blocked key again."""
    connection.show(connection.send("PATCH", f"/keys/{_segment(id)}", {"blocked": False}), print_key)


@key.command("expire")
@connected_to_keys
def expire_key(
    connection: Connection,
    id: KeyId,
    when: Annotated[
        str, typer.Argument(help="A time, a duration from now (7d), now, or never.", show_default=True)
    ] = "now",
) -> None:
    """Set when a key ends."""
    expires: Any = {"now": 0, "never": None}.get(when, when)
    connection.show(connection.send("PATCH", f"/keys/{_segment(id)}", {"expires": expires}), print_key)


@key.command("rotate")
@connected_to_keys
def rotate_key(
    connection: Connection,
    id: KeyId,
    overlap: Annotated[
        str, typer.Option(help="How long the old key stays valid beside the new one, such as 1h.")
    ] = "0",
) -> None:
    """Make a new key in place of an old one, and print it."""
    connection.show(connection.send("POST", f"/keys/{_segment(id)}/rotate", {"overlap": overlap}), print_new_key)


@key.command("delete")
@connected_to_keys
def delete_key(connection: Connection, id: KeyId) -> None:
    """Delete the entry of a key, which is refused from then on."""
    deleted = connection.send("DELETE", f"/keys/{_segment(id)}")
    connection.show(deleted, lambda data: typer.echo(f"deleted {data['deleted']} of tenant {data['tenant']}"))


# --- tenants


@tenant.command("list")
@connected
def list_tenants(
    connection: Connection,
    q: Annotated[str | None, typer.Option(help="Only names with this text in them.")] = None,
    limit: Limit = 100,
    offset: Offset = 0,
) -> None:
    """List tenants with figures of the last 30 days."""

    def show(data: Any) -> None:
        for one in data["tenants"]:
            one |= {**one.pop("last_30_days"), "settings": ",".join(one["settings"])}
        print_rows(data, "tenants", ("tenant", "valid_keys", "sessions", "calls", "before", "after", "settings"))

    connection.show(connection.send("GET", "/tenants", q=q, limit=limit, offset=offset), show)


@tenant.command("show")
@connected
def show_tenant(connection: Connection, name: TenantName) -> None:
    """Show a tenant and its settings."""
    described = connection.send("GET", f"/tenants/{_segment(name)}")
    described["settings"] = connection.send("GET", f"/tenants/{_segment(name)}/settings")
    connection.show(described, print_fields)


@tenant.command("set")
@connected
def set_tenant(
    connection: Connection,
    name: TenantName,
    fields: Annotated[
        list[str], typer.Argument(metavar="NAME=VALUE...", help="budget=8000, originals_ttl=1h; NAME= removes one.")
    ],
) -> None:
    """Set what a tenant has for itself. All workers follow within a second."""
    given: dict[str, Any] = {}
    for field in fields:
        setting, has_value, text = field.partition("=")
        if not has_value:
            raise CompressorError(f"{field!r} is not a setting: write NAME=VALUE, or NAME= to remove one")
        given[setting] = _parse_value(text)
    made = connection.send("PATCH", f"/tenants/{_segment(name)}/settings", given)
    connection.show(made, lambda data: print_fields(data["database"]))


@tenant.command("usage")
@connected
def show_usage(
    connection: Connection,
    name: TenantName,
    reset: Annotated[bool, typer.Option("--reset", help="Forget what was used.")] = False,
) -> None:
    """Show how much of its limits a tenant has used, or reset it."""
    made = connection.send("DELETE" if reset else "GET", f"/tenants/{_segment(name)}/usage")
    columns = ("limit", "amount", "used", "left", "resets")
    connection.show(made, print_fields if reset else lambda data: print_rows(data, "usage", columns))


@tenant.command("erase")
@connected
def erase_tenant(
    connection: Connection,
    name: TenantName,
    settings: Annotated[bool, typer.Option("--settings", help="Remove the tenant's settings as well.")] = False,
    is_sure: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Erase everything stored for a tenant: originals, results, sessions, usage. Its keys stay."""
    if not is_sure:
        if not sys.stdin.isatty():
            raise CompressorError("this erases everything stored for the tenant: confirm with --yes")
        typer.confirm(f"Erase everything stored for tenant {name}?", abort=True)
    done = connection.send("DELETE", f"/tenants/{_segment(name)}/data", settings="true" if settings else None)
    connection.show(done, lambda data: print_fields(data["erased"]))


# --- sessions and refs


@session.command("list")
@connected
def list_sessions(
    connection: Connection,
    name: Annotated[str | None, typer.Option("--tenant", help="Only sessions of this tenant.")] = None,
    q: Annotated[str | None, typer.Option(help="Only ids or models with this text in them.")] = None,
    limit: Limit = 100,
    offset: Offset = 0,
) -> None:
    """List sessions, those used last first."""

    def show(data: Any) -> None:
        for one in data["sessions"]:
            last = datetime.fromtimestamp(one["last"], timezone.utc)
            one["last"] = last.strftime("%Y-%m-%dT%H:%M:%SZ")
        print_rows(data, "sessions", ("tenant", "id", "model", "calls", "before", "after", "last"))

    connection.show(connection.send("GET", "/sessions", tenant=name, q=q, limit=limit, offset=offset), show)


SessionId = Annotated[str, typer.Argument(help="The session's id.", show_default=False)]
RefDigits = Annotated[str, typer.Argument(help="The twelve digits of the ref.", show_default=False)]


@session.command("show")
@connected
def show_session(connection: Connection, name: TenantName, id: SessionId) -> None:
    """Show what a session is and costs, without its content."""
    connection.show(connection.send("GET", f"/tenants/{_segment(name)}/sessions/{_segment(id)}"), print_fields)


@session.command("delete")
@connected
def delete_session(connection: Connection, name: TenantName, id: SessionId) -> None:
    """Delete a session, and the originals that no other session may read."""
    connection.show(connection.send("DELETE", f"/tenants/{_segment(name)}/sessions/{_segment(id)}"), print_fields)


@ref.command("show")
@connected
def show_ref(connection: Connection, name: TenantName, digits: RefDigits) -> None:
    """Show what the store knows about an original, without its content."""
    connection.show(connection.send("GET", f"/tenants/{_segment(name)}/refs/{_segment(digits)}"), print_fields)


@ref.command("delete")
@connected
def delete_ref(connection: Connection, name: TenantName, digits: RefDigits) -> None:
    """Delete an original. From then on its ref reads as expired."""
    connection.show(connection.send("DELETE", f"/tenants/{_segment(name)}/refs/{_segment(digits)}"), print_fields)


@admin.command("audit")
@connected
def audit(
    connection: Connection,
    limit: Limit = 100,
    before: Annotated[int | None, typer.Option(min=1, help="Only records with smaller numbers.")] = None,
) -> None:
    """Show what administrators did, the newest first."""
    found = connection.send("GET", "/audit", limit=limit, before=before)
    columns = ("number", "time", "who", "act", "target", "outcome")
    connection.show(found, lambda data: print_rows(data, "records", columns))


# --- input


def _segment(text: str) -> str:
    return quote(text, safe="")


def _parse_value(text: str) -> Any:
    """Returns a value that is written as JSON; text that is no JSON stays text, and nothing is null."""
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text
