"""Middleware that puts the compressor into agent frameworks. Holds no integration yet: each will be a module here.

The folder above has no `__init__.py` on purpose: `agents` is the import name of the OpenAI Agents SDK.
"""
