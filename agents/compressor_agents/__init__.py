"""Integrations of the compressor with agent frameworks and SDK clients; each module is loaded only when imported.

- `compressor_agents.langchain`: middleware for `create_agent`, document compressor, example selector, summarizer
- `compressor_agents.openai`, `compressor_agents.anthropic`: `with_compression(client)` for the SDK clients
- `compressor_agents.openai_agents`: an input filter for the OpenAI Agents SDK
- `compressor_agents.pydantic_ai`: a capability and a history processor

The folder above has no `__init__.py`, because `agents` is the import name of the OpenAI Agents SDK.
"""
