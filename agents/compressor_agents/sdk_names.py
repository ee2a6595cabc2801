"""Protects against the hiding of an SDK by the module of this package that has the same name."""

from __future__ import annotations


def refuse_to_shadow(module_name: str, sdk: str) -> None:
    """Raises RuntimeError if a module of this package was imported by the name of an SDK, which it then hides.

    That happens if the folder of this package is on `sys.path`, such as for a script in that folder. The SDK's own
    importers would only get an AttributeError.
    """
    if module_name == sdk:
        raise RuntimeError(
            f"compressor_agents.{sdk} was imported as {sdk!r} and hides the SDK of that name, because its folder is on "
            "sys.path; start Python in another folder, or with the option -P"
        )
