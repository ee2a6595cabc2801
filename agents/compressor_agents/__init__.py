"""The compressor in agent frameworks and clients, one module each, loaded only when imported:

    langchain          middleware for create_agent, document compressor, summariser
    openai_client      a wrapped openai client; anthropic_client likewise
    openai_agents      a filter for the OpenAI Agents SDK
    pydantic_ai        a history processor

The folder above has no `__init__.py` on purpose: `agents` is the import name of the OpenAI Agents SDK.
"""
