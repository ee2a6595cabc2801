"""Builds the native kernels of `compressor.native`, if there is a compiler. Without one the package is pure Python.

hatchling calls the hook for every wheel, an editable install included. `python hatch_build.py` builds the kernels next
to their sources, after a change to one of them.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent
FOLDER = "compressor/native"
OPTIONAL = "COMPRESSOR_BUILD_NATIVE"  # 0: do not build; 1: fail where it cannot be built; unset: build where possible
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "initializedcheck": False,
    "cdivision": True,
}

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # only to build in place
    BuildHookInterface = object  # type: ignore[assignment,misc]


def build_kernels(root: Path = ROOT, anew: bool = False) -> list[str]:
    """Compiles the kernels beside their sources.

    Args:
        root: The folder of this file.
        anew: Whether to compile those too that are newer than their source.

    Returns:
        The paths of the compiled files, relative to `root`.
    """
    from Cython.Build import cythonize
    from setuptools import Distribution, Extension

    before = os.getcwd()
    os.chdir(root)  # so that no path of this machine gets into the generated code
    try:
        flags = ["/O2", "/std:c++17"] if sys.platform == "win32" else ["-O2", "-std=c++17", "-g0", "-ffp-contract=off"]
        extensions = [
            Extension(
                f"compressor.native.{path.stem}",
                [str(path.relative_to(root))],
                extra_compile_args=flags,
                language="c++",
            )
            for path in sorted((root / FOLDER).glob("*.pyx"))
        ]
        modules = cythonize(  # type: ignore[no-untyped-call]
            extensions, build_dir="build/cython", compiler_directives=DIRECTIVES, quiet=True
        )
        command = Distribution({"ext_modules": modules}).get_command_obj("build_ext")
        command.inplace, command.force, command.build_temp = True, anew, "build/native"
        command.parallel = os.cpu_count()
        command.ensure_finalized()
        command.run()
        return [os.path.relpath(command.get_ext_fullpath(module.name), root) for module in modules]
    finally:
        os.chdir(before)


class NativeBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the compiled kernels to the wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Builds the kernels. Where that fails, the wheel has the Python code alone, and a line says so."""
        wish = os.environ.get(OPTIONAL, "")
        if self.target_name != "wheel" or wish == "0":
            return
        try:
            built = build_kernels(Path(self.root), anew=version != "editable")
        except (Exception, SystemExit) as error:
            if wish == "1":
                raise
            self.app.display_warning(f"native kernels not built, the Python code is used instead: {error}")
            return
        if version != "editable":
            build_data["artifacts"] += built
            build_data["pure_python"], build_data["infer_tag"] = False, True


if __name__ == "__main__":
    print("\n".join(build_kernels()))
